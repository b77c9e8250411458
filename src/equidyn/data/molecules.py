"""Force-field data made on this machine: small molecules labelled with GFN2-xTB.

A stand-in for SPICE that needs no download. It has the same kinds of molecules (capped amino
acids, dipeptides, small monomers, drug-like fragments; neutral, closed shell), the same arrays and
forces of similar size, from a much cheaper level of theory. It is not SPICE and no figure may call
it so.

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
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

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
from equidyn.data.store import Field, StoreWriter
from equidyn.data.workers import workers

log = logging.getLogger(__name__)

METHOD = "GFN2-xTB"
BOHR_ANGSTROM = 0.529177210903  # CODATA 2018
HARTREE_EV = 27.211386245988  # CODATA 2018

FIELDS = {
    "positions": Field("float32", (3,), "angstrom", "Cartesian coordinates, centred on their mean"),
    "atomic_numbers": Field("uint8", (), "", "atomic number Z"),
    "forces": Field("float32", (3,), "eV/angstrom", "minus the gradient of the energy"),
    "energy": Field("float64", (), "eV", "total energy minus those of the isolated atoms", ragged=False),
    "cluster": Field("int32", (), "", "molecule: row of the manifest's table `molecules`", ragged=False),
}

# Unpaired electrons in the ground state of each isolated atom, whose energies are the references.
UNPAIRED_ELECTRONS = {1: 1, 5: 1, 6: 2, 7: 3, 8: 2, 9: 1, 14: 2, 15: 3, 16: 2, 17: 1, 35: 1, 53: 1}

FAMILIES = ("amino acid", "dipeptide", "monomer", "fragment")

# Twenty residues as -NH-CHR-CO- pieces: L configuration, side chains neutral.
RESIDUES = {
    "GLY": "NCC(=O)",
    "ALA": "N[C@@H](C)C(=O)",
    "SER": "N[C@@H](CO)C(=O)",
    "CYS": "N[C@@H](CS)C(=O)",
    "PRO": "N1CCC[C@H]1C(=O)",
    "VAL": "N[C@@H](C(C)C)C(=O)",
    "THR": "N[C@@H]([C@H](O)C)C(=O)",
    "ASN": "N[C@@H](CC(=O)N)C(=O)",
    "ASP": "N[C@@H](CC(=O)O)C(=O)",
    "LEU": "N[C@@H](CC(C)C)C(=O)",
    "ILE": "N[C@@H]([C@@H](C)CC)C(=O)",
    "GLN": "N[C@@H](CCC(=O)N)C(=O)",
    "GLU": "N[C@@H](CCC(=O)O)C(=O)",
    "MET": "N[C@@H](CCSC)C(=O)",
    "HIS": "N[C@@H](Cc1cnc[nH]1)C(=O)",
    "LYS": "N[C@@H](CCCCN)C(=O)",
    "PHE": "N[C@@H](Cc1ccccc1)C(=O)",
    "TYR": "N[C@@H](Cc1ccc(O)cc1)C(=O)",
    "ARG": "N[C@@H](CCCNC(=N)N)C(=O)",
    "TRP": "N[C@@H](Cc1c[nH]c2ccccc12)C(=O)",
}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Solvents, functional groups and small rings, as in collections of interacting monomers.
MONOMERS = _listed("""
    O C N CO CN S P F Cl C=C C#C C=O C#N CCO COC CN(C)C CSC CF CCl CBr
    CC(C)=O OC=O CC(O)=O NC=O CC(N)=O CNC(C)=O NC(N)=O CC#N C[N+](=O)[O-] CS(C)=O CS(C)(=O)=O
    CP CP(C)(C)=O OP(O)(O)=O COP(O)(O)=O CC(C)C C1CCCC1 C1CCCCC1 C1CCOC1 C1COCCO1
    c1ccccc1 Cc1ccccc1 Oc1ccccc1 Nc1ccccc1 c1ccncc1 c1cc[nH]c1 c1ccoc1 c1ccsc1 c1c[nH]cn1
