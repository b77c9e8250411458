"""What the report says of a study's evaluation: curves, ends of runs, three findings, columns of verdicts."""

import pandas as pd
import pytest
from report_parts import STEPS, claim, report_parts

from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE
from equidyn.report.curves import curves, ends, findings, matrix

TASKS = {"force_field": "Force field", "flow_matching": "Flow matching"}


@pytest.fixture
def parts(tmp_path):
    parts = report_parts(tmp_path)
    return {name: parts[name] for name in ("evaluation", "costs", "choices")}


def test_curves_have_every_point_once(parts):
    found = curves(**parts)
    assert found["columns"][:5] == ["run", "condition", "weights", "step", "percent_low"]
    points = pd.DataFrame(found["points"], columns=found["columns"])
    assert len(points) == 6 * len(STEPS)
    own = points.query("run == 'default' and weights == 'raw'")
    assert list(own["step"]) == list(STEPS)
    assert list(own["percent"]) == [40.0, 20.0, 1.5, 0.125]
    assert list(own["percent_high"]) == [80.0, 40.0, 3.0, 0.25]
    assert found["tasks"]["force_field"] == {
        "conditions": [""], "shown": "", "baseline": "default", "weights": ["raw", "ema"], "averaged": "raw",
        "skill": 0.05,
    }  # fmt: skip
    assert found["tasks"]["flow_matching"]["conditions"] == ["t = 0.2", "t = 0.6", "t = 0.9"]
    assert found["tasks"]["flow_matching"]["shown"] == "t = 0.6"
    assert found["runs"]["chains"] == {"task": "flow_matching", "seconds": 7.0, "flops": 3e9}


def test_what_is_not_finite_is_none(parts):
    parts["evaluation"].loc[0, ["percent", "skill"]] = [float("nan"), -float("inf")]
    found = curves(parts["evaluation"], parts["costs"].assign(step_flops=float("nan")), parts["choices"])
    first = dict(zip(found["columns"], found["points"][0], strict=True))
    assert first["percent"] is first["skill"] is None
    assert found["runs"]["default"]["flops"] is None


def test_conditions_are_named_by_what_varies(parts):
    rows = parts["evaluation"].query("run == 'default' and weights == 'raw'")
    pairs = (("cube", "voxels"), ("SO(3)", "trilinear"))
    both = pd.concat([rows.assign(group=group, comparison=way) for group, way in pairs])
    assert curves(both, parts["costs"], parts["choices"][:1])["tasks"]["force_field"]["conditions"] == [
        "cube, voxels", "SO(3), trilinear",
    ]  # fmt: skip


def test_a_run_has_a_row_for_each_condition(parts):
    table = ends(**parts).set_index(["run", "condition"])
    assert list(table.index) == [
        ("default", ""), ("control", ""), ("chains", "t = 0.2"), ("chains", "t = 0.6"), ("chains", "t = 0.9"),
    ]  # fmt: skip
    row = table.loc[("chains", "t = 0.9")]
    assert (row["share at the end (%)"], row["from (%)"], row["to (%)"]) == (6.0, 3.0, 12.0)
    assert (row["lowest share (%)"], row["at step"], row["skill at the end"]) == (5.0, 10, 0.75)
    assert (row["steps"], row["training time (s)"], row["training compute (FLOP)"]) == (100, 700.0, 3e11)


def test_three_findings_in_words(parts):
    claims = [claim(), claim(task="flow_matching", verdict=NOT_REPRODUCED), claim("rises", verdict=NOT_TESTABLE)]
    large, fast, held = findings(parts["evaluation"], parts["choices"], TASKS, pd.DataFrame(claims))
    assert large == (
        "When training ends, 0.125 % to 4 % of the held-out loss is equivariance error.",
        [
            "Force field: 40 % at step 0, 0.125 % (0.0625 to 0.25) at 100; skill 0.75",
            "Flow matching (t = 0.6): 9 % at step 0, 4 % (2 to 8) at 100; skill 0.75",
        ],
    )
    assert fast == (
        "It falls to 2 % of the loss in 1 of 2 tasks; read the skill beside it.",
        [
            "Force field: by step 10, with a skill of 0.25",
            "Flow matching (t = 0.6): not within 100 steps; 4 % at the lowest",
        ],
    )
    assert held == ("The error falls. Reproduced in Force field; not reproduced in Flow matching.", [])
    parts["evaluation"]["skill"] = -1.0
    assert "by step 10, without any skill" in findings(parts["evaluation"], parts["choices"], TASKS, None)[1][1][0]


def test_claims_decided_for_more_tasks_come_first_and_weights_must_agree(parts):
    def held(*rows):
        return findings(parts["evaluation"], parts["choices"], TASKS, pd.DataFrame(rows))[2]

    both = [claim("rises"), claim("rises", "flow_matching"), claim("rises", weights="ema", verdict=NOT_TESTABLE)]
    sentence, lines = held(claim(), claim(task="flow_matching", verdict=NOT_TESTABLE), *both)
    assert sentence == "The error rises. Reproduced in Force field, Flow matching."
    assert lines == ["The error falls. Reproduced in Force field; not testable elsewhere."]
    assert held(claim(), claim(weights="ema", verdict=NOT_REPRODUCED))[0].startswith("None of the claims")


def test_columns_of_verdicts_are_those_with_numbers():
    empty = {"verdict": NOT_TESTABLE, "value": float("nan")}
    rows = [claim(), claim(weights="ema", **empty), claim(task="flow_matching", **empty)]
    assert matrix(pd.DataFrame(rows), ["all", *TASKS]) == {"force_field": ["raw"], "flow_matching": []}
