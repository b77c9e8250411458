"""Cα traces from PDB and mmCIF files: which atoms are taken, what is dropped, what is refused."""

import gzip
import pickle
import tracemalloc

import gemmi
import numpy as np
import pytest

from equidyn.data import structures
from equidyn.data.structures import NO_CA, NON_STANDARD, Chain, StructureError, read_chains


def residue(name, seqid, *atoms, het=False):
    """A residue of atoms (name, element, x, altloc, occupancy), all at y = 1 and z = 2."""
    made = gemmi.Residue()
    made.name, made.seqid, made.het_flag = name, gemmi.SeqId(seqid), "H" if het else "A"
    for atom_name, element, x, altloc, occupancy in atoms or [("CA", "C", None, "\0", 1.0)]:
        atom = gemmi.Atom()
        atom.name, atom.element, atom.altloc, atom.occ = atom_name, gemmi.Element(element), altloc, occupancy
        x = 3.8 * made.seqid.num if x is None else x
        atom.pos = gemmi.Position(x, 1, 2)
        made.add_atom(atom)
    return made


def protein(name, *residues):
    chain = gemmi.Chain(name)
    for one in residues:
        one.entity_type = gemmi.EntityType.Polymer
        chain.add_residue(one)
    return chain


def water(number, chain):
    made = residue("HOH", str(number), ("O", "O", 100.0, "\0", 1.0), het=True)
    made.entity_type = gemmi.EntityType.Water
    chain.add_residue(made)


def structure(*models, entry="1ABC", method="X-RAY DIFFRACTION", resolution=1.8):
    made = gemmi.Structure()
    made.name = entry
    for name, value in {"_entry.id": entry, "_exptl.method": method}.items():
        if value:
            made.info[name] = value
    made.resolution = resolution
    made.cell.set(100, 100, 100, 90, 90, 90)
    for number, chains in enumerate(models, start=1):
        model = gemmi.Model(number)
        for chain in chains:
            model.add_chain(chain)
        made.add_model(model)
    made.setup_entities()
    return made


def written(made, folder, kind, name="file"):
    path = folder / f"{name}.{kind}"
    if kind == "pdb":
        path.write_text(made.make_pdb_string())
        return path
    document = made.make_mmcif_document()
    block = document.sole_block()
    if "_entry.id" not in made.info:
        block.find_values("_entry.id").erase()
    if made.resolution:  # gemmi reads it, and does not write it
        if "ELECTRON" in made.info["_exptl.method"]:
            block.set_pair("_em_3d_reconstruction.resolution", str(made.resolution))
        else:
            block.set_pair("_refine.pdbx_refine_id", gemmi.cif.quote(made.info["_exptl.method"]))
            block.set_pair("_refine.ls_d_res_high", str(made.resolution))
    path.write_text(document.as_string())
    return path


@pytest.fixture(params=["pdb", "cif"])
def read(request, tmp_path):
    """Read a gemmi structure back from a file, of either format."""
    return lambda made: read_chains(written(made, tmp_path, request.param))


def glycines(*seqids):
    return [residue("GLY", str(seqid)) for seqid in seqids]


def test_one_chain(read):
    (chain,) = read(structure([protein("A", residue("ALA", "5"), residue("TRP", "6"), residue("VAL", "7"))]))
    assert (chain.entry, chain.chain, chain.name) == ("1ABC", "A", "1ABC_A")
    assert (chain.experiment, chain.resolution) == ("X-RAY DIFFRACTION", 1.8)
    assert chain.sequence == "AWV"
    np.testing.assert_allclose(chain.positions, [[19.0, 1, 2], [22.8, 1, 2], [26.6, 1, 2]], atol=1e-5)
    assert chain.residue_index.tolist() == [5, 6, 7]
    assert chain.chain_break.tolist() == [False] * 3
    assert not chain.dropped
    kinds = [getattr(chain, name).dtype for name in ("positions", "residue_index", "residue", "chain_break")]
    assert kinds == [np.float32, np.int32, np.uint8, bool]


def test_all_twenty_residues(read):
    letters = "ACDEFGHIKLMNPQRSTVWY"
    names = gemmi.expand_one_letter_sequence(letters, gemmi.ResidueKind.AA)
    (chain,) = read(structure([protein("A", *(residue(name, str(k)) for k, name in enumerate(names, start=1)))]))
    assert chain.sequence == letters


def test_a_gap_is_a_break(read):
    (chain,) = read(structure([protein("A", *glycines(1, 2, 6, 7))]))
    assert chain.residue_index.tolist() == [1, 2, 6, 7]
    assert chain.chain_break.tolist() == [False, True, False, False]


