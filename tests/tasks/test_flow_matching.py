"""The flow-matching task: noise, objective, and how inputs and predictions rotate."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from training_jobs import loss_of, seeded_draws

from equidyn.core.batch import VelocityOutput
from equidyn.core.decomposition import summarise
from equidyn.core.rotations import haar
from equidyn.core.symmetry import symmetry
from equidyn.models.registry import build, configuration
from equidyn.run.evaluation import decompose_task, evaluate_run, twisted_predictions
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.flow_matching.task import (
    LENGTHS,
    FlowMatching,
    auxiliary_loss,
    centred,
    clean_prediction,
    distance_matrix_loss,
    distogram_loss,
    flow_loss,
    interpolate,
    sample_times,
)

aten = torch.ops.aten

ROTATIONS = symmetry("SO(3)")
CONDITION = {"t": 0.6, "self_conditioning": False}
MASK = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def positions(seed=0, scale=0.5):
    """Two chains of 5 and 3 residues, nm, padded with zeros."""
    return centred(scale * torch.randn(2, 5, 3, generator=seeded(seed)), MASK)


@pytest.fixture(scope="module")
def task(chains):
    return FlowMatching.fit(chains, np.arange(len(chains)))


class Pushed(nn.Module):
    """A network that pushes every residue by a vector, and reads positions through a matrix."""

    def __init__(self, push=(0.0, 0.0, 0.0), matrix=0.0, sc_matrix=0.0):
        super().__init__()
        self.push = nn.Parameter(torch.tensor(push))
        self.matrix = nn.Parameter(torch.as_tensor(matrix) * torch.ones(3, 3))
        self.sc_matrix = nn.Parameter(torch.as_tensor(sc_matrix) * torch.ones(3, 3))
        self.seen = []

    def forward(self, batch):
        self.seen.append(batch)
        velocity = self.push + batch.x_t @ self.matrix
        if batch.x_sc is not None:
            velocity = velocity + batch.x_sc @ self.sc_matrix
        return VelocityOutput(velocity * batch.mask[..., None], None)


# --- objective ------------------------------------------------------------------------------------------------------


def test_noise_at_zero_data_at_one_and_a_straight_line_between():
    x_0, x_1 = positions(0), positions(1)
    torch.testing.assert_close(interpolate(x_0, x_1, torch.tensor([0.0, 1.0])), torch.stack([x_0[0], x_1[1]]))
    t = torch.tensor([0.3, 0.8])
    x_t = interpolate(x_0, x_1, t)
    torch.testing.assert_close(clean_prediction(x_t, t, x_1 - x_0), x_1)
    torch.testing.assert_close(x_t[0], 0.7 * x_0[0] + 0.3 * x_1[0])


def test_centred():
    x = torch.randn(2, 5, 3, generator=seeded()) + 7
    found = centred(x, MASK)
    torch.testing.assert_close((found * MASK[..., None]).sum(1), torch.zeros(2, 3), rtol=0, atol=1e-5)
    assert (found[~MASK] == 0).all()
    torch.testing.assert_close(centred(x + 100, MASK), found, rtol=0, atol=1e-4)


def test_flow_loss_by_hand():
    x_1, error = positions(), torch.tensor([0.1, -0.2, 0.2])
    t = torch.tensor([0.0, 0.9])
    found = flow_loss(x_1 + error, x_1, t, MASK)
    torch.testing.assert_close(found, 0.03 / torch.tensor([1 + 1e-5, 0.01 + 1e-5]))


def test_distogram_loss_by_hand():
    generator = seeded(3)
    x_1, logits = positions(2, 0.4), torch.randn(2, 5, 5, 64, generator=generator)
    limits = np.linspace(0, 1, 63)
    expected = []
    for chain, length in enumerate((5, 3)):
        terms = []
        for i in range(length):
            for j in range(length):
                distance = float((x_1[chain, i] - x_1[chain, j]).norm())
                cls = int((limits < distance).sum())
                terms.append(float(torch.logsumexp(logits[chain, i, j], 0) - logits[chain, i, j, cls]))
        expected.append(np.mean(terms))
    found = distogram_loss(logits, x_1, MASK)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype))
    gated = auxiliary_loss(logits, x_1, torch.tensor([0.3, 0.31]), MASK)
    torch.testing.assert_close(gated, torch.stack([torch.zeros(()), found[1]]))
    assert auxiliary_loss(None, x_1, torch.tensor([0.5, 0.9]), MASK).tolist() == [0, 0]


def test_distance_matrix_loss_by_hand():
    x_1 = torch.tensor([[[0.0, 0, 0], [0.4, 0, 0], [2.0, 0, 0]]])
    prediction = torch.tensor([[[0.0, 0, 0], [0.5, 0, 0], [9.0, 0, 0]]])
    found = distance_matrix_loss(prediction, x_1, torch.ones(1, 3, dtype=torch.bool))
    # One close pair, in both orders; the diagonal's three pairs count and are taken out.
    torch.testing.assert_close(found, torch.tensor([2 * 0.1**2 / 2]))


def test_times_follow_the_published_distribution():
    t = sample_times(torch.arange(200_000))
    assert t.min() >= 0
    assert t.max() < 1
    for low, high, share in ((0, 0.1, 0.0144), (0, 0.3, 0.105), (0.9, 1, 0.179)):
        found = ((t >= low) & (t < high)).double().mean()
        assert abs(found - share) < 4 * (share / len(t)) ** 0.5 + 0.0005, (low, high)
    assert t.mean() == pytest.approx(0.652, abs=0.002)


# --- batches and noise ----------------------------------------------------------------------------------------------


def test_batch_is_centred_and_in_nanometres(task, chains):
    batch = task.batch(np.array([3, 0]))
    lengths = chains.lengths[[3, 0]]
    assert batch.x_1.shape == (2, lengths.max(), 3)
    assert batch.mask.sum(1).tolist() == lengths.tolist()
    for row, index in enumerate((3, 0)):
        original = chains[index]["positions"] / 10
        found = batch.x_1[row, : len(original)]
        np.testing.assert_allclose(found, original - original.mean(0), atol=1e-5)
        assert batch.residue_index[row, : len(original)].tolist() == chains[index]["residue_index"].tolist()
    assert (batch.x_1[~batch.mask] == 0).all()
    assert (batch.residue_index[~batch.mask] == -1).all()
    assert not batch.chain_break[~batch.mask].any()


def test_translation_changes_nothing(task, chains, monkeypatch):
    batch = task.batch(np.array([0, 1]))
    ragged = type(chains).ragged
    monkeypatch.setattr(type(chains), "ragged", lambda store, name: ragged(store, name) + 25.0 * (name == "positions"))
    moved = task.batch(np.array([0, 1]))
    torch.testing.assert_close(moved.x_1, batch.x_1, rtol=0, atol=1e-5)
    assert chains.ragged("positions").mean() > 20


def test_variance_is_that_of_all_coordinates(task, chains):
    centred_chains = [example["positions"] / 10 - example["positions"].mean(0) / 10 for example in chains]
    assert task.variance == pytest.approx(np.square(np.concatenate(centred_chains)).mean(), rel=1e-5)
    assert FlowMatching.restore(chains, task.state()).variance == task.variance


def test_noise_belongs_to_the_chain(task):
    """The same at all times, in any company, from one seed; centred; another chain's or seed's differs."""
    model = Pushed()

    def noise(indices, t=0.6, seed=0):
        batch = task.inputs(model, task.batch(np.array(indices)), CONDITION | {"t": t}, seed)
        return {int(chain): x_0[m] for chain, x_0, m in zip(batch.chains, batch.x_0, batch.mask, strict=True)}

    reference = noise([2, 0, 1])
    for other in (noise([1, 2]), noise([2], t=0.0)):
        for chain, x_0 in other.items():
            torch.testing.assert_close(x_0, reference[chain], rtol=0, atol=1e-6)
    assert not torch.allclose(noise([2], seed=1)[2], reference[2])
    for x_0 in reference.values():
        assert x_0.mean(0).abs().max() < 1e-6
    many = torch.cat(list(noise(range(len(task.store))).values()))
    assert many.square().mean() == pytest.approx(1, abs=0.1)


def test_everything_of_an_input_rotates(task):
    model = Pushed((1.0, 0.0, 0.0), 0.1)
    batch = task.inputs(model, task.batch(np.array([0, 1])), CONDITION | {"self_conditioning": True}, 0)
    R = haar(2, generator=seeded())
    turned = task.act(batch, R, ROTATIONS)
    for name in ("x_1", "x_0", "x_sc", "x_t"):
        expected = torch.einsum("bij,bnj->bni", R.float(), getattr(batch, name))
        torch.testing.assert_close(getattr(turned, name), expected, rtol=0, atol=1e-5)
    flat = task.act_on_prediction(task.target(batch), R, batch, ROTATIONS)
    torch.testing.assert_close(flat, task.target(turned), rtol=0, atol=1e-5)
    assert task.act(task.batch(np.array([0])), R[:1], ROTATIONS).x_0 is None, "a training batch has no noise yet"


def test_repeated_batches_are_end_to_end(task):
    batch = task.inputs(Pushed(), task.batch(np.array([0, 4])), CONDITION, 0)
    twice = task.repeat(batch, 2)
    assert twice.chains.tolist() == [0, 4, 0, 4]
    torch.testing.assert_close(task.target(twice), task.target(batch).repeat(2, 1))
    torch.testing.assert_close(twice.t, batch.t.repeat(2))
    assert task.example(twice).unique().tolist() == [0, 1, 2, 3]


def test_self_conditioning_feeds_back_the_first_prediction(task):
    model = Pushed((0.2, 0.0, -0.1), 0.1, 0.3)
    plain = task.inputs(model, task.batch(np.array([1, 2])), CONDITION, 0)
    assert plain.x_sc is None
    fed = task.inputs(model, task.batch(np.array([1, 2])), CONDITION | {"self_conditioning": True}, 0)
    torch.testing.assert_close(fed.x_sc[fed.mask], task.predict(model, plain))
    assert not fed.x_sc.requires_grad


# --- decomposition --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.0, 0.6, 0.99])
def test_equivariance_error_of_a_constant_push(task, chains, t):
    """A velocity c that does not turn gives h = x_t + (1 - t) Rᵀc: error (1 - t)² |c|² for each residue."""
    push, indices = (0.3, -0.4, 1.2), np.arange(len(chains))
    condition = CONDITION | {"t": t}
    found = decompose_task(task, Pushed(push), indices, EvaluationSettings(rotations=50, batch_size=5), condition)
    per_residue = 3 * found.equivariance / found.weight
    expected = (1 - t) ** 2 * (0.09 + 0.16 + 1.44)
    error = per_residue.std(ddof=1) / len(per_residue) ** 0.5
    assert abs(per_residue.mean() - expected) < 4 * error + 1e-9
    assert error < 0.1 * expected


def test_twisted_predictions_are_those_of_a_loop(task):
    model = Pushed((0.2, 0.0, -0.1), 0.1, 0.3)
    condition = CONDITION | {"self_conditioning": True}
    batch = task.inputs(model, task.batch(np.array([0, 3])), condition, 0)
    R = haar(6, generator=seeded(2)).unflatten(0, (3, 2)).float()
    with torch.no_grad():
        found = twisted_predictions(task, model, batch, R, ROTATIONS)
        for k in range(3):
            for place, chain in enumerate((0, 3)):
                single = task.inputs(model, task.batch(np.array([chain])), condition, 0)
                velocity = model(task.act(single, R[k, place][None], ROTATIONS).network_input).velocity[0]
                turned = single.x_t[0] @ R[k, place].T + (1 - 0.6) * velocity
                torch.testing.assert_close(
                    found[k, task.example(batch) == place], turned @ R[k, place], rtol=0, atol=1e-5
                )


def test_the_null_is_the_best_multiple_of_the_input(task, chains):
    indices = np.arange(len(chains))
    for t in (0.0, 0.4, 0.9):
        batch = task.inputs(Pushed(), task.batch(indices), CONDITION | {"t": t}, 0)
        x_t, x_1 = batch.x_t[batch.mask].double(), task.target(batch).double()
        best = float((x_t * x_1).sum() / x_t.square().sum())
        used = float((task.null(batch).double() * x_t).sum() / x_t.square().sum())
        assert used == pytest.approx(best, abs=0.05)  # the noise of these few chains is not quite of variance one
        torch.testing.assert_close(task.null(batch), (used * x_t).float())
    batch = task.inputs(Pushed(), task.batch(indices), CONDITION | {"t": 0.0}, 0)
    assert (task.null(batch) == 0).all()


def test_who_says_the_null_has_neither_skill_nor_error(task, chains):
    class Null(Pushed):
        def forward(self, batch):
            t, S = batch.t[:, None, None], task.variance
            factor = t * S / (t**2 * S + (1 - t) ** 2)
            return VelocityOutput((factor - 1) * batch.x_t / (1 - t), None)

    indices = np.arange(len(chains))
    found = decompose_task(task, Null(), indices, EvaluationSettings(rotations=2), CONDITION)
    row = summarise(found, task.cluster(indices), resamples=100)
    assert row["skill"] == pytest.approx(0, abs=1e-5)
    assert row["percent"] == pytest.approx(0, abs=1e-8)
    assert row["prediction_energy"] == pytest.approx(0, abs=1e-8)


# --- training loss --------------------------------------------------------------------------------------------------


def test_loss_is_that_of_its_parts(task):
    model, batch = Pushed((0.1, 0.2, -0.1), 0.2, 0.1), task.batch(np.array([0, 2]))
    coins = []
    for seed in range(40):
        model.seen.clear()
        loss = loss_of(task, model, batch, seed, range(2))
        assert len(model.seen) == (2 if model.seen[-1].x_sc is not None else 1)
        coins.append(len(model.seen) == 2)
        last = model.seen[-1]
        prediction = clean_prediction(last.x_t, last.t, model(last).velocity)
        torch.testing.assert_close(loss, flow_loss(prediction, batch.x_1, last.t, batch.mask).mean())
        again = loss_of(task, model, batch, seed, range(2))
        assert torch.equal(again, loss), "the streams decide all that is random"
    assert 8 <= sum(coins) <= 32


def test_gradient_is_whole_under_autocast_with_self_conditioning(task):
    """The weights cast without gradient for the first pass must not serve the second."""
    model, batch = Pushed((0.1, 0.2, -0.1), 0.2, 0.1), task.batch(np.array([0, 2]))
    tried = 0
    for seed in range(8):
        model.seen.clear()
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(task, model, batch, seed, range(2))
        assert loss.dtype == torch.float32
        loss.backward()
        if len(model.seen) == 2:
            tried += 1
            assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert tried


def test_messages(task, chains):
    assert chains[2]["name"] in task.describe_batch(np.array([2, 5]))


def test_training_and_evaluation(chains, tmp_path):
    """One row per flow time, from the checkpoints of a short run; step 0 is the same with both kinds of weights."""
    indices = np.arange(10)
    recipe = Recipe(
        model="proteina-0.5M", steps=3, batch_size=4, optimiser="adam", lr=1e-3, augmentation=1.0, seed=0,
        warmup_steps=0, final_factor=1.0, clip=1.0, sampling="clusters",
    )  # fmt: skip
    task = FlowMatching.fit(chains, indices)
    train(task, indices, recipe, [0, 3], output=tmp_path / "out", state=tmp_path / "state", progress=False)
    conditions = [{"t": t, "self_conditioning": sc} for t in (0.0, 0.9) for sc in (False, True)]
    protocol = EvaluationSettings(rotations=3, batch_size=4, resamples=100, conditions=tuple(conditions))
    held_out = np.arange(10, len(chains))
    rows, examples = evaluate_run(
        FlowMatching,
        chains,
        held_out,
        tmp_path / "out",
        [0, 3],
        protocol,
        state=tmp_path / "found",
        labels={"run": "one"},
        control=configuration("control-chain").built_from,
        progress=False,
    )
    assert len(rows) == 2 * 2 * 4
    assert not rows.duplicated(["step", "weights", "t", "self_conditioning"]).any()
    assert (rows["unit"] == "nm²").all()
    assert (rows["estimator"] == "sampled").all()
    assert (rows["floor_control"] < 1e-6).all()
    assert (rows["percent"] > 0.01).all()
    assert rows.groupby("t")["null_loss"].nunique().max() == 1, "it depends on data and noise alone"
    start = rows[rows["step"] == 0].pivot(index=["t", "self_conditioning"], columns="weights", values="percent")
    np.testing.assert_array_equal(start["raw"], start["ema"])
    sums = examples.groupby(["step", "weights", "t", "self_conditioning"])[["equivariance", "total"]].sum()
    percent = 100 * sums["equivariance"] / sums["total"]
    expected = rows.set_index(["step", "weights", "t", "self_conditioning"])["percent"]
    np.testing.assert_allclose(percent.sort_index(), expected.sort_index(), rtol=1e-12)


def test_translations_move_chains_and_not_their_padding(task):
    translations = symmetry("translations")
    batch = task.inputs(Pushed(), task.batch(np.array([0, 4])), CONDITION, 0)
    elements = translations.sample(2, generator=seeded())
    moved = task.act(batch, elements, translations)
    shift = torch.where(batch.mask[..., None], elements.float()[:, None], 0.0)
    for name in ("x_1", "x_0", "x_t"):
        torch.testing.assert_close(getattr(moved, name), getattr(batch, name) + shift, rtol=0, atol=1e-5)
    flat = task.act_on_prediction(task.target(batch), elements, batch, translations)
    torch.testing.assert_close(flat, task.target(moved))


# --- few shapes, and no waiting for a GPU ---------------------------------------------------------------------------


class Places(TorchDispatchMode):
    """Refuses operations whose result's size depends on values."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        assert function not in (aten.nonzero.default, aten.masked_select.default)
        if function is aten.index.Tensor:
            assert not any(place is not None and place.dtype == torch.bool for place in arguments[1])
        return function(*arguments, **keywords or {})


