"""Suggestions in place of names that nothing has."""

import difflib
from collections.abc import Iterable


def near(name: object, known: Iterable[str]) -> str:
    """A question to end a message with, such as ``"; did you mean 'offline'?"``; empty if no known name is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""
