"""Rows of registries of downloads."""

from equidyn.data.download_registry import PublishedFile


def published_file(*cells, **others):
    """A row whose cells come in the order of the columns, or by name."""
    return PublishedFile(**dict(zip(PublishedFile.model_fields, cells, strict=False)), **others)


def changed(row, /, **cells):
    """The row with other cells, unchecked."""
    return row.model_copy(update=cells)
