"""Documents with parts that are made: between two marks, the first of which names the part."""

import re
from collections.abc import Callable

_PART = re.compile(r"(<!-- Made by `make reference`: ([^\n]+)\. -->\n).*?(<!-- Until here\. -->)", re.DOTALL)


def renewed(text: str, make: Callable[[str], str]) -> str:
    """A document whose parts are made anew.

    Args:
        text: The document.
        make: Gives a part's content for its name.

    Raises:
        ValueError: There are no marks, or a part is not closed.
    """
    if not len(_PART.findall(text)) == text.count("<!-- Made by") > 0:
        raise ValueError(
            "expected a line '<!-- Made by `make reference`: PART. -->' and a line '<!-- Until here. -->', between "
            "which the part goes, or several such pairs"
        )
    return _PART.sub(lambda found: f"{found[1]}\n{make(found[2])}\n\n{found[3]}", text)


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
