"""The list of screening compounds that RDKit ships."""

import pytest

from equidyn.data.screening import constitution, listed_molecules, unwanted
from equidyn.data.store import StoreError

Chem = pytest.importorskip("rdkit.Chem")
RDConfig = pytest.importorskip("rdkit.RDConfig")


def test_list():
    listed, source = listed_molecules()
    assert len(set(listed)) == 10_000
    assert "SHA-256" in source


def test_missing_list(monkeypatch, tmp_path):
    monkeypatch.setattr(RDConfig, "RDDataDir", str(tmp_path))
    with pytest.raises(StoreError, match=r"wehi_mols\.csv: found no such file.*install RDKit from PyPI"):
        listed_molecules()


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CO", ""),
        ("CO.O", "more than one fragment"),
        ("CS", "other elements than H, C, O"),
        ("[2H]C", "isotope labels"),
    ],
)
def test_unwanted(smiles, reason):
    assert unwanted(Chem.AddHs(Chem.MolFromSmiles(smiles)), (1, 6, 8)) == reason


def test_constitution_leaves_out_stereochemistry_alone():
    assert constitution("C[C@H](O)F") == constitution("O[C@H](F)C") == constitution("CC(O)F")
    assert constitution("CC(F)O") != constitution("CC(F)N")
