"""The force-field task: what it reads, how it rotates, what it minimises."""

import inspect

import numpy as np
import pytest
import torch

from equidyn.core.batch import ForceOutput
from equidyn.core.rotations import haar
from equidyn.core.symmetry import symmetry
from equidyn.data.sources.offline_molecules.build import FIELDS
from equidyn.data.store import Store, StoreWriter
from equidyn.models.registry import build
from equidyn.tasks.contract import Task
from equidyn.tasks.force_field.task import ForceField, Normalisation


@pytest.fixture
def batch(task):
    return task.batch(np.array([3, 40, 17]))


ROTATIONS = symmetry("SO(3)")


def turns(count, seed=0):
    return haar(count, generator=torch.Generator().manual_seed(seed)).float()


def test_has_the_methods_of_the_contract():
    for name, contract in inspect.getmembers(Task, inspect.isfunction):
        if not name.startswith("_"):
            wanted = list(inspect.signature(contract).parameters)
            assert list(inspect.signature(getattr(ForceField, name)).parameters) == wanted, name


def test_batch_holds_the_rows_of_its_examples(task, store, batch):
    start = 0
    for place, number in enumerate([3, 40, 17]):
        example, rows = store[number], slice(start, start + int(store.lengths[number]))
        np.testing.assert_array_equal(batch.molecules.positions[rows], example["positions"])
        np.testing.assert_array_equal(batch.molecules.atomic_numbers[rows], example["atomic_numbers"])
        np.testing.assert_array_equal(batch.forces[rows], example["forces"])
        assert batch.energy[place] == float(example["energy"])
        assert (task.example(batch)[rows] == place).all()
        start = rows.stop
    assert len(batch.molecules.positions) == len(batch.forces) == start
    assert batch.molecules.positions.dtype == batch.forces.dtype == torch.float32
    assert batch.molecules.atomic_numbers.dtype == torch.int64
    assert batch.energy.dtype == torch.float64
    assert torch.equal(task.target(batch), batch.forces)


def test_repeat_lays_copies_end_to_end(task, batch):
    thrice = task.repeat(batch, 3)
    assert torch.equal(thrice.molecules.positions.unflatten(0, (3, -1))[2], batch.molecules.positions)
    assert torch.equal(thrice.molecules.atomic_numbers.unflatten(0, (3, -1))[1], batch.molecules.atomic_numbers)
    assert torch.equal(task.target(thrice).unflatten(0, (3, -1))[1], task.target(batch))
    assert torch.equal(thrice.energy, batch.energy.repeat(3))
    rows = task.example(batch)
    assert torch.equal(task.example(thrice), torch.cat([rows, rows + 3, rows + 6]))


# --- rotation -------------------------------------------------------------------------------------------------------


def test_each_molecule_turns_by_its_own_rotation(task, batch):
    R = turns(3)
    turned = task.act(batch, R, ROTATIONS)
    for place in range(3):
        rows = task.example(batch) == place
        for found, before in (
            (turned.molecules.positions, batch.molecules.positions),
            (turned.forces, batch.forces),
            (task.act_on_prediction(batch.forces, R, batch, ROTATIONS), batch.forces),
        ):
            for vector, expected in zip(found[rows], before[rows], strict=True):
                torch.testing.assert_close(vector, R[place] @ expected)
    assert torch.equal(turned.energy, batch.energy)
    assert torch.equal(turned.molecules.atomic_numbers, batch.molecules.atomic_numbers)
    assert task.target(turned) is turned.forces


def test_rotations_compose_and_invert(task, batch):
    R, S = turns(3, 1), turns(3, 2)
    once, twice = task.act(batch, S @ R, ROTATIONS), task.act(task.act(batch, R, ROTATIONS), S, ROTATIONS)
    torch.testing.assert_close(once.molecules.positions, twice.molecules.positions, rtol=0, atol=1e-5)
    torch.testing.assert_close(once.forces, twice.forces, rtol=0, atol=1e-5)
    back = task.act_on_prediction(once.forces, ROTATIONS.inverse(S @ R), batch, ROTATIONS)
    torch.testing.assert_close(back, batch.forces, rtol=0, atol=1e-5)


def test_prediction_of_the_control_turns_with_the_input(task, batch):
    torch.manual_seed(0)
    control, R = build("control-small").eval(), turns(3)
    with torch.no_grad():
        turned = task.predict(control, task.act(batch, R, ROTATIONS))
        expected = task.act_on_prediction(task.predict(control, batch), R, batch, ROTATIONS)
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_prediction_and_head_tensor_are_physical(task, model, batch):
    with torch.no_grad():
        output = model(batch.molecules)
        scale = task.normalisation.force_scale
        torch.testing.assert_close(task.predict(model, batch), output.forces * scale)
        torch.testing.assert_close(task.head_tensor(model, batch), output.head_tensor * scale)
    without = output._replace(head_tensor=None)
    assert task.head_tensor(lambda _: without, batch) is None


# --- scales and loss ------------------------------------------------------------------------------------------------


