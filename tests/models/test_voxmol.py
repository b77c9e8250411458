"""VoxMol: the shared suite, and the parts that it is built of."""

from dataclasses import replace

import pytest
import torch
from suite import CHANNELS, DTYPES, TOLERANCE, VoxelModelSuite, assert_close
from torch import nn

from equidyn.core import process
from equidyn.models.registry import build, configuration, configurations
from equidyn.models.voxmol import convolution, network
from equidyn.models.voxmol.convolution import Conv3d, with_channels_last
from equidyn.models.voxmol.network import Attention, Block, VoxMol, VoxMolConfig

SMALL = VoxMolConfig(
    channels=CHANNELS, width=4, multipliers=(1, 2, 1), attention=(False, True, False), blocks=1, groups=2
)


@pytest.fixture
def threads():
    """A function that sets the number of PyTorch's threads until the test ends, in a process as jobs of voxels have."""
    before = torch.get_num_threads()
    process.use_onednn(True)
    yield torch.set_num_threads
    torch.set_num_threads(before)


class TestVoxMol(VoxelModelSuite):
    network = VoxMol
    config = SMALL
    small = {"multipliers": (1, 2), "attention": (False, True)}  # noqa: RUF012
    is_equivariant = False

    def test_gradients_reach_every_parameter(self):
        model = self.make().train()
        self.error(model).backward()
        unused = {
            f"{name}.norm.{kind}"
            for name, m in model.named_modules()
            if isinstance(m, Attention)
            for kind in ("weight", "bias")
        }
        assert {name for name, p in model.named_parameters() if p.grad is None} == unused
        assert len(unused) == 2 * 4  # one down, one in the middle, two up
        used = [p.grad for name, p in model.named_parameters() if name not in unused]
        assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in used)

    def test_unused_norms_change_nothing(self):
        model, batch = self.make(), self.batch()
        before = self.run(model, batch)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, Attention):
                    module.norm.weight.add_(1)
        assert torch.equal(self.run(model, batch), before)

    def test_layout_in_memory_changes_nothing(self, threads):
        model, batch = self.make(), self.batch()
        threads(1)
        own = self.run(model, batch)
        assert own.is_contiguous()
        assert_close(self.run(model, batch.contiguous(memory_format=torch.channels_last_3d)), own, 1e-5)

    @pytest.mark.parametrize("dropout", [0.0, 0.1])
    def test_threads_change_nothing_but_the_layout(self, threads, dropout):
        model, batch = self.make(dropout=dropout).train(), self.batch()
        found = []
        for count in (1, 2):
            threads(count)
            torch.manual_seed(0)
            found.append(with_gradients(model(batch), [p for name, p in model.named_parameters() if "conv" in name]))
        one, two = found
        assert two[0].is_contiguous() == bool(dropout)  # what is dropped follows the order in memory
        for ours, theirs in zip(one, two, strict=True):
            assert_close(ours, theirs, 1e-5)

    def test_dropout_in_training_only(self):
        model, batch = self.make(dropout=0.5), self.batch()
        assert torch.equal(model(batch), model(batch))
        model.train()
        assert not torch.equal(model(batch), model(batch))

    def test_attention_blind_to_places(self):
        torch.manual_seed(0)
        layer, x = Attention(4, SMALL), torch.randn(2, 4, 3, 3, 3)
        order = torch.randperm(27)
        expected = layer(x).flatten(2)[..., order]
        assert_close(layer(x.flatten(2)[..., order].view_as(x)).flatten(2), expected, 1e-6)

    @DTYPES
    def test_attention_is_that_of_the_definition(self, dtype):
        torch.manual_seed(0)
        layer, x = Attention(4, SMALL).to(dtype), torch.randn(2, 4, 2, 2, 2).to(dtype)
        tokens = x.permute(0, 2, 3, 4, 1).reshape(2, 8, 4)
        q, k, v = layer.project_in(tokens).split(4, dim=2)
        weights = torch.softmax(q @ k.transpose(1, 2) / 4**0.5, dim=2)
        expected = tokens + layer.project_out(weights @ v)
        assert_close(layer(x).permute(0, 2, 3, 4, 1).reshape(2, 8, 4), expected, TOLERANCE[dtype])

    def test_weights_of_attention_are_never_stored(self, largest_tensor):
        model = self.make(multipliers=(1,), attention=(True,))
        side = 16
        with largest_tensor() as made:
            model(torch.randn(1, CHANNELS, *(side,) * 3)).sum().backward()
        assert side**3 * SMALL.width <= made.numbers < side**6 // 16

    def test_attention_in_portions_is_attention(self, monkeypatch):
        layer, x = Attention(4, SMALL).double(), torch.randn(2, 4, 4, 4, 4, dtype=torch.float64, requires_grad=True)
        results = []
        for scores in (2**19, 7 * 64):
            monkeypatch.setattr(network, "SCORES", scores)
            y = layer(x)
            results.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.project_in.parameters()])])
        for whole, portions in zip(*results, strict=True):
            assert_close(portions, whole, 1e-12)

    @pytest.mark.parametrize("scores", [2**19, 7 * 64])
    def test_gradients_survive_huge_scores(self, monkeypatch, scores):
        """Scores of 1e9, as training makes them: gradients are bounded by what is attended to."""
        monkeypatch.setattr(network, "SCORES", scores)
        torch.manual_seed(0)
        size = 3e5
        layer, x = Attention(4, SMALL), size * torch.randn(2, 4, 4, 4, 4)
        q, k, _ = layer.project_in(x.flatten(2).mT).detach().chunk(3, -1)
        assert float((q @ k.mT).abs().max()) > 1e9
        (layer(x) / size).sum().backward()
        # A softmax that picks one voxel has no gradient with respect to its scores, but for near ties; the fused kernel
        # finds 3e5.
        assert float(layer.project_in.weight.grad.abs().max()) < 1e3

    # --- convolutions of few channels ---

    @pytest.mark.parametrize(
        ("width_out", "side", "folded"), [(4, 8, True), (8, 6, True), (5, 6, True), (4, 6, False), (16, 8, False)]
    )
    def test_folded_convolutions_are_convolutions(self, threads, width_out, side, folded):
        threads(1)
        torch.manual_seed(0)
        layer, x = Conv3d(3, width_out), torch.randn(2, 3, side, side, side, requires_grad=True)
        usual = nn.Conv3d(3, width_out, 3, padding=1)
        usual.load_state_dict(layer.state_dict())
        found, expected = (with_gradients(y, [x, *m.parameters()]) for m in (layer, usual) for y in [m(x)])
        assert found[0].is_contiguous()
        assert ("_Convolution" in str(found[0].grad_fn)) == folded
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(ours, theirs, 1e-5)

    def test_folded_convolutions_are_differentiable_twice(self):
        torch.manual_seed(0)
        x = torch.randn(1, 2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
        weights = [p.double().detach().requires_grad_() for p in nn.Conv3d(2, 4, 3).parameters()]
        assert torch.autograd.gradcheck(convolution._Convolution.apply, (x, *weights), fast_mode=True)
        assert torch.autograd.gradgradcheck(convolution._Convolution.apply, (x, *weights), fast_mode=True)

    @pytest.mark.parametrize("kind", [nn.Conv3d, nn.ConvTranspose3d])
    def test_channels_last_change_nothing(self, kind):
        torch.manual_seed(0)
        layer, x = kind(3, 3, 4, stride=2, padding=1), torch.randn(2, 3, 8, 8, 8, requires_grad=True)
        found, expected = (
            with_gradients(y, [x, *layer.parameters()]) for y in (with_channels_last(layer, x), layer(x))
        )
        assert found[0].is_contiguous()
        for ours, theirs in zip(found, expected, strict=True):
            assert_close(ours, theirs, 1e-5)

    # --- compiling ---

    @pytest.mark.slow
    @pytest.mark.parametrize("scores", [2**19, 7 * 64])
    def test_compiles_in_one_piece(self, monkeypatch, scores):
        monkeypatch.setattr(network, "SCORES", scores)
        self.assert_compiles_in_one_piece()

    # --- configuration ---

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"width": 0}, "width must be positive, found 0"),
            ({"groups": 0}, "groups must be positive, found 0"),
            ({"groups": 3}, "a width of 4 is not a multiple of groups=3"),
            ({"groups": 8, "multipliers": (2, 2, 1)}, "a width of 4 is not a multiple of groups=8"),
            ({"multipliers": (1, 0, 1)}, r"multipliers must be positive, found \[1, 0, 1\]"),
            ({"multipliers": ()}, r"multipliers must be positive, found \[\]"),
            ({"attention": (True,)}, "attention has 1 levels, multipliers 3"),
            ({"dropout": 1.0}, "dropout must be at least 0 and below 1, found 1.0"),
        ],
    )
    def test_impossible_sizes(self, change, message):
        with pytest.raises(ValueError, match=message):
            replace(self.config, **change)


