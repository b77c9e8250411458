"""Stand-ins for GEOM-drugs in the forms it is published in: the same few small molecules by both routes.

Files are written where the registry has them, so that the folder can serve as a mirror. Conformers are ETKDG's and
their energies made up.
"""

import functools
import gzip
import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom

SILICON = "C[Si](C)(C)CCO"
STEREO = "C/C=C/CCO"
LONG = "CCCCCCCCCCCCCCCCCCCC(=O)O"
"""Reaches beyond a box of 16 Å."""

SMILES = [
    *("CC(=O)Oc1ccccc1C(=O)O", "CN1CCCC1c1cccnc1", STEREO, "OCCCCN", SILICON, "Clc1ccc(Br)cc1", "CCS(=O)(=O)N", LONG),
    *("FC(F)(F)c1ccccc1", "CC(C)Cc1ccccc1", "c1ccc2[nH]ccc2c1", "NCCc1ccc(O)cc1", "CC(=O)NCCO", "O=C1CCCN1", "CCOCC"),
    *("c1ccsc1CN", "C[Si](C)(C)c1ccccc1", "CC#N", "OC1CCCCC1", "CCN(CC)CC", "O=[N+]([O-])c1ccccc1", "CSCC[C@H](N)CO"),
    *("C1CCOC1CO", "NC(=O)c1ccccc1", "CC(O)C#N", "FCC(O)CBr"),
]
CONFORMERS = 7

SPLITS = ("train", "val", "test")
SPECIES = [1, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 33, 35, 53, 80, 83]


@dataclass(frozen=True)
class Molecule:
    """A molecule with its conformers.

    Attributes:
        smiles: As GEOM's summary has it.
        conformers: One molecule of RDKit each, with hydrogens and one conformer, by rising energy.
    """

    smiles: str
    conformers: tuple[Chem.Mol, ...]


def molecule(smiles: str, conformers: int = CONFORMERS) -> Molecule:
    """Embed a molecule; its conformers lie off the origin."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 11
    made = []
    for number in rdDistGeom.EmbedMultipleConfs(mol, conformers, parameters):
        one = Chem.Mol(mol, confId=number)
        conformer = one.GetConformer()
        conformer.SetPositions(conformer.GetPositions() + np.array([0.5, -0.25, 2.0 + number]))
        made.append(Chem.Mol(one.ToBinary()))  # coordinates are rounded to single precision, once
    return Molecule(smiles, tuple(made))


@functools.cache
def molecules() -> tuple[Molecule, ...]:
    """All of `SMILES`."""
    return tuple(map(molecule, SMILES))


def split_of(count: int) -> list[str]:
    """Split of each of `count` molecules by MiDi's recipe, one at a time."""
    order = np.random.RandomState(0).permutation(count)
    labels = ["test"] * int(0.1 * count) + ["val"] * int(0.1 * count)
    return [(labels + ["train"] * count)[place] for place in order]