def test_break_is_more_than_four_angstrom():
    positions = np.cumsum([[0, 0, 0], [3.99, 0, 0], [4.01, 0, 0], [3.8, 0, 0]], axis=0).astype(np.float32)
    chain = Chain("X", "A", positions, np.arange(4, dtype=np.int32), np.full(4, 71, np.uint8))
    assert chain.chain_break.tolist() == [False, True, False, False]


def test_insertion_codes_are_residues_of_their_own(read):
    residues = [residue("GLY", s, ("CA", "C", 3.8 * k, "\0", 1.0)) for k, s in enumerate(["52", "52A", "52B", "53"])]
    (chain,) = read(structure([protein("A", *residues)]))
    assert chain.residue_index.tolist() == [52, 52, 52, 53]
    np.testing.assert_allclose(chain.positions[:, 0], [0, 3.8, 7.6, 11.4], atol=1e-5)


def test_negative_numbers(read):
    (chain,) = read(structure([protein("A", *glycines(-2, -1, 0, 1))]))
    assert chain.residue_index.tolist() == [-2, -1, 0, 1]


@pytest.mark.parametrize(
    ("occupancies", "x"), [((0.4, 0.6), 2.0), ((0.6, 0.4), 1.0), ((0.5, 0.5), 1.0), ((0.3, 0.3, 0.4), 3.0)]
)
def test_alternate_locations(read, occupancies, x):
    atoms = [("CA", "C", float(k), "ABC"[k - 1], occupancy) for k, occupancy in enumerate(occupancies, start=1)]
    (chain,) = read(structure([protein("A", residue("SER", "1", *atoms), *glycines(2, 3))]))
    assert chain.positions[:, 0].tolist() == pytest.approx([x, 7.6, 11.4])


@pytest.mark.parametrize(("occupancies", "letter"), [((0.4, 0.6), "T"), ((0.6, 0.4), "S"), ((0.5, 0.5), "S")])
def test_alternative_residues_at_one_place(read, occupancies, letter):
    first, second = (
        residue(name, "1", ("CA", "C", x, altloc, occupancy))
        for name, x, altloc, occupancy in zip(("SER", "THR"), (1.0, 2.0), "AB", occupancies, strict=True)
    )
    (chain,) = read(structure([protein("A", first, second, *glycines(2, 3))]))
    assert chain.sequence == letter + "GG"
    assert chain.positions[0, 0] == {"S": 1, "T": 2}[letter]


def in_blocks(*conformers):
    """A chain of conformers (label, occupancy, names by number, y), one behind the other."""
    chain = gemmi.Chain("A")
    for label, occupancy, names, y in conformers:
        for number, name in names.items():
            one = residue(name, str(number), ("CA", "C", 3.8 * number, label, occupancy))
            one[0].pos = gemmi.Position(3.8 * number, y, 0)
            one.entity_type = gemmi.EntityType.Polymer
            chain.add_residue(one)
    return chain


@pytest.mark.parametrize("labels", ["AB", "\0B"])
@pytest.mark.parametrize(("second", "y"), [(0.6, 5.0), (0.4, 0.0)])
def test_alternatives_in_blocks_count_once(read, labels, second, y):
    """Residues 2 and 3 in two conformers, apart from each other in the file, and one residue behind them."""
    chain = in_blocks(
        ("\0", 1.0, {1: "ALA"}, y),
        (labels[0], 1 - second, {2: "SER", 3: "GLY"}, 0.0),
        (labels[1], second, {2: "THR", 3: "GLY"}, 5.0),
        ("\0", 1.0, {4: "ALA"}, y),
    )
    (found,) = read(structure([chain]))
    assert found.sequence == {0.6: "ATGA", 0.4: "ASGA"}[second]
    assert found.residue_index.tolist() == [1, 2, 3, 4]
    assert found.positions[:, 1].tolist() == [y] * 4


def test_a_chain_that_comes_twice_as_two_conformers_counts_once(read):
    names = dict(enumerate(["ALA", "SER", "GLY", "LEU"], start=1))
    other = dict(enumerate(["GLY", "THR", "ALA", "VAL"], start=1))
    (found,) = read(structure([in_blocks(("A", 0.3, names, 0.0), ("B", 0.7, other, 3.0))]))
    assert found.sequence == "GTAV"
    assert found.positions[:, 1].tolist() == [3.0] * 4