""")

# Pieces of drugs: rings with the substituents and linkers of medicinal chemistry, 4 to 13 heavy
# atoms. Our own list and not RDKit's example files, whose smallest screening compounds are larger
# and hold hardly any phosphorus or bromine; it also stays the same from one RDKit to the next.
FRAGMENTS = _listed("""
    CC(=O)Nc1ccc(O)cc1 CC(=O)Oc1ccccc1 COc1ccccc1 CNC(=O)c1ccccc1 NC(=O)c1cccnc1 NS(=O)(=O)c1ccccc1
    CS(=O)(=O)c1ccccc1 CSc1ccccc1 FC(F)(F)c1ccccc1 Fc1ccc(Cl)cc1 Clc1ccc(Cl)cc1 Brc1ccc(F)cc1
    Brc1cccnc1 Brc1ccsc1 BrCc1ccccc1 Nc1ccc(Br)cn1 Clc1ccncc1 Clc1ncccn1 Nc1ncccn1 Nc1nccs1 Cc1nccs1
    Cc1ccon1 Cc1nnc(C)o1 Cc1nnc(N)s1 c1ccc2[nH]ccc2c1 c1ccc2[nH]cnc2c1 c1ccc2ncccc2c1 c1ccc2occc2c1
    c1ccc2sccc2c1 c1ccc2scnc2c1 c1ccc2c(c1)OCO2 c1ncc2nc[nH]c2n1 Nc1ncnc2[nH]cnc12
    O=c1cc[nH]c(=O)[nH]1 Cc1c[nH]c(=O)[nH]c1=O Nc1cc[nH]c(=O)n1 O=C1NC(=O)CC1 O=C1CCCN1C CN1CCNCC1
    CN1CCOCC1 C1COCCN1C(C)=O CC(=O)N1CCCC1 C1CCNCC1 OC1CCNCC1 OC1CCCCC1 NC1CCCCC1 O=C1CCCCC1
    FC1CCCCC1 CC(C)(C)O CC(C)(C)C#N COCCOC CN(C)CCO CN(C)C(=O)N(C)C CCOC(=O)C=C CCOC(C)=O
    CC(=O)CC(C)=O OCC(O)CO NCCO NCCS OC(=O)CCS OC(=O)c1ccccc1 OC(=O)c1ccco1 O=Cc1ccccc1
    O=Cc1ccc(O)cc1 COc1ccccc1O Oc1ccccc1F N#Cc1ccccc1 N#Cc1ccncc1 C#Cc1ccccc1 C=Cc1ccccc1 NCc1ccccc1
    NCCc1c[nH]cn1 CNCc1ccco1 OCc1ccc(Cl)cc1 O=[N+]([O-])c1ccccc1 FC(F)Oc1ccccc1 FC(F)(F)C(N)=O
    FC(F)(F)CO ClC(F)(F)C(O)=O CS(=O)(=O)N CS(=O)(=O)NC CNS(=O)(=O)N COP(C)(=O)OC CP(=O)(O)OC
    COP(=O)(OC)OC CSP(=O)(C)OC COP(=S)(OC)OC CP(C)(=O)c1ccccc1 OP(O)(=O)CN CP(C)c1ccccc1 NC(=S)N
    CC(=S)N CN1C=NCC1 CC1=NCCS1 N=C(N)c1ccccc1 CC(C)NCC(O)C CN1CC=CC1 O=C1C=CC(=O)N1 C1CC1C(N)=O
    O=C(N)C1CCN1 BrC1=CCCC1 CC(=O)CBr ClCC(N)=O SCC(N)C(=O)OC CNC(=O)OC CC(=NO)C CN=C=S