def write_dataverse(
    folder: Path, made: Sequence[Molecule] = (), protocol: int = 3, compressed: bool = False
) -> dict[str, Path]:
    """Write the raw archive, a plain tar in spite of its name unless `compressed`; return its path by name.

    Conformers come in no order. One entry of the summary has no pickle, one is lost, another number of conformers is
    stated than there are, and there are files that are none of drugs.
    """
    made = made or molecules()
    target = folder / "geom_drugs" / "2022"
    target.mkdir(parents=True)
    rng = np.random.default_rng(5)
    summary, contents = {}, {"rdkit_folder/qm9/C.pickle": b"not read"}
    for number, one in enumerate(made):
        name = f"drugs/{one.smiles.replace('/', '_')}.pickle"
        # NumPy's numbers in some, Python's in others.
        energies = [-50.0 - number + 0.001 * place for place in range(len(one.conformers))]
        entries = [
            {
                "rd_mol": mol,
                "totalenergy": np.float64(energy) if number % 2 else energy,
                "relativeenergy": 0.6275 * place,
                "boltzmannweight": np.float32(0.5**place),
                "conformerweights": [0.5**place],
                "degeneracy": 1,
                "geom_id": place,
                "set": 1,
            }
            for place, (mol, energy) in enumerate(zip(one.conformers, energies, strict=True))
        ]
        rng.shuffle(entries)
        about = {"charge": 0, "uniqueconfs": len(entries) + (number == 1), "temperature": 298.15, "datasets": ["drugs"]}
        summary[one.smiles] = about | {"pickle_path": name}
        record = about | {"smiles": one.smiles, "conformers": entries}
        contents[f"rdkit_folder/{name}"] = pickle.dumps(record, protocol)
        if number == 2:
            summary["CO"] = about  # never computed
    contents["rdkit_folder/drugs/._CCO.pickle"] = b"of a file system"
    contents["rdkit_folder/drugs/not_listed.pickle"] = b"not read"
    contents["rdkit_folder/summary_drugs.json"] = json.dumps(summary).encode()
    path = target / "rdkit_folder.tar.gz"
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(gzip.compress(plain.getvalue(), 1) if compressed else plain.getvalue())
    return {path.name: path}


def arrays_of(made: Sequence[Molecule]) -> dict[str, np.ndarray | list[str]]:
    """The arrays of one split, by the end of their names."""
    rows = [(number, mol) for number, one in enumerate(made) for mol in one.conformers]
    numbers = [[atom.GetAtomicNum() for atom in mol.GetAtoms()] for _, mol in rows]
    lengths = np.array([len(each) for each in numbers], np.int32)
    species = np.searchsorted(SPECIES, np.concatenate(numbers)).astype(np.int32)
    written = []
    for _, mol in rows:
        kekulised = Chem.Mol(mol)
        Chem.Kekulize(kekulised, clearAromaticFlags=True)
        written.append(Chem.MolToSmiles(kekulised, allHsExplicit=True))
    return {
        "positions": np.concatenate([mol.GetConformer().GetPositions() for _, mol in rows]).astype(np.float32),
        "species": species,
        "atom_types": species,
        "atom_type_lookup": np.array(["C", "H"], object),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "n_atoms": lengths,
        "mol_indices": np.array([number for number, _ in rows], np.int32),
        "smiles": written,
    }


def member(name: str, value: np.ndarray | list[str]) -> tuple[str, bytes]:
    """Full name and content of a member of the archive of arrays."""
    if isinstance(value, list):
        return f"{name}.json", json.dumps(value).encode()
    content = io.BytesIO()
    np.save(content, value, allow_pickle=True)  # the lookup table is an object array in the real one, too
    return f"{name}.npy", content.getvalue()


def write_arrays(folder: Path, made: Sequence[Molecule] = (), manifest: bool = True) -> dict[str, Path]:
    """Write the archive of arrays; return its path by name."""
    made = made or molecules()
    target = folder / "geom_drugs_arrays" / "18484634"
    target.mkdir(parents=True)
    contents = {}
    for split in SPLITS:
        chosen = [one for one, of in zip(made, split_of(len(made)), strict=True) if of == split]
        contents |= dict(member(f"{split}_{part}", value) for part, value in arrays_of(chosen).items())
    path = target / "geom_drugs_processed.zip"
    write_zip(path, contents, manifest=manifest)
    return {path.name: path}


def write_zip(path: Path, contents: dict[str, bytes], *, manifest: bool = True) -> None:
    """Write members, every other one deflated, and a manifest of their checksums."""
    if manifest:
        files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        contents = contents | {"manifest.json": json.dumps({"dataset": "GEOM-Drugs", "files": files}).encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, content) in enumerate(contents.items()):
            archive.writestr(name, content, zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED)


def write_receipt(path: Path) -> None:
    """Write what a download leaves beside a file, as far as it is read again."""
    content = path.read_bytes()
    receipt = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.with_name(f"{path.name}.json").write_text(json.dumps(receipt), encoding="utf-8")
