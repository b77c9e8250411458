"""Typed sections of a configuration: keys, types, defaults, units and sentences stand once, in classes derived here.

A room that can be configured says so in its card by such a class. The schema of the whole configuration, its
documentation and its checks follow from the classes of all rooms (`equidyn.study`).
"""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
