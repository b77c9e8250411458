"""Stand-ins for SPICE in the forms it is published in: molecules of springs, of about 30 atoms and ten elements.

The molecules are random trees of atoms with the right valences and hydrogens; every bond is a spring between relaxed
lengths. Nothing else of them is chemistry, but their forces follow from their positions and are of the usual size.
"""

import gzip
import io
import itertools
import math
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equidyn.data.geometries import BOHR_ANGSTROM, HARTREE_EV
from equidyn.data.sources.spice_mace_off.build import TEST_FILE, TRAIN_FILE
from equidyn.data.spice import ELEMENTS, REFERENCE_EV

VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1, "P": 3, "S": 2, "Cl": 1, "Br": 1, "I": 1}
SHARES = {"C": 0.6, "N": 0.12, "O": 0.12, "F": 0.03, "P": 0.03, "S": 0.04, "Cl": 0.03, "Br": 0.02, "I": 0.01}
RADIUS = {"H": 0.31, "C": 0.76, "N": 0.71, "O": 0.66, "F": 0.57, "P": 1.07, "S": 1.05, "Cl": 1.02, "Br": 1.2, "I": 1.39}
SUBSETS = {
    "PubChem": 0.68,
    "DES370K Dimers": 0.277,
    "DES370K Monomers": 0.018,
    "Dipeptides": 0.015,
    "Solvated Amino Acids": 0.006,
    "water": 0.002,
    "QMugs": 0.002,
}
STIFFNESS = 17.0  # eV/Å², of a bond
DISPLACEMENT = 0.05  # Å, of each coordinate
BOND_ENERGY = -4.7  # eV per atom

WITHOUT_SMILES = 200  # one frame in so many


@dataclass(frozen=True)
class Molecule:
    """A random molecule at rest: symbols, (atoms, 3) positions in Å, (bonds, 2) bonds, and mapped SMILES."""

    symbols: tuple[str, ...]
    positions: np.ndarray
    bonds: np.ndarray
    smiles: str
    subset: str

    def conformers(self, count, rng):
        """Energies (count,), positions and forces (count, atoms, 3) of displaced geometries, eV and Å."""
        noise = DISPLACEMENT * rng.standard_normal((count, *self.positions.shape))
        positions = self.positions + noise
        first, second = self.bonds.T
        difference = positions[:, first] - positions[:, second]
        distance = np.linalg.norm(difference, axis=-1)
        stretch = distance - np.linalg.norm(self.positions[first] - self.positions[second], axis=-1)
        pull = (STIFFNESS * stretch / distance)[..., None] * difference
        forces = np.zeros_like(positions)
        np.add.at(forces, (slice(None), first), -pull)
        np.add.at(forces, (slice(None), second), pull)
        atomic = sum(REFERENCE_EV[symbol] + BOND_ENERGY for symbol in self.symbols)
        return atomic + 0.5 * STIFFNESS * (stretch**2).sum(axis=1), positions, forces


def pool(count=200, seed=0, heavy=(9, 15)):
    """Make `count` molecules of so many atoms other than hydrogen, from the least to the most."""
    rng = np.random.default_rng([seed, 1])
    subsets = rng.choice(list(SUBSETS), count, p=list(SUBSETS.values()))
    subsets[: len(SUBSETS)] = list(SUBSETS)[:count]
    return [_molecule(rng, int(rng.integers(*heavy, endpoint=True)), str(subset)) for subset in subsets]


def _molecule(rng, heavy, subset):
    symbols, parents, free = ["C"], [-1], [VALENCE["C"]]
    while len(symbols) < heavy:
        symbol = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        open_atoms = [atom for atom, bonds in enumerate(free) if bonds]
        if len(open_atoms) == 1 and free[open_atoms[0]] == 1 and VALENCE[symbol] == 1:
            continue  # nothing could be attached any more
        parent = int(rng.choice(open_atoms))
        free[parent] -= 1
        symbols.append(symbol)
        parents.append(parent)
        free.append(VALENCE[symbol] - 1)
    for parent in range(heavy):
        symbols += ["H"] * free[parent]
        parents += [parent] * free[parent]
    bonds = np.array([(parent, atom) for atom, parent in enumerate(parents) if parent >= 0])
    return Molecule(tuple(symbols), _placed(rng, symbols, parents), bonds, _smiles(symbols, parents), subset)


