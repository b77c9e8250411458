"""The voxel task: noise that turns with the molecule, ways to compare, and what each costs by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_jobs import loss_of

from equidyn.analysis.interpolation import OFFSET_IGNORED, interpolation_floors
from equidyn.core.actions import rotate_grid_exactly
from equidyn.core.rotations import haar, octahedral_group
from equidyn.core.symmetry import symmetry
from equidyn.core.voxels import Grid
from equidyn.models.registry import configuration
from equidyn.run.evaluation import decompose_task, evaluate_run, twisted_predictions
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.voxel_denoising import task as module
from equidyn.tasks.voxel_denoising.card import CARD
from equidyn.tasks.voxel_denoising.task import VoxelDenoising

SIDE = 16
ROTATIONS = symmetry("SO(3)")
CUBE = {"group": "cube", "comparison": "voxels"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def task(conformers):
    return VoxelDenoising(conformers, Grid(SIDE, 0.5))


def prepared(task, comparison, indices=(0, 3, 5), seed=0):
    return task.inputs(nn.Identity(), task.batch(np.array(indices)), {"comparison": comparison}, seed)


class Blur(nn.Conv3d):
    """A convolution whose kernel has the symmetry of the cube."""

    def __init__(self):
        super().__init__(8, 8, 3, padding=1, bias=False)
        with torch.no_grad():
            distance = torch.cartesian_prod(*[torch.tensor([1.0, 0.0, 1.0])] * 3).sum(1).view(3, 3, 3)
            self.weight.copy_(torch.randn(8, 8, generator=seeded())[..., None, None, None] * 0.3**distance)


# --- noise ----------------------------------------------------------------------------------------------------------


def test_noise_is_drawn_once_for_a_batch(task, monkeypatch):
    batch = prepared(task, "trilinear")
    first = task.predict(nn.Identity(), batch)
    turned = task.act(batch, haar(3, generator=seeded(1)), ROTATIONS)
    assert not torch.equal(task.predict(nn.Identity(), turned), first)
    monkeypatch.setattr(task, "_noise", None)
    assert torch.equal(task.predict(nn.Identity(), batch), first)


def test_noise_is_white_in_any_orientation(task):
    batch = prepared(task, "trilinear", range(8))
    turned = task.act(batch, haar(8, generator=seeded(1)), ROTATIONS)
    noise = task._noise(turned)
    assert noise.var() == pytest.approx(1, abs=0.02)
    for axis in (2, 3, 4):
        neighbours = noise.narrow(axis, 1, SIDE - 1) * noise.narrow(axis, 0, SIDE - 1)
        assert abs(neighbours.mean()) < 4 / neighbours.numel() ** 0.5 + 1e-3


def test_noise_turns_with_the_molecule(task):
    batch = prepared(task, "voxels")
    still = task._noise(batch)
    for R in octahedral_group():
        turned = task._noise(task.act(batch, R.expand(3, 3, 3), ROTATIONS))
        assert torch.equal(turned, rotate_grid_exactly(still, R))
    slight = haar(1, generator=seeded())[0] * 0 + rotation_about_z(0.05)
    close = task._noise(task.act(batch, slight.expand(3, 3, 3), ROTATIONS))
    inner = (slice(None), slice(None), *[slice(4, 12)] * 3)
    assert float((close[inner] * still[inner]).mean()) > 0.6, "a small turn leaves most of the noise where it was"


def rotation_about_z(angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def test_noise_belongs_to_the_example(task):
    together, alone = task._noise(prepared(task, "voxels")), task._noise(prepared(task, "voxels", [3]))
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(alone, task._noise(prepared(task, "voxels", [3], seed=1)))
    twice = task._noise(task.repeat(prepared(task, "voxels"), 2))
    assert torch.equal(twice, together.repeat(2, 1, 1, 1, 1))


def test_noise_is_placed_in_portions(task, monkeypatch):
    batch = task.repeat(prepared(task, "voxels"), 3)
    turned = task.act(batch, haar(9, generator=seeded(1)), ROTATIONS)
    whole = task._noise(turned)
    monkeypatch.setattr(module, "_CHUNK", 2 * 8 * SIDE**3)
    assert torch.equal(task._noise(turned), whole)


# --- comparisons ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", CARD.comparisons)
def test_shapes(task, comparison):
    batch = prepared(task, comparison)
    rows = len(batch.positions) if comparison == "atoms" else 3 * SIDE**3
    assert task.target(batch).shape == (rows, 8)
    assert task.predict(nn.Identity(), batch).shape == (rows, 8)
    assert task.example(batch).shape == (rows,)
    assert task.example(batch).unique().tolist() == [0, 1, 2]


def test_the_group_must_be_able_to_act_as_the_comparison_asks(task):
    assert task.symmetry(CUBE) is symmetry("cube")
    assert task.symmetry({"comparison": "trilinear"}) is ROTATIONS
    with pytest.raises(ValueError, match="unknown comparison 'nearest'; voxel_denoising has voxels, trilinear, cubic"):
        task.symmetry({"comparison": "nearest"})
    with pytest.raises(ValueError, match=r"'SO\(3\)' does not allow the comparison 'voxels'; those that do: cube$"):
        task.symmetry({"comparison": "voxels"})
    with pytest.raises(
        ValueError, match=r"'translations' does not allow .* 'atoms'; those that do: SO\(3\), O\(3\), c"
    ):
        task.symmetry({"group": "translations", "comparison": "atoms"})


@pytest.mark.parametrize("model", [nn.Identity(), Blur()], ids=["identity", "symmetric convolution"])
def test_equivariant_operations_have_no_error_under_the_cube(task, model):
    """In float64: what is left is the rounding of the voxels of turned atoms."""

    class Double(VoxelDenoising):
        def batch(self, indices, device="cpu"):
            batch = super().batch(indices, device)
            return replace(batch, positions=batch.positions.double(), orientation=batch.orientation.double())

        def _noise(self, batch):
            return super()._noise(replace(batch, orientation=batch.orientation.float())).double()

        def _rows(self, grids, batch):
            return super()._rows(grids.double(), batch)

    double = Double(task.store, task.grid)
    found = decompose_task(double, model.double(), np.arange(6), EvaluationSettings(rotations=6), CUBE)
    assert found.prediction_energy.min() > 0
    assert 100 * found.equivariance.sum() / found.total.sum() <= 1e-10
    model.float()
    interpolated = decompose_task(
        task, model, np.arange(6), EvaluationSettings(rotations=6), {"comparison": "trilinear"}
    )
    assert 100 * interpolated.equivariance.sum() / interpolated.total.sum() > 0.1


def test_overlaps_by_hand(task):
    """Voxels summed one by one, over the square of a lone atom's density, which is that of its integral."""
    batch = prepared(task, "atoms", [0])
    grids = torch.randn(1, 8, SIDE, SIDE, SIDE, generator=seeded())
    found = task._rows(grids, batch)
    axis = task.grid.axis()
    points = torch.cartesian_prod(axis, axis, axis)
    for atom, position in enumerate(batch.positions):
        density = torch.exp(-(points - position).square().sum(1) / (0.93 * 0.5) ** 2)
        assert float(density.square().sum()) == pytest.approx((np.pi * 0.93**2 / 2) ** 1.5, rel=0.1)
        expected = grids[0].flatten(1) @ density / (np.pi * 0.93**2 / 2) ** 1.5
        torch.testing.assert_close(found[atom], expected, rtol=1e-4, atol=1e-4)


