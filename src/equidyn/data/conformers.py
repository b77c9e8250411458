"""Voxel-denoising data made on this machine: conformers of drug-like molecules.

A stand-in for GEOM-drugs that needs no download: screening compounds from a list that RDKit ships, of similar size and
elements, and up to five low-energy conformers of each, as VoxMol takes from GEOM. It is not GEOM and no figure may call
it so.

Each molecule is embedded several times by RDKit (ETKDGv3) and relaxed with MMFF94s (UFF where that has no parameters);
of equal conformers one is kept, and of these the ones of lowest energy. GEOM is relaxed with GFN2-xTB. That would cost
1.7 s per conformer instead of 0.02 s, and moved heavy atoms by 0.07 Å and bond lengths by 0.014 Å (medians of the
r.m.s. over 20 molecules), little beside blobs of 0.5 Å radius.

Many listed SMILES leave stereocentres open; one stereoisomer is then drawn, since conformers of different ones are
different molecules. Seeds come from a hash of the study's seed and the molecule's SMILES, so that conformers depend
neither on the number of processes nor on which other molecules are made.

RDKit is imported where it is used.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equidyn.core.seeding import seed_for
from equidyn.data.geometries import (
    ORIENTATIONS,
    LongestAxes,
    RejectError,
    atomic_numbers,
    conformer_positions,
    embed,
    placed,
    read_molecule,
    relax,
    symbol,
)
from equidyn.data.store import Field, StoreError, StoreWriter
from equidyn.data.workers import workers

if TYPE_CHECKING:
    from rdkit.Chem import Mol

log = logging.getLogger(__name__)

FIELDS = {
    "positions": Field("float32", (3,), "angstrom", "Cartesian coordinates, centred on their mean"),
    "atomic_numbers": Field("uint8", (), "", "atomic number Z"),
    "smiles": Field("str", (), "", "stereoisomer; its atoms, then the hydrogens, come in the order of the positions"),
    "cluster": Field("int32", (), "", "molecule: row of the manifest's table `molecules`", ragged=False),
}

ELEMENTS = (1, 6, 7, 8, 9, 16, 17, 35)
"""Atomic numbers that a molecule may hold: the channels of VoxMol's grids."""

DISTINCT = 0.125
"""Å; conformers with a smaller r.m.s.d. of heavy atoms count as equal, as in GEOM's conformer search (CREST)."""

LIST = "Pains/test_data/wehi_mols.csv"
"""Below RDKit's data folder: 10,000 screening compounds, columns SMILES and name, no header (BSD-3-Clause)."""


@dataclass(frozen=True)
class Selection:
    """Which molecules are made into conformers.

    Neutral closed-shell molecules of the elements `ELEMENTS` in one fragment, without isotope labels, and:

    Attributes:
        heavy_atoms: Fewest and most atoms other than hydrogen.
        max_atoms: Most atoms, hydrogens counted.
    """

    heavy_atoms: tuple[int, int] = (10, 40)
    max_atoms: int = 79

    def __post_init__(self) -> None:
        low, high = self.heavy_atoms
        if not 1 <= low <= high:
            raise ValueError(f"heavy_atoms is {self.heavy_atoms}, expected 1 <= fewest <= most")

    def objection(self, smiles: str) -> str:
        """Return the first reason to leave the molecule out; empty if there is none."""
        from rdkit import Chem

        try:
            mol = read_molecule(smiles)
        except RejectError as failure:
            return str(failure)
        atoms = mol.GetAtoms()
        low, high = self.heavy_atoms
        if len(Chem.GetMolFrags(mol)) > 1:
            return "more than one fragment"
        if any(atom.GetAtomicNum() not in ELEMENTS for atom in atoms):
            return "other elements than " + ", ".join(map(symbol, ELEMENTS))
        if any(atom.GetIsotope() for atom in atoms):
            return "isotope labels"
        if mol.GetNumHeavyAtoms() < low:
            return f"fewer than {low} heavy atoms"
        if mol.GetNumHeavyAtoms() > high:
            return f"more than {high} heavy atoms"
        if len(atoms) > self.max_atoms:
            return f"more than {self.max_atoms} atoms"
        return ""


