"""The registry of downloads: every row says what the file is, or the mistake is named."""

import subprocess
import sys
from pathlib import Path

import pytest
from registry_rows import published_file

from equidyn.core.settings import StudyError
from equidyn.data.download_registry import files_of, read_registry

SHIPPED = Path(__file__).parents[2] / "config/downloads.tsv"
HEADER = "dataset\tversion\tfile\turls\tbytes\tchecksum\tlicence\tdate\n"
ROW = ("set", "1", "a.txt", "https://a.org/a.txt", "", "", "MIT", "2026-11")
MD5 = "md5:d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture
def written(tmp_path):
    def read(*rows, header=HEADER):
        table = tmp_path / "downloads.tsv"
        table.write_text(header + "".join("\t".join(row) + "\n" for row in rows))
        return read_registry(table)

    return read


def test_as_shipped_is_valid_and_has_a_licence_for_all():
    files = read_registry(SHIPPED)
    assert all(file.licence and file.urls for file in files)
    assert [str(file.path) for file in files if file.is_template] == ["pdb/current/{id}.cif.gz"]
    by_name = {file.file: file for file in files}
    assert by_name["SPICE-2.0.1.hdf5"].bytes == 37_479_271_148
    assert by_name["rdkit_folder.tar.gz"].bytes % 10_240 == 0, "the size of a plain tar archive"


def test_reads_typed_cells(written):
    row = ("set", "1", "a.txt", "https://a.org/a.txt http://b.org/x", "12", MD5, "MIT", "2026-11")
    first, second = written(row, (*ROW[:2], "b.txt", *ROW[3:]))
    assert first == published_file("set", "1", "a.txt", ("https://a.org/a.txt", "http://b.org/x"), 12, MD5, *row[6:])
    assert first.path == Path("set/1/a.txt")
    assert (second.bytes, second.checksum) == (None, "")


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("bytes", "12 GB", "bytes: found '12 GB'; it should be a valid integer"),
        ("bytes", "0", "bytes: found '0'; it should be greater than or equal to 1"),
        ("checksum", "md5:123", "checksum: found 'md5:123'; it should match"),
        ("urls", "ftp://a.org/a", "urls.0: found 'ftp://a.org/a'; it should match"),
        ("urls", "", r"urls: found \[\]; it should have at least 1 item"),
        ("urls", "https://a.org/{id}.txt", "urls: found 'https://a.org/{id}.txt' for the file 'a.txt'"),
        ("file", "../a.txt", "file: found '../a.txt'; it should match"),
        ("file", "{id}.txt", "urls: found 'https://a.org/a.txt' for the file '{id}.txt'"),
        ("licence", "", "licence: found ''; it should have at least 1 character"),
        ("date", "November", "date: found 'November'; it should match"),
    ],
)
def test_wrong_cells_are_named(written, column, cell, expected):
    row = dict(zip(HEADER.split(), ROW, strict=True)) | {column: cell}
    with pytest.raises(StudyError, match=rf"downloads\.tsv, row 2 \(set\), {expected}"):
        written(("set", "1", "fine.txt", *ROW[3:]), tuple(row.values()))


def test_a_file_twice_is_an_error(written):
    with pytest.raises(StudyError, match=r"row 2 \(set\): set/1/a\.txt appears twice"):
        written(ROW, ROW)


def test_no_rows_and_no_file_are_errors(written):
    with pytest.raises(StudyError, match="the registry of downloads has no rows"):
        written()
    with pytest.raises(StudyError, match=r"none\.tsv: no such registry of downloads: check downloads\.registry"):
        read_registry("none.tsv")


def test_files_are_those_of_a_data_set_and_its_release():
    assert {file.version for file in files_of(SHIPPED, "spice")} == {"1.1.4", "2.0.1"}
    assert [file.file for file in files_of(SHIPPED, "spice", release="2.0.1")] == ["SPICE-2.0.1.hdf5"]
    with pytest.raises(StudyError, match=r"downloads\.tsv: no files of spice 9, which the study is made from: add"):
        files_of(SHIPPED, "spice", release="9", user="the study")


def test_is_read_without_heavy_imports():
    code = (
        "import sys, equidyn.data.download_registry\n"
        "print(*{'requests', 'tenacity', 'tqdm', 'pandas', 'numpy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