def test_residues_of_one_number_at_one_place_count_once_without_labels(read):
    names = dict(enumerate(["ALA", "SER", "GLY", "LEU"], start=1))
    other = dict(enumerate(["GLY", "THR", "ALA", "VAL"], start=1))
    (found,) = read(structure([in_blocks(("\0", 1.0, names, 0.0), ("\0", 1.0, other, 0.5))]))
    assert found.sequence == "ASGL"


def test_a_number_that_comes_again_elsewhere_is_another_residue(read):
    chain = in_blocks(("\0", 1.0, {1: "ALA", 2: "SER"}, 0.0), ("\0", 1.0, {3: "LEU", 1: "GLY"}, 20.0))
    (found,) = read(structure([chain]))
    assert found.sequence == "ASLG"


def test_two_molecules_of_one_chain_id_are_refused(read):
    both = [protein("A", *glycines(1, 2, 3)), protein("A", *glycines(1, 2, 3))]
    for one in both[1]:
        for atom in one:
            atom.pos = gemmi.Position(atom.pos.x, atom.pos.y, atom.pos.z + 30)
    with pytest.raises(StructureError, match=r"two Cα atoms 30\.0 Å apart in residue 1 of chain A"):
        read(structure(both))


def test_residues_without_ca_are_dropped_and_counted(read):
    without = residue("LEU", "2", ("N", "N", 6.4, "\0", 1.0), ("CB", "C", 9.0, "\0", 1.0))
    (chain,) = read(structure([protein("A", residue("GLY", "1"), without, residue("GLY", "3"))]))
    assert chain.sequence == "GG"
    assert chain.chain_break.tolist() == [True, False]
    assert chain.dropped == {NO_CA: 1}


def test_selenomethionine_is_methionine(read):
    (chain,) = read(structure([protein("A", residue("GLY", "1"), residue("MSE", "2", het=True), residue("GLY", "3"))]))
    assert chain.sequence == "GMG"
    assert not chain.chain_break.any()
    assert not chain.dropped


def test_other_modified_residues_are_dropped_and_counted(read):
    (chain,) = read(
        structure([protein("A", *glycines(1, 2), residue("SEP", "3", het=True), residue("UNK", "4"), *glycines(5, 6))])
    )
    assert chain.sequence == "GGGG"
    assert chain.chain_break.tolist() == [False, True, False, False]
    assert chain.dropped == {NON_STANDARD: 2}


def test_the_first_model_counts(read):
    first, second = protein("A", *glycines(1, 2, 3)), protein("A", *glycines(11, 12, 13, 14))
    (chain,) = read(structure([first], [second]))
    assert chain.residue_index.tolist() == [1, 2, 3]


def test_chains_by_author_id_without_water_ligands_and_dna(read):
    heavy, light = protein("H", *glycines(1, 2, 3)), protein("L", *glycines(4, 5, 6, 7))
    water(301, heavy)
    dna = protein("D", *(residue(name, str(k), ("P", "P", 6.0 * k, "\0", 1.0)) for k, name in enumerate(["DA", "DC"])))
    made = structure([heavy, light, dna])
    assert {one.subchain for chain in made[0] for one in chain}.isdisjoint("HLD")  # other ids in label_asym_id
    chains = read(made)
    assert [(chain.chain, len(chain)) for chain in chains] == [("H", 3), ("L", 4)]


def test_pdb_files_without_ter(tmp_path):
    chain = protein("A", residue("MSE", "1", het=True), *glycines(2, 3), residue("MSE", "4", het=True))
    water(301, chain)
    water(302, chain)
    path = written(structure([chain]), tmp_path, "pdb")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("TER")))
    (found,) = read_chains(path)
    assert found.sequence == "MGGM"
    assert not found.dropped


def test_calcium_is_no_residue(read):
    chain = protein("A", *glycines(1, 2, 3))
    ion = residue("CA", "201", ("CA", "Ca", 50.0, "\0", 1.0), het=True)
    ion.entity_type = gemmi.EntityType.NonPolymer
    chain.add_residue(ion)
    (found,) = read(structure([chain]))
    assert len(found) == 3
    assert not found.dropped