@dataclass(frozen=True)
class Recipe:
    """How conformers are made, the same for all molecules of a store.

    Attributes:
        conformers: Largest number kept per molecule.
        embeddings: Largest number tried per molecule; see `embed`.
        seed: The study's seed; each molecule hashes its own from it.
        max_radius: A molecule is left out if a conformer to be kept has an atom farther (Å) from the mean position;
            None for no limit.
        orientation: "random" turns each conformer by a Haar-random rotation, "generator" keeps the frame in which
            RDKit embedded it.
    """

    conformers: int = 5
    embeddings: int = 10
    seed: int = 0
    max_radius: float | None = None
    orientation: str = "random"

    def __post_init__(self) -> None:
        if not 1 <= self.conformers <= self.embeddings:
            raise ValueError(
                f"conformers is {self.conformers}, embeddings {self.embeddings}: expected 1 <= conformers <= embeddings"
            )
        if self.max_radius is not None and not self.max_radius > 0:
            raise ValueError(f"max_radius is {self.max_radius}, expected a positive number of angstrom or None")
        if self.orientation not in ORIENTATIONS:
            raise ValueError(f"orientation is {self.orientation!r}: use one of {', '.join(ORIENTATIONS)}")


def listed_molecules() -> tuple[list[str], str]:
    """Read the list of molecules that RDKit ships.

    Returns:
        SMILES, and a line on their source for the manifest.

    Raises:
        StoreError: RDKit was installed without it.
    """
    from rdkit import RDConfig

    path = Path(RDConfig.RDDataDir, LIST)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        remedy = "install RDKit from PyPI, or give SMILES of your own"
        raise StoreError(path, "no such file", "the list of molecules that RDKit ships", remedy) from None
    smiles = [row[0] for row in csv.reader(io.StringIO(content.decode()))]
    digest = hashlib.sha256(content).hexdigest()
    return smiles, f"{LIST} of RDKit (BSD-3-Clause), {len(smiles)} molecules, SHA-256 {digest}"


