"""The list of screening compounds that RDKit ships, and what is wanted of a molecule from it.

RDKit is imported where it is used.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from equidyn.data.geometries import symbol
from equidyn.data.store import StoreError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

LIST = "Pains/test_data/wehi_mols.csv"
"""A file below RDKit's data folder: 10,000 screening compounds, columns SMILES and name, no header (BSD-3-Clause)."""


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


def unwanted(mol: Mol, elements: Collection[int]) -> str:
    """Return why a molecule is not one plain compound of these elements (atomic numbers); empty if it is."""
    from rdkit import Chem

    atoms = mol.GetAtoms()
    if len(Chem.GetMolFrags(mol)) > 1:
        return "more than one fragment"
    if any(atom.GetAtomicNum() not in elements for atom in atoms):
        return "other elements than " + ", ".join(map(symbol, elements))
    if any(atom.GetIsotope() for atom in atoms):
        return "isotope labels"
    return ""


def constitution(smiles: str) -> str:
    """Return the canonical SMILES without stereochemistry."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
