"""Proteína: the shared suite, and the parts that it is built of."""

from dataclasses import replace

import pytest
import torch
from suite import DTYPES, TOLERANCE, FlowMatchingModelSuite, assert_close, chains, deviation, rotation

from equidyn.models.proteina.network import Gate, PairTransition, Proteina, ProteinaConfig, TriangleProduct
from equidyn.models.registry import build
from equidyn.tasks.flow_matching.task import flow_loss

SMALL = ProteinaConfig(
    layers=3,
    width=16,
    heads=2,
    conditioning=12,
    time_embedding=8,
    index_embedding=8,
    fold_embedding=3,
    fold_classes=(2, 3, 4),
    pair=8,
    separation_classes=9,
    distance_classes=14,
    sc_distance_classes=11,
    registers=2,
)


class TestProteina(FlowMatchingModelSuite):
    network = Proteina
    config = SMALL
    small = {"layers": 1}  # noqa: RUF012
    is_equivariant = False
    has_distogram = False

    # --- which weights learn ---

    def test_of_the_folds_only_the_row_of_none_learns(self):
        model = self.make()
        self.loss(model).backward()
        for table in model.fold:
            assert (table.weight.grad[-1] != 0).all()
            assert (table.weight.grad[:-1] == 0).all()

    def test_gradients_that_the_softmax_takes_away(self):
        # What moves all scores of a query alike: the norm's bias of pairs, and that of keys, as q·b does not tell keys.
        model = self.make(torch.float64)
        self.loss(model, torch.float64).backward()
        vanishing = {name for name, p in model.named_parameters() if p.grad.abs().max() < 1e-10}
        attentions = {f"layers.{n}.attention" for n in range(model.config.layers)}
        assert vanishing == {f"{name}.{norm}.bias" for name in attentions for norm in ("pair_norm", "key_norm")}

    def test_weights_that_learn_from_velocities_alone(self):
        model, batch = self.make(), self.batch()
        flow_loss(model(batch).velocity, chains(seed=1).x_t, batch.t, batch.mask).mean().backward()
        without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
        assert without == {name for name, _ in model.named_parameters() if name.startswith("distogram.")}

    # --- where orientation enters ---

    def blind(self, dtype, *, position, x_sc):
        """A network that does not read coordinates as numbers."""
        model = self.make(dtype)
        with torch.no_grad():
            if position:
                model.position.weight.zero_()
            if x_sc:
                model.sequence.weight[:, -3:] = 0
        return model

    @DTYPES
    @pytest.mark.parametrize("sign", [1, -1], ids=["rotated", "reflected"])
    def test_without_coordinates_outputs_do_not_move(self, dtype, sign):
        model, batch = self.blind(dtype, position=True, x_sc=True), self.batch(dtype)
        turned = self.turned(batch, sign * rotation())
        self.assert_outputs_close(self.run(model, turned), self.run(model, batch), TOLERANCE[dtype])

    @pytest.mark.parametrize("which", ["position", "x_sc"])
    def test_coordinates_enter_in_both_places(self, which):
        model, batch = self.blind(torch.float32, **({"position": True, "x_sc": True} | {which: False})), self.batch()
        moved = self.run(model, self.turned(batch, rotation())).velocity
        assert deviation(moved, self.run(model, batch).velocity) > 1e-2

    @DTYPES
    def test_first_pairs_do_not_move(self, dtype):
        builder, batch = self.make(dtype).pair_builder, self.batch(dtype)
        time = torch.randn(4, SMALL.time_embedding, generator=torch.Generator().manual_seed(0)).to(dtype)
        moved = replace(batch, x_t=batch.x_t + 0.5, x_sc=batch.x_sc - 1)
        expected = builder(batch, batch.residue_index, time)
        for other in (moved, self.turned(batch, rotation()), self.turned(batch, -rotation())):
            assert_close(builder(other, batch.residue_index, time), expected, TOLERANCE[dtype])

    def test_moving_all_changes_the_velocities(self):
        assert self.changes(x_t=self.batch().x_t + 0.5) > 1e-3

    # --- precision and memory ---

    def test_bfloat16(self):
        model, batch = self.make(), self.batch()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(batch)
            loss = self.loss(model)
        assert output.velocity.dtype == torch.bfloat16
        for found, expected in zip(output, self.run(model, batch), strict=True):
            assert (found is None) == (expected is None)
            if found is not None:
                assert 1e-5 < deviation(found.float(), expected) < 0.1
        assert float(loss.detach()) == pytest.approx(float(self.loss(model).detach()), rel=0.1)
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())

    def test_nothing_is_stored_for_three_residues_at_a_time(self, largest_tensor):
        model, length = self.make(), 80
        batch = chains((length,))
        with largest_tensor() as made:
            velocity, distogram = model(batch)
            (velocity.sum() + (0 if distogram is None else distogram.sum())).backward()
        assert length**2 * SMALL.pair <= made.numbers < length**3

    # --- configuration ---

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"heads": 3}, "width=16 is not a multiple of heads=3"),
            ({"layers": 0}, "layers must be positive, found 0"),
            ({"pair": -1}, "pair must be positive, found -1"),
            ({"update_every": -1}, "update_every must not be negative, found -1"),
            ({"index_embedding": 7}, "index_embedding must be even and at least 4, found 7"),
            ({"time_embedding": 2}, "time_embedding must be even and at least 4, found 2"),
            ({"distance_classes": 1}, "distance_classes must be at least 2, found 1"),
            ({"sc_distance_classes": 1}, "sc_distance_classes must be at least 2, found 1"),
            ({"separation_classes": 8}, "separation_classes must be odd, found 8"),
        ],
    )
    def test_impossible_sizes(self, change, message):
        with pytest.raises(ValueError, match=message):
            replace(self.config, **change)

    def test_no_decay_for_biases_norms_and_tables(self):
        model = self.make()
        decayed = {name for name, _ in model.named_parameters() if not model.no_decay(name)}
        linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
        assert decayed == linear


