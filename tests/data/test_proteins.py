"""Stores of protein chains: what is selected, in which order, the same bytes from equal input."""

import gzip
import logging
from collections import Counter

import numpy as np
import pytest

from equidyn.data import proteins
from equidyn.data.proteins import (
    FIELDS,
    PackagedChains,
    Selection,
    build_offline_store,
    build_store_of_files,
    collate,
    random_order,
    statistics,
)
from equidyn.data.store import Store, StoreError
from equidyn.data.structures import NO_CA, NON_STANDARD, Chain

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
def by_first_letter(monkeypatch):
    """Clusters without MMseqs2, which takes seconds to start: by the first letter of the sequence."""

    def cluster(sequences, **settings):
        letters = list(dict.fromkeys(sequence[0] for sequence in sequences))
        return np.array([letters.index(sequence[0]) for sequence in sequences], np.int32), "first letter"

    monkeypatch.setattr(proteins, "cluster_sequences", cluster)


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


SIZES = {"min_length": 4, "max_length": 8, "progress": False}


@pytest.fixture
def build(folder, tmp_path, by_first_letter):
    """Build a store of the folder."""

    def made(name="store", **settings):
        return build_store_of_files(tmp_path / name, folder=folder, **{**SIZES, **settings})

    return made


# The packaged archive


@pytest.fixture(scope="module")
def packaged():
    return list(PackagedChains().chains(Counter(), processes=1, progress=False))


def test_packaged_chains_are_what_their_readme_says(packaged):
    assert len(packaged) == 2000
    lengths = np.array([len(chain) for chain in packaged])
    assert (lengths.min(), lengths.max(), lengths.sum()) == (51, 255, 302_524)
    assert len({chain.sequence for chain in packaged}) == len({chain.name for chain in packaged}) == 2000
    assert set("".join(chain.sequence for chain in packaged)) == set("ACDEFGHIKLMNPQRSTVWY")
    steps = np.concatenate([np.linalg.norm(np.diff(chain.positions, axis=0), axis=1) for chain in packaged])
    assert np.median(steps) == pytest.approx(3.80, abs=0.02)
    assert 2.5 < steps.min() < steps.max() <= 4.01
    for chain in packaged:
        assert chain.residue_index.tolist() == list(range(1, 1 + len(chain)))
        assert np.abs(chain.positions.mean(axis=0)).max() < 0.01


def test_all_packaged_chains_pass_the_usual_selection(packaged):
    assert Counter(Selection(complete=True).objection(chain) for chain in packaged) == {"": 2000}


