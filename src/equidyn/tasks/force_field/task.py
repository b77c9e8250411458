"""Direct force fields: predict the forces (and the energy) of a molecule from its atoms."""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.core.symmetry import Symmetry
from equidyn.data.store import Store, in_blocks
from equidyn.tasks.contract import Draws, TrainableTask, Whole
from equidyn.tasks.outputs import checked

FORCE_WEIGHT = 100.0
ENERGY_WEIGHT = 4.0


@dataclass(frozen=True)
class Normalisation:
    """The scales that turn physical targets into the numbers that a network is trained on.

    Attributes:
        force_scale: Root mean square of the force components, eV/Å; forces have mean zero.
        energy_mean: eV per molecule.
        energy_scale: Standard deviation of the energy, eV per molecule.
    """

    force_scale: float
    energy_mean: float
    energy_scale: float

    @classmethod
    def fit(cls, store: Store, indices: np.ndarray) -> "Normalisation":
        """Measure the scales on the examples that a network is trained on."""
        total, count = 0.0, 0
        for chosen in in_blocks(indices):
            forces = store.ragged("forces")[store.rows(chosen)]
            total, count = total + float(np.square(forces, dtype=np.float64).sum()), count + forces.size
        energy = store.scalar("energy")[indices]
        return cls(
            force_scale=math.sqrt(total / count),
            energy_mean=float(energy.mean()),
            energy_scale=float(energy.std()) or 1.0,
        )


@dataclass(frozen=True)
class ForceFieldBatch:
    """Molecules with their labels.

    Attributes:
        molecules: B molecules, N atoms, Å.
        forces: (N, 3) eV/Å.
        energy: (B,) float64, eV, per-element references removed.
    """

    molecules: MoleculeBatch
    forces: Tensor
    energy: Tensor


