"""Evaluation from checkpoints to rows: the estimators on networks, and the tables."""

import math
import re
import shutil
from contextlib import contextmanager
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch
from changes import replace

import equidyn
from equidyn.core.actions import rotate
from equidyn.core.decomposition import ESTIMATOR_VERSION, Decomposition
from equidyn.core.rotations import haar
from equidyn.core.symmetry import symmetry
from equidyn.models.registry import build, configuration
from equidyn.run import evaluation
from equidyn.run.checkpoints import CheckpointError, checkpoint_name, load_checkpoint, save_checkpoint
from equidyn.run.evaluation import (
    closed_form_deviation,
    decompose_task,
    decompose_task_exactly,
    evaluate_run,
    twisted_predictions,
)
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.force_field.task import ForceField, ForceFieldBatch

PROTOCOL = EvaluationSettings(rotations=4, batch_size=7, resamples=100)
LABELS = {"study": "test", "run": "one", "seed": 3, "subset": "all"}
STEPS = [0, 2, 5]
KEYS = ["step", "weights", "estimator"]
FLOORS = ["floor_control", "floor_repeated"]


def trained(store, indices, folder):
    recipe = Recipe(
        model="escaip-tiny", steps=5, batch_size=16, optimiser="adamw", lr=1e-3, augmentation=0.0, seed=3,
        warmup_steps=1, ema=0.5, averages=(0.9,),
    )  # fmt: skip
    options = {"output": folder / "out", "state": folder / "state", "progress": False}
    train(ForceField.fit(store, indices), indices, recipe, STEPS, **options)
    return folder / "out"