def _placed(rng, symbols, parents):
    """Each atom a bond away from its parent, and in the emptiest of some random directions."""
    positions = np.zeros((1, 3))
    for symbol, parent in zip(symbols[1:], parents[1:], strict=True):
        steps = rng.standard_normal((40, 3))
        steps *= (RADIUS[symbol] + RADIUS[symbols[parent]]) / np.linalg.norm(steps, axis=1, keepdims=True)
        places = positions[parent] + steps
        nearest = np.linalg.norm(places[:, None] - positions, axis=-1).min(axis=1)
        positions = np.vstack([positions, places[nearest.argmax()]])
    return positions


def _smiles(symbols, parents):
    children = [[atom for atom, parent in enumerate(parents) if parent == at] for at in range(len(symbols))]

    def written(atom):
        branches = [written(child) for child in children[atom]]
        return f"[{symbols[atom]}:{atom + 1}]" + "".join(f"({branch})" for branch in branches)

    return written(0)


# Extended XYZ


def write_xyz_archives(folder, train=2_000, test=200, seed=0, distinct=20_000, heavy=(9, 15)):
    """Write both archives of MACE-OFF23 into `folder`.

    Args:
        folder: Made if it is not there.
        train: Frames of the training archive.
        test: Frames of the test archive.
        seed: Chooses molecules and geometries; one pool of molecules for both archives.
        distinct: Frames of an archive that differ; further ones repeat them, which is quick.
        heavy: As for `pool`.

    Returns:
        The two paths by file name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    molecules = pool(seed=seed, heavy=heavy)
    for number, (name, frames) in enumerate({TRAIN_FILE: train, TEST_FILE: test}.items()):
        rng = np.random.default_rng([seed, 2, number])
        _write_archive(folder / name, xyz_frames(molecules, min(frames, distinct), rng), frames)
    return {name: folder / name for name in (TRAIN_FILE, TEST_FILE)}


def xyz_frames(molecules, count, rng):
    """Yield `count` frames of text, molecules in random order, one in `WITHOUT_SMILES` without SMILES."""
    per_molecule = math.ceil(count / len(molecules))
    order = rng.permutation(np.arange(count) % len(molecules))
    made = [zip(*molecule.conformers(per_molecule, rng), strict=True) for molecule in molecules]
    for number, chosen in enumerate(order):
        molecule = molecules[chosen]
        energy, positions, forces = next(made[chosen])
        predicted = forces + 0.01 * rng.standard_normal(forces.shape)
        smiles = f'smiles="{molecule.smiles}" ' if number % WITHOUT_SMILES != WITHOUT_SMILES - 1 else ""
        yield xyz_frame(molecule.symbols, positions, forces, predicted, energy, smiles, molecule.subset)


def xyz_frame(symbols, positions, forces, predicted, energy, smiles, subset):
    """One frame as text; `smiles` with its key."""
    config_type = f'"{subset}"' if " " in subset else subset
    columns = np.concatenate([positions, forces, predicted], axis=1).ravel().tolist()
    rows = "".join(f"{symbol:2}" + 9 * " %16.8f" + "\n" for symbol in symbols)
    return (
        f"{len(symbols)}\nProperties=species:S:1:pos:R:3:forces:R:3:MACE_forces:R:3 {smiles}total_charge=0 "
        f'energy={energy!s} config_type={config_type} MACE_energy={energy + 0.01!s} pbc="F F F"\n'
    ) + rows % tuple(columns)


def _write_archive(path, frames, count):
    """Write a ``.tar.gz`` of `count` frames, repeating those given, in gzip parts: equal ones are packed once."""
    parts, held = [], []
    while block := list(itertools.islice(frames, 2_000)):
        held.append(len(block))
        text = "".join(block).encode()
        parts.append((len(text), gzip.compress(text, 1, mtime=0)))
    repeats, rest = divmod(count, sum(held))
    if rest:
        raise ValueError(f"{count} frames are no multiple of the {sum(held)} distinct ones")
    size = repeats * sum(length for length, _ in parts)
    name = path.name.removesuffix(".tar.gz") + ".xyz"
    with path.open("wb") as stream:
        stream.write(gzip.compress(_members_before(name) + _header(name, size), 1, mtime=0))
        for _ in range(repeats):
            for _, packed in parts:
                stream.write(packed)
        stream.write(gzip.compress(bytes(-size % 512 + 1024), 1, mtime=0))


def _header(name, size, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def _members_before(name):
    """A folder, and the companion of `name` that macOS adds."""
    companion = b"\x00\x05\x16\x07 Mac OS X" + bytes(100)
    return _header("data", 0, tarfile.DIRTYPE) + _member(f"._{name}", companion)


def _member(name, content):
    return _header(name, len(content)) + content + bytes(-len(content) % 512)


def write_archive(path, members):
    """Write a ``.tar.gz`` of files with these contents (bytes), by name."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