class ForceField(TrainableTask):
    """The force-field task on a store with fields positions, atomic_numbers, forces, energy and cluster.

    The percent of Shen et al. 2025 (arXiv 2512.02303) for EScAIP is this task's, on forces in eV/Å.
    """

    name = "force_field"
    unit = "eV²/Å²"

    def __init__(self, store: Store, normalisation: Normalisation):
        self.store, self.normalisation = store, normalisation

    @classmethod
    def fit(cls, store: Store, indices: np.ndarray) -> "ForceField":
        """The task with its scales measured on the training examples."""
        return cls(store, Normalisation.fit(store, indices))

    def state(self) -> dict[str, float]:
        """The values that must be kept with a checkpoint to make its predictions physical."""
        return asdict(self.normalisation)

    @classmethod
    def restore(cls, store: Store, state: dict[str, float]) -> "ForceField":
        """The task as `state` described it."""
        return cls(store, Normalisation(**state))

    def check(self, model: nn.Module, indices: np.ndarray) -> None:
        """Refuse data that the model cannot take.

        Raises:
            ValueError: An element is unknown to the model, or a molecule has a single atom.
        """
        numbers = self.store.distinct("atomic_numbers", indices)
        known = getattr(model, "elements", math.inf)  # a network may know them all
        if unknown := [int(number) for number in numbers if not 0 < number < known]:
            raise ValueError(
                f"{self.store.path}: atomic numbers {unknown} are unknown to the model, which knows 1 to "
                f"{known - 1}: choose a model with a larger element table, or filter the data"
            )
        lengths = self.store.lengths_of(indices)
        if lengths.min() < 2:
            raise ValueError(
                f"{self.store.path}: {int((lengths < 2).sum())} molecule(s) have a single atom, "
                "on which no force acts: filter the data"
            )

    def batch(self, indices: np.ndarray, device: torch.device | str = "cpu") -> ForceFieldBatch:
        """Molecules and labels of some examples, in the given order."""
        store, rows = self.store, self.store.rows(indices)

        def tensor(values: np.ndarray, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(values).to(device=device, dtype=dtype)

        return ForceFieldBatch(
            molecules=MoleculeBatch(
                tensor(store.ragged("positions")[rows], torch.float32),
                tensor(store.ragged("atomic_numbers")[rows], torch.int64),
                tensor(store.lengths_of(indices), torch.int64),
            ),
            forces=tensor(store.ragged("forces")[rows], torch.float32),
            energy=tensor(store.scalar("energy")[indices], torch.float64),
        )

    def act(self, batch: ForceFieldBatch, elements: Tensor, symmetry: Symmetry) -> ForceFieldBatch:
        """Positions, which are points, and forces, which are vectors, transformed by one element per molecule."""
        molecules = batch.molecules
        positions = symmetry.act_on_points(molecules.positions, elements, molecules.molecule)
        forces = self.act_on_prediction(batch.forces, elements, batch, symmetry)
        return replace(batch, molecules=molecules.with_positions(positions), forces=forces)

    def repeat(self, batch: ForceFieldBatch, count: int) -> ForceFieldBatch:
        """The batch `count` times, end to end."""
        return ForceFieldBatch(batch.molecules.repeat(count), batch.forces.repeat(count, 1), batch.energy.repeat(count))

    def predict(self, model: nn.Module, batch: ForceFieldBatch) -> Tensor:
        """Forces (N, 3), eV/Å."""
        return self._output(model, batch).forces * self.normalisation.force_scale

    def head_tensor(self, model: nn.Module, batch: ForceFieldBatch) -> Tensor | None:
        """(N, 3, 3), eV/Å."""
        tensor = self._output(model, batch).head_tensor
        return None if tensor is None else tensor * self.normalisation.force_scale

    @staticmethod
    def _output(model: nn.Module, batch: ForceFieldBatch) -> ForceOutput:
        molecules = batch.molecules
        output = checked(model(molecules), ForceOutput, molecules.positions.shape, model)
        if molecules.molecules == len(batch.energy):
            return output
        atoms, examples = len(batch.forces), len(batch.energy)  # the rest are padding
        return ForceOutput(
            *(
                None if value is None else value[:rows]
                for value, rows in zip(output, (atoms, examples, atoms), strict=True)
            )
        )

    def act_on_prediction(
        self, prediction: Tensor, elements: Tensor, batch: ForceFieldBatch, symmetry: Symmetry
    ) -> Tensor:
        """Forces (N, 3), which are vectors, transformed by one element per molecule."""
        return symmetry.act_on_vectors(prediction, elements, batch.molecules.molecule)

    def target(self, batch: ForceFieldBatch) -> Tensor:
        """Forces (N, 3), eV/Å."""
        return batch.forces

    def example(self, batch: ForceFieldBatch) -> Tensor:
        """(N,) molecule of each atom."""
        return batch.molecules.molecule

    def cluster(self, indices: np.ndarray) -> np.ndarray:
        """(B,) distinct molecule of each conformer."""
        return self.store.scalar("cluster")[indices]

    def prepare(
        self, model: nn.Module, batch: ForceFieldBatch, draws: Draws, *, few_shapes: bool = False
    ) -> ForceFieldBatch:
        """The batch with what the network prepares, its neighbour graph for instance. Nothing in it is random."""
        prepare = getattr(model, "prepare", None)
        return replace(batch, molecules=prepare(batch.molecules, few_shapes=few_shapes)) if prepare else batch

    def loss(self, model: nn.Module, batch: ForceFieldBatch, whole: Whole | None = None) -> Tensor:
        """100 x mean length of the force error + 4 x mean absolute energy error, both normalised.

        Means are over the atoms and the molecules of the whole batch. This is the loss of the public EScAIP
        configuration for SPICE.
        """
        whole = whole or Whole(len(batch.energy), len(batch.forces))
        scale = self.normalisation
        output = self._output(model, batch)
        error = output.forces - batch.forces / scale.force_scale
        loss = FORCE_WEIGHT / whole.rows * torch.linalg.vector_norm(error, dim=1).sum()
        if output.energy is not None:
            energy = (batch.energy - scale.energy_mean) / scale.energy_scale
            # In the precision of the forces' error, which is never reduced.
            error = output.energy.to(error.dtype) - energy.to(error.dtype)
            loss = loss + ENERGY_WEIGHT / whole.examples * error.abs().sum()
        return loss

    def describe_batch(self, indices: np.ndarray) -> str:
        """The numbers of the examples and of their distinct molecules."""
        return f"examples {indices.tolist()}, molecules {np.unique(self.cluster(indices)).tolist()}"
