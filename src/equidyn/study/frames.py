"""Reading tables of a study, with errors that name the file."""

from pathlib import Path

import pandas as pd


def read_frame(file: str | Path) -> pd.DataFrame:
    """Read a parquet table.

    Raises:
        ValueError: The table is damaged; the message names the file.
        FileNotFoundError: There is none.
    """
    try:
        return pd.read_parquet(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        what = str(error).partition("\n")[0]
        raise ValueError(f"{file}: damaged ({what}): make it anew, or get it back with git or equidyn unpack") from None
