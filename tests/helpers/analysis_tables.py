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
                "run": run, "task": task, "step": step, "estimator": "exact", "rotations": 0, "unit": UNIT, **changes,
                **({} if t is None else {"t": t, "self_conditioning": False}),
            }  # fmt: skip
            row = evaluation_row(total * (1 - 0.5 * (t or 0)), percent, 1.02, columns)
            yield {name: value for name, value in row.items() if not name.endswith("_version")}


def draw(name, table, options=OPTIONS):
    """Draw with `draw_checked` and the usual options."""
    return draw_checked(name, table, options)
