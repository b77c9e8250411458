"""Objects named in configuration, imported only when they are needed."""

from importlib import import_module
from typing import Any


def load(path: str) -> Any:
    """The object that ``"package.module:name"`` names.

    Raises:
        ValueError: The path has another form, or names nothing that can be imported.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"{path!r} does not have the form 'package.module:name'")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path!r} cannot be imported: {error}") from error
