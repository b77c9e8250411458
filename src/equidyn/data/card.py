"""Cards of sources of data: what other rooms may know of a source without importing the code that makes its store.

A card imports nothing heavy: the workflow reads it whenever it is parsed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from equidyn.core.settings import Settings

Seed = Annotated[int, Field(ge=0, description="Seed of everything that is drawn at random: data, split and subsets.")]

Fraction = Annotated[float, Field(gt=0, lt=1)]
_Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Count = Annotated[int, Field(ge=1)]


class Section(Settings):
    """Keys of the section ``data.<task>`` of a configuration, besides the recipe of the source."""

    source: str = Field(description="Name of the source of the examples.")
    seed: Seed
    subsets: dict[_Name, Literal["all"] | _Count | Fraction] = Field(
        min_length=1,
        description="Training subsets by name: a number of examples, a fraction, or `all`; smaller ones lie in larger "
        "ones.",
    )


class DrawnSplit(Section):
    """Keys of the section for a source without a split of its own."""

    validation_fraction: Fraction = Field(
        description="Share of the examples to hold out, by whole clusters (molecules, families of sequences)."
    )


class GivenSplit(Section):
    """Keys of the section for a source that states which examples are for validation."""

    validation_fraction: Fraction | None = Field(
        None,
        description="Share of the examples to hold out, by whole clusters; without it the source's own split counts.",
    )


@dataclass(frozen=True)
class Typical:
    """What examples of a source are like, for plans.

    Attributes:
        examples: Approximate number of examples.
        held_out: Number of validation examples, where the source has a split of its own.
        mean: Size of an average example, in the unit of the task's card; 0 where the settings decide it.
        largest: Size of the largest example.
    """

    examples: int
    held_out: int = 0
    mean: float = 0.0
    largest: int = 0


@dataclass(frozen=True)
class Selection:
    """The selection before a store is made: entries are selected from index files, and downloaded one by one.

    The registry of downloads has the index files and one template for the entries.

    Attributes:
        select: Function that writes the table of selected entries, as ``"module:name"``. It is called with the path of
            the table, the settings, and the paths of the index files by name; the table has a column ``entry``, and
            the function writes what it counted to the same name with the ending ``.json``.
        check: Function that is called with the path and the id of each downloaded file and raises `ValueError` if the
            file is not that of the entry.
        settings: Class of the settings that decide the selection.
    """

    select: str
    check: str
    settings: type[Settings]


def conformers_of_molecules(data: Mapping[str, Any]) -> int | None:
    """Largest number of conformers that settings ask for; None if they ask for all molecules that there are."""
    return data["molecules"] * data["conformers"] if isinstance(data["molecules"], int) else None


@dataclass(frozen=True)
class SourceCard:
    """The card of a source.

    The function that makes the store is called with the path of the folder to make and the recipe, and returns the
    path. All such functions have the same options:

    - ``files``: path of each file of the data set by its name in the registry of downloads; for a template, the folder
      of its files. Given only if anything is downloaded, like the next option.
    - ``scratch``: folder of this preparation alone, from which an interrupted one resumes; removed at the end.
    - ``processes``: worker processes, 1 if not given; the result does not depend on it. They are started afresh, so
      that a script which makes a store needs the usual ``if __name__ == "__main__":``.
    - ``progress``: whether to show a progress bar on stderr, as is usual.
    - ``overwrite``: whether to replace a store that is already at the path, instead of raising `FileExistsError`.

    Attributes:
        task: Name of the task that the examples are for.
        source: Name of the source in ``data.<task>.source``.
        text: Description of the source, for the documentation.
        build: Function that makes the store, as ``"module:name"``; see above.
        recipe: Class of the settings that decide what is in the store.
        typical: Typical numbers and sizes of examples.
        dataset: Data set of the registry of downloads that the store is made from; "" if nothing is downloaded.
        has_split: Whether the source says which examples are for validation.
        selection: Selection of the entries to download; None if the registry names all files.
        count: Function that returns the approximate number of examples that settings ask for, for plans; None, or
            returning None, for the typical number.
    """

    task: str
    source: str
    text: str
    build: str
    recipe: type[Settings]
    typical: Typical
    dataset: str = ""
    has_split: bool = False
    selection: Selection | None = None
    count: Callable[[Mapping[str, Any]], int | None] | None = None

    @property
    def name(self) -> str:
        """Name among the sources of all tasks."""
        return f"{self.task}/{self.source}"

    @property
    def module(self) -> str:
        """Module of the function that makes the store, for digests of code."""
        return self.build.partition(":")[0]

    @cached_property
    def settings(self) -> type[Section]:
        """Class of the section ``data.<task>`` of a configuration that names this source."""
        selection = (self.selection.settings,) if self.selection else ()
        base = GivenSplit if self.has_split else DrawnSplit
        return create_model(f"{self.recipe.__name__}Section", __base__=(base, *selection, self.recipe))
