"""Typed sections of a configuration: keys, types, defaults, units and sentences stand once, in classes derived here.

A room that can be configured says so in its card by such a class. The schema of the whole configuration, its
documentation and its checks follow from the classes of all rooms (`equidyn.study`).
"""

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

T = TypeVar("T")


class StudyError(ValueError):
    """A configuration or table of a study that cannot be used; the message says where and what to do."""


class Settings(BaseModel):
    """A section of a configuration: unknown keys are refused, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=True, ser_json_inf_nan="constants")


def _distinct(values: list[T]) -> list[T]:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError(f"found {values}, expected each value once")
    return values


Distinct = Annotated[list[T], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
"""A list of one or more values, each once."""


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    """Say of each mistake in a section where it is, what was found and what was expected.

    Args:
        error: What pydantic says of the section.
        model: The section's class, whose keys are suggested in place of unknown ones.

    Yields:
        One line per mistake, such as ``"optimiser.rate: unknown key; did you mean 'lr'?"``.
    """
    for mistake in error.errors(include_url=False):
        where = ".".join(map(str, mistake["loc"]))
        if mistake["type"] == "extra_forbidden":
            known = _keys(model, mistake["loc"][:-1])
            close = difflib.get_close_matches(str(mistake["loc"][-1]), known, n=1)
            yield f"{where}: unknown key; " + (
                f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            )
        elif mistake["type"] == "missing":
            yield f"{where}: missing"
        elif mistake["type"] == "value_error":
            yield ": ".join(part for part in (where, mistake["msg"].removeprefix("Value error, ")) if part)
        else:
            expected = re.sub(r"^\w+ should ", "it should ", mistake["msg"])
            yield f"{where}: found {mistake['input']!r}; {expected}"


def _keys(kind: Any, path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section that lies at a path below a type; none where the path leaves the sections."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return list(kind.model_fields)
        field = kind.model_fields.get(str(path[0]))
        return _keys(field.annotation, path[1:]) if field else []
    # Keys of mappings and places in lists; members of unions have the path of the union.
    inner = get_args(kind)
    return next((found for member in inner for rest in (path, path[1:]) if (found := _keys(member, rest))), [])
