"""Tables that people write: tab-separated text, each row checked against a class that documents its columns."""

import csv
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import ValidationError

from equidyn.core.settings import Settings, StudyError, problems

Row = TypeVar("Row", bound=Settings)


def read_rows(path: str | Path, model: type[Row], what: str) -> list[tuple[str, Row]]:
    """Read a tab-separated table with a header; empty lines and lines that begin with # are skipped.

    Args:
        path: The table.
        model: Class of one row, with a field per column. Messages name a row by its first field. An empty cell is None
            where the field allows it, else an empty text.
        what: Description of the table, for messages.

    Returns:
        For each row its place, for messages, and its content.

    Raises:
        StudyError: The table has no rows or no tabs, or a row is not valid; the message names file, row and column.
        FileNotFoundError: There is no such file.
    """
    with Path(path).open(encoding="utf-8", newline="") as stream:
        lines = [line for line in stream if line.strip() and not line.startswith("#")]
    if lines and "\t" not in lines[0] and len(model.model_fields) > 1:
        raise StudyError(f"{path}: the header of the {what} has no tabs; separate cells by one tab each, not by spaces")
    cells_of_rows = list(csv.DictReader(lines, delimiter="\t"))
    if not cells_of_rows:
        raise StudyError(f"{path}: the {what} has no rows")
    title, *_ = model.model_fields
    optional = {name for name, field in model.model_fields.items() if type(None) in get_args(field.annotation)}
    rows = []
    for number, cells in enumerate(cells_of_rows, start=1):
        where = f"{path}, row {number} ({cells.get(title) or 'unnamed'})"
        if None in cells or None in cells.values():
            raise StudyError(f"{where}: the number of cells differs from that of the header; separate cells by tabs")
        try:
            row = model.model_validate(
                {column: cell if cell or column not in optional else None for column, cell in cells.items()}
            )
        except ValidationError as error:
            raise StudyError("\n".join(f"{where}, {problem}" for problem in problems(error, model))) from None
        rows.append((where, row))
    return rows