def test_entities_are_those_of_the_mmcif_file(tmp_path):
    """Entities of equal sequence, too, which gemmi would merge."""
    chains = [protein(name, *glycines(1, 2, 3)) for name in "HLM"]
    made = structure(chains)
    del made.entities[:]
    for entity, names in {"1": "H", "2": "LM"}.items():
        described = gemmi.Entity(entity)
        described.entity_type, described.polymer_type = gemmi.EntityType.Polymer, gemmi.PolymerType.PeptideL
        described.full_sequence = ["GLY"] * 3
        parts = [chain for chain in made[0] if chain.name in names]
        described.subchains = [chain[0].subchain for chain in parts]
        for residue in (one for chain in parts for one in chain):
            residue.entity_id = entity
        made.entities.append(described)
    found = read_chains(written(made, tmp_path, "cif"))
    assert [(chain.chain, chain.entity) for chain in found] == [("H", "1"), ("L", "2"), ("M", "2")]
    assert [chain.entity for chain in read_chains(written(made, tmp_path, "pdb"))] == [""] * 3


def test_electron_microscopy(read):
    (chain,) = read(structure([protein("A", *glycines(1, 2, 3))], method="ELECTRON MICROSCOPY", resolution=4.2))
    assert (chain.experiment, chain.resolution) == ("ELECTRON MICROSCOPY", 4.2)


def test_what_the_file_does_not_say(read):
    (chain,) = read(structure([protein("A", *glycines(1, 2, 3))], entry="", method="", resolution=0))
    assert (chain.entry, chain.experiment, chain.resolution) == ("file", "", None)


def test_both_formats_give_the_same_chains(tmp_path):
    atoms = [("CA", "C", 1.234, "A", 0.3), ("CA", "C", 2.345, "B", 0.7)]
    made = structure(
        [
            protein("A", residue("SER", "1", *atoms), *glycines("1A", 2), residue("MSE", "3", het=True), *glycines(9)),
            protein("B", *glycines(-1, 0, 1)),
        ]
    )
    both = [read_chains(written(made, tmp_path, kind)) for kind in ("pdb", "cif")]
    assert [len(chains) for chains in both] == [2, 2]
    for one, other in zip(*both, strict=True):
        assert (one.name, one.sequence, one.dropped) == (other.name, other.sequence, other.dropped)
        assert (one.experiment, one.resolution) == (other.experiment, other.resolution)
        for name in ("positions", "residue_index", "chain_break"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("kind", ["pdb", "cif"])
def test_packed_files_and_other_names(tmp_path, kind):
    path = written(structure([protein("A", *glycines(1, 2, 3))]), tmp_path, kind)
    (plain,) = read_chains(path)
    packed = tmp_path / "packed.dat"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_chains(packed)[0].positions, plain.positions)


def test_mdtraj_reads_the_same(tmp_path):
    mdtraj = pytest.importorskip("mdtraj")
    rng = np.random.default_rng(3)
    chain = protein("A")
    for number, name in enumerate(["ALA", "LYS", "PHE", "GLY", "SER"] * 4, start=1):
        atoms = [(atom, atom[0], rng.uniform(-50, 50), "\0", 1.0) for atom in ("N", "CA", "C", "O")]
        chain.add_residue(residue(name, str(number), *atoms))
    path = written(structure([chain]), tmp_path, "pdb")
    (ours,) = read_chains(path)
    theirs = mdtraj.load(str(path))
    selected = theirs.topology.select("name CA")
    np.testing.assert_allclose(ours.positions, 10 * theirs.xyz[0, selected], atol=1e-4)
    assert ours.sequence == "".join(one.code for one in theirs.topology.residues)
    assert ours.residue_index.tolist() == [one.resSeq for one in theirs.topology.residues]


# What a folder may hold


CIF = "data_1ABC\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 1.0\n2\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"  \n\n", "an empty file"),
        (gzip.compress(b"", mtime=0), "an empty file"),
        (b"not a structure at all\n", "no atom record"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "no atom record"),
        (b"<html><body>503 Service Unavailable</body></html>", "no atom record"),
        (b"# comment\ndata_sf\n_cell.length_a 10\n", "no atom record"),
        (CIF.encode(), "cannot be parsed"),
        (b"\x1f\x8b\x08garbage that is not gzip", "damaged gzip"),
        (gzip.compress(b"", mtime=0)[:10] + 20 * b"\xff", "damaged gzip"),
    ],
)
def test_what_is_no_structure(tmp_path, content, message):
    path = tmp_path / "1abc.cif"
    path.write_bytes(content)
    with pytest.raises(StructureError, match=message) as caught:
        read_chains(path)
    assert str(path) in str(caught.value)
    assert "To repair: fetch the file again" in str(caught.value)


