"""Tables of results for documents."""

import pandas as pd
import pytest
import yaml
from report_parts import claim, evaluated

from equidyn.claims.verdicts import NOT_TESTABLE
from equidyn.report.document import part
from equidyn.study.tables import minima

CONFIG = {
    "figures": {
        "baseline": {"force_field": "default", "flow_matching": "chains"},
        "weights": "raw",
        "estimator": "exact",
    }
}


@pytest.fixture
def results(tmp_path):
    """A folder of results with replicates, another size, three flow times and two kinds of weights."""
    flow = {"task": "flow_matching", "model": "proteina-0.5M", "group": "SO(3)"}
    rows = [
        evaluated(),
        evaluated("default-seed1", seed=1, percents=(80.0, 1.8, 3.0, 0.5), skills=(-1, 0, 0.25, 0.5)),
        evaluated(weights="ema", percents=(50.0, 30.0, 3.0, 0.25)),
        evaluated("large", model="escaip-small", percents=(40.0, 20.0, 4.0, 2.5)),
        *(evaluated("chains", t=t, percents=(8.0, 6.0, 4.0, 10 * t), **flow) for t in (0.1, 0.2, 0.9)),
        *(evaluated("chains-10pct", t=t, train_subset="10pct", **flow) for t in (0.1, 0.2, 0.9)),
    ]
    claims = [
        claim(),
        claim(task="flow_matching", verdict=NOT_TESTABLE, value=float("nan"), low=float("nan"), high=float("nan")),
        claim(weights="ema", value=1680.0, high=float("inf")),
        claim("stays", task="flow_matching", low=float("nan"), high=float("nan")),
    ]
    (tmp_path / "tables").mkdir()
    pd.concat(rows).to_parquet(tmp_path / "tables/evaluation.parquet")
    minima(pd.concat(rows)).to_csv(tmp_path / "tables/minima.csv")
    pd.DataFrame(claims).to_parquet(tmp_path / "tables/claims.parquet")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def cells(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line and "---" not in line]


def test_seeds_share_a_row_with_the_range_over_them(results):
    header, baseline, large = cells(part(f"{results} runs force_field"))
    assert dict(zip(header, baseline, strict=True)) == {
        "run": "baseline", "steps": "100", "parameters": "58,913", "seeds": "2", "untrained": "40 to 80 %",
        "≤ 2 % first at step": "1 to 10", "lowest share": "0.125 to 0.5 % at 100", "skill there": "0.5 to 0.75",
        "share at the end": "0.125 to 0.5 %", "skill at the end": "0.5 to 0.75",
    }  # fmt: skip
    found = dict(zip(header, large, strict=True))
    assert (found["run"], found["≤ 2 % first at step"]) == ("escaip-small", "never")
    assert found["share at the end"] == "2.5 % (1.25 to 5)"


def test_of_several_conditions_the_baseline_has_all_and_other_runs_the_shown_one(results):
    text = part(f"{results} runs flow_matching")
    rows = cells(text)
    assert [row[0] for row in rows] == [
        "condition", "t = 0.1", "t = 0.2", "t = 0.9", "run (t = 0.2)", "baseline", "10 % of the data",
    ]  # fmt: skip
    assert rows[3][-2:] == ["9 % (4.5 to 18)", "0.75"]


def test_claims_have_a_column_for_what_was_found(results):
    assert cells(part(f"{results} claims")) == [
        ["claim", "Force field, raw", "Force field, averaged", "Flow matching, raw"],
        ["Falls", "✓ 56 (31.6 to 100)", "✓ 1,680 (31.6 to ∞)", "?"],
        ["Stays", "", "", "✓ 56 (no interval)"],
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claim falls force_field raw", "56 (31.6 to 100)"),
        ("value falls force_field ema", "1,680"),
        ("published falls force_field ema", "1,680"),
        ("run default raw minimum_step", "100"),
        ("run chains raw final_percent t=0.9", "9"),
        ("pilot_value falls_below_2_percent raw", "75"),
    ],
)
def test_a_number(results, name, expected):
    assert part(f"{results} {name}") == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run chains raw final_percent", "3 rows, where one was expected"),
        ("claim never force_field raw", "0 rows, where one was expected"),
        ("tables", "no such part .* kinds of parts are claims, statements, runs, pilot"),
        ("runs voxel_denoising", "no such part"),
        ("claim falls", "no such part"),
        ("claim falls flow_matching raw", "falls of flow_matching, raw: there is no value, as interval within"),
    ],
)
def test_what_is_not_there_is_named(results, name, message):
    with pytest.raises(ValueError, match=message):
        part(f"{results} {name}")
