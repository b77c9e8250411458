"""What is found of the checkpoints of a run, kept one by one as it is found."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from equidyn.core.files import replacing
from equidyn.run.checkpoints import CheckpointError, checkpoint_name, fingerprint

log = logging.getLogger(__name__)


def findings(
    find: Callable[[int, str], pd.DataFrame],
    checkpoints: str | Path,
    steps: Sequence[int],
    weights: Sequence[str],
    state: str | Path,
    *,
    title: str,
    progress: bool = True,
) -> Iterator[tuple[int, str, pd.DataFrame]]:
    """Find something of each checkpoint, or take what an earlier call has found of it.

    Each table is written at once, under the step and the content of its checkpoint, and found again if it is damaged
    later. A call that was interrupted, or
    given other steps, so begins with what is missing, and equal checkpoints, as raw and averaged weights before the
    first step are, count once.

    Args:
        find: Function of a step and weights, "raw" or "ema", that returns a table.
        checkpoints: The folder that `equidyn.run.training.train` made.
        steps: Steps to look at.
        weights: Weights to look at, at each step.
        state: Folder of the tables; must be used for what this function finds of this run only.
        title: Name of the run in the progress bar.
        progress: Show a progress bar on stderr.

    Returns:
        An iterator over step, weights and table of all checkpoints, in order of steps.

    Raises:
        CheckpointError: Checkpoints are missing or damaged, or give no numbers; all others have been looked at.
    """
    files: dict[tuple[int, str], Path] = {}
    bad = []
    pairs = [(step, kind) for step in steps for kind in weights]
    for step, kind in tqdm(pairs, desc=title, disable=not progress, mininterval=5):
        path = Path(checkpoints, kind, checkpoint_name(step))
        try:
            files[step, kind] = file = Path(state, f"{path.stem}-{fingerprint(path)}.parquet")
            if not _whole(file):
                found = find(step, kind)
                with replacing(file) as temporary:
                    found.to_parquet(temporary, index=False)
        except (ValueError, ArithmeticError, torch.linalg.LinAlgError) as error:
            bad.append(str(error) if isinstance(error, CheckpointError) else f"{path}: {error}")
            log.warning("%s", bad[-1], exc_info=not isinstance(error, CheckpointError))
    if bad:
        raise CheckpointError(
            f"{len(bad)} of {len(pairs)} checkpoints cannot be used. What was found of the others is kept; the next "
            "attempt looks at these alone, once their files are restored or the run is trained again:\n"
            + "\n".join(bad)
        )
    return ((step, kind, pd.read_parquet(file)) for (step, kind), file in files.items())


def _whole(file: Path) -> bool:
    """Whether there is such a table, and it can be read."""
    try:
        pd.read_parquet(file)
    except (OSError, ValueError):
        return False
    return True