def test_twisted_predictions_of_a_perfect_denoiser(task):
    batch = prepared(task, "voxels")
    R = symmetry("cube").sample(6, generator=seeded()).view(2, 3, 3, 3)
    found = twisted_predictions(task, nn.Identity(), batch, R, symmetry("cube"), perfect=True)
    torch.testing.assert_close(found, task.target(batch).expand_as(found), rtol=0, atol=1e-6)


def test_interpolation_floors(conformers):
    table = interpolation_floors(
        conformers,
        np.arange(8),
        box=8.0,
        spacings=[0.25, 0.5],
        comparisons=["voxels", "trilinear", "cubic", "atoms"],
        molecules=2,
        rotations=2,
    ).set_index(["spacing", "centre", "comparison"])
    error = table["relative_error"]
    assert error[0.25, "symmetric", "voxels"] < 1e-10
    assert error[0.25, "upstream", "voxels"] > 0.1
    assert error[0.25, "symmetric", "trilinear"] == pytest.approx(0.0085, rel=0.1)
    assert error[0.25, "upstream", "trilinear"] == pytest.approx(0.0085, rel=0.1)
    assert error[0.25, OFFSET_IGNORED, "trilinear"] > 0.1
    assert error[0.5, "symmetric", "trilinear"] == pytest.approx(0.0071, rel=0.1)
    assert error[0.25, "symmetric", "cubic"] < 1e-3
    assert error[0.25, "symmetric", "atoms"] < 1e-4
    assert not any(centre != "symmetric" for spacing, centre, _ in table.index if spacing == 0.5)