def with_gradients(y, inputs):
    """A result, and the gradients of the sum of its squares."""
    return [y, *torch.autograd.grad(y.square().sum(), inputs)]


COUNTS = {  # parameters, those of them that nothing uses
    "voxmol-111M": (111_520_424, 6_528),
    "voxmol-28M": (27_896_408, 3_264),
    "voxmol-7M": (6_982_256, 1_632),
    "voxmol-1M": (1_042_160, 672),
    "voxmol-0.2M": (200_240, 256),
    "voxmol-0.3M": (262_860, 336),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    with torch.device("meta"):
        model = build(name)
    norms = [module.norm for module in model.modules() if isinstance(module, Attention)]
    assert configuration(name).parameters == COUNTS[name][0]
    assert sum(parameter.numel() for norm in norms for parameter in norm.parameters()) == COUNTS[name][1]


def test_registered_for_the_task():
    names = {name for name, entry in configurations().items() if entry.task == "voxel_denoising"}
    assert names == COUNTS.keys() | {"control-voxels"}
    assert configuration("control-voxels").network == "equidyn.models.grid_control.network:GridControl"
    control = build("control-voxels")
    assert control(torch.zeros(1, 8, 4, 4, 4)).shape == (1, 8, 4, 4, 4)


def test_plan_of_the_published_size():
    with torch.device("meta"):
        model = build("voxmol-111M")

    def plan(steps):
        found = []
        for step in steps:
            if isinstance(step, Block):
                convolution = step.residual.conv_in, step.residual.conv_out
                attention = "a" if isinstance(step.attention, Attention) else ""
                found.append(f"{convolution[0].in_channels}-{convolution[1].out_channels}{attention}")
            else:
                found.append(f"{type(step).__name__} {step.in_channels}-{step.out_channels} {step.kernel_size[0]}")
        return found

    down = "32-32, 32-32, Conv3d 32-32 3, 32-64, 64-64, Conv3d 64-64 3, 64-128a, 128-128a, Conv3d 128-128 3, "
    assert plan(model.down) == (down + "128-512a, 512-512a").split(", ")
    up = "1024-512a, 1024-512a, 640-128a, ConvTranspose3d 128-128 4, 256-128a, 256-128a, 192-64a, "
    up += "ConvTranspose3d 64-64 4, 128-64, 128-64, 96-32, ConvTranspose3d 32-32 4, 64-32, 64-32, 64-32"
    assert plan(model.up) == up.split(", ")


def test_initialisation_is_the_usual():
    torch.manual_seed(0)
    for module in build("voxmol-1M").modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            bound = (module.weight[0].numel()) ** -0.5
            assert 0.8 * bound < float(module.weight.detach().abs().max()) <= bound
        elif isinstance(module, nn.GroupNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
