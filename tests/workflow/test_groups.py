"""A study under another group than SO(3): trained, evaluated and drawn by what its configuration tells the jobs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from equidyn.core.decomposition import twist_from_tensor
from equidyn.core.rooms import cards
from equidyn.core.symmetry import symmetry
from equidyn.figures.parts.making import make_figure
from equidyn.figures.planned import drawing
from equidyn.models.registry import configuration
from equidyn.run.evaluation import decompose_task, evaluate_run, restore, twisted_predictions
from equidyn.run.loader import augmentation
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.study.config import check_config, labels, protocol, recipe
from equidyn.tasks.force_field.task import ForceField

ROOT = Path(__file__).parents[2]
STEPS = [0, 1, 3]


@pytest.fixture(scope="module")
def study():
    """The default configuration, in which the force field is trained and evaluated under O(3), and its only run."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["training"]["force_field"]["group"] = "O(3)"
    pair = {"comparison": "vectors"}
    config["evaluation"]["force_field"] = {
        "examples": "all", "batch_size": 7, "symmetries": [{"group": "O(3)"} | pair, {"group": "SO(3)"} | pair],
    }  # fmt: skip
    config["evaluation"] |= {"rotations": 4, "resamples": 100, "weights": ["raw"], "sampled": True}
    config["figures"] |= {"weights": "raw", "estimator": "sampled"}
    check_config(config, cards("equidyn.analysis"))
    row = {
        "name": "augmented", "task": "force_field", "model": "escaip-tiny", "train_subset": "all", "batch_size": 8,
        "steps": STEPS[-1], "optimiser": "adamw", "lr": 1e-3, "augmentation": 1.0, "seed": 0,
    }  # fmt: skip
    return config, row


@pytest.fixture(scope="module")
def made(study, store, split, tmp_path_factory):
    """Folder of checkpoints, and the table of the evaluation."""
    config, row = study
    folder = tmp_path_factory.mktemp("study")
    options = {"output": folder / "out", "state": folder / "state", "progress": False}
    train(ForceField.fit(store, split[0]), split[0], Recipe(**recipe(config, row)), STEPS, **options)
    rows, _ = evaluate_run(
        ForceField,
        store,
        split[1],
        folder / "out",
        STEPS,
        EvaluationSettings(**protocol(config, row)),
        state=folder / "found",
        labels=labels(config, row) | {"train_examples": len(split[0])},
        control=configuration("control-small").built_from,
        progress=False,
    )
    return folder / "out", rows


def test_training_draws_from_the_group(study):
    elements = augmentation(Recipe(**recipe(*study)), 0, 64)
    assert set(torch.linalg.det(elements).round().tolist()) == {-1.0, 1.0}


def test_networks_of_distances_and_angles_see_no_chirality(made, store, split):
    """EScAIP's weights are invariant under reflections too: h_g = h_(−g), and the closed form holds."""
    _, task, model = restore(ForceField, store, made[0], STEPS[-1], "raw")
    group, batch = symmetry("O(3)"), task.batch(split[1][:5])
    elements = group.sample(4 * 5, generator=torch.Generator().manual_seed(0)).view(4, 5, 3, 3)
    assert (torch.linalg.det(elements) < 0).any()
    with torch.no_grad():
        found = twisted_predictions(task, model.eval(), batch, torch.cat([elements, -elements]), group)
        tensor = task.head_tensor(model, batch)
    torch.testing.assert_close(found[4:], found[:4], rtol=0, atol=1e-4)
    for k in range(4):
        each = [
            twist_from_tensor(tensor[task.example(batch) == place], elements[k, place].float()) for place in range(5)
        ]
        torch.testing.assert_close(found[k], torch.cat(each), rtol=0, atol=1e-4)


def test_rows_say_their_group_and_the_closed_form_is_that_of_rotations(made):
    rows = made[1]
    assert set(zip(rows["group"], rows["comparison"], strict=True)) == {("O(3)", "vectors"), ("SO(3)", "vectors")}
    exact = rows[rows["estimator"] == "exact"].set_index("step")
    one, other = (exact[exact["group"] == name] for name in ("O(3)", "SO(3)"))
    np.testing.assert_array_equal(
        one[["total", "equivariance", "percent"]], other[["total", "equivariance", "percent"]]
    )
    assert (rows["floor_control"] < 1e-8).all(), "the control is equivariant under reflections"


def test_a_wrong_parity_is_an_error_of_reflections_alone(store, split):
    """Forces with a part x × F: a pseudovector, which turns with the molecule and has no business in a force.

    Under SO(3) there is no equivariance error; under O(3) its square is the error, since the average loses it.
    """

    class Chiral(ForceField):
        def predict(self, model, batch):
            return batch.forces + torch.linalg.cross(batch.molecules.positions, batch.forces)

    task = Chiral.fit(store, split[0])
    settings = EvaluationSettings(rotations=200, batch_size=3)
    none, error = (
        decompose_task(task, torch.nn.Identity(), split[1], settings, {"group": name}) for name in ("SO(3)", "O(3)")
    )
    assert (none.equivariance / none.total).max() < 1e-9
    np.testing.assert_allclose(error.total, none.total, rtol=1e-4)
    assert error.equivariance.sum() == pytest.approx(error.total.sum(), rel=0.02)


def test_a_figure_shows_the_first_group_and_says_so(study, made, tmp_path):
    config, row = study
    table = tmp_path / "evaluation.parquet"
    made[1].to_parquet(table)
    told = drawing(config, {row["name"]: row}, "force_field", "percent_loglog")
    make_figure(told["figure"], told["options"], [table], tmp_path / "figure", ["png"])
    data, text = pd.read_csv(tmp_path / "figure.csv"), (tmp_path / "figure.txt").read_text("utf-8")
    assert set(data["group"]) == {"O(3)"}
    assert data["step"].tolist() == STEPS
    assert "Group: O(3), all rotations, Haar distributed, half of them followed by an inversion." in text
    assert (tmp_path / "figure.png").stat().st_size > 1000
