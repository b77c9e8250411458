"""Settings with some values changed."""

from pydantic import BaseModel


def replace(settings: BaseModel, **changes) -> BaseModel:
    """A copy with other values, checked like any other."""
    return type(settings)(**settings.model_dump() | changes)