# HDF5


def write_hdf5(path, molecules=40, conformers=50, seed=0):
    """Write a file laid out like a release of SPICE.

    Beside `molecules` usual groups it has "no-conformations", "ion-pair" and "charged"; every third group lacks the
    optional data sets.

    Returns:
        `path`.
    """
    import h5py

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 3])
    with h5py.File(path, "w") as file:
        for number, molecule in enumerate(pool(molecules, seed)):
            group = file.create_group(str(100_000_000 + number))
            energy, positions, forces = molecule.conformers(conformers, rng)
            write_group(group, molecule.symbols, energy, positions, forces, molecule.smiles, molecule.subset)
            if number % 3:
                group["mbis_charges"] = np.zeros((conformers, len(molecule.symbols), 1), np.float32)
                group["scf_dipole"] = np.zeros((conformers, 3), np.float32)
        some = np.ones((1, 2, 3))
        write_group(file.create_group("no-conformations"), ("O", "H"), [0.0], some, some, "[O-:1][H:2]", "PubChem")
        del file["no-conformations/conformations"]
        file["no-conformations/conformations"] = np.zeros(0, np.float32)
        write_group(file.create_group("ion-pair"), ("Cl", "Cl"), [0.0], some, some, "[Cl-:1].[Cl+:2]", "Ion Pairs")
        write_group(file.create_group("charged"), ("O", "H"), [0.0], some, some, "[O-:1][H:2]", "PubChem")
    return path


def write_group(group, symbols, energy, positions, forces, smiles, subset):
    """Write one molecule; energies (m,), positions and forces (m, atoms, 3) in eV and Å, `subset` by its short name."""
    import h5py

    hartree_per_bohr = HARTREE_EV / BOHR_ANGSTROM
    isolated = sum(REFERENCE_EV[symbol] for symbol in symbols)
    text = h5py.string_dtype()
    group.create_dataset("subset", data=[f"SPICE {subset} Single Points Dataset v1.2"], dtype=text)
    group.create_dataset("smiles", data=[smiles], dtype=text)
    group["atomic_numbers"] = np.array([ELEMENTS[symbol] for symbol in symbols], np.int16)
    group["conformations"] = (np.asarray(positions) / BOHR_ANGSTROM).astype(np.float32)
    group["conformations"].attrs["units"] = "bohr"
    group["dft_total_energy"] = np.asarray(energy) / HARTREE_EV
    group["formation_energy"] = (np.asarray(energy) - isolated) / HARTREE_EV
    group["dft_total_gradient"] = (-np.asarray(forces) / hartree_per_bohr).astype(np.float32)
