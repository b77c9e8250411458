"""Rooms of the package: folders that declare themselves with a card.

A room is a package with a module ``card``, in which `CARD` says what other rooms may know of it. Cards import nothing
heavy, so that the workflow can read them when it is parsed. Rooms are discovered, not listed: a new one changes no
file, and thus no digest, of the others.
"""

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any


@cache
def cards(package: str) -> dict[str, Any]:
    """The cards of all rooms directly below a package.

    Args:
        package: Full name, e.g. ``"equidyn.tasks"``.

    Returns:
        Cards by the name that each declares, in the order of the attribute ``order`` where they have one, then by name.

    Raises:
        ValueError: Two rooms declare the same name.
    """
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
        if module.ispkg and _has_card(module.name):
            card = import_module(f"{module.name}.card").CARD
            if card.name in found:
                raise ValueError(f"{module.name}: the name {card.name!r} is taken: choose another in its card")
            found[card.name] = card
    return dict(sorted(found.items(), key=lambda item: (getattr(item[1], "order", 0), item[0])))


def _has_card(package: str) -> bool:
    return any(module.name == "card" for module in pkgutil.iter_modules(import_module(package).__path__))
