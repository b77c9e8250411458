"""A study draws the figures whose tables it makes and whose runs can be compared, and a job is told what it needs."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from equidyn.core.groups.card import group_card
from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.figures import planned
from equidyn.figures.parts.making import make_figure
from equidyn.figures.parts.options import Options
from equidyn.figures.planned import (
    ALL_TASKS,
    drawing,
    figures_drawn,
    figures_for,
    known_figures,
    options_for,
)
from equidyn.models.registry import configuration, configurations
from equidyn.study.choice import comparable, differing
from equidyn.study.provenance import code_digest
from equidyn.study.stages import STUDY_TABLES, is_made
from equidyn.tasks.registry import task_cards

ANALYSES = cards("equidyn.analysis")
PLAIN = {
    "task": "force_field", "model": "escaip-small", "train_subset": "all", "batch_size": 8, "optimiser": "adamw",
    "lr": 1e-3, "augmentation": 1.0, "seed": 0, "steps": 100,
}  # fmt: skip
PER_TASK = {"data", "floors", "orientation", "orientation_tests", "orientation_angles", *ANALYSES}


def study(**runs):
    """Configuration and run table of a study of force fields with a baseline and some other runs."""
    config = {
        "figures": {"baseline": {"force_field": "base"}, "weights": "ema", "estimator": "exact"},
        "analysis": {"head": {"force_field": {}}, "interpolation_floors": {}},
        "evaluation": {"confidence": 0.9},
    }
    return config, {"base": PLAIN, **{name: PLAIN | changes for name, changes in runs.items()}}


def made(config, runs):
    return figures_drawn(config, runs, partial(is_made, config, ANALYSES))


def drawn(**runs):
    return {name for _, name in made(*study(**runs))}


@pytest.mark.parametrize("name", known_figures())
def test_cards_are_whole(name):
    figure = known_figures()[name]
    assert callable(load(figure.draw))
    assert not figure.notes or callable(load(f"{figure.module}:{figure.notes}"))
    assert figure.title
    assert figure.category
    assert set(figure.tables) <= {*STUDY_TABLES, *PER_TASK}
    assert any(name in figures_for(task) for task in ([ALL_TASKS] if figure.overview else task_cards()))
    assert len(code_digest(figure.module)) == 16


def test_every_task_has_figures():
    assert all(figures_for(task) for task in task_cards())
    with pytest.raises(ValueError, match="unknown task 'voxels'"):
        figures_for("voxels")


def test_figures_come_in_the_order_of_families():
    modules = [figure.module for figure in known_figures().values()]
    assert modules == sorted(modules, key=list(dict.fromkeys(modules)).index)
    assert modules[0].endswith("summary.draw")
    assert modules[-1].endswith("beside_published.draw")


def test_reading_cards_needs_nothing_heavy():
    code = (
        "import sys; from equidyn.figures.planned import known_figures; known_figures(); "
        "assert not {'numpy', 'pandas', 'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_that_are_not_made_are_not_drawn():
    assert "head_error" in drawn()
    assert not drawn() & {"gradient_ratio", "hessian_spectra", "error_by_layer"}
    config, runs = study()
    config["analysis"].pop("head")
    assert "head_error" not in {name for _, name in made(config, runs)}


@pytest.mark.parametrize(
    ("changes", "figure"),
    [
        ({"train_subset": "100"}, "percent_by_train_size"),
        ({"batch_size": 1}, "percent_by_train_size"),
        ({"model": "escaip-tiny"}, "percent_by_model_size"),
        ({"lr": 0.1}, "percent_by_optimiser"),
        ({"optimiser": "sgd", "lr": 0.1, "seed": 3}, "percent_by_optimiser"),
        ({"augmentation": 0.0}, "percent_by_augmentation"),
        ({"seed": 1}, "published_force_field"),
        ({"train_subset": "100", "seed": 1}, "published_force_field"),
    ],
)
def test_a_run_that_differs_in_one_thing_is_drawn(changes, figure):
    assert figure not in drawn()
    assert figure in drawn(other=changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"train_subset": "100", "lr": 0.1},
        {"train_subset": "100", "model": "escaip-tiny"},
        {"augmentation": 0.0, "batch_size": 1},
        {"model": "control-small"},
    ],
)
def test_a_run_that_differs_in_two_things_at_once_is_no_comparison(changes):
    assert drawn(other=changes) == drawn()
    assert comparable_names(changes) == ["base"]


def comparable_names(changes):
    """Runs that any comparison of one thing would show."""
    runs = {"base": PLAIN, "other": PLAIN | changes}
    known = {name: {**run, "variant": configuration(run["model"]).variant} for name, run in runs.items()}
    columns = [("train_subset", "batch_size"), ("model",), ("optimiser", "lr"), ("augmentation",), ("seed",)]
    assert not any(differing(known, "base", each) for each in columns)
    return list(dict.fromkeys(name for each in columns for name in comparable(known, "base", each)))


def test_missing_settings_are_equal():
    runs = {name: PLAIN | {"variant": "", "augmentation": float("nan"), "seed": seed} for seed, name in enumerate("ba")}
    assert comparable(runs, "a", ["lr"]) == ["a", "b"]
    assert differing(runs, "a", ["augmentation"]) == []


def test_runs_of_another_length_are_no_seeds():
    base = PLAIN | {"variant": ""}
    lengths = {"base": (100, 1e-3), "short": (30, 1e-3), "other": (300, 1e-4), "other-short": (30, 1e-4)}
    runs = {name: base | {"steps": steps, "lr": lr} for name, (steps, lr) in lengths.items()}
    runs["seed"] = runs["base"] | {"seed": 1}
    assert comparable(runs, "base", []) == ["base", "seed"]
    assert comparable(runs, "short", []) == ["short"]
    assert comparable(runs, "base", ["lr"]) == ["base", "other", "seed"]
    assert comparable(runs, "base", [], all_lengths=True) == ["base", "short", "seed"]


def test_a_variant_is_needed_where_a_card_says_so(monkeypatch):
    figure = replace(known_figures()["percent_by_model_size"], name="of_variant", variant="triangle updates")
    monkeypatch.setattr(planned, "known_figures", lambda: {"of_variant": figure})
    assert drawn(other={"model": "escaip-tiny"}) == set()
    monkeypatch.setattr(planned, "known_figures", lambda: {"of_variant": replace(figure, variant="")})
    assert drawn(other={"model": "escaip-tiny"}) == {"of_variant"}


def test_triangle_updates_are_compared_if_nothing_else_differs():
    config, _ = study()
    flow = PLAIN | {"task": "flow_matching", "model": "proteina-0.5M"}
    config["figures"]["baseline"] = {"flow_matching": "base"}
    for changes, is_drawn in (
        ({"model": "proteina-2M"}, False),
        ({"model": "proteina-0.5M-tri", "lr": 0.1}, False),
        ({"model": "proteina-0.5M-tri", "seed": 1}, True),
    ):
        figures = made(config, {"base": flow, "other": flow | changes})
        assert (("flow_matching", "published_flow_losses_varied") in figures) == is_drawn


def test_a_job_is_told_all_that_it_needs_by_values_that_can_be_written_down(tmp_path):
    config, runs = study(other={"seed": 1})
    told = drawing(config, runs, "force_field", "percent_loglog")
    assert json.loads(json.dumps(told))["figure"]["title"] == known_figures()["percent_loglog"].title
    assert Options.read(told["options"]["force_field"]) == options_for("force_field", group="SO(3)", confidence=0.9)
    assert list(drawing(config, runs, ALL_TASKS, "summary")["options"]) == ["force_field"]
    assert told["options"]["force_field"]["group_texts"] == {}
    config["evaluation"]["force_field"] = {"symmetries": [{"group": "O(3)", "comparison": "vectors"}]}
    told = drawing(config, runs, "force_field", "percent_loglog")
    assert told["options"]["force_field"]["group_texts"] == {"O(3)": group_card("O(3)").text}
    voxels = options_for("voxel_denoising")
    assert (voxels.comparison, voxels.has_floor, list(voxels.comparisons)) == (
        task_cards()["voxel_denoising"].comparison,
        True,
        list(task_cards()["voxel_denoising"].comparisons),
    )
    with pytest.raises(FileNotFoundError):
        make_figure(**told, tables=[tmp_path / "none.parquet"], stem=tmp_path / "figure")


def test_a_title_changes_what_one_figure_is_told_and_no_code(monkeypatch):
    config, runs = study(other={"seed": 1})
    names = figures_for("force_field")

    def told(name):
        return drawing(config, runs, "force_field", name), code_digest(planned.known_figures()[name].module)

    before = {name: told(name) for name in names}
    retitled = {
        **known_figures(),
        "losses": replace(known_figures()["losses"], title="Another"),
        "added": replace(known_figures()["losses"], name="added"),
    }
    monkeypatch.setattr(planned, "known_figures", lambda: retitled)
    after = {name: told(name) for name in names}
    assert [name for name in names if before[name] != after[name]] == ["losses"]


def test_no_module_of_figures_or_claims_asks_for_a_task_or_model_by_name():
    floors = Path(planned.__file__).parents[1]
    known = {*task_cards(), *configurations()} - {"control"}  # which is a role too
    names = "|".join(map(re.escape, sorted(known)))
    asks = re.compile(rf"(==|!=|\bin)\W{{1,3}}({names})\b|(starts|ends)with\(.(control|-tri)")
    for floor in ("figures", "claims", "report"):
        for file in (floors / floor).rglob("*.py"):
            code = ast.unparse(ast.parse(file.read_text(encoding="utf-8")))
            assert not asks.search(code), f"{file}: {asks.search(code)[0]}"
            if floor == "figures" and file.parent.name != "beside_published":  # pairs the paper's networks with tasks
                values = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
                assert not values & known, file
