"""Descriptions of stores: sizes and shapes by hand, secondary structure of ideal helices and strands."""

import subprocess
import sys

import numpy as np
import pytest

from equidyn.data import chains as chains_module
from equidyn.data.describe import (
    LABELS,
    chain_quantities,
    conformer_quantities,
    describe,
    molecule_quantities,
    secondary_structure,
)
from equidyn.data.store import Store, StoreWriter

mdtraj = pytest.importorskip("mdtraj")


def next_atom(placed, length, angle, dihedral):
    """The atom bonded to the last of three, by internal coordinates (Å, degrees)."""
    a, b, c = placed[-3:]
    angle, dihedral = np.deg2rad([angle, dihedral])
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    frame = np.column_stack([-along, np.cross(along, normal), normal])
    return c + length * frame @ [np.cos(angle), -np.sin(angle) * np.cos(dihedral), np.sin(angle) * np.sin(dihedral)]


def backbone(residues, phi, psi):
    """Positions (residues, 4, 3) in Å of N, CA, C and O; torsions of all residues or of each, peptide bonds trans."""
    atoms = [np.array([0.0, 0, 0]), np.array([1.46, 0, 0]), np.array([2.0, 1.42, 0])]
    made = []
    phi, psi = np.broadcast_to(phi, residues), np.broadcast_to(psi, residues)
    for this_psi, next_phi in zip(psi, np.roll(phi, -1), strict=True):
        n, ca, c = atoms[-3:]
        made.append([n, ca, c, next_atom([n, ca, c], 1.23, 120.5, this_psi + 180)])
        atoms.append(next_atom(atoms, 1.33, 116.6, this_psi))
        atoms.append(next_atom(atoms, 1.46, 121.7, 180))
        atoms.append(next_atom(atoms, 1.525, 111.0, next_phi))
    return np.array(made)


def alone(positions, broken=()):
    """Secondary structure of one chain; `broken` are residues before a break."""
    breaks = np.zeros(len(positions), bool)
    breaks[list(broken)] = True
    return secondary_structure(np.asarray(positions, np.float32), np.zeros(len(positions), int), breaks)


def antiparallel_sheet(strands, residues):
    """(strands * residues, 3) Cα positions in Å: pleated strands 4.8 Å apart, joined by nothing."""
    along = np.arange(residues)
    strand = np.column_stack([3.3 * along, np.zeros(residues), 0.9 * (-1.0) ** along])
    made = [strand[:: (-1) ** k] + np.array([0, 4.8 * k, 0]) for k in range(strands)]
    return np.concatenate(made)


HELIX, STRAND, TURN, EXTENDED = (-57, -47), (-120, 130), (-80, 70), (-50, 130)


@pytest.mark.parametrize(("torsions", "letter"), [(HELIX, "H"), (STRAND, "C")])
def test_ideal_backbones_against_dssp(torsions, letter):
    """mdtraj's DSSP finds the helix too; a lone strand, which has no partner, is a strand here only."""
    atoms = backbone(20, *torsions)
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in atoms:
        residue = topology.add_residue("ALA", chain)
        for name, element in zip(("N", "CA", "C", "O"), "NCCO", strict=True):
            topology.add_atom(name, mdtraj.element.get_by_symbol(element), residue)
    dssp = mdtraj.compute_dssp(mdtraj.Trajectory(atoms.reshape(1, -1, 3) / 10, topology))[0]
    found = alone(atoms[:, 1])
    assert (dssp == letter).sum() >= 17
    if letter == "H":
        assert (found["helix"] == (dssp == "H")).mean() >= 0.9
        assert not found["strand"].any()
    else:
        assert not found["helix"].any()
        assert found["strand"].sum() >= 17


