"""Files in the places of checkpoints, for tests that do not read them."""

from collections.abc import Iterable
from pathlib import Path

from equidyn.run.checkpoints import checkpoint_name


def checkpoint_files(folder: Path, steps: Iterable[int]) -> Path:
    """A folder with a file for each step and kind of weights, all different."""
    for kind in ("raw", "ema"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for step in steps:
            (folder / kind / checkpoint_name(step)).write_text(f"{kind} {step}", encoding="utf-8")
    return folder