def test_a_damaged_archive(monkeypatch):
    monkeypatch.setattr(proteins, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(StoreError, match=r"found SHA-256 b3366c.*install equidyn again"):
        next(PackagedChains().chains(Counter(), processes=1, progress=False))
    monkeypatch.setattr(proteins, "ARCHIVE", "nothing.npz")
    with pytest.raises(StoreError, match="no such file"):
        next(PackagedChains().chains(Counter(), processes=1, progress=False))


def test_offline_store(packaged, tmp_path):
    """With MMseqs2, unlike the stores of files below."""
    store = Store(build_offline_store(tmp_path / "store", max_length=60, processes=2, progress=False))
    store.verify()
    assert store.fields == FIELDS
    chains = {chain.name: chain for chain in packaged if len(chain) <= 60}
    assert sorted(store.text("name")) == sorted(chains)
    for example in store:
        chain = chains[example["name"]]
        for name in ("positions", "residue_index", "residue", "chain_break"):
            np.testing.assert_array_equal(example[name], getattr(chain, name))
    cluster = store.scalar("cluster")
    assert set(np.diff(cluster)) <= {0, 1}  # cluster by cluster
    made = store.provenance
    assert made["rejects"] == {"files": {}, "chains": {"longer than 60 residues": 2000 - len(store)}, "residues": {}}
    assert made["clustering"].startswith("MMseqs2 ")
    assert made["selection"] == {
        "min_length": 51,
        "max_length": 60,
        "complete": False,
        "standard": True,
        "worst_resolution": 5.0,
    }
    assert made["statistics"]["chains"] == made["statistics"]["distinct_sequences"] == len(store)
    assert made["statistics"]["clusters"] == cluster[-1] + 1
    assert made["statistics"]["residues"] == store.lengths.sum()


def test_the_seed_chooses_the_order(tmp_path, by_first_letter):
    first, other = (
        Store(build_offline_store(tmp_path / str(seed), max_length=55, seed=seed, progress=False)) for seed in (0, 1)
    )
    assert sorted(first.text("name")) == sorted(other.text("name"))
    assert first.text("name") != other.text("name")


# Files


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
        build_store_of_files(tmp_path / "store", folder=tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"no file that ends in \.pdb, \.pdb\.gz"):
        build_store_of_files(tmp_path / "store", folder=tmp_path)


# What sources share


def test_columns_hold_chains_end_to_end():
    lengths, columns = collate([chain(3, broken=1), chain(2)])
    assert lengths.tolist() == [3, 2]
    np.testing.assert_allclose(columns["positions"][:, 0], [0, 3.8, 12.6, 0, 3.8], atol=1e-5)
    assert columns["residue_index"].tolist() == [0, 1, 2, 0, 1]
    assert columns["residue"].tobytes() == b"GGGGG"
    assert columns["chain_break"].tolist() == [False, True, False, False, False]
    assert columns["name"] == ["X_A", "X_A"]


def test_columns_of_no_chain_keep_their_types():
    lengths, columns = collate([])
    assert lengths.shape == (0,)
    assert columns["name"] == []
    for name in ("positions", "residue_index", "residue", "chain_break"):
        assert columns[name].shape == (0, *FIELDS[name].shape)
        assert columns[name].dtype == FIELDS[name].dtype


def test_statistics():
    lengths, residue = np.array([2, 3, 2, 4]), np.frombuffer(b"AGAGGAGGGGG", np.uint8)
    chain_break = np.zeros(11, bool)
    chain_break[[2, 3, 8]] = True  # two in the second chain, one in the last
    assert statistics(lengths, residue, chain_break, np.array([0, 1, 0, 0])) == {
        "chains": 4,
        "distinct_sequences": 3,
        "clusters": 2,
        "largest_cluster": 3,
        "residues": 11,
        "residues_median": 2.5,
        "chains_with_break": 2,
    }


def test_the_random_order_goes_by_name():
    names = [f"{number}_A" for number in range(30)]
    order = [names[number] for number in random_order(names, 5)]
    assert order != names
    assert sorted(order) == sorted(names)
    assert [names[::-1][number] for number in random_order(names[::-1], 5)] == order
    assert [names[number] for number in random_order(names, 6)] != order


# Selection


def chain(n=10, **settings):
    """A straight chain of n residues, with a gap behind residue `broken`, if given."""
    positions = np.zeros((n, 3), np.float32)
    positions[:, 0] = 3.8 * np.arange(n) + 5 * (np.arange(n) > settings.pop("broken", n))
    settings = {"positions": positions, **settings}
    numbers = np.arange(n, dtype=np.int32)
    return Chain(entry="X", chain="A", residue_index=numbers, residue=np.full(n, 71, np.uint8), **settings)


@pytest.mark.parametrize(
    ("candidate", "settings", "objection"),
    [
        (chain(), {}, ""),
        (chain(), {"min_length": 10, "max_length": 10}, ""),
        (chain(9), {"min_length": 10}, "shorter than 10 residues"),
        (chain(11), {"max_length": 10}, "longer than 10 residues"),
        (chain(0), {}, "shorter than 1 residues"),
        (chain(broken=3), {}, ""),
        (chain(broken=3), {"complete": True}, "has a break"),
        (chain(dropped=Counter({NON_STANDARD: 1})), {}, "has non-standard residues"),
        (chain(dropped=Counter({NON_STANDARD: 1})), {"standard": False}, ""),
        (chain(dropped=Counter({NO_CA: 1})), {}, ""),
        (chain(positions=np.full((10, 3), np.nan, np.float32)), {}, "coordinates not finite"),
        (chain(resolution=5.0), {}, ""),
        (chain(resolution=5.01), {}, "resolution worse than 5 Å"),
        (chain(experiment="X-RAY DIFFRACTION"), {}, ""),
        (chain(experiment="X-RAY DIFFRACTION; NEUTRON DIFFRACTION"), {}, ""),
        (chain(experiment="ELECTRON CRYSTALLOGRAPHY"), {}, ""),
        (chain(experiment="SOLUTION NMR"), {}, "neither diffraction nor electron microscopy"),
        (chain(experiment="THEORETICAL MODEL"), {}, "neither diffraction nor electron microscopy"),
    ],
)
def test_selection(candidate, settings, objection):
    assert Selection(**{"min_length": 1, **settings}).objection(candidate) == objection


@pytest.mark.parametrize(
    "settings", [{"min_length": 0}, {"min_length": 20, "max_length": 10}, {"worst_resolution": 0.0}]
)
def test_impossible_selections(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Selection(**settings)
