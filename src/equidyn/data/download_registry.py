"""The registry of downloads: the places of published files, their required content, and their terms of use.

Imports nothing heavy: the workflow reads the registry each time it is parsed.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from equidyn.core.settings import Settings, StudyError
from equidyn.core.tables import read_rows

ID = "{id}"
"""The placeholder in names and URLs for one of many ids."""

_Url = Annotated[str, StringConstraints(pattern="^https?://[^ ]+$")]


class PublishedFile(Settings):
    """One row of the registry: a published file, or a template of many."""

    dataset: str = Field(pattern="^[a-z][a-z0-9_]*$", description="Name of the data set.")
    version: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description='Release or record of the data set; "current" where the publisher replaces files in place.',
    )
    file: str = Field(
        pattern="^[A-Za-z0-9{][A-Za-z0-9._{}-]*$",
        description="Name of the file; `{id}` stands for one of many names.",
    )
    urls: Annotated[
        tuple[_Url, ...], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value)
    ] = Field(
        min_length=1,
        description="One or more places of the file, separated by spaces, tried in order; `{id}` as in the name.",
    )
    bytes: int | None = Field(ge=1, description="Size as it is sent; empty where it is not known.")
    checksum: str = Field(
        pattern="^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})?$",
        description="`md5:<hex>` or `sha256:<hex>` of the file; empty where none is published.",
    )
    licence: str = Field(min_length=1, description="Terms of the data, by SPDX identifier where there is one.")
    date: str = Field(
        pattern="^[0-9]{4}-(0[1-9]|1[0-2])$", description="Year and month in which the row was last reviewed."
    )

    @model_validator(mode="after")
    def _check_templates(self) -> Self:
        for url in self.urls:
            if (ID in url) != self.is_template:
                raise ValueError(f"urls: found {url!r} for the file {self.file!r}: {ID} must be in both or none")
        return self

    @property
    def is_template(self) -> bool:
        """Whether the row stands for many files."""
        return ID in self.file

    @property
    def path(self) -> Path:
        """Where the file lies in a folder of downloads and in a mirror."""
        return Path(self.dataset, self.version, self.file)


def read_registry(path: str | Path) -> list[PublishedFile]:
    """Read the registry of downloads: tab-separated, one row per file.

    Raises:
        StudyError: The table is missing, a row is not valid, or a file appears twice; the message names file, row and
            column.
    """
    try:
        rows = read_rows(path, PublishedFile, "registry of downloads")
    except FileNotFoundError:
        raise StudyError(
            f"{path}: no such registry of downloads: check downloads.registry in the configuration"
        ) from None
    files: dict[Path, PublishedFile] = {}
    for where, file in rows:
        if file.path in files:
            raise StudyError(f"{where}: {file.path} appears twice; each file of a version has one row")
        files[file.path] = file
    return list(files.values())


def files_of(registry: str | Path, dataset: str, *, release: str | None = None, user: str = "") -> list[PublishedFile]:
    """Return the files of a data set of the registry.

    Args:
        registry: The table.
        dataset: Name of the data set.
        release: Its version; None for all versions in the table.
        user: Name of the thing that is made from the files, for messages.

    Raises:
        StudyError: Something is wrong in the registry, or it lacks the data set or its release.
    """
    found = [file for file in read_registry(registry) if file.dataset == dataset and release in (None, file.version)]
    if not found:
        name = f"{dataset} {release}" if release else dataset
        raise StudyError(f"{registry}: no files of {name}, which {user} is made from: add them")
    return found


def registered(registry: str | Path, dataset: str, version: str, file: str) -> PublishedFile:
    """The row of a file in the registry.

    Raises:
        StudyError: Something is wrong in the registry, or it lacks the file.
    """
    for row in files_of(registry, dataset, release=version, user=file):
        if row.file == file:
            return row
    raise StudyError(f"{registry}: no file {file} of {dataset} {version}: add it")
