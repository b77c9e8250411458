"""Tar archives of others, without the memory that their headers may ask for."""

import tarfile
from typing import Any

LONGEST_HEADER = 1 << 20
"""Bytes of a header that goes before a member, with a long name for instance; tarfile reads it whole."""

_LONG = {
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
}  # fmt: skip


class ModestTarInfo(tarfile.TarInfo):
    """A member whose headers have at most `LONGEST_HEADER`, and which is not sparse: its map could be of any length.

    For ``tarfile.open(…, tarinfo=ModestTarInfo)``. Other archives raise `tarfile.TarError`.
    """

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _LONG and self.size > LONGEST_HEADER:
            raise tarfile.TarError(f"a header of {self.size:,} bytes, expected at most {LONGEST_HEADER:,}")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.TarError(f"{self.name} is a sparse file")
        try:
            return super()._proc_member(archive)  # type: ignore[misc]
        except RecursionError:
            raise tarfile.TarError("headers upon headers, and no member behind them") from None

    def _proc_gnusparse_00(self, *_: Any) -> None:
        raise tarfile.TarError("a sparse file")

    _proc_gnusparse_01 = _proc_gnusparse_10 = _proc_gnusparse_00
