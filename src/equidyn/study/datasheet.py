"""The data sheet of a study's archive: Croissant metadata, which repositories and search engines of data sets read.

It lists every file with its checksum and every table with its columns, so that programs can load tables by name:
``mlcroissant.Dataset("croissant.json").records("evaluation")``.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from equidyn.study.provenance import PACKAGE

FORMATS = {".parquet": "application/x-parquet", ".yaml": "application/yaml"}
"""Formats of files by their ending, where Python does not know them."""


class DatasheetError(ValueError):
    """No data sheet can be written."""


def datasheet(study: Path, sums: Mapping[str, str]) -> str:
    """The data sheet of a study, as JSON.

    Args:
        study: Its folder, with ``manifest.json`` and tables.
        sums: SHA-256 of each of its files, by names relative to the folder.

    Raises:
        DatasheetError: The package that writes it is not installed, a table is none, or the sheet breaks its standard.
    """
    try:
        import mlcroissant as mlc
    except ModuleNotFoundError:
        raise DatasheetError("data sheets need mlcroissant: pip install 'equidyn[archive]'") from None
    about = json.loads((study / "manifest.json").read_text("utf-8"))
    distribution: list[Any] = [
        mlc.FileObject(id=name, name=name, content_url=name, encoding_formats=[_format(name)], sha256=digest)
        for name, digest in sums.items()
    ]
    records = []
    for table, files in _tables(sums, about["runs"]).items():
        if len(files) == 1:
            source = {"file_object": files[0]}
        else:
            place = f"{PurePath(files[0]).parent}/*.parquet"
            distribution.append(
                mlc.FileSet(id=f"{table}-files", name=place, encoding_formats=[FORMATS[".parquet"]], includes=[place])
            )
            source = {"file_set": f"{table}-files"}
        fields = [
            mlc.Field(
                id=f"{table}/{column.name}",
                name=column.name,
                data_types=[_type(mlc, column.type)],
                is_array=pa.types.is_list(column.type) or None,
                array_shape="-1" if pa.types.is_list(column.type) else None,
                source=mlc.Source(**source, extract=mlc.Extract(column=column.name)),
            )
            for column in _columns(study, files)
        ]
        records.append(mlc.RecordSet(id=table, name=table, fields=fields))
    package = metadata.metadata(PACKAGE)
    sheet = mlc.Metadata(
        name=f"{PACKAGE}-{about['study']}",
        description=f"{package['Summary']} The study {about['study']!r}: tables, figures and verdicts of "
        f"{len(about['runs'])} trainings. The licence is that of the package; tables and figures whose names contain "
        "'published' hold numbers of other authors as well.",
        version=about["version"],
        license=[f"https://spdx.org/licenses/{package['License-Expression']}.html"],
        cite_as=f"{package['Author']}: {PACKAGE} {about['version']}, study {about['study']}",
        creators=[mlc.Organization(name=package["Author"])],
        keywords=package["Keywords"].split(","),
        distribution=distribution,
        record_sets=records,
    )
    if sheet.ctx.issues.errors:
        raise DatasheetError(f"{study}: no valid data sheet: {sheet.ctx.issues.report()}")
    return json.dumps(sheet.to_json(), indent=1, ensure_ascii=False, default=str) + "\n"


def _tables(files: Iterable[str], runs: Iterable[str]) -> dict[str, list[str]]:
    """Parquet files by the table that they hold or, one for each run, are parts of."""
    tables: dict[str, list[str]] = {}
    for path in (PurePath(name) for name in files if name.endswith(".parquet")):
        kind = path.relative_to("tables").with_suffix("")
        table = kind.parent if kind.name in runs else kind
        tables.setdefault(table.as_posix(), []).append(path.as_posix())
    return tables


def _columns(study: Path, files: Iterable[str]) -> list[pa.Field]:
    """The columns that all files of a table have."""
    schemas = []
    for name in files:
        try:
            schemas.append(pq.read_schema(study / name))
        except pa.ArrowInvalid as error:
            raise DatasheetError(f"{study / name}: damaged, or no table: {error}") from None
    first, *others = schemas
    return [column for column in first if all(column.name in other.names for other in others)]


def _type(mlc: Any, type: pa.DataType) -> Any:
    """Croissant's name of the type of a column's values."""
    if pa.types.is_list(type):
        type = type.value_type
    names = {"double": "FLOAT64", "float": "FLOAT32", "bool": "BOOL"}
    return getattr(mlc.DataType, names.get(str(type), str(type).upper() if pa.types.is_integer(type) else "TEXT"))


def _format(name: str) -> str:
    suffix = PurePath(name).suffix
    return FORMATS.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
