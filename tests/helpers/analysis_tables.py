"""Identity columns of tables of analyses for tests of figures, and what draws them."""

from drawing_checks import draw_checked, of_task
from evaluation_rows import evaluation_row

OPTIONS = of_task()
STEPS = (0, 100, 1000, 20_000)
TOTAL = (1.0, 0.98, 0.2, 0.01)
PERCENT = (30.0, 1.5, 2.0, 6.0)
UNIT = "eV²/Å²"


def identities(task="force_field", run="base", times=(None,), **changes):
    """Identity columns of each step and flow time, with the losses."""
    for step, total, percent in zip(STEPS, TOTAL, PERCENT, strict=True):
        for t in times:
            columns = {
                "run": run, "task": task, "model": "small", "parameters": 68_000, "train_subset": "all",
                "train_examples": 750, "batch_size": 4, "optimiser": "adamw", "lr": 1e-3, "augmentation": 1.0,
                "seed": 0, "step": step, "weights": "ema", "estimator": "exact", "rotations": 0,
                "group": "SO(3)",
                "comparison": "vectors", "examples": 16, "clusters": 12, "floor_control": 1e-10, "unit": UNIT,
                **changes,
            }  # fmt: skip
            if t is not None:
                columns |= {"t": t, "self_conditioning": False}
            row = evaluation_row(total * (1 - 0.5 * (t or 0)), percent, 1.02, columns)
            yield {name: value for name, value in row.items() if not name.endswith("_version")}


def draw(name, table, options=OPTIONS):
    """As `draw_checked`, with the usual options."""
    return draw_checked(name, table, options)