def pdb_lines(count=6, end="           C", **coordinates):
    """PDB records of a chain of glycines; `coordinates` replace the text of x, y or z of the third."""
    lines = []
    for number in range(1, count + 1):
        texts = {"x": f"{3.8 * number:8.3f}", "y": f"{1:8.3f}", "z": f"{2:8.3f}"}
        if number == 3:
            texts |= coordinates
        place = "".join(texts.values())
        lines.append(f"ATOM  {number:5}  CA  GLY A{number:4}    {place}  1.00 10.00{end.format(number)}\n")
    return "".join(lines)


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize(
    "value",
    ["********", "        ", "     nan", "     inf", "   1.2.3", " 1 2.000", "  1.0e-1", "       -"],
)
def test_coordinates_that_are_no_numbers_are_refused(tmp_path, axis, value):
    """Where gemmi would read 0, or a part of the number."""
    path = tmp_path / "x.pdb"
    path.write_text(pdb_lines(**{axis: value}))
    with pytest.raises(StructureError, match="among the coordinates of the Cα atom of line 3"):
        read_chains(path)


@pytest.mark.parametrize("value", ["   1.500", "     1.5", "  +1.500", "1.5     ", "    1.50"])
def test_coordinates_of_other_forms_are_numbers(tmp_path, value):
    path = tmp_path / "x.pdb"
    path.write_text(pdb_lines(x=value))
    (chain,) = read_chains(path)
    assert chain.positions[2, 0] == 1.5


@pytest.mark.parametrize("value", ["?", ".", "nan", "inf", "-inf", "1e39", "one"])
def test_coordinates_of_mmcif_that_are_no_numbers_are_refused(tmp_path, value):
    path = written(structure([protein("A", *glycines(1, 2, 3))]), tmp_path, "cif")
    text = path.read_text()
    assert text.count(" 7.6 ") == 1
    path.write_text(text.replace(" 7.6 ", f" {value} "))
    with pytest.raises(StructureError, match="no finite number among the coordinates of the Cα atom of residue 2"):
        read_chains(path)


def test_other_models_and_atoms_may_lack_coordinates(tmp_path):
    ion = "HETATM    7 ZN    ZN A 101    ********   1.000   2.000  1.00 10.00          ZN\n"
    path = tmp_path / "x.pdb"
    path.write_text(f"MODEL        1\n{pdb_lines()}TER\n{ion}ENDMDL\nMODEL        2\n{pdb_lines(x='********')}ENDMDL\n")
    (chain,) = read_chains(path)
    assert len(chain) == 6


@pytest.mark.parametrize("end", ["      1XYZ {0:3}", "      1XYZ99{0:02}", "      1XY999{0:02}", "      000999{0:02}"])
def test_files_of_before_1996_end_in_entry_and_number_of_the_line(tmp_path, end):
    header = "HEADER    PROTEIN                                 01-JAN-85   1XYZ      1XYZ   3"
    remark = "REMARK   2 RESOLUTION. 1.8  ANGSTROMS.                                  1XYZ  12"
    path = tmp_path / "old.ent"
    path.write_text(f"{header}\n{remark}\n{pdb_lines(end=end)}TER       7      GLY A   6{40 * ' '}1XYZ  99\n")
    (chain,) = read_chains(path)
    assert (chain.name, chain.sequence, chain.resolution) == ("1XYZ_A", "GGGGGG", 1.8)
    np.testing.assert_allclose(chain.positions[:, 0], 3.8 * np.arange(1, 7), atol=1e-5)
    assert not chain.dropped


def test_names_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "x.pdb"
    path.write_bytes(pdb_lines().replace(" A", " \xe9").encode("latin1"))
    with pytest.raises(StructureError, match="names that are not UTF-8"):
        read_chains(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_of_a_billion_lines_are_refused_before_they_fill_memory(tmp_path, monkeypatch, pack):
    assert structures.MAX_BYTES <= 10**9  # that many lines have at least as many bytes
    monkeypatch.setattr(structures, "MAX_BYTES", 3 << 20)
    path = tmp_path / "huge.pdb"
    path.write_bytes(pack(b"\n" * (64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(StructureError, match=r"3,145,728 bytes or more.*split the file"):
            read_chains(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_gzip(tmp_path, kept):
    packed = gzip.compress(structure([protein("A", *glycines(*range(1, 60)))]).make_pdb_string().encode())
    path = tmp_path / "1abc.pdb.gz"
    path.write_bytes(packed[: int(kept * len(packed))])
    with pytest.raises(StructureError, match="damaged gzip"):
        read_chains(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_chains(tmp_path / "none.pdb")


def test_errors_travel_between_processes():
    error = StructureError("a.pdb", "nothing", "fetch it")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
