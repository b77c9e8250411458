"""Documentation of the configuration, from the classes that check it: tables of keys, and the JSON schema."""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from equidyn.core.marked import table
from equidyn.data.download_registry import PublishedFile
from equidyn.run.recipe import Run
from equidyn.study.sections import FloorSettings, study_class
from equidyn.tasks.registry import task_card

_COLUMNS = ["takes", "meaning"]


def schema(analyses: Mapping[str, Any]) -> dict[str, Any]:
    """JSON schema of a study's configuration.

    Args:
        analyses: Cards of all analyses of checkpoints by name.
    """
    return study_class(analyses).model_json_schema()


def tables(analyses: Mapping[str, Any]) -> str:
    """Markdown tables of the configuration's keys, and of the columns of run tables and of the registry of downloads.

    Args:
        analyses: Cards of all analyses of checkpoints by name.
    """
    parts = [
        "## The configuration",
        table(["key", *_COLUMNS], [*_rows("", study_class(analyses))]),
        "## Run tables",
        table(["column", *_COLUMNS], [*_rows("", Run)]),
        "## The registry of downloads",
        table(["column", *_COLUMNS], [*_rows("", PublishedFile)]),
    ]
    return "\n\n".join(parts)


def _rows(place: str, model: type[BaseModel], shown: dict[Any, str] | None = None) -> Iterator[list[str]]:
    """Rows of a section: its own keys, then the sections in it.

    Args:
        place: Where the section stands; "" for a whole file.
        model: Its class.
        shown: Classes whose keys stand above, each with its place; keys that a class has from one of them are left out.
    """
    shown = {} if shown is None else shown
    known = [row for base in model.__mro__[1:] if base in shown for row in _keys(base)]
    yield from (row for row in _keys(model) if row not in known)
    shown[model] = place
    within = [(*_of_all_tasks(where, section), field) for where, field, section in _inner(place, model)]
    if base := _common_base([section for where, section, _ in within if where.endswith(_TASK)]):
        where = f"{place}.<{place}>{_TASK}"
        yield [f"**`{where}`**", "", f"{_doc(base)} Every `<task>` below has these keys besides its own."]
        yield from _rows(where, base, shown)
    for where, section, field in within:
        chosen = section.model_fields.get("source")
        heading = f"**`{where}`**" + (f", `source: {get_args(chosen.annotation)[0]}`" if chosen else "")
        if section in shown:
            yield [heading, "", f"as `{shown[section]}`"]
            continue
        yield [heading, "" if field.is_required() else "optional", _introduced(field, section, shown)]
        yield from _rows(where, section, shown)


_TASK = ".<task>"
"""What the place of a section ends in that any task may have."""


def _keys(model: type[BaseModel]) -> list[list[str]]:
    """Rows of the keys of a section that are no sections."""
    fields = model.model_fields.items()
    return [[f"`{name}`", _takes(field), _meaning(field)] for name, field in fields if not _sections(field.annotation)]


def _inner(place: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo, type[BaseModel]]]:
    """Sections in a section, each with its place, and its field."""
    for name, field in model.model_fields.items():
        for section in _sections(field.annotation):
            yield f"{place}.{name}" if place else name, field, section


def _of_all_tasks(place: str, section: type[BaseModel]) -> tuple[str, type[BaseModel]]:
    """A section that has one and the same section for each task stands for that."""
    tasks = [where.rpartition(".")[2] for where, _, _ in _inner(place, section)]
    found = {inner for _, _, inner in _inner(place, section)}
    if _keys(section) or len(found) != 1:
        return place, section
    (one,) = found
    if one is FloorSettings:  # which other tasks are refused
        tasks = [task for task in tasks if not all(how.exact for how in task_card(task).comparisons.values())]
    return f"{place}.{tasks[0]}" if len(tasks) == 1 else f"{place}{_TASK}", one


def _common_base(sections: list[type[BaseModel]]) -> type[BaseModel] | None:
    """The class with keys that all of some sections are made from."""
    bases = sections[0].__mro__[1:] if sections else ()
    return next((base for base in bases if getattr(base, "model_fields", None) and _is_base(base, sections)), None)


def _is_base(base: type, sections: list[type[BaseModel]]) -> bool:
    return all(issubclass(section, base) for section in sections)


def _introduced(field: FieldInfo, section: type[BaseModel], shown: Mapping[Any, str]) -> str:
    """What a section is, and whose keys it has besides its own."""
    text = field.description or _doc(section)
    base = next((base for base in section.__mro__ if base in shown), None)
    return text if base is None or shown[base].endswith(_TASK) else f"{text} Keys as `{shown[base]}`, and those below."


def _doc(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split())


def _sections(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in (Union, types.UnionType):
        found = [_sections(member) for member in get_args(kind) if member is not type(None)]
        return [section for sections in found for section in sections] if all(found) else []
    return []


def _meaning(field: FieldInfo) -> str:
    return field.description or ""


def _takes(field: FieldInfo) -> str:
    """The values that a key takes: its type, its limits, and its default if it has one."""
    said = _kind(field.annotation) + _limits(field.metadata)
    if field.is_required():
        return said
    default = field.default
    return f"{said}; optional" + ("" if default in (None, "") else f", `{_plain(default)}`")


def _kind(kind: Any) -> str:
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        limits = [part for part in arguments[1:] if not isinstance(part, FieldInfo)]
        limits += [limit for part in arguments[1:] if isinstance(part, FieldInfo) for limit in part.metadata]
        return _kind(arguments[0]) + _limits(limits)
    if origin is Literal:
        return ", ".join(f"`{_plain(value)}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(member) for member in arguments if member is not type(None))
    if origin in (list, tuple):
        members = dict.fromkeys(_kind(member) for member in arguments if member is not Ellipsis)
        return f"list of {' and '.join(members)}"
    if origin is not None and arguments:
        return f"{_kind(arguments[-1])} by name"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "{" + ", ".join(f"{name}: {_kind(field.annotation)}" for name, field in kind.model_fields.items()) + "}"
    return {int: "integer", float: "number", bool: "true or false", str: "text"}.get(kind, "value")


def _limits(metadata: list[Any]) -> str:
    signs = {Ge: "≥ {0.ge}", Gt: "> {0.gt}", Le: "≤ {0.le}", Lt: "< {0.lt}"}
    said = [signs[type(limit)].format(limit) for limit in metadata if type(limit) in signs]
    return f" {', '.join(said)}" if said else ""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_plain, value))}]" if isinstance(value, list | tuple) else str(value)
