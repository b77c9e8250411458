"""Folders that appear complete or not at all, on one file system and across two."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from equidyn.core.files import publish


@pytest.fixture
def folder(tmp_path):
    """A finished folder."""
    (tmp_path / "work" / "deep").mkdir(parents=True)
    (tmp_path / "work" / "deep" / "a").write_text("a")
    (tmp_path / "work" / "b").write_text("b")
    return tmp_path / "work"


@pytest.fixture(params=["one file system", "two", "no links"])
def file_systems(request, monkeypatch):
    """One file system, or the errors of others."""

    def refused(error):
        def refuse(*_, **__):
            raise OSError(error, os.strerror(error))

        return refuse

    rename = Path.rename

    def within_folder(path, target):
        return rename(path, target) if Path(target).parent == path.parent else refused(errno.EXDEV)()

    if request.param == "two":
        monkeypatch.setattr(Path, "rename", within_folder)
        monkeypatch.setattr(os, "link", refused(errno.EXDEV))
    elif request.param == "no links":
        monkeypatch.setattr(os, "link", refused(errno.EPERM))
    return request.param


def content(path):
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_folder_gets_its_name(folder, tmp_path, file_systems, keep, old):
    output, expected = tmp_path / "results" / "out", content(folder)
    if old:
        output.mkdir(parents=True)
        (output / "stale").touch()
    (tmp_path / "results").mkdir(exist_ok=True)
    (tmp_path / "results" / ".out.new").mkdir()  # the rest of a killed process
    publish(folder, output, keep=keep)
    assert content(output) == expected
    assert folder.exists() == keep
    assert not keep or content(folder) == expected
    assert [path.name for path in output.parent.iterdir()] == ["out"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
@pytest.mark.parametrize("keep", [False, True])
def test_folder_behind_a_link_to_another_disk(folder, tmp_path, keep):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != tmp_path.stat().st_dev
        (tmp_path / "train").symlink_to(elsewhere)
        expected = content(folder)
        publish(folder, tmp_path / "train" / "run", keep=keep)
        assert content(Path(elsewhere, "run")) == expected


def test_kept_files_take_no_space_twice(folder, tmp_path):
    publish(folder, tmp_path / "out", keep=True)
    assert (tmp_path / "out" / "b").stat().st_ino == (folder / "b").stat().st_ino


def test_failed_copy_leaves_the_old_folder(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "no space")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(OSError, match="no space"):
        publish(folder, tmp_path / "out", keep=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old"]
    assert content(folder) == {"deep/a": "a", "b": "b"}