def test_no_mask_is_read_in_evaluation(task):
    model, batch = Pushed((0.2, 0.0, -0.1), 0.1, 0.3), task.batch(np.array([0, 3]))
    R, condition = haar(4, generator=seeded()).float(), CONDITION | {"self_conditioning": True}
    with torch.no_grad(), Places():
        given = task.act(task.repeat(task.inputs(model, batch, condition, 0), 2), R, ROTATIONS)
        prediction = task.act_on_prediction(task.predict(model, given), R, given, ROTATIONS)
        assert prediction.shape == task.target(given).shape == task.null(given).shape


def test_rows_are_the_residues(task):
    batch = task.batch(np.array([0, 3, 5]))
    for given in (batch, batch.padded(batch.mask.shape[1] + 7), task.repeat(batch, 3)):
        assert torch.equal(task.target(given), given.x_1[given.mask])
        assert torch.equal(task.example(given), given.mask.nonzero()[:, 0])


@pytest.mark.parametrize("name", ["proteina-0.5M", "proteina-0.5M-tri", "control-chain"])
def test_few_shapes_change_the_loss_by_rounding_only(task, name):
    torch.manual_seed(0)
    model = build(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    extra, conditioned = 4 if name.startswith("proteina") else 0, set()
    for seed in range(3):
        results = []
        for few_shapes in (False, True):
            batch = task.prepare(
                model, task.batch(np.array([0, 2])), seeded_draws(seed, range(2)), few_shapes=few_shapes
            )
            loss = task.loss(model, batch)
            results.append([loss.detach(), *torch.autograd.grad(loss, model.parameters(), allow_unused=True)])
        assert (batch.mask.shape[1] + extra) % LENGTHS == 0
        assert batch.x_0.shape == batch.x_1.shape == (*batch.mask.shape, 3)
        conditioned.add(batch.self_conditioned)
        plain, padded = (torch.cat([x.flatten() for x in result if x is not None]) for result in results)
        torch.testing.assert_close(padded[0], plain[0], rtol=1e-5, atol=0)
        assert (padded - plain).norm() < 1e-5 * plain.norm()
    assert conditioned == {False, True}
