"""A task, a source and a network of another package go through the whole workflow, named by their cards."""

import pandas as pd
import pytest
from project import ROOT, Project, tiny

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.study.plan_report import report
from equidyn.study.reading import checked, read_study

ANALYSES = cards("equidyn.analysis")
HELPERS = str(ROOT / "tests/helpers")
CARD, TASK = "outside.cards:TASK", "vectors"
MODELS = """
[stretch]
network = "outside.work:Stretch"
task = "vectors"
parameters = 3
is_exact = true
sizes = { initial = [1.0, 2.0, 3.0] }
"""


@pytest.fixture
def project(tmp_path):
    config, rows = tiny()
    config["data"] = {
        CARD: {
            "source": "outside.cards:SOURCE",
            "examples": 40,
            "seed": 0,
            "validation_fraction": 0.25,
            "subsets": {"all": "all"},
        }
    }
    for section in ("training", "evaluation"):
        common = {name: value for name, value in config[section].items() if name not in cards("equidyn.tasks")}
        config[section] = common | {CARD: {}}
    config["evaluation"][CARD] = {"examples": "all", "batch_size": 8}
    config["analysis"], config["models"] = {}, "models.toml"
    config["figures"]["baseline"] = {CARD: "stretched"}
    (tmp_path / "models.toml").write_text(MODELS)
    row = rows[0] | {"name": "stretched", "task": CARD, "model": "stretch", "augmentation": "1.0"}
    return Project(tmp_path, config, [row])


def test_from_plan_to_report(project):
    result = project.run("report", path=HELPERS)
    assert result.returncode == 0, result.stderr[-6000:]
    rows = pd.read_parquet(project.results / "tables/evaluation.parquet")
    start = rows[(rows["step"] == 0) & (rows["estimator"] == "exact") & (rows["weights"] == "raw")].squeeze()
    assert (start["task"], start["run"], start["group"]) == (TASK, "stretched", "SO(3)")
    # With the mean m = 2 of a = (1, 2, 3): |a - m|² / 9 of |x|² is the equivariance error, (m - 1)² / 3 the twirled.
    assert start["percent"] == pytest.approx(40, abs=1e-4)
    assert start["total"] == pytest.approx(start["null_loss"] * (2 / 9 + 1 / 3) * 3, rel=1e-5)
    figure = pd.read_csv(project.results / f"figures/{TASK}/percent_loglog.csv")
    assert figure["percent"].iloc[0] == pytest.approx(40, abs=1e-4)
    assert not [path for path in project.results.rglob("*") if ":" in path.name]
    again = project.run("--dry-run", "report", path=HELPERS)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_its_costs_are_planned(project, monkeypatch):
    project.write()
    monkeypatch.chdir(project.folder)
    text = report(*read_study([project.config_file], ANALYSES), ANALYSES)
    assert "one vector each" in text
    assert "stretched" in text


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (
            "outside.cards:Pairs",
            r"mine: 'outside\.cards:Pairs' is <class.*, expected an equidyn\.tasks\.card\.TaskCard",
        ),
        ("outside.nowhere:CARD", r"mine: 'outside\.nowhere:CARD' cannot be imported"),
        ("equidyn.tasks.force_field.card:CARD", r"mine: .*: this package has a task 'force_field': choose another"),
    ],
)
def test_a_wrong_card_is_refused(project, card, message):
    project.config["data"][card] = project.config["data"].pop(CARD)
    with pytest.raises(StudyError, match=message):
        checked(project.config, {}, "mine")


def test_a_task_has_one_entry(project):
    project.config["training"][TASK] = {}
    with pytest.raises(StudyError, match=r"mine: training\.vectors: given twice, by the task's name and by its card"):
        checked(project.config, {}, "mine")