@pytest.fixture(scope="module")
def checkpoints(store, train_indices, tmp_path_factory):
    return trained(store, train_indices, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def evaluate(store, validation_indices, checkpoints, tmp_path_factory):
    def run(protocol=PROTOCOL, *, folder=checkpoints, indices=validation_indices, steps=STEPS, state=None):
        where = {"state": state or tmp_path_factory.mktemp("state"), "labels": LABELS}
        control = configuration("control-small").built_from
        return evaluate_run(
            ForceField, store, indices, folder, steps, protocol, **where, control=control, progress=False
        )

    return run


@pytest.fixture(scope="module")
def tables(evaluate):
    return evaluate()


def percent(decomposition):
    return 100 * decomposition.equivariance.sum() / decomposition.total.sum()


# --- estimators on networks -----------------------------------------------------------------------------------------


def test_sampled_and_exact_estimates_agree(task, model, store):
    indices = np.arange(len(store))
    sampled = decompose_task(task, model, indices, EvaluationSettings(rotations=10, batch_size=24))
    exact = decompose_task_exactly(task, model, indices, EvaluationSettings(batch_size=24))
    assert percent(exact) > 5
    for name in ("total", "equivariance", "twirled", "prediction_energy"):
        difference = getattr(sampled, name) - getattr(exact, name)
        error = difference.std(ddof=1) * len(difference) ** 0.5
        assert abs(difference.sum()) < 4 * error, name
        assert error < 0.2 * getattr(exact, name).sum(), name  # so that agreement means something
    for name in ("weight", "null_energy", "gap_weight"):
        np.testing.assert_array_equal(getattr(sampled, name), getattr(exact, name))


def test_sums_by_hand(task, model):
    indices = np.array([4, 60])
    found = decompose_task_exactly(task, model, indices, PROTOCOL)
    batch = task.batch(indices)
    with torch.no_grad():
        twirl = task.head_tensor(model, batch).double().mean(1)
    for place in range(2):
        rows = batch.molecules.molecule == place
        y = batch.forces[rows].double()
        assert found.weight[place] == 3 * len(y)
        assert found.null_energy[place] == pytest.approx(float(y.square().sum()))
        assert found.twirled[place] == pytest.approx(float((twirl[rows] - y).square().sum()), rel=1e-9)


def test_twisted_predictions_are_those_of_a_loop(task, model):
    batch = task.batch(np.array([0, 30, 71]))
    R = haar(15, generator=torch.Generator().manual_seed(0)).unflatten(0, (5, 3)).float()
    found = twisted_predictions(task, model, batch, R, symmetry("SO(3)"))
    assert found.shape == (5, *batch.forces.shape)
    with torch.no_grad():
        for k in range(5):
            for place in range(3):
                rows = batch.molecules.molecule == place
                single = task.batch(np.array([[0, 30, 71][place]]))
                turned = rotate(single.molecules.positions, R[k, place])
                forces = model(single.molecules.with_positions(turned)).forces * task.normalisation.force_scale
                expected = rotate(forces, R[k, place].mT)
                torch.testing.assert_close(found[k, rows], expected, rtol=1e-4, atol=1e-5)


class Double(ForceField):
    """The task in float64."""

    def batch(self, indices, device="cpu"):
        batch = super().batch(indices, device)
        molecules = batch.molecules.to(device, torch.float64)
        return ForceFieldBatch(molecules, batch.forces.double(), batch.energy)


@pytest.mark.parametrize(("task_class", "dtype", "limit"), [(ForceField, "float32", 1e-8), (Double, "float64", 1e-14)])
def test_control_has_only_round_off(task, validation_indices, task_class, dtype, limit):
    torch.manual_seed(0)
    control = build("control-small").to(getattr(torch, dtype))
    task = task_class(task.store, task.normalisation)
    sampled = decompose_task(task, control, validation_indices, PROTOCOL)
    assert sampled.prediction_energy.min() > 0
    assert 0 <= percent(sampled) <= limit
    assert decompose_task_exactly(task, control, validation_indices, PROTOCOL) is None, "a control is to be measured"


def test_one_rotation_repeated_has_only_round_off(task, model, validation_indices):
    found = decompose_task(task, model, validation_indices, PROTOCOL, identical=True)
    assert percent(found) <= 1e-8
    assert percent(decompose_task(task, model, validation_indices, PROTOCOL)) > 1


def test_rotations_belong_to_examples(task, model):
    together = decompose_task(task, model, np.array([3, 50, 9]), PROTOCOL)
    alone = decompose_task(task, model, np.array([50]), PROTOCOL)
    other = decompose_task(task, model, np.array([50]), replace(PROTOCOL, seed=1))
    assert alone.equivariance[0] == pytest.approx(together.equivariance[1], rel=1e-5)
    assert alone.equivariance[0] != pytest.approx(other.equivariance[0], rel=1e-3)


def test_each_example_has_rotations_of_its_own(task, model):
    used = []

    class Recording(ForceField):
        def act(self, batch, elements, symmetry):
            used.append(elements)
            return super().act(batch, elements, symmetry)

    decompose_task(Recording(task.store, task.normalisation), model, np.arange(9), PROTOCOL)
    used = torch.cat(used)
    assert used.shape == (4 * 9, 3, 3)
    assert len(torch.unique(used, dim=0)) == len(used)
    torch.testing.assert_close(used @ used.mT, torch.eye(3).to(used).expand_as(used), rtol=0, atol=1e-6)


def test_networks_without_closed_form(task, model, validation_indices):
    class Without(ForceField):
        def head_tensor(self, model, batch):
            return None

    without = Without(task.store, task.normalisation)
    assert decompose_task_exactly(without, model, validation_indices, PROTOCOL) is None


class Oriented(ForceField):
    """Force fields whose inner parts see the orientation: the forces of those inputs that lie one way are greater."""

    def predict(self, model, batch):
        x = batch.molecules.positions[:, :1]
        return super().predict(model, batch) * (1 + 0.1 * (x > 0))


@pytest.mark.parametrize("group", ["SO(3)", "O(3)"])
def test_a_closed_form_that_does_not_hold_is_a_warning(task, model, validation_indices, caplog, group):
    settings = validation_indices, PROTOCOL, {"group": group}
    assert 0 < closed_form_deviation(task, model, *settings) < 1e-5
    decompose_task_exactly(task, model, *settings)
    assert not caplog.records
    oriented = Oriented(task.store, task.normalisation)
    deviation = closed_form_deviation(oriented, model, *settings)
    assert 0.04 < deviation < 0.1
    decompose_task_exactly(oriented, model, *settings)
    assert len(caplog.records) == 2
    for record in caplog.records:
        assert f"EScAIP: under two sampled elements of {group}" in record.getMessage()
        assert f"by {deviation:.2g} of their size" in record.getMessage()


def test_evaluations_of_runs_test_the_closed_form_once(evaluate, caplog, monkeypatch):
    monkeypatch.setattr(evaluation, "CLOSED_FORM_TOLERANCE", 0)
    evaluate()
    assert len(caplog.records) == 1


def test_averages_have_their_decay(evaluate):
    rows, _ = evaluate(PROTOCOL.model_copy(update={"weights": ("raw", "ema", "ema-0.9"), "sampled": False}))
    assert rows.groupby("weights")["decay"].unique().map(list).to_dict() == {
        "ema": [0.5],
        "ema-0.9": [0.9],
        "raw": pytest.approx([np.nan], nan_ok=True),
    }
    last = rows[rows["step"] == STEPS[-1]].set_index("weights")["total"]
    assert last.nunique() == 3


def test_evaluation_is_without_dropout(task, validation_indices):
    from equidyn.models.escaip.network import EScAIP, EScAIPConfig

    model = EScAIP(EScAIPConfig(layers=1, hidden=8, heads=2, mlp_dropout=0.5, attention_dropout=0.5)).train()
    for estimate in (decompose_task, decompose_task_exactly):
        model.train()
        one, other = (estimate(task, model, validation_indices[:4], PROTOCOL) for _ in range(2))
        np.testing.assert_array_equal(one.total, other.total)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_one_row_per_step_weights_and_estimator(tables):
    rows, _ = tables
    found = list(rows[KEYS].itertuples(index=False, name=None))
    wanted = {(s, w, e) for s in STEPS for w in ("raw", "ema") for e in ("exact", "sampled")}
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_rows_carry_their_provenance(tables, validation_indices):
    rows, _ = tables
    for name, value in LABELS.items():
        assert (rows[name] == value).all()
    assert (rows["model"] == "escaip-tiny").all()
    assert (rows["parameters"] == configuration("escaip-tiny").parameters).all()
    assert (rows["examples"] == len(validation_indices)).all()
    assert (rows["clusters"] == 3).all()
    assert (rows["unit"] == "eV²/Å²").all()
    assert (rows["group"] == "SO(3)").all()
    assert (rows["comparison"] == "vectors").all()
    assert (rows["variant"] == "").all()
    assert (rows["estimator_version"] == ESTIMATOR_VERSION).all()
    assert (rows["package_version"] == equidyn.__version__).all()
    assert (rows["rotations"] == rows["estimator"].map({"exact": 0, "sampled": 4})).all()
    assert list(rows.columns[: len(LABELS)]) == list(LABELS)
    assert rows.drop(columns="decay").notna().all().all()
    assert (rows["decay"].isna() == (rows["weights"] == "raw")).all()


def test_floors_are_far_below_the_signal(tables):
    rows, _ = tables
    for name in FLOORS:
        assert rows[name].nunique() == 1
        assert 0 <= rows[name][0] <= 1e-8
    assert (rows["percent"] > 0.1).all()


def test_rows_belong_to_their_checkpoints(tables):
    rows = tables[0].set_index(KEYS)["total"]
    for estimator in ("exact", "sampled"):
        assert rows[0, "raw", estimator] == rows[0, "ema", estimator]
        assert rows[5, "raw", estimator] != rows[5, "ema", estimator]
        assert len({rows[step, "raw", estimator] for step in STEPS}) == 3


def test_sums_of_examples_give_the_rows(tables, store, validation_indices):
    rows, examples = tables
    assert set(examples.columns) == {"study", "run", *KEYS, "group", "comparison", "example", "cluster"} | {
        field.name for field in fields(Decomposition)
    }
    groups = dict(list(examples.groupby(KEYS)))
    assert len(groups) == len(rows)
    for row in rows.itertuples():
        part = groups[row.step, row.weights, row.estimator]
        assert part["example"].tolist() == validation_indices.tolist()
        np.testing.assert_array_equal(part["cluster"], store.scalar("cluster")[validation_indices])
        sums = part[[field.name for field in fields(Decomposition)]].sum()
        expected = {
            "percent": 100 * sums["equivariance"] / sums["total"],
            "total": sums["total"] / sums["weight"],
            "null_loss": sums["null_energy"] / sums["weight"],
            "skill": 1 - sums["total"] / sums["null_energy"],
            "relative_equivariance": sums["equivariance"] / sums["prediction_energy"],
            "gap_mae": sums["gap_mae"] / sums["gap_weight"],
        }
        for name, value in expected.items():
            assert getattr(row, name) == pytest.approx(value, rel=1e-12), name
        assert row.percent_low < row.percent < row.percent_high


def test_equal_runs_give_equal_tables(tables, evaluate, store, train_indices, tmp_path):
    again = evaluate(folder=trained(store, train_indices, tmp_path))
    for found, expected in zip(again, tables, strict=True):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def assert_tables_close(found, expected, tolerance):
    __tracebackhide__ = True
    (rows, examples), (rows_expected, examples_expected) = found, expected
    for one, other, by in ((rows, rows_expected, KEYS), (examples, examples_expected, [*KEYS, "example"])):
        one, other = (table.sort_values(by).reset_index(drop=True) for table in (one, other))
        one, other = (table.drop(columns=FLOORS, errors="ignore") for table in (one, other))
        pd.testing.assert_frame_equal(one, other, rtol=tolerance, atol=1e-6)


def test_order_of_examples_and_steps_does_not_matter(tables, evaluate, validation_indices):
    shuffled = np.random.default_rng(0).permutation(validation_indices)
    found = evaluate(indices=shuffled, steps=STEPS[::-1])
    assert found[0]["step"].tolist() != tables[0]["step"].tolist()
    assert_tables_close(found, tables, 1e-5)


def test_parts_of_a_run_make_up_the_whole(tables, evaluate):
    parts = [evaluate(steps=steps) for steps in ([0], [2, 5])]
    joined = [pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True)]
    rows, expected = (table.drop(columns=FLOORS) for table in (joined[0], tables[0]))
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)
    pd.testing.assert_frame_equal(joined[1], tables[1], check_exact=True)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_batch_size_does_not_matter(tables, evaluate, batch_size):
    found = evaluate(replace(PROTOCOL, batch_size=batch_size))
    columns = [field.name for field in fields(Decomposition)]
    numbers = ["total", "twirled", "equivariance", "percent"]
    rows, expected = (table.set_index(KEYS)[numbers] for table in (found[0], tables[0]))
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    np.testing.assert_allclose(found[1][columns], tables[1][columns], rtol=1e-4, atol=1e-6)


