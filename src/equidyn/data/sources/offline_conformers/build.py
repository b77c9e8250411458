"""Voxel-denoising data made on this machine: conformers of drug-like molecules.

A stand-in for GEOM-drugs that needs no download: screening compounds from a list that RDKit ships, of similar size and
elements, and up to five low-energy conformers of each, as VoxMol takes from GEOM. It is not GEOM and no figure may call
it so.

Each molecule is embedded several times by RDKit (ETKDGv3) and relaxed with MMFF94s (UFF where that has no parameters);
of equal conformers one is kept, and of these the ones of lowest energy. GEOM is relaxed with GFN2-xTB. That would cost
1.7 s per conformer instead of 0.02 s, and moved heavy atoms by 0.07 Å and bond lengths by 0.014 Å (medians of the
r.m.s. over 20 molecules), which is small compared with densities of 0.5 Å radius.

Many listed SMILES leave stereocentres open; one stereoisomer is then drawn, since conformers of different ones are
different molecules. Seeds come from a hash of the study's seed and the molecule's SMILES, so that conformers depend
neither on the number of processes nor on which other molecules are made.

RDKit is imported where it is used.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equidyn.core.seeding import seed_for
from equidyn.data.embedding import (
    ORIENTATIONS,
    RejectError,
    atomic_numbers,
    conformer_positions,
    embed,
    placed,
    read_molecule,
    relax,
)
from equidyn.data.geometries import ATOMIC_NUMBERS, CHANNELS, POSITIONS, Description, cluster_field
from equidyn.data.screening import constitution, listed_molecules, unwanted
from equidyn.data.store import Field, StoreWriter
from equidyn.data.workers import workers

if TYPE_CHECKING:
    from rdkit.Chem import Mol

    from equidyn.data.sources.offline_conformers.card import OfflineConformers

log = logging.getLogger(__name__)

FIELDS = {
    "positions": POSITIONS,
    "atomic_numbers": ATOMIC_NUMBERS,
    "smiles": Field("str", (), "", "stereoisomer; its atoms, then the hydrogens, come in the order of the positions"),
    "cluster": cluster_field("molecule: row of the manifest's table `molecules`"),
}

DISTINCT = 0.125
"""Å; conformers with a smaller r.m.s.d. of heavy atoms count as equal, as in GEOM's conformer search (CREST)."""


def objection(smiles: str, recipe: OfflineConformers) -> str:
    """Return the first reason to leave a molecule out; empty if there is none.

    Wanted are neutral closed-shell molecules of the elements `CHANNELS` in one fragment, without isotope labels, and
    within the recipe's limits on atoms.
    """
    try:
        mol = read_molecule(smiles)
    except RejectError as failure:
        return str(failure)
    if reason := unwanted(mol, CHANNELS):
        return reason
    fewest, most = recipe.heavy_atoms
    if mol.GetNumHeavyAtoms() < fewest:
        return f"fewer than {fewest} heavy atoms"
    if mol.GetNumHeavyAtoms() > most:
        return f"more than {most} heavy atoms"
    if mol.GetNumAtoms() > recipe.max_atoms:
        return f"more than {recipe.max_atoms} atoms"
    return ""


