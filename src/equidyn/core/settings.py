"""Typed sections of a configuration: classes derived from `Settings` hold keys, types, defaults, units and sentences.

A room that can be configured has such a class in its card. The schema of the whole configuration, its documentation and
its checks follow from the classes of all rooms (`equidyn.study`).
"""

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

T = TypeVar("T")


class StudyError(ValueError):
    """A configuration or table of a study cannot be used; the message says where, and what to do."""


class Settings(BaseModel):
    """A section of a configuration, which refuses unknown keys and is immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=True, ser_json_inf_nan="constants")


def _distinct(values: list[T]) -> list[T]:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError(f"found {values}, expected each value once")
    return values


Distinct = Annotated[list[T], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
"""A list of one or more values, each once."""


def problems(error: ValidationError, model: type[BaseModel], content: Any = None) -> Iterator[str]:
    """Describe each mistake in a section: its place, what was found and what was expected.

    Args:
        error: Pydantic's error.
        model: Class of the section, whose keys are suggested in place of unknown ones.
        content: Content that was found, which tells keys from the names of alternatives.

    Yields:
        One line per mistake, such as ``"optimiser.rate: unknown key; did you mean 'lr'?"``.
    """
    mistakes: dict[tuple[int | str, ...], list[Any]] = {}
    for mistake in error.errors(include_url=False):
        path = mistake["loc"] if content is None else _place(mistake["loc"], content, mistake["type"] == "missing")
        mistakes.setdefault(path, []).append(mistake)
    # A mistake inside a section says more than that another alternative was expected there.
    inside = {path[:end] for path in mistakes for end in range(len(path))}
    for path, found in mistakes.items():
        kinds = {mistake["type"] for mistake in found}
        if path not in inside or "value_error" in kinds:
            yield ": ".join(part for part in (".".join(map(str, path)), _said(path, found, kinds, model)) if part)


def _said(path: tuple[int | str, ...], mistakes: list[Any], kinds: set[str], model: type[BaseModel]) -> str:
    if "extra_forbidden" in kinds:
        known = _keys(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.7)
        return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known keys: {', '.join(known)}"
    if "missing" in kinds:
        return "missing"
    if "value_error" in kinds:
        said: str = next(mistake["msg"] for mistake in mistakes if mistake["type"] == "value_error")
        return said.removeprefix("Value error, ")
    expected = dict.fromkeys(re.sub(r"^\w+ should |, unable to .*", "", mistake["msg"]) for mistake in mistakes)
    return f"found {mistakes[0]['input']!r}; it should {' or '.join(expected)}"


def _place(path: tuple[int | str, ...], content: Any, is_missing: bool) -> tuple[int | str, ...]:
    """Leave out the names of alternatives, which are not in the content."""
    kept: list[int | str] = []
    for number, part in enumerate(path):
        last = is_missing and number == len(path) - 1
        if (isinstance(content, dict) and part in content) or (isinstance(content, list) and isinstance(part, int)):
            content = cast(Any, content)[part]
        elif not last:
            continue
        kept.append(part)
    return tuple(kept)


def _keys(kind: Any, path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section that lies at a path below a type; none where the path leaves the sections."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return [field.alias or name for name, field in kind.model_fields.items()]
        field = next((field for name, field in kind.model_fields.items() if (field.alias or name) == path[0]), None)
        return _keys(field.annotation, path[1:]) if field else []
    # Keys of mappings and places in lists; members of unions have the path of the union.
    inner = get_args(kind)
    return next((found for member in inner for rest in (path, path[1:]) if (found := _keys(member, rest))), [])