def build_store(
    path: str | Path,
    *,
    molecules: int | Sequence[str] | str = 300,
    heavy_atoms: tuple[int, int] = (10, 40),
    max_atoms: int = 79,
    conformers: int = 5,
    embeddings: int = 10,
    seed: int = 0,
    max_radius: float | None = None,
    orientation: str = "random",
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the offline set of drug-like conformers.

    Examples lie in the store molecule by molecule, in random order, the conformers of each by rising energy. What
    cannot be made is skipped, counted by reason in the manifest and logged; a molecule that equals an earlier one, or
    is its stereoisomer, is skipped too. Where a number of molecules is asked, others from the list take their places.

    A small `max_radius` leaves out most large molecules after they were made: lower the limits on atoms with it.

    The work is done by worker processes (also for `processes=1`), started afresh with one thread each. A script that
    calls this therefore needs the usual ``if __name__ == "__main__":``.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        molecules: How many of RDKit's list, "all" of them, or SMILES of the caller's own.
        heavy_atoms: Fewest and most atoms other than hydrogen; see `Selection` for this and the next.
        max_atoms: Most atoms.
        conformers: Per molecule, at most; see `Recipe` for this and the next four.
        embeddings: Per molecule, at most.
        seed: Chooses molecules, stereoisomers, conformers and orientations.
        max_radius: Å, or None.
        orientation: "random" or "generator".
        processes: Worker processes; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: Fewer molecules than asked, or none at all, can be made.
        StoreError: RDKit was installed without its list of molecules.
    """
    from tqdm import tqdm

    selection = Selection(tuple(heavy_atoms), max_atoms)
    recipe = Recipe(conformers, embeddings, seed, max_radius, orientation)
    if isinstance(molecules, int) or molecules == "all":
        listed, source = listed_molecules()
    else:
        listed, source = list(molecules), f"{len(molecules)} molecules of the user's own"
    summary = _Summary()
    candidates = []
    for smiles in sorted(listed, key=lambda smiles: seed_for(seed, "order", smiles)):
        if objection := selection.objection(smiles):
            summary.reject(smiles, objection)
        else:
            candidates.append(smiles)
    wanted = molecules if isinstance(molecules, int) else len(candidates)
    if not 1 <= wanted <= len(candidates):
        raise ValueError(
            f"{wanted} molecules asked, {len(candidates)} of {source} pass the selection; left out were "
            f"{summary.counted()}"
        )
    with (
        StoreWriter(path, FIELDS, overwrite=overwrite) as writer,
        workers(processes) as pool,
        tqdm(total=wanted, unit="molecule", file=sys.stderr, disable=not progress) as bar,
    ):
        for smiles, made in zip(candidates, pool.map(_make, candidates, [recipe] * len(candidates)), strict=True):
            if objection := summary.objection(made):
                summary.reject(smiles, objection)
                continue
            for positions in made.positions:
                writer.append(
                    positions=positions, atomic_numbers=made.numbers, smiles=made.smiles, cluster=len(summary.table)
                )
            summary.add(smiles, made)
            bar.update()
            if len(summary.table) == wanted:
                break
        if not summary.table or (isinstance(molecules, int) and len(summary.table) < molecules):
            raise ValueError(
                f"{len(summary.table)} of the {wanted} molecules asked could be made; left out were "
                f"{summary.counted()}: ask for fewer, or widen max_radius"
            )
        statistics = summary.statistics()
        writer.finish(
            source=f"made by equidyn.data.conformers from {source}; not GEOM, only of the same kind of molecules",
            level_of_theory="MMFF94s minima from ETKDGv3 (UFF where MMFF94s has no parameters), by rising energy",
            orientation=ORIENTATIONS[orientation],
            selection=asdict(selection),
            recipe=asdict(recipe),
            versions={name: metadata.version(name) for name in ("rdkit", "numpy")},
            rejects=summary.counted(),
            statistics=statistics,
            molecules=summary.table,
        )
    log.info("%s: %s; left out: %s", path, statistics, summary.counted())
    return Path(path)


@dataclass
class _Made:
    """What one worker returns for one molecule: its conformers, or why there are none.

    Attributes:
        smiles: The stereoisomer.
        numbers: (atoms,) uint8.
        positions: (conformers, atoms, 3) float32.
        failure: Empty if it was made.
    """

    smiles: str = ""
    numbers: np.ndarray | None = None
    positions: np.ndarray | None = None
    failure: str = ""


def _make(smiles: str, recipe: Recipe) -> _Made:
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
    """Count and describe what goes into the store, one molecule at a time.

    Attributes:
        table: A row per molecule, for the manifest.
    """

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = []
        self._rejects: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._elements: Counter[int] = Counter()
        self._radii: list[float] = []
        self._axes = LongestAxes()

    def reject(self, smiles: str, reason: str) -> None:
        self._rejects[reason] += 1
        log.info("left out %s: %s", smiles, reason)

    def counted(self) -> dict[str, int]:
        return dict(sorted(self._rejects.items()))

    def objection(self, made: _Made) -> str:
        """Return why a molecule cannot be stored; empty if it can, and equal ones cannot from then on."""
        if made.failure:
            return made.failure
        constitution = _constitution(made.smiles)
        if constitution in self._seen:
            return "same as another, or its stereoisomer"
        self._seen.add(constitution)
        return ""

    def add(self, smiles: str, made: _Made) -> None:
        radii = np.linalg.norm(made.positions, axis=2).max(axis=1).tolist()
        self.table.append(
            {
                "cluster": len(self.table),
                "listed_smiles": smiles,
                "smiles": made.smiles,
                "atoms": len(made.numbers),
                "heavy_atoms": int((made.numbers > 1).sum()),
                "conformers": len(made.positions),
                "radius": max(radii),
            }
        )
        self._radii += radii
        for positions in made.positions:
            self._elements.update(made.numbers.tolist())
            self._axes.add(positions)

    def statistics(self) -> dict[str, Any]:
        conformers, atoms, heavy = (
            np.array([row[column] for row in self.table]) for column in ("conformers", "atoms", "heavy_atoms")
        )
        return {
            "examples": int(conformers.sum()),
            "molecules": len(self.table),
            "molecules_by_conformers": dict(sorted(Counter(conformers.tolist()).items())),
            "elements_atoms": {symbol(z): self._elements[z] for z in sorted(self._elements)},
            "atoms_mean": float(np.average(atoms, weights=conformers)),
            "atoms_max": int(atoms.max()),
            "heavy_atoms_mean": float(np.average(heavy, weights=conformers)),
            "radius_max_angstrom": max(self._radii),
            "radius_quantiles_angstrom": {
                f"{100 * share:g} %": float(np.quantile(self._radii, share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95)
            },
            "orientation_of_longest_axis": self._axes.mean_squares(),
        }


def _constitution(smiles: str) -> str:
    """Return the canonical SMILES without stereochemistry."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