def test_normalisation_is_that_of_the_training_examples(task, store, train_indices):
    examples = [store[int(number)] for number in train_indices]
    forces = np.concatenate([example["forces"] for example in examples]).astype(np.float64)
    energies = np.array([float(example["energy"]) for example in examples])
    found = task.normalisation
    assert found.force_scale == pytest.approx(np.sqrt((forces**2).mean()), rel=1e-9)
    assert found.energy_mean == pytest.approx(energies.mean(), rel=1e-9)
    assert found.energy_scale == pytest.approx(np.sqrt(((energies - energies.mean()) ** 2).mean()), rel=1e-9)


def test_normalisation_of_one_example_has_an_energy_scale(store):
    assert Normalisation.fit(store, np.array([5])).energy_scale == 1.0


def test_restored_task_is_the_same(task, store, model, batch):
    restored = ForceField.restore(store, task.state())
    assert restored.normalisation == task.normalisation
    assert torch.equal(restored.predict(model, batch), task.predict(model, batch))


@pytest.mark.parametrize("with_energy", [True, False])
def test_loss_by_hand(task, batch, with_energy):
    rng = np.random.default_rng(0)
    forces = rng.standard_normal((len(batch.forces), 3))
    energy = rng.standard_normal(3)
    scale = task.normalisation
    lengths = [
        np.sqrt(sum((mine[k] - float(label[k]) / scale.force_scale) ** 2 for k in range(3)))
        for mine, label in zip(forces, batch.forces, strict=True)
    ]
    expected = 100 * sum(lengths) / len(lengths)
    if with_energy:
        normalised = (batch.energy.numpy() - scale.energy_mean) / scale.energy_scale
        expected += 4 * sum(abs(energy - normalised)) / 3
    output = ForceOutput(torch.from_numpy(forces), torch.from_numpy(energy) if with_energy else None, None)
    assert float(task.loss(lambda _: output, batch)) == pytest.approx(expected, rel=1e-6)


def test_loss_of_exact_predictions_is_zero(task, batch):
    scale = task.normalisation
    energy = (batch.energy - scale.energy_mean) / scale.energy_scale
    output = ForceOutput(batch.forces / scale.force_scale, energy, None)
    assert float(task.loss(lambda _: output, batch)) == pytest.approx(0, abs=1e-6)


# --- examples -------------------------------------------------------------------------------------------------------


def test_cluster_is_the_molecule(task, store):
    np.testing.assert_array_equal(task.cluster(np.array([0, 5, 6, 71])), [0, 0, 1, 11])


def test_description_names_examples_and_molecules(task):
    assert task.describe_batch(np.array([13, 2, 0])) == "examples [13, 2, 0], molecules [0, 2]"


def odd_store(path, numbers):
    with StoreWriter(path, FIELDS) as writer:
        for cluster, elements in enumerate(numbers):
            positions = np.arange(3 * len(elements), dtype=np.float32).reshape(-1, 3)
            labels = {"forces": np.zeros_like(positions), "energy": 0.0, "cluster": cluster}
            writer.append(positions=positions, atomic_numbers=np.array(elements, np.uint8), **labels)
        writer.finish()
    return Store(path)


def test_check_accepts_good_data(task, model, train_indices):
    assert task.check(model, train_indices) is None


def test_check_names_unknown_elements(tmp_path, model):
    store = odd_store(tmp_path / "odd", [[1, 1], [1, 118, 120], [0, 1]])
    task = ForceField.fit(store, np.arange(3))
    with pytest.raises(ValueError, match=r"odd: atomic numbers \[0, 118, 120\] are unknown .* knows 1 to 109: choose"):
        task.check(model, np.arange(3))
    task.check(model, np.array([0]))  # only the examples asked for count


def test_check_counts_single_atoms(tmp_path, model):
    store = odd_store(tmp_path / "odd", [[1, 1], [6], [8]])
    task = ForceField.fit(store, np.arange(3))
    with pytest.raises(ValueError, match=r"odd: 2 molecule\(s\) have a single atom.*filter the data"):
        task.check(model, np.arange(3))
    task.check(model, np.array([0]))


def test_translations_move_atoms_and_leave_forces_alone(task, batch):
    translations = symmetry("translations")
    elements = translations.sample(3, generator=torch.Generator().manual_seed(0))
    moved = task.act(batch, elements, translations)
    shift = moved.molecules.positions - batch.molecules.positions
    torch.testing.assert_close(shift, elements.float()[task.example(batch)], rtol=0, atol=1e-5)
    assert torch.equal(moved.forces, batch.forces)
    assert torch.equal(task.act_on_prediction(batch.forces, elements, batch, translations), batch.forces)


@pytest.mark.parametrize("name", ["escaip-tiny", "control-small"])
def test_padding_changes_no_loss(task, batch, name):
    model = build(name)
    padded = task.prepare(model, batch, None, few_shapes=True)
    assert len(padded.molecules.positions) > len(batch.forces)
    torch.testing.assert_close(task.loss(model, padded), task.loss(model, batch))
    torch.testing.assert_close(task.predict(model, padded), task.predict(model, batch), rtol=0, atol=1e-4)