class TestProteinaWithPairUpdates(TestProteina):
    config = replace(SMALL, update_every=2)
    small = {"layers": 2}  # noqa: RUF012
    has_distogram = True


@pytest.mark.parametrize(
    ("layers", "every", "updated"),
    [
        (10, 0, []),
        (10, 2, [0, 2, 4, 6, 8]),
        (15, 3, [0, 3, 6, 9, 12]),
        (18, 5, [0, 5, 10, 15]),
        (3, 2, [0]),
        (4, 3, [0]),
        (1, 1, []),
    ],
)
def test_layers_that_updates_follow(layers, every, updated):
    assert ProteinaConfig(layers=layers, update_every=every).updated_after == updated


def assert_drawn(value, deviation_, largest):
    """Weights have that deviation, from a distribution that ends at `largest` and is not thin there."""
    __tracebackhide__ = True
    assert float(value.std()) == pytest.approx(deviation_, rel=4 / value.numel() ** 0.5)
    assert 0.9 * largest < value.abs().max() <= largest * (1 + 1e-6)


def test_initialisation():
    torch.manual_seed(0)
    model = build("proteina-2M-tri").requires_grad_(False)
    modules, uniform = dict(model.named_modules()), set()
    special = Gate, TriangleProduct, PairTransition
    for name, module in modules.items():
        match module:
            case Gate():
                assert (module.scale.weight == 0).all()
                assert (module.scale.bias == -2).all()
            case TriangleProduct():
                for linear in (module.left, module.right):
                    # A normal distribution cut at two deviations has 0.88 of them.
                    assert_drawn(linear.weight, 64**-0.5, 2 * 64**-0.5 / 0.879626)
                    assert (linear.bias == 0).all()
                for gate in (module.left_gate, module.right_gate, module.gate):
                    assert (gate.weight == 0).all()
                    assert (gate.bias == 1).all()
                assert (module.project_out.weight == 0).all()
                assert (module.project_out.bias == 0).all()
            case PairTransition():
                assert_drawn(module.up.weight, (2 / 64) ** 0.5, 2 * (2 / 64) ** 0.5 / 0.879626)
                assert (module.up.bias == 0).all()
                assert (module.down.weight == 0).all()
                assert (module.down.bias == 0).all()
            case torch.nn.LayerNorm():
                assert (module.weight == 1).all()
                assert (module.bias == 0).all()
            case torch.nn.Embedding():
                assert float(module.weight.std()) == pytest.approx(1, rel=4 / module.weight.numel() ** 0.5)
                assert module.weight.abs().max() > 2
            case torch.nn.Linear() if not isinstance(modules[name.rpartition(".")[0]], special):
                uniform.add(name)
                bound = module.in_features**-0.5
                assert_drawn(module.weight, bound / 3**0.5, bound)
                if module.bias is not None:
                    assert_drawn(module.bias, bound / 3**0.5, bound)
    assert float(model.registers.std()) == pytest.approx(1 / 20, rel=0.1)
    assert {"position", "sequence", "decoder.1", "distogram.1", "layers.3.transition.down"} <= uniform


def test_fresh_networks_predict_velocities_of_the_published_size():
    for seed in range(4):
        torch.manual_seed(seed)
        model = build("proteina-0.5M")
        with torch.no_grad():
            velocity = model(chains((40, 40), seed=seed)).velocity
        assert 0.2 < float(velocity.square().mean().sqrt()) < 1
