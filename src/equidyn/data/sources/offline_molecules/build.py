"""Force-field data made on this machine: small molecules labelled with GFN2-xTB.

A stand-in for SPICE that needs no download. It has the same kinds of molecules (capped amino
acids, dipeptides, small monomers, drug-like fragments and compounds; neutral, closed shell), the
same arrays and forces of similar size, from a much cheaper level of theory. It is not SPICE and no
figure may call it so.

Each molecule is embedded by RDKit (ETKDGv3), relaxed with MMFF94s (UFF where that has no
parameters), displaced by Gaussian noise, and labelled by tblite. Molecules are independent: seeds
come from a hash of the study's seed and the molecule's SMILES, so the store's bytes depend neither
on the number of processes nor on which other molecules are made.

RDKit and tblite are imported where they are used, in worker processes with one thread each.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
from equidyn.data.geometries import (
    BOHR_ANGSTROM,
    FORCE_FIELD,
    HARTREE_EV,
    Description,
    cluster_field,
    force_objections,
    quantiles,
    symbol,
)
from equidyn.data.sources.offline_molecules.molecules import Molecule, force_field_molecules
from equidyn.data.store import StoreWriter
from equidyn.data.workers import workers

if TYPE_CHECKING:
    from equidyn.data.sources.offline_molecules.card import OfflineMolecules

log = logging.getLogger(__name__)

METHOD = "GFN2-xTB"

FIELDS = FORCE_FIELD | {"cluster": cluster_field("molecule: row of the manifest's table `molecules`")}

# Unpaired electrons in the ground state of each isolated atom, whose energies are the references.
UNPAIRED_ELECTRONS = {1: 1, 5: 1, 6: 2, 7: 3, 8: 2, 9: 1, 14: 2, 15: 3, 16: 2, 17: 1, 35: 1, 53: 1}

_FIRST = np.zeros(1, np.int64)  # first atom of the only geometry


def build_store(
    path: str | Path,
    recipe: OfflineMolecules,
    *,
    molecules: Sequence[Molecule] = (),
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the offline force-field data set.

    Molecules that cannot be embedded or labelled are skipped, counted by reason in the manifest and logged.

    Labels always come from worker processes (also for `processes=1`), started afresh with one thread each: threads add
    floating-point numbers in no fixed order. A script that calls this therefore needs the usual
    ``if __name__ == "__main__":``.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        recipe: Number of molecules, and settings of their geometries.
        molecules: Molecules to make instead of the number that the recipe asks for.

    Raises:
        ValueError: There are fewer molecules than asked, one holds an element without reference energy, two are the
            same, or nothing at all could be labelled.
        StoreError: RDKit was installed without the list that has the further molecules.
    """
    from tqdm import tqdm

    compounds = ""
    if not molecules:
        count = None if recipe.molecules == "all" else recipe.molecules
        molecules, source = force_field_molecules(count, seed=recipe.seed)
        compounds = source and f", compounds from {source}"
    elements = _check_molecules(molecules)
    summary = _Summary()
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer, workers(processes) as pool:
        references = pool.submit(atomic_references, elements, recipe).result()
        tasks = pool.map(_label, molecules, [recipe] * len(molecules), [references] * len(molecules))
        bar = tqdm(tasks, total=len(molecules), unit="molecule", file=sys.stderr, disable=not progress)
        for molecule, labelled in zip(molecules, bar, strict=True):
            for frame in labelled.frames:
                writer.append(**frame, cluster=len(summary.table))
            summary.add(molecule, labelled)
        if len(writer) == 0:
            raise ValueError(f"no geometry could be labelled: {summary.rejects()}")
        statistics, warnings = summary.statistics(), summary.warnings()
        for warning in warnings:
            log.warning("%s", warning)
        writer.finish(
            source=f"made by equidyn{compounds}; not SPICE, only of the same kinds of molecules",
            level_of_theory=f"{METHOD}, total energy and its gradient, gas phase, neutral singlets",
            orientation=ORIENTATIONS[recipe.orientation],
            recipe=recipe.model_dump(exclude={"molecules"}),
            versions={name: metadata.version(name) for name in ("rdkit", "tblite", "numpy")},
            units={"bohr in angstrom": BOHR_ANGSTROM, "hartree in eV": HARTREE_EV},
            reference_energies_ev={symbol(z): value for z, value in references.items()},
            rejects=summary.rejects(),
            warnings=warnings,
            statistics=statistics,
            molecules=summary.table,
        )
    log.info("%s: %s; left out: %s", path, statistics, summary.rejects())
    return Path(path)