def test_one_estimator_or_kind_of_weights(evaluate, tables):
    rows, _ = evaluate(replace(PROTOCOL, weights=("ema",), sampled=False), steps=[5])
    assert list(rows[KEYS].itertuples(index=False, name=None)) == [(5, "ema", "exact")]
    expected = tables[0].set_index(KEYS).loc[5, "ema", "exact"]
    assert rows["percent"][0] == expected["percent"]


def test_fewer_examples(evaluate, validation_indices):
    rows, examples = evaluate(replace(PROTOCOL, examples=6, weights=("raw",)), steps=[0])
    assert (rows["examples"] == 6).all()
    assert (rows["clusters"] == 3).all()
    chosen = examples["example"].unique()
    assert len(chosen) == 6
    assert set(chosen) <= set(validation_indices.tolist())
    many = evaluate(replace(PROTOCOL, examples=10_000, weights=("raw",)), steps=[0])[0]
    assert (many["examples"] == len(validation_indices)).all()


@contextmanager
def counted(allowed=math.inf):
    """The checkpoints that are really evaluated, by a number that grows; it ends in an interruption above the limit."""
    estimates, seen = evaluation._estimates, []

    def counting(*arguments):
        if len(seen) == allowed:
            raise KeyboardInterrupt
        seen.append(arguments)
        return estimates(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_estimates", counting)
        yield seen


def assert_same_bits(found, expected, folder):
    __tracebackhide__ = True
    for one, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        files = [folder / "one.parquet", folder / "other.parquet"]
        for table, file in zip((one, other), files, strict=True):
            table.to_parquet(file, index=False)
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("done", [0, 1, 4])
def test_an_interrupted_evaluation_goes_on_where_it_was(evaluate, tables, tmp_path, done):
    with counted(done) as seen, pytest.raises(KeyboardInterrupt):
        evaluate(state=tmp_path / "state")
    assert len(list((tmp_path / "state").glob("*"))) == done
    with counted() as rest:
        found = evaluate(state=tmp_path / "state")
    assert len(seen) + len(rest) == 5, "of six, as raw and averaged weights are equal before the first step"
    assert_same_bits(found, tables, tmp_path)
    with counted() as more:
        assert_same_bits(evaluate(state=tmp_path / "state"), tables, tmp_path)
    assert not more


def test_floors_are_of_the_first_checkpoint_wherever_parts_are_cut(evaluate, tmp_path):
    expected = evaluate(steps=[2, 5])
    evaluate(steps=[0, 2], state=tmp_path / "state")
    with counted() as rest:
        found = evaluate(steps=[2, 5], state=tmp_path / "state")
    assert len(rest) == 2
    assert_same_bits(found, expected, tmp_path)


def test_bad_checkpoints_cost_themselves_only(evaluate, tables, checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints, tmp_path / "run")
    remedy = f"restore the file, or delete {folder} and train the run again"
    cut, missing, empty, other = (
        folder / kind / checkpoint_name(step) for kind, step in (("raw", 0), ("ema", 2), ("raw", 5), ("ema", 5))
    )
    cut.write_bytes(cut.read_bytes()[:-7])
    missing.unlink()
    weights, metadata = load_checkpoint(empty)
    save_checkpoint(empty, {name: value * math.nan for name, value in weights.items()}, metadata)
    save_checkpoint(other, {f"other.{name}": value for name, value in weights.items()}, metadata)
    with pytest.raises(CheckpointError) as error:
        evaluate(folder=folder, state=tmp_path / "state")
    summary, *each = str(error.value).split("\n", 4)
    assert summary.startswith("4 of 6 checkpoints cannot be used")
    assert re.fullmatch(rf"{cut}: damaged or truncated \(.*\): {remedy}", each[0])
    assert each[1] == f"{missing}: no such checkpoint: {remedy}"
    assert re.match(rf"{empty}: .* are not finite", each[2])
    assert re.match(rf"{other}: weights of another network: train the run again", each[3])
    with counted() as rest:
        found = evaluate(state=tmp_path / "state")
    assert len(rest) == 3, "the checkpoint at step 0 that was whole is equal to the bad one"
    assert_same_bits(found, tables, tmp_path)