""")


@dataclass(frozen=True)
class Molecule:
    """A molecule to be made: its SMILES and the family it stands for."""

    smiles: str
    family: str


@dataclass(frozen=True)
class Recipe:
    """How geometries are made and labelled, the same for all molecules of a store.

    Attributes:
        conformers: Geometries per molecule.
        seed: The study's seed; each molecule hashes its own from it.
        displacement: Smallest and largest standard deviation (angstrom, per coordinate) of the
            Gaussian noise; each geometry draws its own in between, uniformly.
        base_conformers: Largest number of relaxed conformers per molecule to displace. A molecule
            without rotatable bonds has one.
        max_force: Geometries with a larger force on any atom (eV/angstrom) are rejected.
        orientation: "generator" keeps the frame in which RDKit embedded the molecule, "random"
            turns each geometry by a Haar-random rotation.
        scf_accuracy: tblite's multiplier of its convergence thresholds (1 is its default).
        scf_iterations: After as many, a geometry counts as not converged.
    """

    conformers: int = 16
    seed: int = 0
    displacement: tuple[float, float] = (0.01, 0.035)
    base_conformers: int = 6
    max_force: float = 15.0
    orientation: str = "generator"
    scf_accuracy: float = 0.1
    scf_iterations: int = 250

    def __post_init__(self) -> None:
        low, high = self.displacement
        if self.conformers < 1 or self.base_conformers < 1:
            raise ValueError("conformers and base_conformers must be at least 1")
        if not 0 <= low <= high:
            raise ValueError(f"displacement is {self.displacement}, expected 0 <= low <= high")
        if self.orientation not in ORIENTATIONS:
            raise ValueError(f"orientation is {self.orientation!r}: use one of {', '.join(ORIENTATIONS)}")


def capped_peptide(*residues: str) -> str:
    """Return the SMILES of ACE-X-...-NME for three-letter residue names."""
    return "CC(=O)" + "".join(RESIDUES[name] for name in residues) + "NC"


def force_field_molecules(
    count: int | None = None, *, seed: int = 0, dipeptides: int = 30, max_atoms: int = 40
) -> list[Molecule]:
    """List the molecules of the offline set, families interleaved so that any prefix is mixed.

    Args:
        count: Keep this many; None for all twenty amino acids, all monomers and fragments of this
            module and `dipeptides` dipeptides.
        seed: Chooses the dipeptides and the order within families.
        dipeptides: Number of dipeptides to draw.
        max_atoms: Dipeptides with more atoms, hydrogens counted, are not drawn.

    Returns:
        Distinct molecules.
    """
    pairs = [capped_peptide(*pair) for pair in product(RESIDUES, repeat=2)]
    pairs = [smiles for smiles in pairs if _atom_count(smiles) <= max_atoms]
    if dipeptides > len(pairs):
        raise ValueError(
            f"{dipeptides} dipeptides asked, {len(pairs)} have at most {max_atoms} atoms: "
            "raise max_atoms or lower dipeptides"
        )
    lists = {
        "amino acid": [capped_peptide(name) for name in RESIDUES],
        "dipeptide": _shuffled(pairs, seed)[:dipeptides],
        "monomer": _shuffled(MONOMERS, seed),
        "fragment": _shuffled(FRAGMENTS, seed),
    }
    ranked = [
        ((position + 0.5) / len(members), FAMILIES.index(family), Molecule(smiles, family))
        for family, members in lists.items()
        for position, smiles in enumerate(members)
    ]
    molecules = [molecule for _, _, molecule in sorted(ranked, key=lambda entry: entry[:2])]
    if count is None:
        return molecules
    if not 1 <= count <= len(molecules):
        raise ValueError(
            f"{count} molecules asked, {len(molecules)} available: ask for more dipeptides "
            "(and raise max_atoms), or fewer molecules"
        )
    return molecules[:count]


def build_store(
    path: str | Path,
    *,
    molecules: int | Sequence[Molecule] | str = "all",
    conformers: int = 16,
    seed: int = 0,
    displacement: tuple[float, float] = (0.01, 0.035),
    base_conformers: int = 6,
    max_force: float = 15.0,
    orientation: str = "generator",
    scf_accuracy: float = 0.1,
    scf_iterations: int = 250,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the offline force-field data set.

    What cannot be embedded or labelled is skipped, counted by reason in the manifest and logged.

    Labels always come from worker processes (also for `processes=1`), started afresh with one
    thread each: threads add floating-point numbers in no fixed order. A script that calls this
    therefore needs the usual ``if __name__ == "__main__":``.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        molecules: A list, a number for `force_field_molecules`, or "all" of its molecules.
        conformers: Geometries per molecule; see `Recipe` for this and the next seven.
        seed: Chooses dipeptides, conformers and displacements.
        displacement: Range of the noise, angstrom.
        base_conformers: Relaxed conformers per molecule, at most.
        max_force: Limit on the force on an atom, eV/angstrom.
        orientation: "generator" or "random".
        scf_accuracy: tblite's accuracy.
        scf_iterations: Limit on tblite's iterations.
        processes: Worker processes; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: A molecule holds an element without reference energy, two molecules are the
            same, or nothing at all could be labelled.
    """
    from tqdm import tqdm

    if molecules == "all" or isinstance(molecules, int):
        molecules = force_field_molecules(None if molecules == "all" else molecules, seed=seed)
    recipe = Recipe(
        conformers=conformers,
        seed=seed,
        displacement=tuple(displacement),
        base_conformers=base_conformers,
        max_force=max_force,
        orientation=orientation,
        scf_accuracy=scf_accuracy,
        scf_iterations=scf_iterations,
    )
    elements = _check_molecules(molecules)
    summary = _Summary(molecules)
    with (
        StoreWriter(path, FIELDS, overwrite=overwrite) as writer,
        workers(processes) as pool,
    ):
        references = pool.submit(atomic_references, elements, recipe).result()
        tasks = pool.map(_label, molecules, [recipe] * len(molecules), [references] * len(molecules))
        bar = tqdm(tasks, total=len(molecules), unit="molecule", file=sys.stderr, disable=not progress)
        for cluster, labelled in enumerate(bar):
            for frame in labelled.frames:
                writer.append(**frame, cluster=cluster)
            summary.add(cluster, labelled)
        if len(writer) == 0:
            raise ValueError(f"no geometry could be labelled: {summary.rejects()}")
        statistics = summary.statistics()
        writer.finish(
            source="made by equidyn.data.molecules; not SPICE, only of the same kinds of molecules",
            level_of_theory=f"{METHOD}, total energy and its gradient, gas phase, neutral singlets",
            orientation=ORIENTATIONS[orientation],
            recipe=asdict(recipe),
            versions={name: metadata.version(name) for name in ("rdkit", "tblite", "numpy")},
            units={"bohr in angstrom": BOHR_ANGSTROM, "hartree in eV": HARTREE_EV},
            reference_energies_ev={symbol(z): value for z, value in references.items()},
            rejects=summary.rejects(),
            statistics=statistics,
            molecules=summary.table,
        )
    log.info(
        "%s: %d geometries of %d molecules, force rms %.3f eV/angstrom, rejects %s",
        path,
        statistics["examples"],
        statistics["molecules"],
        statistics["force_rms_ev_per_angstrom"],
        summary.rejects(),
    )
    return Path(path)


