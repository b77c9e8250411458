"""Force fields of this project as calculators of ASE: any checkpoint of a run, and two small networks that are shipped.

The shipped networks are EScAIP of 59,000 and 127,000 parameters, trained on GFN2-xTB forces of conformers of small
organic molecules, which lay in random orientations (runs `tiny` and `default` of the study `cpu`, raw weights after
10,000 steps). Nothing in them is equivariant but what they have learned. They are examples of unconstrained networks,
not force fields for use.
"""

from pathlib import Path
from typing import Any, ClassVar

from equidyn.core.extras import needed_by

with needed_by(__name__):
    import numpy as np
    import torch
    from ase import Atoms
    from ase.calculators.calculator import Calculator, all_changes

    from equidyn.core.batch import MoleculeBatch
    from equidyn.models.building import build
    from equidyn.run.checkpoints import CheckpointError, load_checkpoint
    from equidyn.run.recipe import Recipe
    from equidyn.tasks.force_field.task import ForceField, Normalisation

WEIGHTS = Path(__file__).with_name("weights")


class NetworkCalculator(Calculator):
    """A force field of this project.

    Its energies (eV) are relative to sums over atoms of references that were fitted to the training data, and its
    forces (eV/Å) are predicted directly, not derivatives of energies. It knows molecules, no periodic cells.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, checkpoint: str | Path):
        """Load a checkpoint.

        Args:
            checkpoint: File of a run, ``train/<run>/<weights>/<step>.safetensors`` in a study's results.

        Raises:
            CheckpointError: The file is missing or damaged, or holds no force field.
        """
        super().__init__()
        if not Path(checkpoint).is_file():
            raise CheckpointError(f"there is no checkpoint {checkpoint}")
        try:
            weights, metadata = load_checkpoint(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{checkpoint} is damaged, or no checkpoint of this project") from error
        if metadata["task"] != ForceField.name:
            raise CheckpointError(f"{checkpoint}: a network of the task {metadata['task']}, not of {ForceField.name}")
        recipe = Recipe(**metadata["recipe"])
        self.network = build(recipe.network, recipe.sizes).eval()
        self.network.load_state_dict(weights)
        self.scales = Normalisation(**metadata["task_state"])

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | tuple[str, ...] = ("energy", "forces"),
        system_changes: Any = all_changes,
    ) -> None:
        """Energy and forces of a molecule.

        Raises:
            ValueError: The structure is periodic, or has an element that the network does not know.
        """
        super().calculate(atoms, list(properties), system_changes)
        structure: Atoms = self.atoms
        if structure.pbc.any():
            raise ValueError("the network knows molecules alone: set atoms.pbc = False")
        known = getattr(self.network, "elements", None)
        if known is not None and structure.numbers.max() >= known:
            raise ValueError(f"the network knows elements 1 to {known - 1}, not {structure.numbers.max()}")
        molecule = MoleculeBatch(
            torch.tensor(structure.positions, dtype=torch.float32),
            torch.tensor(structure.numbers, dtype=torch.int64),
            torch.tensor([len(structure)]),
        )
        with torch.no_grad():
            found = self.network(molecule)
        self.results["forces"] = found.forces.double().numpy() * self.scales.force_scale
        if found.energy is not None:
            energy = found.energy.double().item() * self.scales.energy_scale + self.scales.energy_mean
            self.results["energy"] = np.float64(energy)


def escaip_tiny() -> NetworkCalculator:
    """The shipped network of 59,000 parameters."""
    return NetworkCalculator(WEIGHTS / "escaip-tiny.safetensors")


def escaip_small() -> NetworkCalculator:
    """The shipped network of 127,000 parameters."""
    return NetworkCalculator(WEIGHTS / "escaip-small.safetensors")
