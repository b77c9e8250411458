"""Headers of archives that would fill memory are refused unread."""

import tarfile

import pytest
from hostile_tars import FORMATS, hostile_tar

from equidyn.core.tars import ModestTarInfo


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", ["r:gz", "r|gz"])
def test_headers_that_ask_for_memory_are_refused(tmp_path, kind, mode):
    path = hostile_tar(tmp_path / "hostile.tar.gz", kind)
    message = "a sparse file" if kind == "sparse" else r"a header of 1,[\d,]+ bytes, expected at most 1,048,576"
    with pytest.raises(tarfile.TarError, match=message), tarfile.open(path, mode, tarinfo=ModestTarInfo) as archive:
        archive.next()


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_sparse_files_of_pax_are_refused(tmp_path, version):
    major, minor = version.split(".")
    headers = {"GNU.sparse.major": major, "GNU.sparse.minor": minor} if major == "1" else {"GNU.sparse.size": "9"}
    if version == "0.1":
        headers["GNU.sparse.map"] = "0,1"
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("file")
        member.pax_headers = headers
        archive.addfile(member)
    with (
        pytest.raises(tarfile.TarError, match="a sparse file"),
        tarfile.open(tmp_path / "sparse.tar", tarinfo=ModestTarInfo) as archive,
    ):
        archive.next()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_without_an_end_are_refused(tmp_path, kind):
    header = tarfile.TarInfo()
    header.type, header.size = kind, 20
    block = header.tobuf(tarfile.GNU_FORMAT) + b"20 path=aaaaaaaaaaa\n".ljust(tarfile.BLOCKSIZE, b"\0")
    (tmp_path / "hostile.tar").write_bytes(5000 * block)
    with (tmp_path / "hostile.tar").open("rb") as stream, pytest.raises(tarfile.TarError, match="headers upon headers"):
        tarfile.TarFile(fileobj=stream, tarinfo=ModestTarInfo)


def test_usual_long_names_are_read(tmp_path):
    name = "folder/" + 40 * "long-" + ".txt"
    for number, form in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        with tarfile.open(tmp_path / f"{number}.tar", "w", format=form) as archive:
            archive.addfile(tarfile.TarInfo(name))
        with tarfile.open(tmp_path / f"{number}.tar", tarinfo=ModestTarInfo) as archive:
            assert archive.getnames() == [name]