def test_distances_of_the_helix_are_those_of_the_criteria():
    ca = backbone(12, *HELIX)[:, 1]
    distances = [np.linalg.norm(ca[k:] - ca[:-k], axis=1).mean() for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(distances, [3.8, 5.5, 5.2, 6.4], atol=0.05)


def test_orientation_changes_nothing_and_handedness_shows_in_the_dihedral():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    ca = np.concatenate([backbone(12, *HELIX)[:, 1], backbone(12, *STRAND)[:, 1] + [0, 0, 40]])
    plain, turned = alone(ca, [11]), alone(ca @ rotation.T + 7, [11])
    for kind in ("helix", "strand"):
        np.testing.assert_array_equal(turned[kind], plain[kind])
    assert plain["helix"][:12].sum() >= 10
    assert plain["strand"][12:].sum() >= 9
    # Mirrored, a helix keeps its distances. Where these do not fit, the dihedral alone decides.
    stretched = 1.1 * ca[:12]
    assert alone(stretched)["helix"].sum() >= 7
    assert not alone(stretched * [1, 1, -1])["helix"].any()


@pytest.mark.parametrize(
    ("outside", "inside", "expected"),
    [
        (STRAND, HELIX, "-EEEEEEEHHHHHHHHHHEEEEEE--"),
        (TURN, HELIX, "-------HHHHHHHHHHHH-------"),
        (TURN, STRAND, "-------EEEEEEEEEEE--------"),
        (EXTENDED, HELIX, "--------HHHHHHHHHH--------"),
    ],
)
def test_ends_of_helices_and_strands(outside, inside, expected):
    """Ten residues inside eight and eight others: one more on either side counts if its own measures fit."""
    phi, psi = (np.repeat([outside[k], inside[k], outside[k]], [8, 10, 8]) for k in (0, 1))
    found = alone(backbone(26, phi, psi)[:, 1])
    letters = np.where(found["helix"], "H", np.where(found["strand"], "E", "-"))
    assert "".join(letters) == expected


def test_short_pieces_are_nothing():
    helix, strand = backbone(12, *HELIX)[:, 1], backbone(12, *STRAND)[:, 1]
    for positions in (helix, strand):
        counts = [sum(alone(positions[:n])[kind].sum() for kind in ("helix", "strand")) for n in range(1, 7)]
        assert counts == [0] * 6
    # A break in the middle leaves pieces of six.
    assert not alone(helix, [5])["helix"].any()
    assert alone(helix)["helix"].sum() >= 10


def test_short_strands_count_with_contacts_only():
    """Six residues give three candidates: one contact each in an outer strand, two in the inner one."""
    assert alone(antiparallel_sheet(3, 6), [5, 11])["strand"].reshape(3, 6).sum(axis=1).tolist() == [0, 3, 0]
    assert alone(antiparallel_sheet(3, 7), [6, 13])["strand"].reshape(3, 7).sum(axis=1).tolist() == [4, 4, 4]


def test_chains_do_not_see_each_other():
    """Strands of a sheet that belong to different chains have no partner, wherever they lie."""
    sheet = antiparallel_sheet(3, 6).astype(np.float32)
    ends = np.arange(18) % 6 == 5
    assert not secondary_structure(sheet, np.arange(18) // 6, ends)["strand"].any()
    helix = backbone(12, *HELIX)[:, 1].astype(np.float32)
    halves = secondary_structure(helix, np.arange(12) // 6, np.zeros(12, bool))
    assert not halves["helix"].any()


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    """A helix, a strand, and one chain of both with a break."""
    helix, strand = backbone(20, *HELIX)[:, 1], backbone(20, *STRAND)[:, 1]
    path = tmp_path_factory.mktemp("data") / "chains"
    with StoreWriter(path, chains_module.FIELDS) as writer:
        for cluster, positions in enumerate([helix, strand, np.concatenate([helix, strand + 60])]):
            n = len(positions)
            writer.append(
                positions=positions.astype(np.float32),
                residue_index=np.arange(n, dtype=np.int32),
                residue=np.full(n, 65, np.uint8),
                chain_break=(np.arange(n) == 19) & (n == 40),
                name=str(cluster),
                cluster=cluster,
            )
        writer.finish()
    return Store(path)


def test_description_of_chains(chains):
    table = describe(chains, np.array([0, 2]), chain_quantities)
    assert list(table) == ["example", "cluster", "side", "residues", "radius_of_gyration", "helix", "strand"]
    assert table["side"].tolist() == ["train", "validation", "train"]
    assert table["example"].tolist() == table["cluster"].tolist() == [0, 1, 2]
    assert table["residues"].tolist() == [20, 20, 40]
    for example, radius in zip(chains, table["radius_of_gyration"], strict=True):
        centred = example["positions"] - example["positions"].mean(axis=0)
        assert radius == pytest.approx(np.sqrt((centred**2).sum(axis=1).mean()), rel=1e-4)
    assert table["helix"][0] >= 85
    assert table["strand"][1] >= 85
    assert table["helix"][1] == table["strand"][0] == 0
    assert table["helix"][2] == table["helix"][0] / 2
    assert table["strand"][2] == table["strand"][1] / 2


def test_description_of_molecules(store, train_indices):
    table = describe(store, train_indices, molecule_quantities)
    assert list(table) == ["example", "cluster", "side", "atoms", "heavy_atoms", "force_rms"]
    assert table["cluster"].tolist() == store.scalar("cluster").tolist()
    assert np.flatnonzero(table["side"] == "train").tolist() == train_indices.tolist()
    for example, row in zip(store, table.itertuples(), strict=True):
        assert row.atoms == len(example["atomic_numbers"])
        assert row.heavy_atoms == (example["atomic_numbers"] > 1).sum()
        assert row.force_rms == pytest.approx(np.sqrt((example["forces"].astype(float) ** 2).mean()))


def test_description_of_conformers(conformers):
    table = describe(conformers, np.arange(6), conformer_quantities)
    for row in table.itertuples():
        example = conformers[row.example]
        assert row.atoms == len(example["positions"])
        assert row.heavy_atoms == (example["atomic_numbers"] > 1).sum()
        assert row.radius == pytest.approx(np.linalg.norm(example["positions"], axis=1).max())
    assert (table["side"] == ["train"] * 6 + ["validation"] * 2).all()


def test_every_quantity_has_a_label(chains, store, conformers):
    kinds = {chain_quantities: chains, molecule_quantities: store, conformer_quantities: conformers}
    for quantities, examples in kinds.items():
        assert quantities(examples).keys() <= LABELS.keys()


def test_labels_need_neither_mdtraj_nor_torch():
    code = "import sys, equidyn.data.describe; print(sorted({'mdtraj', 'torch', 'gemmi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