def build_store(
    path: str | Path,
    recipe: OfflineConformers,
    *,
    molecules: Sequence[str] | None = None,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the offline set of drug-like conformers.

    Examples lie in the store molecule by molecule, in random order, the conformers of each by rising energy. Molecules
    that cannot be made are skipped, counted by reason in the manifest and logged; a molecule that equals an earlier
    one, or is its stereoisomer, is skipped too. If a number of molecules is requested, others from the list replace
    them.

    A small `max_radius` leaves out most large molecules after they were made: lower the limits on atoms with it.

    The work is done by worker processes (also for `processes=1`), started afresh with one thread each. A script that
    calls this therefore needs the usual ``if __name__ == "__main__":``.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        recipe: Choice of molecules, and settings of their conformers.
        molecules: SMILES to choose from instead of the list that comes with RDKit.

    Raises:
        ValueError: Fewer molecules than requested, or none at all, can be made.
        StoreError: RDKit was installed without its list of molecules.
    """
    from tqdm import tqdm

    if molecules is None:
        listed, source = listed_molecules()
    else:
        listed, source = list(molecules), f"{len(molecules)} molecules of the user's own"
    summary = _Summary()
    candidates = []
    for smiles in sorted(listed, key=lambda smiles: seed_for(recipe.seed, "order", smiles)):
        if reason := objection(smiles, recipe):
            summary.reject(smiles, reason)
        else:
            candidates.append(smiles)
    asked = None if recipe.molecules == "all" else recipe.molecules
    wanted = asked or len(candidates)
    if not 1 <= wanted <= len(candidates):
        raise ValueError(
            f"{wanted} molecules asked, {len(candidates)} of {source} pass the selection; left out were "
            f"{summary.rejects()}"
        )
    with (
        StoreWriter(path, FIELDS, overwrite=overwrite) as writer,
        workers(processes) as pool,
        tqdm(total=wanted, unit="molecule", file=sys.stderr, disable=not progress) as bar,
    ):
        for smiles, made in zip(candidates, pool.map(_make, candidates, [recipe] * len(candidates)), strict=True):
            if reason := summary.objection(made):
                summary.reject(smiles, reason)
                continue
            for positions in made.positions:
                writer.append(
                    positions=positions, atomic_numbers=made.numbers, smiles=made.smiles, cluster=len(summary.table)
                )
            summary.add(smiles, made)
            bar.update()
            if len(summary.table) == wanted:
                break
        if not summary.table or (asked and len(summary.table) < asked):
            raise ValueError(
                f"{len(summary.table)} of the {wanted} molecules asked could be made; left out were "
                f"{summary.rejects()}: ask for fewer, or widen max_radius"
            )
        statistics = summary.statistics()
        limits = {"heavy_atoms", "max_atoms"}
        writer.finish(
            source=f"made by equidyn from {source}; not GEOM, only of the same kind of molecules",
            level_of_theory="MMFF94s minima from ETKDGv3 (UFF where MMFF94s has no parameters), by rising energy",
            orientation=ORIENTATIONS[recipe.orientation],
            selection=recipe.model_dump(include=limits),
            recipe=recipe.model_dump(exclude={"molecules", *limits}),
            versions={name: metadata.version(name) for name in ("rdkit", "numpy")},
            rejects=summary.rejects(),
            statistics=statistics,
            molecules=summary.table,
        )
    log.info("%s: %s; left out: %s", path, statistics, summary.rejects())
    return Path(path)


@dataclass
class _Made:
    """The result of a worker for one molecule: its conformers, or the reason for a failure.

    Attributes:
        smiles: The stereoisomer.
        numbers: (atoms,) uint8.
        positions: (conformers, atoms, 3) float32.
        failure: Empty if it was made.
    """

    smiles: str = ""
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    positions: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 3), np.float32))
    failure: str = ""


def _make(smiles: str, recipe: OfflineConformers) -> _Made:
    """Make the conformers of one molecule. Runs in a worker."""
    turns = np.random.default_rng(seed_for(recipe.seed, "orientation", smiles))
    try:
        isomer = _stereoisomer(smiles, recipe.seed)
        mol = read_molecule(isomer)
        embed(mol, recipe.embeddings, seed_for(recipe.seed, "embedding", smiles) >> 32)
        kept = _lowest(mol, relax(mol), recipe.conformers)
    except RejectError as failure:
        return _Made(failure=str(failure))
    positions = np.array([placed(base, recipe.orientation, turns) for base in conformer_positions(mol)[kept]])
    if recipe.max_radius is not None and np.linalg.norm(positions, axis=2).max() > recipe.max_radius:
        return _Made(failure=f"reaches beyond {recipe.max_radius:g} Å")
    return _Made(isomer, atomic_numbers(mol).astype(np.uint8), positions.astype(np.float32))


def _stereoisomer(smiles: str, seed: int) -> str:
    """Return the SMILES with all stereochemistry that it leaves open drawn at random, as an embedding comes out."""
    from rdkit import Chem

    mol = read_molecule(smiles)
    embed(mol, 1, seed_for(seed, "stereochemistry", smiles) >> 32)
    Chem.AssignStereochemistryFrom3D(mol)
    return Chem.MolToSmiles(Chem.RemoveHs(mol))


def _lowest(mol: Mol, energies: np.ndarray, count: int) -> list[int]:
    """Return the conformers of lowest energy that differ from each other by `DISTINCT`, by rising energy."""
    from rdkit import Chem
    from rdkit.Chem import rdMolAlign

    differences = np.zeros((len(energies), len(energies)))
    if len(energies) > 1:
        # Atoms that symmetry makes equivalent are matched at their best, which hydrogens would make slow.
        heavy = Chem.RemoveHs(mol)
        differences[np.tril_indices(len(energies), -1)] = rdMolAlign.GetAllConformerBestRMS(heavy, numThreads=1)
        differences += differences.T
    kept: list[int] = []
    for conformer in np.argsort(energies, kind="stable"):
        if len(kept) < count and (differences[conformer, kept] >= DISTINCT).all():
            kept.append(int(conformer))
    return kept


class _Summary:
    """Counts and a description of the store's content, collected by molecule.

    Attributes:
        table: A row for each molecule, for the manifest.
    """

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = []
        self._rejects: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._description = Description()

    def reject(self, smiles: str, reason: str) -> None:
        """Count a molecule that is left out."""
        self._rejects[reason] += 1
        log.info("left out %s: %s", smiles, reason)

    def rejects(self) -> dict[str, int]:
        """Return how many molecules were left out, by reason."""
        return dict(sorted(self._rejects.items()))

    def objection(self, made: _Made) -> str:
        """Return why a molecule cannot be stored; empty if it can, and equal ones cannot from then on."""
        if made.failure:
            return made.failure
        plain = constitution(made.smiles)
        if plain in self._seen:
            return "same as another, or its stereoisomer"
        self._seen.add(plain)
        return ""

    def add(self, smiles: str, made: _Made) -> None:
        """Take in the conformers of a molecule."""
        conformers, atoms = made.positions.shape[:2]
        self._description.add([atoms] * conformers, made.positions.reshape(-1, 3), np.tile(made.numbers, conformers))
        self.table.append(
            {
                "cluster": len(self.table),
                "listed_smiles": smiles,
                "smiles": made.smiles,
                "atoms": atoms,
                "heavy_atoms": int(np.count_nonzero(made.numbers > 1)),
                "conformers": conformers,
                "radius": float(np.linalg.norm(made.positions, axis=2).max()),
            }
        )

    def statistics(self) -> dict[str, Any]:
        """Return the description of the conformers for the manifest."""
        conformers, heavy = (np.array([row[column] for row in self.table]) for column in ("conformers", "heavy_atoms"))
        return {
            "examples": int(conformers.sum()),
            "molecules": len(self.table),
            "molecules_by_conformers": dict(sorted(Counter(conformers.tolist()).items())),
            **self._description.sizes(),
            "heavy_atoms_mean": float(np.average(heavy, weights=conformers)),
            **self._description.reach(),
            **self._description.orientation(),
        }
