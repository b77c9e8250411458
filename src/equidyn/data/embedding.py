"""Geometries of molecules from their SMILES, by RDKit, for the sources that are made on this machine.

Seeds are passed in, one thread does the work, and equal input gives equal coordinates under the same version of RDKit.
RDKit is imported where it is used, in worker processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equidyn.core.groups.so3.orientations import orientations

if TYPE_CHECKING:
    from rdkit.Chem import Mol

ORIENTATIONS = {
    "generator": "as embedded by RDKit, centred on the mean position; not random: the embedding "
    "prefers to lay molecules along its axes (statistics: orientation_of_longest_axis)",
    "random": "Haar-random rotation per geometry, centred on the mean position",
}
"""Ways of orienting geometries, each with its description in the manifest."""


class RejectError(Exception):
    """A molecule or geometry is left out; the message is the reason that it is counted under."""


def read_molecule(smiles: str) -> Mol:
    """Read a molecule and add its hydrogens, behind all other atoms.

    Raises:
        RejectError: The SMILES cannot be read, or the molecule is charged or a radical.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:
            raise RejectError("SMILES not readable")
        mol = Chem.AddHs(mol)
    radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    if Chem.GetFormalCharge(mol) != 0 or radicals:
        raise RejectError("not neutral and closed-shell")
    return mol


def embed(mol: Mol, count: int, seed: int) -> None:
    """Give a molecule conformers by ETKDGv3, which replace those that it has.

    Args:
        mol: Molecule with hydrogens.
        count: Number of embeddings to try; at most one plus two for each rotatable bond and saturated ring.
        seed: Seed in [0, 2**31).

    Raises:
        RejectError: Not a single embedding succeeded.
    """
    from rdkit import rdBase
    from rdkit.Chem import rdDistGeom, rdMolDescriptors

    saturated_rings = rdMolDescriptors.CalcNumAliphaticRings(mol)
    flexible = rdMolDescriptors.CalcNumRotatableBonds(mol, False) + saturated_rings
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.numThreads = 1
    parameters.maxIterations = 50
    with rdBase.BlockLogs():
        try:
            found = len(rdDistGeom.EmbedMultipleConfs(mol, min(1 + 2 * flexible, count), parameters))
        except RuntimeError:
            found = 0
    if found == 0:
        raise RejectError("embedding failed")


def relax(mol: Mol) -> np.ndarray:
    """Relax all conformers with MMFF94s, or UFF where that has no parameters.

    Returns:
        (conformers,) energies in kcal/mol, comparable within the molecule only.

    Raises:
        RejectError: Neither force field has parameters.
    """
    from rdkit import rdBase
    from rdkit.Chem import rdForceFieldHelpers

    with rdBase.BlockLogs():
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
                mol, numThreads=1, maxIters=500, mmffVariant="MMFF94s"
            )
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
            results = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(mol, numThreads=1, maxIters=500)
        else:
            raise RejectError("no force field to relax with")
    return np.array([energy for _, energy in results])


def atomic_numbers(mol: Mol) -> np.ndarray:
    """Return (atoms,) atomic numbers."""
    return np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])


def conformer_positions(mol: Mol) -> np.ndarray:
    """Return (conformers, atoms, 3) coordinates in angstrom."""
    return np.array([conformer.GetPositions() for conformer in mol.GetConformers()])


def placed(positions: np.ndarray, orientation: str, turns: np.random.Generator) -> np.ndarray:
    """Return `positions` (atoms, 3) oriented according to `orientation`, a key of `ORIENTATIONS`, and centred."""
    if orientation == "random":
        positions = positions @ orientations(1, turns)[0].T
    return positions - positions.mean(axis=0)
