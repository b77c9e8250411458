"""Documents with parts that are made: tables and numbers between marks, the first of which names the part."""

import re
from collections.abc import Callable

_BLOCK = re.compile(r"(<!-- Made by `make reference`: ([^\n]+)\. -->\n).*?(<!-- Until here\. -->)", re.DOTALL)
_WORDS = re.compile(r"(<!-- is: ([^\n]+?) -->)[^\n]*?(<!-- \. -->)")


def renewed(text: str, make: Callable[[str], str]) -> str:
    """A document whose parts are made anew: blocks of lines, and words within a line.

    Args:
        text: The document.
        make: Gives a part's content for its name.

    Raises:
        ValueError: There are no marks, or a part is not closed.
    """
    parts = len(_BLOCK.findall(text)) + len(_WORDS.findall(text))
    if not parts == text.count("<!-- Made by") + text.count("<!-- is:") > 0:
        raise ValueError(
            "expected a line '<!-- Made by `make reference`: PART. -->' and a line '<!-- Until here. -->', between "
            "which the part goes, or in one line '<!-- is: PART -->' and '<!-- . -->', or several such pairs"
        )
    text = _BLOCK.sub(lambda found: f"{found[1]}\n{make(found[2])}\n\n{found[3]}", text)
    return _WORDS.sub(lambda found: f"{found[1]}{make(found[2])}{found[3]}", text)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
