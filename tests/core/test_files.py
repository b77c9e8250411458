"""Files and folders that appear complete or not at all, on one file system and across two."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from equidyn.core.files import publish, replacing


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
    error = {"two": errno.EXDEV, "no links": errno.EPERM}.get(request.param)

    def refuse(*_, **__):
        raise OSError(error, os.strerror(error))

    if error:
        monkeypatch.setattr(os, "link", refuse)


def content(path):
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("file_systems")
@pytest.mark.parametrize("old", [False, True])
def test_folder_gets_its_name(folder, tmp_path, old):
    output, expected = tmp_path / "results" / "out", content(folder)
    if old:
        output.mkdir(parents=True)
        (output / "stale").touch()
    (tmp_path / "results" / ".out.new").mkdir(parents=True)  # the rest of a killed process
    publish(folder, output)
    assert content(output) == content(folder) == expected
    assert [path.name for path in output.parent.iterdir()] == ["out"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_folder_behind_a_link_to_another_disk(folder, tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert Path(elsewhere).stat().st_dev != tmp_path.stat().st_dev
        (tmp_path / "train").symlink_to(elsewhere)
        publish(folder, tmp_path / "train" / "run")
        assert content(Path(elsewhere, "run")) == content(folder)


def test_published_files_take_no_space_twice(folder, tmp_path):
    publish(folder, tmp_path / "out")
    assert (tmp_path / "out" / "b").stat().st_ino == (folder / "b").stat().st_ino


def test_failed_copy_leaves_the_old_folder_and_nothing_else(folder, tmp_path, monkeypatch):
    output = tmp_path / "results" / "out"
    output.mkdir(parents=True)
    (output / "old").write_text("old")
    copy = shutil.copyfile

    def full_after_the_first(one, other, **how):
        if Path(one).name == "a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return copy(one, other, **how)

    monkeypatch.setattr(shutil, "copyfile", full_after_the_first)
    monkeypatch.setattr(os, "link", full_after_the_first)
    with pytest.raises(OSError, match=rf"finished, but could not be copied from {folder}.*No space left.*{output}"):
        publish(folder, output)
    assert content(tmp_path / "results") == {"out/old": "old"}
    assert content(folder) == {"deep/a": "a", "b": "b"}


def test_a_link_that_leads_nowhere_is_named(folder, tmp_path):
    (tmp_path / "train").symlink_to(tmp_path / "purged")
    with pytest.raises(OSError, match=rf"could not be copied .*File exists: '{tmp_path}/train'.*{tmp_path}/train/run"):
        publish(folder, tmp_path / "train" / "run")


OTHERS = [FileNotFoundError(errno.ENOENT, "no", "other"), ConnectionError("lost"), KeyError(1)]


@pytest.mark.parametrize("error", OTHERS)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as found, replacing(tmp_path / "file"):
        raise error
    assert found.value is error
