"""MACE (Batatia et al. 2022, arXiv 2206.07697) of the package mace-torch, with the interface of other force fields.

Forces are minus the gradient of an energy. The network takes it by itself, so that it runs where gradients are off.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.models.graph import neighbour_graph
from equidyn.models.mace.sizes import MACEConfig


@dataclass(frozen=True)
class Edges:
    """Directed edges between atoms within reach of each other.

    Attributes:
        ends: (2, E) the atom that sends, and the one that receives.
        element: (N,) place of each atom's element among those that the network knows.
    """

    ends: Tensor
    element: Tensor


class MACE(nn.Module):
    """A force field that is exactly equivariant and conservative; same interface as EScAIP."""

    Config = MACEConfig

    def __init__(self, config: MACEConfig):
        super().__init__()
        self.config = config
        device = torch.get_default_device()
        with torch.device("cpu"), _package() as (blocks, o3):
            features = "+".join(f"{config.channels}x{degree}{'eo'[degree % 2]}" for degree in range(config.degrees))
            self.network = blocks.ScaleShiftMACE(
                atomic_inter_scale=1.0,  # forces are learned in units of their root mean square
                atomic_inter_shift=0.0,
                r_max=config.max_radius,
                num_bessel=config.bessel,
                num_polynomial_cutoff=config.cutoff_power,
                max_ell=config.harmonics,
                interaction_cls=blocks.RealAgnosticResidualInteractionBlock,
                interaction_cls_first=blocks.RealAgnosticResidualInteractionBlock,
                num_interactions=config.layers,
                num_elements=len(config.atomic_numbers),
                hidden_irreps=o3.Irreps(features),
                MLP_irreps=o3.Irreps(f"{config.readout}x0e"),
                atomic_energies=np.zeros(len(config.atomic_numbers)),
                avg_num_neighbors=config.neighbors,
                atomic_numbers=list(config.atomic_numbers),
                correlation=config.correlation,
                gate=F.silu,
                radial_MLP=[config.radial] * 3,
            )
        self.to(device)  # what e3nn computes has to have numbers first

    def __deepcopy__(self, memo: dict[int, Any]) -> "MACE":
        # e3nn would copy its modules by way of TorchScript.
        with torch.random.fork_rng(devices=[]):
            copy = type(self)(self.config)
        weight = next(self.parameters())
        copy.to(weight).load_state_dict(self.state_dict())
        return copy.train(self.training).requires_grad_(weight.requires_grad)

    @property
    def elements(self) -> int:
        """Atomic numbers up to, not including, this may be known."""
        return max(self.config.atomic_numbers) + 1

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay, as in the training of mace-torch."""
        within = "linear.weight" in name or "skip_tp_full.weight" in name
        return not (".products." in name or (".interactions." in name and within))

    def prepare(self, batch: MoleculeBatch, *, few_shapes: bool = False) -> MoleculeBatch:
        """The batch with its edges, which `forward` needs; it is never padded, as the network is not compiled."""
        return replace(batch, graph=self.edges(batch))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: PyTorch compiles no gradients of gradients."""

    def edges(self, batch: MoleculeBatch) -> Edges:
        """Edges of a batch.

        Raises:
            ValueError: An element is unknown, or an atom has no neighbour.
        """
        known = torch.tensor(self.config.atomic_numbers, device=batch.positions.device)
        is_of = batch.atomic_numbers[:, None] == known
        if unknown := set(batch.atomic_numbers[~is_of.any(1)].tolist()):
            raise ValueError(
                f"atomic numbers {sorted(unknown)} are unknown to the model, which knows "
                f"{', '.join(map(str, self.config.atomic_numbers))}: add them to its size 'atomic_numbers'"
            )
        graph = neighbour_graph(batch, max_neighbors=batch.max_atoms, max_radius=self.config.max_radius)
        return Edges(torch.stack([graph.neighbour, graph.centre])[:, graph.real], is_of.int().argmax(1))

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces of a batch of molecules (positions in Å); the energy has no normalised units of its own."""
        edges, positions = batch.graph or self.edges(batch), batch.positions
        learning = torch.is_grad_enabled()
        # e3nn's functions in TorchScript round differently once they have been optimised, after some calls.
        # In bfloat16 they mix types.
        single = torch.autocast(positions.device.type, enabled=False)
        with single, torch.enable_grad(), torch.jit.optimized_execution(False):
            result = self.network(
                {
                    # The network asks for gradients by this very tensor.
                    "positions": positions if positions.requires_grad else positions.detach(),
                    "node_attrs": F.one_hot(edges.element, len(self.config.atomic_numbers)).to(positions.dtype),
                    "edge_index": edges.ends,
                    "shifts": positions.new_zeros(edges.ends.shape[1], 3),
                    "cell": positions.new_zeros(3 * batch.molecules, 3),
                    "batch": batch.molecule,
                    "ptr": F.pad(batch.atoms_per_molecule.cumsum(0), (1, 0)),
                },
                training=learning,
            )
        return ForceOutput(result["forces"], None, None)


@contextmanager
def _package() -> Iterator[tuple[Any, Any]]:
    """The modules `mace.modules` and `e3nn.o3`, to make networks with, of plain functions and not of TorchScript.

    Raises:
        ModuleNotFoundError: A package is not installed.
    """
    unsafe = os.environ.get(_UNSAFE)
    try:
        with torch.serialization.safe_globals([slice]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e3nn 0.4 uses what PyTorch deprecates
            from e3nn import get_optimization_defaults, o3, set_optimization_defaults
            from mace import modules
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"networks of the architecture mace need the package mace-torch: pip install 'equidyn[mace]' ({error})"
        ) from None
    if unsafe is None:
        os.environ.pop(_UNSAFE, None)
    before = get_optimization_defaults()
    set_optimization_defaults(jit_script_fx=False)
    try:
        yield modules, o3
    finally:
        set_optimization_defaults(**before)


_UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""With this set, as mace-torch does, PyTorch runs what files contain."""
