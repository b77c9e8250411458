"""The rows that are chosen from tables."""

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import evaluation_row

from equidyn.study.choice import Choice
from equidyn.study.selection import WORST, chosen, worst_examples


def evaluated(**columns):
    return evaluation_row(2.0, 30.0, 4.0, columns)


def sums(run, step, worst, **columns):
    """Sums over 51 clusters, of which one has nearly all."""
    total = np.ones(51)
    total[7] = worst
    key = {"run": run, "step": step, "weights": "ema", "estimator": "sampled", "group": "SO(3)"}
    return pd.DataFrame(key | {"comparison": "vectors", "total": total, "equivariance": total**2} | columns)


def test_the_average_is_that_which_claims_judge():
    """Of the authors' decay, where the baseline has it, whatever a study calls its own."""
    decays = {"raw": np.nan, "ema": 0.99, "ema-0.999": 0.999}
    table = pd.DataFrame(
        evaluation_row(2.0, share, 4.0, {"step": 5, "weights": name, "decay": decay})
        for share, (name, decay) in enumerate(decays.items())
    )
    for own, percent in ((table, 2.0), (table[table["weights"] != "ema-0.999"], 1.0)):
        assert chosen(own, Choice("force_field", weights="raw"))[["percent", "percent_ema"]].iloc[0].tolist() == [
            0.0,
            percent,
        ]
        assert chosen(own, Choice("force_field", weights="ema"))["percent"].tolist() == [percent]


def test_the_worst_examples_at_the_last_step_of_each_run_and_condition():
    recorded = dict.fromkeys(WORST, 3.0)
    flow = {"task": "flow_matching", "run": "chains", "self_conditioning": False}
    evaluation = pd.DataFrame(
        [
            evaluated(step=0, **dict.fromkeys(WORST, 1.0)),
            evaluated(step=100, **recorded),
            evaluated(step=100, weights="raw", **dict.fromkeys(WORST, 9.0)),
            *(evaluated(step=step, t=t, **flow) for step in (0, 50) for t in (0.5, 0.9)),
        ]
    )
    clusters = {
        "base": sums("base", 100, 1e9),
        "chains": pd.concat(
            sums("chains", step, worst, t=t, self_conditioning=False)
            for step, t, worst in ((0, 0.5, 1e9), (50, 0.5, 50.0), (50, 0.9, 150.0))
        ),
    }
    found = worst_examples(evaluation, clusters, [Choice("force_field"), Choice("flow_matching", timed=True)])
    assert found["task"].tolist() == ["force_field", "flow_matching", "flow_matching"]
    assert found["step"].tolist() == [100, 50, 50]
    assert found["t"].tolist()[1:] == [0.5, 0.9]
    assert found["worst"].tolist() == ["3 of 256 examples", *["1 of 31 clusters"] * 2]
    assert found["total_in_worst"].tolist() == pytest.approx([3, 50, 75])
    assert found["equivariance_in_worst"].tolist() == pytest.approx([3, 100 * 2500 / 2550, 100 * 22500 / 22550])
