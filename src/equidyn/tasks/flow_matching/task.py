"""Flow matching of Cα traces: predict the velocity that turns noise into a protein backbone.

Noise x_0 flows to data x_1 along x_t = (1 - t) x_0 + t x_1, so the velocity is x_1 - x_0. What is measured is the
clean prediction x̂_1 = x_t + (1 - t) v, against x_1, in nm². Objective and constants are those of Proteína (Geffner et
al. 2025, arXiv 2503.00710), which Shen et al. 2025 (arXiv 2512.02303) train.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from equidyn.core.batch import ProteinBatch, VelocityOutput
from equidyn.core.pairs import distance_class, pair_distances
from equidyn.core.streams import keys_for, normal, uniform
from equidyn.core.symmetry import Symmetry
from equidyn.data.store import Store, in_blocks
from equidyn.tasks.contract import Draws, TrainableTask, Whole
from equidyn.tasks.outputs import checked

NANOMETRE = 10.0  # Å
SELF_CONDITIONING = 0.5  # probability, once per training batch
WEIGHT_FLOOR = 1e-5
DISTOGRAM_RANGE = (0.0, 1.0)  # nm
DISTOGRAM_AFTER = 0.3  # flow time; earlier, distances are still noise
CONTACT = 0.6  # nm

LENGTHS = 32
"""Tokens of padded chains come in multiples of this where shapes are to be few. Chains of 51 to 255 residues, as the
paper has, then have eight lengths, and a seventh more pairs in batches of four. Multiples of 16 also keep the rows of
attention biases where GPUs' attention kernels want them; PyTorch copies others first."""

_FIT_CHAINS = 1024  # number of chains in memory at once
_NOISE, _TIMES = 0, 1  # streams of an example


def centred(x: Tensor, mask: Tensor) -> Tensor:
    """Positions (B, L, 3) minus each chain's mean over its residues; zero at padding."""
    mask = mask[..., None]
    return torch.where(mask, x - (x * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True), 0.0)


def interpolate(x_0: Tensor, x_1: Tensor, t: Tensor) -> Tensor:
    """x_t (B, L, 3) at flow times t (B,)."""
    t = t[:, None, None]
    return (1 - t) * x_0 + t * x_1


def clean_prediction(x_t: Tensor, t: Tensor, velocity: Tensor) -> Tensor:
    """x̂_1 (B, L, 3): where a straight flow with this velocity ends."""
    return x_t + (1 - t[:, None, None]) * velocity


