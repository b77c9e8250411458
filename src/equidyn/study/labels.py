"""What a run is called in figures: the same in all figures of all studies, told by its row of the run table.

The baseline is "baseline" whatever its name, and another run what distinguishes it from the baseline. Nothing here
needs pandas, so that rows of the run table and of tables of results can be asked alike.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from equidyn.core.numbers import power
from equidyn.run.recipe import DESIGN
from equidyn.study.choice import same

BASELINE = "baseline"
OPTIMISERS: dict[str, str] = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}

Row = Mapping[str, Any]


def label(row: Row, baseline: Row, columns: Sequence[str] = DESIGN) -> str:
    """What rows of a run are called that need not be told apart by their seeds, nor in columns left out."""
    differing = [name for name in columns if name in row and name in baseline and not same(row[name], baseline[name])]
    return ", ".join(_SAID[name](row) if name in _SAID else f"{name} {row[name]}" for name in differing) or BASELINE


def run_label(row: Row, baseline: Row) -> str:
    """What a run is called: its `label`, with its seed where that is another than the baseline's."""
    text = label(row, baseline)
    return text if row["seed"] == baseline["seed"] else f"{text}, seed {row['seed']}"


def subset_text(name: str) -> str:
    """A training subset in words, told by its name: "10pct" is 10 % of the data, "500" are 500 examples."""
    if percent := re.fullmatch(r"([\d.]+)pct", name):
        return f"{percent[1]} % of the data"
    return f"{int(name):,} examples" if name.isdecimal() else f"{name} data"


def rotated_text(share: float) -> str:
    """How many training examples are rotated at random, in words."""
    named = {0.0: "none", 1.0: "all"}
    return f"{named.get(share, f'{100 * share:g} %')} rotated"


_SAID: dict[str, Callable[[Row], str]] = {
    "model": lambda row: str(row["model"]),
    "train_subset": lambda row: subset_text(row["train_subset"]),
    "batch_size": lambda row: f"batches of {row['batch_size']}",
    "optimiser": lambda row: OPTIMISERS.get(row["optimiser"]) or str(row["optimiser"]),
    "lr": lambda row: f"rate {power(row['lr'])}",
    "augmentation": lambda row: rotated_text(row["augmentation"]),
}