def atomic_references(elements: Sequence[int], recipe: Recipe) -> dict[int, float]:
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
    """What one worker returns for one molecule: examples for the store, and what was left out."""

    frames: list[dict[str, np.ndarray | float]]
    rejects: Counter[str]
    failure: str = ""


def _label(molecule: Molecule, recipe: Recipe, references: dict[int, float]) -> _Labelled:
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
        elif np.linalg.norm(forces, axis=1).max() > recipe.max_force:
            labelled.rejects["force above limit"] += 1
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


def _relaxed_conformers(molecule: Molecule, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Embed and relax one molecule.

    Returns:
        Atomic numbers (atoms,) and positions (conformers, atoms, 3) in angstrom.
    """
    mol = read_molecule(molecule.smiles)
    wanted = min(recipe.base_conformers, recipe.conformers)
    embed(mol, wanted, seed_for(recipe.seed, "embedding", molecule.smiles) >> 32)
    relax(mol)
    return atomic_numbers(mol), conformer_positions(mol)


def _displaced(base: np.ndarray, recipe: Recipe, noise: np.random.Generator, turns: np.random.Generator) -> np.ndarray:
    """Return `base` (atoms, 3) with Gaussian noise, turned if the recipe says so, centred."""
    scale = noise.uniform(*recipe.displacement)
    return placed(base + scale * noise.standard_normal(base.shape), recipe.orientation, turns)


def _single_point(numbers: np.ndarray, positions: np.ndarray, recipe: Recipe, uhf: int = 0) -> tuple[float, np.ndarray]:
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
    """Count and describe what goes into the store, one molecule at a time."""

    def __init__(self, molecules: Sequence[Molecule]) -> None:
        self.molecules = molecules
        self.table: list[dict[str, Any]] = []
        self._failures: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._atoms: Counter[int] = Counter()
        self._force_norms: list[np.ndarray] = []
        self._force_square_sum = 0.0
        self._axes = LongestAxes()

    def add(self, cluster: int, labelled: _Labelled) -> None:
        molecule = self.molecules[cluster]
        energies = np.array([frame["energy"] for frame in labelled.frames])
        if labelled.failure:
            self._failures[labelled.failure] += 1
            log.warning("left out %s: %s", molecule.smiles, labelled.failure)
        if labelled.rejects:
            self._rejects += labelled.rejects
            log.info("geometries of %s left out: %s", molecule.smiles, dict(labelled.rejects))
        self.table.append(
            {
                "cluster": cluster,
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
            self._atoms.update(frame["atomic_numbers"].tolist())
            forces = frame["forces"].astype(np.float64)
            self._force_square_sum += float((forces**2).sum())
            self._force_norms.append(np.linalg.norm(forces, axis=1))
            self._axes.add(frame["positions"])

    def rejects(self) -> dict[str, dict[str, int]]:
        return {
            "molecules": dict(sorted(self._failures.items())),
            "geometries": dict(sorted(self._rejects.items())),
        }

    def statistics(self) -> dict[str, Any]:
        made = [entry for entry in self.table if entry["conformers"]]
        examples = sum(entry["conformers"] for entry in made)
        norms = np.concatenate(self._force_norms)
        quantiles = np.quantile(norms, (0.01, 0.25, 0.5, 0.75, 0.99))
        spreads = np.array([entry["energy_std_ev"] for entry in made])
        families = {entry["family"]: Counter() for entry in made}
        for entry in made:
            families[entry["family"]].update(
                molecules=1,
                examples=entry["conformers"],
                atoms=entry["conformers"] * entry["atoms"],
            )
        return {
            "examples": examples,
            "molecules": len(made),
            "families": {name: dict(counts) for name, counts in families.items()},
            "elements_atoms": {symbol(z): self._atoms[z] for z in sorted(self._atoms)},
            "atoms_mean": len(norms) / examples,
            "atoms_max": max(entry["atoms"] for entry in made),
            # Over components, the convention of SPICE's 1.0758 eV/angstrom.
            "force_rms_ev_per_angstrom": (self._force_square_sum / (3 * len(norms))) ** 0.5,
            "force_norm_max_ev_per_angstrom": float(norms.max()),
            "force_norm_quantiles_ev_per_angstrom": {
                f"{100 * share:g} %": float(value)
                for share, value in zip((0.01, 0.25, 0.5, 0.75, 0.99), quantiles, strict=True)
            },
            "energy_std_within_molecule_ev": {
                "mean": float(spreads.mean()),
                "max": float(spreads.max()),
            },
            "orientation_of_longest_axis": self._axes.mean_squares(),
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


def _atom_count(smiles: str) -> int:
    from rdkit import Chem

    return Chem.MolFromSmiles(smiles).GetNumAtoms(onlyExplicit=False)


def _shuffled(members: Sequence[str], seed: int) -> list[str]:
    return sorted(members, key=lambda smiles: seed_for(seed, "order", smiles))
