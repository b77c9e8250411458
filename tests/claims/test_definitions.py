"""The table of claims: both weights, the authors' data beside, and verdicts that do not hang on settings."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from claim_tables import FLOW, FORCE, LOSS, SHARE, VOXELS, flow, judged, run, tables

from equidyn.claims.definitions import CLAIMS, COLUMNS, EMA
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, verdict
from equidyn.core import process
from equidyn.figures.planned import figures_for
from equidyn.tasks.registry import task_cards


@pytest.mark.parametrize(
    ("low", "high", "expected", "what"),
    [
        (1, 10_000, (0, 10_000, "both"), REPRODUCED),
        (10_001, np.inf, (0, 10_000, "both"), NOT_REPRODUCED),
        (10_000, np.inf, (0, 10_000, "both"), NOT_TESTABLE),
        (1.1, np.inf, (1, np.inf, "right"), REPRODUCED),
        (1, np.inf, (1, np.inf, "right"), NOT_TESTABLE),
        (1, 1, (1, np.inf, "right"), NOT_REPRODUCED),
        (0.2, 0.9, (1, np.inf, "right"), NOT_REPRODUCED),
        (0.5, 1, (0.5, 1, "both"), REPRODUCED),
        (1, 2, (0, 1, "left"), NOT_REPRODUCED),
        (np.nan, np.nan, (0, 1, "left"), NOT_TESTABLE),
    ],
)
def test_the_whole_interval_decides(low, high, expected, what):
    left, right, closed = expected
    assert verdict(pd.Interval(left, right, closed=closed), low, high)[0] == what


def weighted(base, **changed):
    """A run with averaged weights beside the raw ones."""
    design, rows = base
    _, other = run(design["run"].iloc[0], **changed)
    decay = {"raw": np.nan, "ema": 0.9, "ema-0.999": 0.999}
    designs = [design.assign(weights=name, decay=value) for name, value in decay.items()]
    averages = [rows.assign(weights="ema", equivariance=rows["total"]), other.assign(weights="ema-0.999")]
    return pd.concat(designs), pd.concat([rows, *averages])


def test_both_weights_are_judged_and_not_mixed():
    base = weighted(run("base"), share=(50, 9, 8, 7, 6, 5, *[1] * 5))
    raw, ema = (judged(base, weights=weights).loc["falls_below_2_percent"] for weights in ("raw", EMA))
    assert (raw["value"], ema["value"]) == (100, 3300)
    assert ema["reason"].endswith("averaged with a decay of 0.999")
    assert raw["published_value"] == ema["published_value"] == pytest.approx(1900)
    assert raw["published_verdict"] == REPRODUCED
    row = judged(run("base"), weights=EMA).loc["falls_below_2_percent"]
    assert (row["verdict"], row["reason"]) == (NOT_TESTABLE, "run 'base' was not evaluated with ema weights")


def seeds(**options):
    """Three seeds of the baseline."""
    return [run(name, seed=seed, **options) for seed, name in enumerate(("base", "again", "once more"))]


def test_an_interval_of_too_few_seeds_decides_nothing():
    row = judged(*seeds(scatter=0.1)[:2]).loc["falls_below_2_percent"]
    assert (row["verdict"], row["ends"]) == (NOT_TESTABLE, "interval of too few seeds")
    assert judged(*seeds(scatter=0.1)).loc["falls_below_2_percent", "verdict"] == REPRODUCED


def test_what_hangs_on_a_setting_is_not_testable():
    table = judged(*seeds(scatter=0.1))
    row = table.loc["falls_with_skill"]
    assert (row["verdict"], row["sensitivity"]) == (REPRODUCED, "the same under 14 other settings")
    assert table.loc["better_conditioned", "sensitivity"] == ""
    # Half of what is learned is learned by step 1,000, and 60 % never with a small relative error.
    loss, energy = (2, 1, 0.9, 0.5, *[0.1] * 7), [1.0] * 4 + [1e-3] * 7
    row = judged(*seeds(loss=loss, energy=energy, dense=True)).loc["falls_with_skill"]
    assert row["verdict"] == NOT_TESTABLE
    assert "skill 0.6: not reproduced" in row["sensitivity"]
    assert row["reason"].startswith("reproduced under the usual settings only; the interval")


def test_what_hangs_on_the_decay_of_an_average_is_not_testable():
    """Shares with a decay of 0.9 never fall, but for the claims that do not look at them."""
    three = [weighted(each, share=(50, 9, 8, 7, 6, 5, *[1] * 5)) for each in seeds(dense=True)]
    row = judged(*three, weights=EMA).loc["falls_below_2_percent"]
    assert (row["verdict"], row["value"]) == (NOT_TESTABLE, 3300)
    assert "decay 0.9: not" in row["sensitivity"]
    alike = [(design, pd.concat([rows.assign(weights=name) for name in design["weights"].unique()])) for design, rows in
             ((weighted(each)[0], each[1]) for each in seeds())]  # fmt: skip
    row = judged(*alike, weights=EMA).loc["falls_below_2_percent"]
    assert (row["verdict"], row["sensitivity"]) == (REPRODUCED, "the same under 11 other settings")
    fewer = [(design, rows[rows["weights"] != "ema"]) for design, rows in alike]
    row = judged(*fewer, weights=EMA).loc["falls_below_2_percent"]
    assert (row["verdict"], row["sensitivity"]) == (REPRODUCED, "the same under 10 other settings")


def test_a_range_of_few_seeds_decides_nothing():
    x = np.geomspace(1, 100, 24)
    head = pd.DataFrame(
        {"run": "base", "weights": "raw", "estimator": "exact", "step": range(24), "deviation": x, "measured": x}
    )
    runs = run("base"), run("again", seed=1)
    table = pd.concat([head, head.assign(run="again")])
    row = judged(*runs, analyses={("head", FORCE): table}).loc["tracks_head_deviation"]
    assert (row["verdict"], row["ends"]) == (NOT_TESTABLE, "range of a few values")
    assert row["reason"].startswith("1 to 1 is a range of a few values")


def test_adding_a_run_changes_no_other_verdict():
    base = flow("base", (SHARE, SHARE))
    better = flow("better", (SHARE, SHARE), (LOSS, [x / 2 for x in LOSS]), model="larger", lr=1.0)
    columns = ["value", "low", "high", "verdict"]
    pd.testing.assert_frame_equal(judged(base)[columns], judged(base, better)[columns])


def test_order_of_rows_does_not_matter():
    runs = [
        run("base", scatter=0.5),
        run("again", (50, 9, 8, *[1] * 8), seed=1, scatter=0.5),
        run("once more", seed=2, scatter=0.5),
        run("larger", model="larger", scatter=0.5),
        run("control", (0,) * 11, model="control-net", scatter=0.5),
    ]
    mixed = [(design, rows.sample(frac=1, random_state=5)) for design, rows in reversed(runs)]
    expected, found = judged(*runs), judged(*mixed)
    numbers = ["value", "low", "high"]
    np.testing.assert_allclose(found[numbers].astype(float), expected[numbers].astype(float), rtol=1e-9)
    pd.testing.assert_frame_equal(found[["verdict", "figure"]], expected[["verdict", "figure"]])
    assert (expected["verdict"] == REPRODUCED).sum() > 3


def test_processes_judge_the_same():
    runs = [run("base", scatter=0.5), run("again", seed=1, scatter=0.5)]
    with process.forked(2) as pool:
        pd.testing.assert_frame_equal(judged(*runs, each=pool.map), judged(*runs))


def test_every_claim_has_a_row_with_a_figure():
    table = judged(flow("base", (SHARE, SHARE)))
    assert list(table.reset_index()) == list(COLUMNS)
    assert list(table.index) == [name for name, claim in CLAIMS.items() if not claim.tasks or FLOW in claim.tasks]
    for task in task_cards():
        for claim in CLAIMS.values():
            if not claim.tasks or task in claim.tasks:
                assert claim.figures[task == FLOW] in figures_for(task)
    assert set(table["figure"].str.split("/").str[0]) == {FLOW}
    assert set(table["by"]) == {"paper", "ours"}


def test_labels_are_short_and_each_of_one_claim():
    labels = [claim.label for claim in CLAIMS.values()]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 36


def test_the_documentation_lists_the_claims():
    text = (Path(__file__).parents[2] / "docs/claims.md").read_text()
    listed = re.findall(r"^\| ([^|]+) \(`([\w.]+)`\) \| (\w+) \| ([^|]+) \|", text, re.MULTILINE)
    assert listed == [(claim.label, name, claim.by, claim.statement) for name, claim in CLAIMS.items()]


PAIRS = (("SO(3)", "trilinear"), ("cube", "voxels"))


def of_pairs(name, trilinear, cube, loss=LOSS, **design):
    """A run of voxels with a share under each pair of group and comparison."""
    parts = [
        run(name, share, loss, comparison=comparison, task=VOXELS, **design)
        for share, (_, comparison) in zip((trilinear, cube), PAIRS, strict=True)
    ]
    sums = [part.assign(group=group) for (_, part), (group, _) in zip(parts, PAIRS, strict=True)]
    return parts[0][0], pd.concat(sums, ignore_index=True)


def judged_pairs(*runs, **options):
    return judged(*runs, group="SO(3)", comparison="trilinear", pairs=PAIRS, exact=PAIRS[1], **options)


def test_what_hangs_on_how_grids_are_compared_is_not_testable():
    never = (50.0, 9.0, *[6.0] * 9)
    seeds = range(3)
    alike = judged_pairs(*(of_pairs("base" if not seed else f"seed{seed}", SHARE, SHARE, seed=seed) for seed in seeds))
    assert alike["verdict"]["falls_to_stay"] == REPRODUCED
    split = judged_pairs(*(of_pairs("base" if not seed else f"seed{seed}", SHARE, never, seed=seed) for seed in seeds))
    assert split["verdict"]["falls_to_stay"] == NOT_TESTABLE
    assert "cube voxels: not reproduced" in split["sensitivity"]["falls_to_stay"]


def test_opponents_compete_under_the_rotations_of_which_they_are_equivariant():
    """The baseline's average over rotations is compared with the control, which only grids turned back twist."""
    runs = [of_pairs("base", SHARE, SHARE), of_pairs("control", SHARE, (0.0,) * 11, model="control-net")]
    evidence = tables(*runs, group="SO(3)", comparison="trilinear", pairs=PAIRS, exact=PAIRS[1])
    compared = evidence.trainings("FLOP")
    assert (compared.theirs["control-net"][0].curves.percent == 0).all()
    assert (evidence.curves("control").percent > 0).all()