def atomic_references(elements: Sequence[int], recipe: OfflineMolecules) -> dict[int, float]:
    """Return the energy (eV) of each isolated atom at the level that labels the molecules."""
    references = {}
    for number in elements:
        if number not in UNPAIRED_ELECTRONS:
            raise ValueError(_no_reference(number))
        unpaired = UNPAIRED_ELECTRONS[number]
        try:
            energy, _ = _single_point(np.array([number]), np.zeros((1, 3)), recipe, uhf=unpaired)
        except RejectError:
            raise ValueError(
                f"the isolated {symbol(number)} atom did not converge within "
                f"{recipe.scf_iterations} SCF iterations: raise scf_iterations"
            ) from None
        references[number] = energy
    return references


@dataclass
class _Labelled:
    """The result of a worker for one molecule: examples for the store, and what was left out."""

    frames: list[dict[str, Any]]
    rejects: Counter[str]
    failure: str = ""


def _label(molecule: Molecule, recipe: OfflineMolecules, references: dict[int, float]) -> _Labelled:
    """Make and label all geometries of one molecule. Runs in a worker."""
    labelled = _Labelled([], Counter())
    # Two streams, so that orientations can be switched on without changing the geometries.
    own_seed = seed_for(recipe.seed, "displacement", molecule.smiles)
    noise, turns = (np.random.default_rng([own_seed, stream]) for stream in range(2))
    try:
        numbers, bases = _relaxed_conformers(molecule, recipe)
    except RejectError as failure:
        labelled.failure = str(failure)
        return labelled
    reference = sum(references[int(number)] for number in numbers)
    for conformer in range(recipe.conformers):
        positions = _displaced(bases[conformer % len(bases)], recipe, noise, turns)
        # Labels belong to the stored single-precision coordinates, not to what was rounded away.
        positions = positions.astype(np.float32)
        try:
            energy, forces = _single_point(numbers, positions.astype(np.float64), recipe)
        except RejectError as failure:
            labelled.rejects[str(failure)] += 1
            continue
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            labelled.rejects["label not finite"] += 1
        elif reasons := [reason for reason, exceeds in force_objections(recipe, forces, _FIRST).items() if exceeds]:
            labelled.rejects[reasons[0]] += 1
        else:
            labelled.frames.append(
                {
                    "positions": positions,
                    "atomic_numbers": numbers.astype(np.uint8),
                    "forces": forces.astype(np.float32),
                    "energy": energy - reference,
                }
            )
    if not labelled.frames:
        labelled.failure = "all geometries rejected"
    return labelled


def _relaxed_conformers(molecule: Molecule, recipe: OfflineMolecules) -> tuple[np.ndarray, np.ndarray]:
    """Embed and relax one molecule.

    Returns:
        Atomic numbers (atoms,) and positions (conformers, atoms, 3) in angstrom.
    """
    mol = read_molecule(molecule.smiles)
    wanted = min(recipe.base_conformers, recipe.conformers)
    embed(mol, wanted, seed_for(recipe.seed, "embedding", molecule.smiles) >> 32)
    relax(mol)
    return atomic_numbers(mol), conformer_positions(mol)


def _displaced(
    base: np.ndarray, recipe: OfflineMolecules, noise: np.random.Generator, turns: np.random.Generator
) -> np.ndarray:
    """Return `base` (atoms, 3) with Gaussian noise, rotated if the recipe says so, centred."""
    scale = noise.uniform(*recipe.displacement)
    return placed(base + scale * noise.standard_normal(base.shape), recipe.orientation, turns)


def _single_point(
    numbers: np.ndarray, positions: np.ndarray, recipe: OfflineMolecules, uhf: int = 0
) -> tuple[float, np.ndarray]:
    """Return total energy (eV) and forces (atoms, 3) (eV/angstrom) at `positions` (angstrom)."""
    from tblite.exceptions import TBLiteRuntimeError
    from tblite.interface import Calculator

    calculator = Calculator(METHOD, numbers, positions / BOHR_ANGSTROM, charge=0.0, uhf=uhf)
    calculator.set("verbosity", 0)
    calculator.set("accuracy", recipe.scf_accuracy)
    calculator.set("max-iter", recipe.scf_iterations)
    try:
        result = calculator.singlepoint()
    except TBLiteRuntimeError as error:
        raise RejectError("SCF failed") from error
    energy = float(result.get("energy")) * HARTREE_EV
    forces = -np.asarray(result.get("gradient")) * (HARTREE_EV / BOHR_ANGSTROM)
    return energy, forces