# --- training -------------------------------------------------------------------------------------------------------


def test_loss_by_hand(task):
    class Seen(nn.Module):
        def forward(self, grids):
            self.noisy = grids
            return torch.zeros_like(grids)

    model, batch = Seen(), task.batch(np.array([0, 3]))
    loss = loss_of(task, model, batch, 4, range(2))
    centre = task._grids(batch).square().sum()
    assert loss == pytest.approx(float(centre), rel=0.05), "a blank prediction loses the density's square"
    assert model.noisy.var() == pytest.approx(0.81, rel=0.03)
    assert torch.equal(loss, loss_of(task, model, batch, 4, range(2)))
    assert not torch.equal(loss, loss_of(task, model, batch, 5, range(2)))


def test_unknown_elements_are_refused(task, conformers, monkeypatch):
    task.check(nn.Identity(), np.arange(8))
    ragged = type(conformers).ragged
    monkeypatch.setattr(
        type(conformers), "ragged", lambda store, name: ragged(store, name) + 80 * (name == "atomic_numbers")
    )
    with pytest.raises(ValueError, match=r"atomic numbers \[81, 86.* have no channel .*: filter the data"):
        task.check(nn.Identity(), np.arange(8))


def test_positions_that_are_no_numbers_are_refused(task, conformers, monkeypatch):
    ragged = type(conformers).ragged

    def damaged(store, name):
        values = ragged(store, name).copy()
        values[conformers.rows(np.array([2]))[:1]] = np.nan
        return values

    monkeypatch.setattr(
        type(conformers), "ragged", lambda store, name: (damaged if name == "positions" else ragged)(store, name)
    )
    assert task.batch(np.array([0, 3])).positions.isfinite().all()
    with pytest.raises(ValueError, match=r"examples \[0, 2\], molecules .*: positions must be finite"):
        task.batch(np.array([0, 2]))


def test_training_and_evaluation(conformers, tmp_path):
    indices = np.arange(4)
    settings = {"side": SIDE, "spacing": 0.5, "noise": 0.4}
    recipe = Recipe(
        model="voxmol-0.3M", steps=2, batch_size=2, optimiser="adamw", lr=1e-3, augmentation=1.0, seed=0,
        warmup_steps=0, clip=float("inf"), eps=1e-20,
    )  # fmt: skip
    task = VoxelDenoising.fit(conformers, indices, **settings)
    train(task, indices, recipe, [0, 2], output=tmp_path / "out", state=tmp_path / "state", progress=False)
    conditions = (CUBE, *({"group": "SO(3)", "comparison": name} for name in ("trilinear", "atoms")))
    rows, _ = evaluate_run(
        VoxelDenoising,
        conformers,
        np.arange(4, 8),
        tmp_path / "out",
        [2],
        EvaluationSettings(rotations=2, batch_size=2, resamples=100, weights=("raw",), conditions=conditions),
        state=tmp_path / "found",
        labels={"run": "one"},
        control=configuration("control-voxels").built_from,
        progress=False,
    )
    assert dict(zip(rows["comparison"], rows["group"], strict=True)) == {
        "voxels": "cube",
        "trilinear": "SO(3)",
        "atoms": "SO(3)",
    }
    rows = rows.set_index("comparison")
    assert rows["percent"].notna().all()
    assert rows.loc["voxels", "floor_action_equivariance"] < 1e-12
    assert rows.loc["trilinear", "floor_action_equivariance"] > 1e-7
    assert rows.loc["voxels", "floor_control"] < 1e-6
    assert rows.loc["voxels", "null_loss"] == pytest.approx(rows.loc["trilinear", "null_loss"])
    assert VoxelDenoising.restore(conformers, task.state()).grid == task.grid
    assert VoxelDenoising.restore(conformers, task.state()).noise == 0.4
