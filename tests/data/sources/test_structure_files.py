"""Stores of structure files: what is selected, in which order, the same bytes from equal input."""

import gzip
import logging

import numpy as np
import pytest

from equidyn.data.sources.structure_files.build import build_store
from equidyn.data.sources.structure_files.card import StructureFilesRecipe
from equidyn.data.store import Store
from equidyn.data.structures import NON_STANDARD

NAMES = {"A": "ALA", "G": "GLY", "K": "LYS", "L": "LEU", "S": "SER", "U": "SEC", "m": "MSE"}


def pdb(entry="", expdta="", resolution=None, step=3.8, **chains):
    """Text of a PDB file: per chain id a sequence, of which a space is a residue that was not resolved."""
    lines = [f"HEADER    {'PROTEIN':40}01-JAN-00   {entry}"] * bool(entry)
    lines += [f"EXPDTA    {expdta}"] * bool(expdta)
    lines += [f"REMARK   2 RESOLUTION.    {resolution} ANGSTROMS."] * bool(resolution)
    for chain, sequence in chains.items():
        for number, letter in enumerate(sequence, start=1):
            if letter != " ":
                record = "HETATM" if letter in "Um" else "ATOM  "
                lines.append(
                    f"{record}{number:5}  CA  {NAMES[letter]} {chain}{number:4}    {step * number:8.3f}{0:8.3f}{0:8.3f}"
                    f"{1:6.2f}{20:6.2f}          {'C':>2}"
                )
        lines.append("TER")
    return "\n".join([*lines, "END", ""])


@pytest.fixture
def folder(tmp_path):
    """A folder as users have them."""
    made = tmp_path / "structures"
    (made / "more" / "deep").mkdir(parents=True)
    (made / "1aaa.pdb").write_text(pdb("1AAA", A="AGGGGGG", B="AGGGGGG", C="LKKK KKK"))
    (made / "pdb2bbb.ent").write_text(pdb("2BBB", A="GGGmGGGG", B="GGGUGGGG", C="GG"))
    (made / "more" / "1aaa-again.pdb.gz").write_bytes(gzip.compress(pdb("1AAA", A="AGGGGGG").encode()))
    (made / "more" / "deep" / "3CCC.PDB").write_text(pdb("3CCC", expdta="SOLUTION NMR", A="KKKKKKK"))
    (made / "more" / "4ddd.pdb").write_text(pdb("4DDD", "X-RAY DIFFRACTION", 5.5, A="KKKKKKK"))
    (made / "more" / "5eee.pdb").write_text(pdb("5EEE", "ELECTRON MICROSCOPY", 4.9, A="SKKKKKK"))
    (made / "no_header.pdb").write_text(pdb(A="SSSSSSS"))
    (made / "broken.cif.gz").write_bytes(gzip.compress(b"data_x\n" * 100)[:20])
    (made / "ligand.pdb").write_text(pdb("6FFF", A="GGG").replace("GLY", "HEM").replace("ATOM  ", "HETATM"))
    (made / ".hidden.pdb").write_text("not a structure")
    (made / "notes.txt").write_text("not a structure")
    return made


def recipe(folder, **settings):
    usual = {"min_length": 4, "max_length": 8, "identity": 0.5, "coverage": 0.8}
    return StructureFilesRecipe(folder=str(folder), **(usual | settings))


@pytest.fixture
def build(folder, tmp_path, by_first_letter):
    """Build a store of the folder."""

    def made(name="store", processes=1, overwrite=False, **settings):
        options = {"processes": processes, "overwrite": overwrite, "progress": False}
        return build_store(tmp_path / name, recipe(folder, **settings), **options)

    return made


def test_store_of_files(build, folder, caplog):
    with caplog.at_level(logging.WARNING):
        store = Store(build())
    store.verify()
    assert sorted(store.text("name")) == ["1AAA_A", "1AAA_B", "1AAA_C", "2BBB_A", "5EEE_A", "no_header_A"]
    assert store.provenance["rejects"] == {
        "files": {"no protein": 1, "not readable": 1},
        "chains": {
            "has non-standard residues": 1,
            "name seen before": 1,
            "neither diffraction nor electron microscopy": 1,
            "resolution worse than 5 Å": 1,
            "shorter than 4 residues": 1,
        },
        "residues": {},
    }
    assert str(folder / "broken.cif.gz") in caplog.text
    assert store.scalar("cluster")[0] == 0
    assert set(np.diff(store.scalar("cluster"))) == {0, 1}  # cluster by cluster
    statistics = store.provenance["statistics"]
    assert (statistics["chains"], statistics["distinct_sequences"], statistics["clusters"]) == (6, 5, 4)
    assert (statistics["largest_cluster"], statistics["chains_with_break"]) == (2, 1)
    example = next(one for one in store if one["name"] == "1AAA_C")
    assert example["residue"].tobytes() == b"LKKKKKK"
    assert example["residue_index"].tolist() == [1, 2, 3, 4, 6, 7, 8]
    assert example["chain_break"].tolist() == [False] * 3 + [True] + [False] * 3
    np.testing.assert_allclose(example["positions"][:, 0], 3.8 * example["residue_index"], atol=1e-5)


def test_options_of_the_selection(build):
    complete = Store(build("complete", complete=True))
    assert complete.provenance["rejects"]["chains"]["has a break"] == 1
    assert "1AAA_C" not in complete.text("name")
    all_residues = Store(build("all", standard=False, worst_resolution=6.0))
    assert {"2BBB_B", "4DDD_A"} <= set(all_residues.text("name"))
    assert all_residues.provenance["rejects"]["residues"] == {NON_STANDARD: 1}


def test_bytes_depend_on_the_chains_alone(build, folder, tmp_path):
    """Neither on the number of processes, nor on names and places of files."""
    first, again = build(), build("again", processes=2)
    (folder / "moved").mkdir()
    (folder / "1aaa.pdb").rename(folder / "moved" / "z.cif")
    (folder / "pdb2bbb.ent").rename(folder / "0.pdb")
    for other in (again, build("moved")):
        for path in first.iterdir():
            assert (other / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_existing_store_is_kept_unless_told_otherwise(build):
    path = build()
    with pytest.raises(FileExistsError):
        build()
    assert build(overwrite=True) == path


def test_nothing_left_says_why(build, tmp_path):
    with pytest.raises(ValueError, match=r"no chain is left.*'not readable': 1.*'shorter than 100 residues': 8"):
        build(min_length=100, max_length=200)
    assert not (tmp_path / "store").exists()


def test_folders_without_files(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        build_store(tmp_path / "store", recipe(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"no file that ends in \.pdb, \.pdb\.gz"):
        build_store(tmp_path / "store", recipe(tmp_path))
