"""Every network by name, read from the rooms and from a study's own file without importing any network.

Sizes are data: one TOML table for each, in ``configurations.toml`` beside the card of the architecture, or in a file
that the key ``models`` of a study's configuration names. Tables of the latter say which architecture of this package
they are sizes of, or which class and task:

    [escaip-wide]
    architecture = "escaip"
    parameters = 1_178_434
    sizes = { layers = 2, hidden = 32, heads = 8 }

    [mine]
    network = "mypackage.networks:Net"
    task = "force_field"
    parameters = 12_345
"""

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from equidyn.core.rooms import cards
from equidyn.core.settings import Settings, StudyError
from equidyn.models import building
from equidyn.models.card import Architecture, Configuration

if TYPE_CHECKING:
    from torch import nn


class Entry(Settings):
    """One table of a file of sizes."""

    architecture: str = Field("", description="Architecture of this package that these are sizes of.")
    network: str = Field("", description='Class of any other network, as "package.module:name".')
    task: str = Field(
        "", description="Task that the network is for, by name or card; that of the architecture if it has one."
    )
    parameters: int = Field(gt=0, description="How many the network has, which is checked when it is built.")
    note: str = Field("", description="What it is, in a few words.")
    variant: str | None = Field(None, description='What sets it apart, e.g. "control" if it is exactly equivariant.')
    sizes: dict[str, Any] = Field({}, description="Arguments of the network's Config that differ from its defaults.")
    costs: str = Field("", description='What a pass costs, as "package.module:function"; PyTorch counts without it.')
    anatomy: str = Field("", description='Parts of the network, as "package.module:function".')
    is_exact: bool = Field(False, description="Whether the network gives head tensors.")


@cache
def configurations(file: str | None = None) -> dict[str, Configuration]:
    """All configurations by name, architecture by architecture.

    Args:
        file: A study's own file of sizes, whose configurations come last.

    Raises:
        StudyError: If the file cannot be used; the message names file, table and key.
    """
    known: dict[str, Configuration] = {}
    for card in cards("equidyn.models").values():
        package = card.network.partition(":")[0].rpartition(".")[0]
        text = resources.files(package).joinpath("configurations.toml").read_text("utf-8")
        known |= _configurations(f"{package}/configurations.toml", text, card)
    if file is None:
        return known
    try:
        own = _configurations(file, Path(file).read_text("utf-8"))
    except FileNotFoundError:
        raise StudyError(f"models: {file}: no such file: correct the name, relative to the project's folder") from None
    if taken := known.keys() & own.keys():
        raise StudyError(f"{file}: {', '.join(sorted(taken))}: this package has a model of that name; choose another")
    return known | own


def configuration(name: str, file: str | None = None) -> Configuration:
    """The configuration of that name.

    Args:
        name: Name of the configuration, as in a run table.
        file: A study's own file of sizes.

    Raises:
        ValueError: No configuration has that name; the message lists the known ones.
    """
    known = configurations(file)
    if name not in known:
        raise ValueError(f"unknown model {name!r}; known models: {', '.join(known)}")
    return known[name]


def architecture_of(model: "nn.Module") -> Architecture | None:
    """The card of the architecture that a network belongs to; None for a network from outside this package."""
    network = f"{type(model).__module__}:{type(model).__qualname__}"
    return next((card for card in cards("equidyn.models").values() if card.network == network), None)


def build(name: str) -> "nn.Module":
    """A freshly initialised network of this package, on PyTorch's default device.

    Raises:
        ValueError: If no configuration has that name.
    """
    return building.build(**configuration(name).built_from)


def _configurations(source: str, text: str, card: Architecture | None = None) -> dict[str, Configuration]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{source}: not valid TOML: {error}") from None
    return {name: _configuration(f"{source}, [{name}]", name, table, card) for name, table in tables.items()}


def _configuration(where: str, name: str, table: Any, card: Architecture | None) -> Configuration:
    try:
        entry = Entry.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise StudyError(f"{where}{f', {key}' * bool(key)}: {first['msg']}, found {first['input']!r}") from None
    if entry.architecture:
        known = cards("equidyn.models")
        if entry.architecture not in known:
            raise StudyError(
                f"{where}, architecture: unknown {entry.architecture!r}; this package has {', '.join(known)}"
            )
        card = known[entry.architecture]
    told = {name: value for name, value in entry if name != "architecture" and name in entry.model_fields_set}
    if card:
        if entry.network:
            raise StudyError(f"{where}: has both an architecture and a network: leave one out")
        shared = ("task", "network", "costs", "anatomy", "is_exact", "variant")
        told = {key: getattr(card, key) for key in shared} | told
    for key in ("network", "task"):
        if not told.get(key):
            raise StudyError(
                f"{where}, {key}: missing; give an architecture of this package, or a network and its task"
            )
    return Configuration(name=name, **{key: value for key, value in told.items() if value is not None})
