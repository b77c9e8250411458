"""Archives hold what is published, are the same for the same files, and are checked before anything appears."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import mlcroissant
import pandas as pd
import pytest
from hostile_tars import FORMATS, hostile_tar

from equidyn.cli import main
from equidyn.study import archives
from equidyn.study.archives import DATASHEET, SUMS, ArchiveError, pack, unpack

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # mlcroissant uses it


def parquet(**columns) -> bytes:
    stream = io.BytesIO()
    pd.DataFrame(columns).to_parquet(stream)
    return stream.getvalue()


CONTENTS = {
    "config.yaml": b"study: tiny\n",
    "manifest.json": json.dumps({"study": "tiny", "version": "0.1.0", "runs": {"one": {}, "two": {}}}).encode(),
    "tables/evaluation.parquet": parquet(run=["one", "two"], percent=[1.5, 2.5], eigenvalue=[[1.0, 2.0], [3.0]]),
    "tables/runs/one.parquet": parquet(run=["one"], step=[1], t=[0.5]),
    "tables/runs/two.parquet": parquet(run=["two"], step=[2]),
    "figures/all/summary.png": b"picture",
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "here/results/tiny"
    unpublished = {"train/run/raw/0.safetensors": b"weights", "tables/.half.parquet": b"half", "logs/a.log": b"log"}
    for name, content in (CONTENTS | unpublished).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def rewritten(archive: Path, change) -> Path:
    """A copy of an archive, its members changed: a mapping of names to contents."""
    with tarfile.open(archive) as tar:
        members = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
    change(members)
    copy = archive.with_name("changed.tar.gz")
    with tarfile.open(copy, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return copy


def test_there_and_back(study, tmp_path):
    names = pack(study, tmp_path / "tiny.tar.gz")
    assert names == sorted([*CONTENTS, DATASHEET])
    found = unpack(tmp_path / "tiny.tar.gz", tmp_path / "there")
    assert found == tmp_path / "there/tiny"
    assert {name: content for name, content in files_of(found).items() if name != DATASHEET} == CONTENTS
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["tiny"]


def test_the_data_sheet_is_valid_and_reads_the_tables(study, tmp_path):
    pack(study, tmp_path / "tiny.tar.gz")
    sheet = mlcroissant.Dataset(unpack(tmp_path / "tiny.tar.gz", tmp_path / "there") / DATASHEET)
    issues = sheet.metadata.ctx.issues
    assert not issues.errors
    assert {line.rpartition("Property ")[2] for line in issues.warnings} == {
        '"https://schema.org/datePublished" is recommended, but does not exist.'  # whoever publishes it knows
    }
    assert sheet.metadata.license == ["https://spdx.org/licenses/MIT.html"]
    files = [one for one in sheet.metadata.distribution if isinstance(one, mlcroissant.FileObject)]
    assert {file.id: file.sha256 for file in files} == {
        name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()
    }
    assert [record["evaluation/percent"] for record in sheet.records("evaluation")] == [1.5, 2.5]
    assert [list(record["evaluation/eigenvalue"]) for record in sheet.records("evaluation")] == [[1.0, 2.0], [3.0]]
    runs = list(sheet.records("runs"))
    assert {record["runs/run"]: record["runs/step"] for record in runs} == {b"one": 1, b"two": 2}
    assert set(runs[0]) == {"runs/run", "runs/step"}, "what all have"


def test_a_damaged_table_is_not_packed(study, tmp_path):
    (study / "tables/evaluation.parquet").write_bytes(b"numbers")
    with pytest.raises(ArchiveError, match=r"evaluation\.parquet: damaged, or no table"):
        pack(study, tmp_path / "tiny.tar.gz")
    assert not (tmp_path / "tiny.tar.gz").exists()


def test_without_the_package_for_data_sheets_nothing_is_packed(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(ArchiveError, match=r"pip install 'equidyn\[archive\]'"):
        pack(study, tmp_path / "tiny.tar.gz")


def test_same_files_same_bytes(study, tmp_path):
    pack(study, tmp_path / "one.tar.gz")
    for file in sorted(study.rglob("*"), reverse=True):
        file.touch()
    pack(study, tmp_path / "two.tar.gz")
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_sha256sum_reads_the_checksums(study, tmp_path):
    pack(study, tmp_path / "tiny.tar.gz")
    with tarfile.open(tmp_path / "tiny.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    checked = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=tmp_path / "tiny", capture_output=True)
    assert checked.returncode == 0
    assert checked.stdout.count(b"OK") == len(CONTENTS) + 1


@pytest.mark.parametrize("missing", ["config.yaml", "manifest.json"])
def test_an_unfinished_study_is_not_packed(study, tmp_path, missing):
    (study / missing).unlink()
    with pytest.raises(ArchiveError, match=f"no {missing}: finish the study first"):
        pack(study, tmp_path / "tiny.tar.gz")
    assert not (tmp_path / "tiny.tar.gz").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda members: members.update({"tiny/config.yaml": b"study: tinx\n"}), "checksum that differs"),
        (lambda members: members.pop("tiny/config.yaml"), "config.yaml is missing"),
        (lambda members: members.update({"tiny/new": b""}), "new is not listed"),
        (lambda members: members.pop(f"tiny/{SUMS}"), "not made by equidyn pack"),
        (lambda members: members.update({"other/file": b""}), "not made by equidyn pack"),
        (lambda members: members.update({"../outside": b""}), "damaged, or not a gzipped tar file"),
    ],
)
def test_a_wrong_archive_leaves_nothing(study, tmp_path, change, expected):
    pack(study, tmp_path / "tiny.tar.gz")
    with pytest.raises(ArchiveError, match=expected):
        unpack(rewritten(tmp_path / "tiny.tar.gz", change), tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("tiny/tables/link", tarfile.SYMTYPE, "/etc/passwd"),
        ("tiny/tables/link", tarfile.SYMTYPE, "../config.yaml"),
        ("tiny/tables/link", tarfile.SYMTYPE, "../../../outside"),
        ("tiny/tables/link", tarfile.LNKTYPE, "tiny/config.yaml"),
        ("tiny/tables/link", tarfile.LNKTYPE, "/etc/passwd"),
        ("tiny/tables/device", tarfile.CHRTYPE, ""),
        ("tiny/tables/device", tarfile.BLKTYPE, ""),
        ("tiny/tables/pipe", tarfile.FIFOTYPE, ""),
        ("/outside", tarfile.REGTYPE, ""),
        ("tiny/../../outside", tarfile.REGTYPE, ""),
    ],
)
def test_hostile_members_are_refused(study, tmp_path, name, kind, target):
    pack(study, tmp_path / "tiny.tar.gz")
    with tarfile.open(tmp_path / "tiny.tar.gz") as whole, tarfile.open(tmp_path / "hostile.tar.gz", "w:gz") as hostile:
        for member in whole:
            hostile.addfile(member, whole.extractfile(member))
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        hostile.addfile(member)
    before = set(tmp_path.iterdir())
    with pytest.raises(ArchiveError, match=r"no plain file|outside the destination|not one folder with SHA256SUMS"):
        unpack(tmp_path / "hostile.tar.gz", tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())
    assert set(tmp_path.iterdir()) == before | {tmp_path / "there"}
    assert not Path("/outside").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_headers_that_ask_for_memory_are_refused(tmp_path, kind):
    with pytest.raises(ArchiveError, match=r"a header of|a sparse file"):
        unpack(hostile_tar(tmp_path / "hostile.tar.gz", kind), tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())


def test_archives_of_too_many_files_are_refused(study, tmp_path, monkeypatch):
    pack(study, tmp_path / "tiny.tar.gz")
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(ArchiveError, match="it has more than 3 files"):
        unpack(tmp_path / "tiny.tar.gz", tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())


def test_archives_that_unpack_to_too_much_are_refused_unread(study, tmp_path, monkeypatch):
    pack(study, tmp_path / "tiny.tar.gz")
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 20)
    assert unpack(tmp_path / "tiny.tar.gz", tmp_path / "small").exists()
    bomb = rewritten(tmp_path / "tiny.tar.gz", lambda members: members.update({"tiny/tables/x.csv": bytes(2 << 20)}))
    assert bomb.stat().st_size < 1 << 16
    with pytest.raises(ArchiveError, match=r"it unpacks to more than 1,048,576 bytes"):
        unpack(bomb, tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())


def test_a_damaged_archive_leaves_nothing(study, tmp_path):
    whole = tmp_path / "tiny.tar.gz"
    pack(study, whole)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:-100])
    text = tmp_path / "text.tar.gz"
    text.write_bytes(gzip.compress(b"no tar file"))
    for archive in (cut, text):
        with pytest.raises(ArchiveError, match="damaged, or not a gzipped tar file"):
            unpack(archive, tmp_path / "there")
        assert not list((tmp_path / "there").iterdir())


def test_what_is_there_is_kept(study, tmp_path):
    pack(study, tmp_path / "tiny.tar.gz")
    with pytest.raises(ArchiveError, match="exists already"):
        unpack(tmp_path / "tiny.tar.gz", study.parent)
    assert set(files_of(study)) > set(CONTENTS)


def test_on_the_command_line(study, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["pack", str(study)]) == 0
    assert f"tiny.tar.gz: {len(CONTENTS) + 1} files" in capsys.readouterr().out
    assert main(["unpack", "tiny.tar.gz", "--into", "there"]) == 0
    assert set(files_of(tmp_path / "there/tiny")) == {*CONTENTS, DATASHEET}
    assert main(["unpack", "tiny.tar.gz", "--into", "there"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["pack", "nowhere"]) == 1
    assert "finish the study first" in capsys.readouterr().err


def test_an_archive_that_is_not_there_is_not_called_damaged(tmp_path, capsys):
    assert main(["unpack", str(tmp_path / "nope.tar.gz"), "--into", str(tmp_path / "there")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/nope.tar.gz: no such file\n"
