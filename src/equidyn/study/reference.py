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
from equidyn.study.sections import study_class

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


def _rows(place: str, model: type[BaseModel]) -> Iterator[list[str]]:
    """Rows of a section: its own keys, then the sections in it."""
    inner = []
    for name, field in model.model_fields.items():
        sections = _sections(field.annotation)
        if sections:
            inner.append((f"{place}.{name}" if place else name, field, sections))
        else:
            yield [f"`{name}`", _takes(field), _meaning(field)]
    shown: dict[Any, str] = {}
    for where, field, sections in inner:
        for section in sections:
            chosen = section.model_fields.get("source")
            heading = f"**`{where}`**" + (f", `source: {get_args(chosen.annotation)[0]}`" if chosen else "")
            if section in shown:
                yield [heading, "", f"as `{shown[section]}`"]
                continue
            shown[section] = where
            text = field.description or " ".join((section.__doc__ or "").split())
            yield [heading, "optional" if not field.is_required() else "", text]
            yield from _rows(where, section)


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
