"""Tables of a study: parts of runs joined, written in full or not at all."""

import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a parquet or CSV file, by its ending, under a temporary name first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    write: Callable = {".parquet": table.to_parquet, ".csv": table.to_csv}[path.suffix]
    try:
        write(temporary, index=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def join(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Rows of several parquet files, in order."""
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def gather(parts: Sequence[str | Path], run_files: Sequence[str | Path]) -> pd.DataFrame:
    """Write one table per run from its parts, and return all runs' rows.

    Args:
        parts: Parquet files with a column ``run``.
        run_files: File to write for each run, named after it.

    Raises:
        ValueError: A run has no rows.
    """
    table = join(parts)
    for path in map(Path, run_files):
        rows = table[table["run"] == path.stem]
        if rows.empty:
            raise ValueError(f"{path}: no part has rows of the run {path.stem!r}")
        write_table(rows.reset_index(drop=True), path)
    return table
