"""A task, a source and a network of another package go through the whole workflow, named by their cards."""

import pandas as pd
import pytest
from project import ROOT, Project, tiny

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.study import planning, provenance
from equidyn.study.plan_report import report
from equidyn.study.reading import checked, read_study

ANALYSES = cards("equidyn.analysis")
HELPERS = str(ROOT / "tests/helpers")
CARD, TASK = "outside.cards:TASK", "vectors"
FIGURE = f"figures/{TASK}/percent_loglog.png"
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
    config["evaluation"] |= {CARD: {"examples": "all", "batch_size": 8}, "checkpoints_per_job": "all"}
    config["analysis"], config["models"] = {}, str(tmp_path / "models.toml")
    config["figures"] |= {"baseline": {CARD: "stretched"}, "formats": ["png"]}
    (tmp_path / "models.toml").write_text(MODELS)
    row = rows[0] | {"name": "stretched", "task": CARD, "model": "stretch", "augmentation": "1.0"}
    return Project(tmp_path, config, [row])


@pytest.mark.slow
@pytest.mark.long
def test_from_data_to_a_figure(project):
    made = [f"results/tiny/{file}" for file in (FIGURE, "tables/claims.parquet", "manifest.json")]
    result = project.run(*made, path=HELPERS)
    assert result.returncode == 0, result.stderr[-4000:]
    rows = pd.read_parquet(project.results / "tables/evaluation.parquet")
    start = rows[(rows["step"] == 0) & (rows["estimator"] == "exact") & (rows["weights"] == "raw")].squeeze()
    assert (start["task"], start["run"], start["group"]) == (TASK, "stretched", "SO(3)")
    # The mean stretch is 2, and deviations from it are 1, 0, -1. In units of |x|², the error of the average is
    # (2 - 1)² / 3, the equivariance error (1 + 0 + 1) / 9, and the error of zero 1 / 3.
    assert start["percent"] == pytest.approx(40, abs=1e-4)
    assert start["total"] == pytest.approx((1 / 3 + 2 / 9) * 3 * start["null_loss"], rel=1e-5)
    assert pd.read_parquet(project.results / "tables/costs.parquet")["parameters"].tolist() == [3]
    figure = pd.read_csv((project.results / FIGURE).with_suffix(".csv"))
    assert figure["percent"].iloc[0] == pytest.approx(40, abs=1e-4)
    assert not [path for path in project.results.rglob("*") if ":" in path.name]
    again = project.run("--dry-run", *made, path=HELPERS)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_costs_are_counted_once_and_kept(project, monkeypatch):
    project.write()
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(provenance, "KEPT", project.folder / "kept")

    def plan():
        planning._kept_work.cache_clear()
        return report(*read_study([project.config_file], ANALYSES), ANALYSES)

    first = plan()
    assert "one vector each" in first
    assert "stretched" in first
    monkeypatch.setattr(planning, "work", lambda *_, **__: pytest.fail("counted again"))
    assert plan() == first


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