def flow_loss(prediction: Tensor, x_1: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    """Squared error of x̂_1 per coordinate, weighted by 1 / ((1 - t)² + 1e-5), for each chain: (B,)."""
    squared = ((prediction - x_1).square().sum(-1) * mask).sum(1) / (3 * mask.sum(1))
    return squared / ((1 - t).square() + WEIGHT_FLOOR)


def distogram_loss(logits: Tensor, x_1: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the true distances' classes, mean over all pairs of residues, for each chain: (B,).

    Both orders of a pair count, and the diagonal.
    """
    target = distance_class(pair_distances(x_1), *DISTOGRAM_RANGE, logits.shape[-1])
    entropy = functional.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none").view_as(target)
    pairs = mask[:, :, None] & mask[:, None, :]
    return (entropy * pairs).sum((1, 2)) / (pairs.sum((1, 2)) + 1e-10)


def auxiliary_loss(logits: Tensor | None, x_1: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    """The distogram loss where t > 0.3, else zero, for each chain: (B,); all zero without logits."""
    if logits is None:
        return torch.zeros_like(t)
    return distogram_loss(logits, x_1, mask) * (t > DISTOGRAM_AFTER)


def distance_matrix_loss(prediction: Tensor, x_1: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the distances between residues closer than 0.6 nm, in nm², for each chain: (B,).

    It is not part of the training loss; published logs contain it.
    """
    true = pair_distances(x_1)
    near = mask[:, :, None] & mask[:, None, :] & (true < CONTACT)
    squared = ((true - pair_distances(prediction)).square() * near).sum((1, 2))
    return squared / (near.sum((1, 2)) - mask.sum(1))


def sample_times(keys: Tensor) -> Tensor:
    """Flow times (B,) for training: Beta(1.9, 1), that is u^(1/1.9), or with probability 0.02 uniform.

    Args:
        keys: (B,) the examples' keys, see `equidyn.core.streams`.
    """
    u, which = uniform(keys, (2,), _TIMES).unbind(1)
    return torch.where(which < 0.02, u, u ** (1 / 1.9))


@dataclass(frozen=True)
class FlowMatchingBatch:
    """B chains padded to L residues; after `noised`, also their state at a flow time.

    Attributes:
        chains: (B,) numbers of the examples.
        x_1: (B, L, 3) nm, centred, zero at padding: the data.
        mask: (B, L) bool, true at residues.
        residue_index: (B, L) int64, author residue numbers, -1 at padding.
        chain_break: (B, L) bool, whether the next residue is not bonded to this one.
        rows: (N,) int64, places of the residues among all B L, so that no mask must be read.
        x_0: (B, L, 3) nm, centred: the noise.
        t: (B,) flow time.
        x_sc: (B, L, 3) nm: an earlier prediction of x_1, for self-conditioning.
        self_conditioned: Whether the training loss makes such a prediction.
    """

    chains: np.ndarray
    x_1: Tensor
    mask: Tensor
    residue_index: Tensor
    chain_break: Tensor
    rows: Tensor
    x_0: Tensor | None = None
    t: Tensor | None = None
    x_sc: Tensor | None = None
    self_conditioned: bool = False

    def noise(self, keys: Tensor) -> Tensor:
        """Normal noise (B, L, 3), for each chain from its key (B,), zero at padding."""
        return normal(keys, tuple(self.x_1.shape[1:]), _NOISE) * self.mask[..., None]

    def noised(self, noise: Tensor, t: Tensor) -> "FlowMatchingBatch":
        """The batch with noise (B, L, 3), which is centred here, at flow times t (B,)."""
        return replace(self, x_0=centred(noise.to(self.x_1), self.mask), t=t.to(self.x_1))

    def padded(self, length: int) -> "FlowMatchingBatch":
        """The batch with its chains padded to a greater length."""
        more = length - self.mask.shape[1]
        points = {name: getattr(self, name) for name in ("x_1", "x_0", "x_sc")}
        return replace(
            self,
            mask=functional.pad(self.mask, (0, more)),
            residue_index=functional.pad(self.residue_index, (0, more), value=-1),
            chain_break=functional.pad(self.chain_break, (0, more)),
            rows=self.rows + self.example * more,
            **{name: functional.pad(x, (0, 0, 0, more)) for name, x in points.items() if x is not None},
        )

    def of_residues(self, values: Tensor) -> Tensor:
        """(B, L, C) -> (N, C), without padding."""
        return values.flatten(0, 1).index_select(0, self.rows)

    @property
    def example(self) -> Tensor:
        """(N,) chain of each residue."""
        return self.rows.div(self.mask.shape[1], rounding_mode="floor")

    @property
    def x_t(self) -> Tensor:
        """(B, L, 3) nm: positions at time t."""
        return interpolate(self.x_0, self.x_1, self.t)

    @property
    def network_input(self) -> ProteinBatch:
        """The input of the network."""
        return ProteinBatch(self.x_t, self.t, self.mask, self.residue_index, self.chain_break, self.x_sc)


class FlowMatching(TrainableTask):
    """The flow-matching task on a store with fields positions, residue_index, chain_break and cluster.

    The percent of Shen et al. 2025 (arXiv 2512.02303) for Proteína is this task's, on x̂_1 in nm, one flow time each.
    A predictor that has learned nothing multiplies x_t by the factor that is best for all chains together: a filter
    that knows how far chains extend (`variance`) but no structure. At t = 0, where x_t is pure noise, no predictor does
    better.
    """

    name = "flow_matching"
    unit = "nm²"

    def __init__(self, store: Store, variance: float):
        self.store, self.variance = store, variance

    @classmethod
    def fit(cls, store: Store, indices: np.ndarray) -> "FlowMatching":
        """The task with the mean square of the coordinates of its training chains, nm²."""
        unfitted, total, count = cls(store, 0.0), 0.0, 0
        for chosen in in_blocks(indices, _FIT_CHAINS):
            coordinates = unfitted.target(unfitted.batch(chosen)).double()
            total, count = total + float(coordinates.square().sum()), count + coordinates.numel()
        return cls(store, total / count)

    def state(self) -> dict[str, float]:
        """The values that must be kept with a checkpoint to measure its skill."""
        return {"variance": self.variance}

    @classmethod
    def restore(cls, store: Store, state: dict[str, float]) -> "FlowMatching":
        """The task as `state` described it."""
        return cls(store, **state)

    def check(self, model: nn.Module, indices: np.ndarray) -> None:
        """Refuse data that the model cannot take.

        Raises:
            ValueError: A chain has a single residue, which centring leaves without a position.
        """
        lengths = self.store.lengths_of(indices)
        if lengths.min() < 2:
            raise ValueError(
                f"{self.store.path}: {int((lengths < 2).sum())} chain(s) have a single residue: raise data.min_length"
            )

    def batch(self, indices: np.ndarray, device: torch.device | str = "cpu") -> FlowMatchingBatch:
        """Chains in the given order, centred, without noise yet."""
        store, rows, lengths = self.store, self.store.rows(indices), self.store.lengths_of(indices).tolist()

        def padded(name: str, dtype: torch.dtype, padding: float) -> Tensor:
            values = torch.from_numpy(store.ragged(name)[rows]).to(dtype)
            return pad_sequence(values.split(lengths), batch_first=True, padding_value=padding).to(device)

        residue_index = padded("residue_index", torch.int64, -1)
        mask = torch.arange(residue_index.shape[1]) < torch.tensor(lengths)[:, None]
        places = mask.flatten().nonzero()[:, 0].to(device)
        mask = mask.to(device)
        x_1 = centred(padded("positions", torch.float32, 0.0) / NANOMETRE, mask)
        chain_break = padded("chain_break", torch.bool, False)
        return FlowMatchingBatch(np.asarray(indices), x_1, mask, residue_index, chain_break, places)

    def inputs(
        self, model: nn.Module, batch: FlowMatchingBatch, condition: Mapping[str, Any], seed: int
    ) -> FlowMatchingBatch:
        """The batch with noise at the condition's flow time `t`; a chain has the same noise at all times and steps.

        With `self_conditioning`, the network's own prediction from that input is added as well. It counts as input,
        like the noise: it rotates with the chain and is not computed again for each rotation.
        """
        noise = batch.noise(keys_for(seed, "noise", examples=batch.chains).to(batch.mask.device))
        noisy = batch.noised(noise, noise.new_full((len(noise),), condition["t"]))
        return self._self_conditioned(model, noisy) if condition["self_conditioning"] else noisy

    def act(self, batch: FlowMatchingBatch, elements: Tensor, symmetry: Symmetry) -> FlowMatchingBatch:
        """Data, and noise and self-conditioning if there are any, transformed by one element per chain, as points."""
        points = {name: getattr(batch, name) for name in ("x_1", "x_0", "x_sc")}
        moved = {name: symmetry.act_on_points(x, elements) for name, x in points.items() if x is not None}
        return replace(batch, **{name: torch.where(batch.mask[..., None], x, 0.0) for name, x in moved.items()})

    def repeat(self, batch: FlowMatchingBatch, count: int) -> FlowMatchingBatch:
        """The batch `count` times, end to end."""
        first = torch.arange(count, device=batch.rows.device) * batch.mask.numel()

        def repeated(values: Any) -> Any:
            if isinstance(values, Tensor):
                return values.repeat(count, *[1] * (values.ndim - 1))
            return np.tile(values, count) if isinstance(values, np.ndarray) else values

        copies = FlowMatchingBatch(**{name: repeated(values) for name, values in vars(batch).items()})
        return replace(copies, rows=(first[:, None] + batch.rows).flatten())

    def predict(self, model: nn.Module, batch: FlowMatchingBatch) -> Tensor:
        """x̂_1 (N, 3), nm."""
        return batch.of_residues(self._clean(model, batch)[0])

    def act_on_prediction(
        self, prediction: Tensor, elements: Tensor, batch: FlowMatchingBatch, symmetry: Symmetry
    ) -> Tensor:
        """Positions (N, 3), which are points, transformed by one element per chain."""
        return symmetry.act_on_points(prediction, elements, self.example(batch))

    def target(self, batch: FlowMatchingBatch) -> Tensor:
        """x_1 (N, 3), nm."""
        return batch.of_residues(batch.x_1)

    def null(self, batch: FlowMatchingBatch) -> Tensor:
        """x_t (N, 3) times t S / (t² S + (1 - t)²), S the variance of the data and 1 that of the noise."""
        t, signal = batch.t, batch.t.square() * self.variance
        factor = t * self.variance / (signal + (1 - t).square())
        return batch.of_residues(factor[:, None, None] * batch.x_t)

    def example(self, batch: FlowMatchingBatch) -> Tensor:
        """(N,) chain of each residue."""
        return batch.example

    def cluster(self, indices: np.ndarray) -> np.ndarray:
        """(B,) sequence family of each chain."""
        return self.store.scalar("cluster")[indices]

    def prepare(
        self, model: nn.Module, batch: FlowMatchingBatch, draws: Draws, *, few_shapes: bool = False
    ) -> FlowMatchingBatch:
        """The batch with noise at random times; half of the steps are self-conditioned.

        A network that adds tokens to those of residues has their number in `extra_tokens`.
        """
        noisy = batch.noised(batch.noise(draws.keys), sample_times(draws.keys))
        if few_shapes:
            extra = getattr(model, "extra_tokens", 0)
            noisy = noisy.padded(math.ceil((noisy.mask.shape[1] + extra) / LENGTHS) * LENGTHS - extra)
        return replace(noisy, self_conditioned=draws.shared.random() < SELF_CONDITIONING)

    def loss(self, model: nn.Module, batch: FlowMatchingBatch, whole: Whole | None = None) -> Tensor:
        """Flow loss plus auxiliary loss, mean over chains, of what `prepare` returned."""
        noisy = self._self_conditioned(model, batch) if batch.self_conditioned else batch
        prediction, distogram = self._clean(model, noisy)
        flow = flow_loss(prediction, noisy.x_1, noisy.t, noisy.mask)
        total = (flow + auxiliary_loss(distogram, noisy.x_1, noisy.t, noisy.mask)).sum()
        return total / (len(noisy.t) if whole is None else whole.examples)

    def describe_batch(self, indices: np.ndarray) -> str:
        """The numbers of the examples and the names of their chains."""
        names = [self.store[int(index)]["name"] for index in indices]
        return f"examples {indices.tolist()}, chains {', '.join(names)}"

    @staticmethod
    def _clean(model: nn.Module, batch: FlowMatchingBatch) -> tuple[Tensor, Tensor | None]:
        """x̂_1 (B, L, 3), nm, and the distogram's logits, if the network has them; in single precision or better."""
        given = batch.network_input
        output = checked(model(given), VelocityOutput, batch.x_1.shape, model)
        velocity, distogram = (None if value is None else value.to(batch.x_1) for value in output)
        return clean_prediction(given.x_t, given.t, velocity), distogram

    def _self_conditioned(self, model: nn.Module, batch: FlowMatchingBatch) -> FlowMatchingBatch:
        with torch.no_grad():
            x_sc, _ = self._clean(model, batch)
        torch.clear_autocast_cache()  # the weights it keeps were cast without gradient
        return replace(batch, x_sc=x_sc)