class _Summary:
    """Counts and a description of the store's content, collected by molecule.

    Attributes:
        table: A row for each molecule, for the manifest.
    """

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = []
        self._failures: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._force_norms: list[np.ndarray] = []
        self._description = Description()

    def add(self, molecule: Molecule, labelled: _Labelled) -> None:
        """Take in a worker's result for a molecule."""
        energies = np.array([frame["energy"] for frame in labelled.frames])
        if labelled.failure:
            self._failures[labelled.failure] += 1
            log.warning("left out %s: %s", molecule.smiles, labelled.failure)
        if labelled.rejects:
            self._rejects += labelled.rejects
            log.info("geometries of %s left out: %s", molecule.smiles, dict(labelled.rejects))
        self.table.append(
            {
                "cluster": len(self.table),
                "smiles": molecule.smiles,
                "family": molecule.family,
                "atoms": len(labelled.frames[0]["positions"]) if labelled.frames else 0,
                "conformers": len(labelled.frames),
                "energy_mean_ev": float(energies.mean()) if len(energies) else None,
                "energy_std_ev": float(energies.std()) if len(energies) else None,
                "failure": labelled.failure,
            }
        )
        for frame in labelled.frames:
            self._description.add([len(frame["positions"])], **frame)
            self._force_norms.append(np.linalg.norm(frame["forces"].astype(np.float64), axis=1))

    def rejects(self) -> dict[str, dict[str, int]]:
        """Return how many molecules and geometries were left out, by reason."""
        return {
            "molecules": dict(sorted(self._failures.items())),
            "geometries": dict(sorted(self._rejects.items())),
        }

    def warnings(self) -> list[str]:
        """Return what is conspicuous in the forces."""
        return self._description.force_warnings()

    def statistics(self) -> dict[str, Any]:
        """Return the description of the geometries for the manifest."""
        made = [entry for entry in self.table if entry["conformers"]]
        norms = np.concatenate(self._force_norms)
        spreads = np.array([entry["energy_std_ev"] for entry in made])
        families: dict[str, Counter[str]] = {entry["family"]: Counter() for entry in made}
        for entry in made:
            families[entry["family"]].update(
                molecules=1, examples=entry["conformers"], atoms=entry["conformers"] * entry["atoms"]
            )
        return {
            "examples": sum(entry["conformers"] for entry in made),
            "molecules": len(made),
            "families": {name: dict(counts) for name, counts in families.items()},
            **self._description.sizes(),
            **self._description.force_rms(),
            **self._description.force_maxima(),
            "force_norm_quantiles_ev_per_angstrom": quantiles(norms, (0.01, 0.25, 0.5, 0.75, 0.99)),
            "energy_std_within_molecule_ev": {"mean": float(spreads.mean()), "max": float(spreads.max())},
            **self._description.orientation(),
        }


def _check_molecules(molecules: Sequence[Molecule]) -> list[int]:
    """Return the atomic numbers that occur; refuse unknown elements and duplicates."""
    from rdkit import Chem, rdBase

    if not molecules:
        raise ValueError("no molecules: the list is empty")
    elements: set[int] = set()
    seen: dict[str, Molecule] = {}
    with rdBase.BlockLogs():
        for molecule in molecules:
            mol = Chem.MolFromSmiles(molecule.smiles)
            if mol is None:  # counted as a reject later
                continue
            for atom in Chem.AddHs(mol).GetAtoms():
                elements.add(atom.GetAtomicNum())
                if atom.GetAtomicNum() not in UNPAIRED_ELECTRONS:
                    raise ValueError(f"{molecule.smiles}: {_no_reference(atom.GetAtomicNum())}")
            canonical = Chem.MolToSmiles(mol)
            if canonical in seen:
                raise ValueError(
                    f"{molecule.smiles} ({molecule.family}) is the same molecule as "
                    f"{seen[canonical].smiles} ({seen[canonical].family}): drop one, since a "
                    "molecule in two clusters would leak from training into validation"
                )
            seen[canonical] = molecule
    return sorted(elements)


def _no_reference(number: int) -> str:
    known = ", ".join(symbol(z) for z in UNPAIRED_ELECTRONS)
    return (
        f"no {METHOD} reference energy for {symbol(number)}: drop the molecule, or add the "
        f"atom's unpaired electrons to UNPAIRED_ELECTRONS (known: {known})"
    )
