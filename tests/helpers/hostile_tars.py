"""Members of tar archives that ask a reader for memory before there is any content."""

import io
import tarfile

from equidyn.core.tars import LONGEST_HEADER

FORMATS = {"pax": tarfile.PAX_FORMAT, "long name": tarfile.GNU_FORMAT, "sparse": tarfile.GNU_FORMAT}


def hostile_tar(path, kind, content=b"x"):
    """Write a gzipped archive whose first member has a header of a kind of `FORMATS` that is longer than it may be."""
    long = (LONGEST_HEADER + 1) * "n"
    with tarfile.open(path, "w:gz", format=FORMATS[kind]) as archive:
        member = tarfile.TarInfo(long if kind == "long name" else "frames.xyz")
        member.size = len(content)
        if kind == "pax":
            member.pax_headers = {"comment": long}
        if kind == "sparse":
            member.type = tarfile.GNUTYPE_SPARSE
        archive.addfile(member, io.BytesIO(content))
    return path
