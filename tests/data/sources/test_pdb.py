"""The Protein Data Bank: which chains are selected, what their files must be, and what the store gets of them."""

import gzip
import hashlib
import json
import logging
import shutil
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from standins.pdb import Entry, Molecule, mmcif, trace, write_pdb

from equidyn.data.chain_limits import ChainLimits
from equidyn.data.chains import FIELDS
from equidyn.data.sources.pdb import build as pdb
from equidyn.data.sources.pdb.build import CLUSTERS, ENTRY, build_store, entry_path
from equidyn.data.sources.pdb.card import ProteinDataBank
from equidyn.data.sources.pdb.index import INDEX_FILES
from equidyn.data.sources.pdb.select import check_entry, select_chains, write_selection
from equidyn.data.store import Store
from equidyn.data.structures import NON_STANDARD, read_chains

# Selection

LIMITS = ChainLimits(min_length=51, max_length=255)


@pytest.fixture
def index(tmp_path):
    """Write index files about the entry 1abc, and about 2abc, which passes."""

    def written(**said):
        said = {
            "id": "1abc",
            "molecule": "protein",
            "sequence": "A" * 60,
            "length": None,
            "experiment": "diffraction",
            "resolution": "2.00",
            "entries": "2.00",
            "bundle": "3j3q",
        } | said
        length = said["length"] or len(said["sequence"])
        header = f">{said['id']}_A mol:{said['molecule']} length:{length}  NAME"
        contents = {
            "pdb_seqres.txt.gz": f"{header}\n{said['sequence']}\n>2abc_B mol:protein length:60  NAME\n{'G' * 60}\n",
            "pdb_entry_type.txt": f"{said['id']}\tprot\t{said['experiment']}\n2abc\tprot\tdiffraction\n",
            "resolu.idx": f"TITLE\n\nIDCODE\n------\n{said['id'].upper()}\t;\t{said['resolution']}\n2ABC\t;\t1.50\n",
            "entries.idx": "IDCODE, HEADER\n------\n"
            f'{said["id"].upper()}\tH\t01/02/03\tA "NAME\tS\tA\t{said["entries"]}\tX-RAY DIFFRACTION\n'
            "2ABC\tH\t01/02/03\tNAME\tS\tA\t1.5\tX-RAY DIFFRACTION\n",
            "pdb_bundle_index.txt": f"{said['bundle']}\n",
        }
        for name, text in contents.items():
            content = text.encode()
            (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return {name: tmp_path / name for name in contents}

    return written


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, ""),
        ({"sequence": "A" * 50}, "shorter than 51 residues"),
        ({"sequence": "A" * 51}, ""),
        ({"sequence": "A" * 255}, ""),
        ({"sequence": "A" * 256}, "longer than 255 residues"),
        ({"sequence": "ACDEFGHIKLMNPQRSTVWY" * 3}, ""),
        ({"sequence": "A" * 59 + "X"}, "has non-standard residues"),
        ({"sequence": "A" * 59 + "U"}, "has non-standard residues"),
        ({"sequence": "A" * 59 + "a"}, "has non-standard residues"),
        ({"sequence": "A" * 30 + "\n" + "A" * 21}, "sequence of another length than its header says"),
        ({"sequence": "A" * 30 + "\n" + "A" * 21, "length": 51}, ""),
        ({"length": 61}, "sequence of another length than its header says"),
        ({"molecule": "na"}, "not a protein"),
        ({"experiment": "EM"}, ""),
        ({"experiment": "NMR"}, "neither diffraction nor electron microscopy"),
        ({"experiment": "other"}, "neither diffraction nor electron microscopy"),
        ({"resolution": "5.00"}, ""),
        ({"resolution": "5.01"}, "resolution worse than 5 Å"),
        ({"resolution": "5.01", "entries": "4.99"}, "resolution worse than 5 Å"),
        ({"resolution": "-1.00"}, ""),
        ({"resolution": "-1.00", "entries": "5.1", "experiment": "EM"}, "resolution worse than 5 Å"),
        ({"resolution": "-1.00", "entries": "NOT", "experiment": "EM"}, "no resolution (EM)"),
        ({"resolution": "", "entries": ""}, "no resolution (diffraction)"),
        ({"resolution": "0.00", "entries": "NOT"}, "no resolution (diffraction)"),
        ({"bundle": "1abc"}, "entry in pdb_bundle_index.txt"),
        ({"bundle": "1ABC"}, "entry in pdb_bundle_index.txt"),
        ({"id": "pdb_00001abc"}, ""),
        ({"id": "pdb_00001abc", "bundle": "pdb_00001abc"}, "entry in pdb_bundle_index.txt"),
        # The first reason counts.
        ({"molecule": "na", "sequence": "ACGT", "experiment": "NMR"}, "not a protein"),
        ({"sequence": "X" * 50, "resolution": "9.00"}, "shorter than 51 residues"),
    ],
)
def test_each_limit_of_the_selection(index, said, reason):
    table, rejects = select_chains(index(**said), LIMITS)
    assert rejects == ({reason: 1} if reason else {})
    assert table["entry"].tolist() == (["2abc"] if reason else sorted([said.get("id", "1abc"), "2abc"]))


def test_the_table(index):
    table, _ = select_chains(index(experiment="EM", resolution="-1.00", entries="3.25"), LIMITS)
    assert list(table.columns) == ["entry", "chain", "length", "resolution", "experiment"]
    assert table.to_numpy().tolist() == [["1abc", "A", 60, 3.25, "EM"], ["2abc", "B", 60, 1.5, "diffraction"]]


def test_other_limits(index):
    table, rejects = select_chains(
        index(sequence="A" * 20, resolution="6.00"), ChainLimits(min_length=20, max_length=59, worst_resolution=6)
    )
    assert table["entry"].tolist() == ["1abc"]
    assert rejects == {"longer than 59 residues": 1}


def test_an_entry_of_unknown_experiment(index):
    files = index()
    files["pdb_entry_type.txt"].write_text("2abc\tprot\tdiffraction\n")
    assert select_chains(files, LIMITS)[1] == {"entry not in pdb_entry_type.txt": 1}


def test_a_chain_that_is_listed_twice(index):
    files = index()
    path = files["pdb_seqres.txt.gz"]
    path.write_bytes(path.read_bytes() * 2)  # gzip members follow each other
    table, rejects = select_chains(files, LIMITS)
    assert len(table) == 2
    assert rejects == {"listed before": 2}


def test_chain_ids_keep_their_case(index):
    files = index()
    text = "".join(f">1abc_{chain} mol:protein length:60  N\n{'A' * 60}\n" for chain in ("b", "B", "AA", "NA"))
    files["pdb_seqres.txt.gz"].write_bytes(gzip.compress(text.encode()))
    assert select_chains(files, LIMITS)[0]["chain"].tolist() == ["AA", "B", "NA", "b"]


HTML = b"<!DOCTYPE html>\n<html><body>\n503 Service Unavailable\n</body></html>\n"


@pytest.mark.parametrize("name", INDEX_FILES)
@pytest.mark.parametrize("content", [b"", HTML, HTML * 50])
def test_index_files_that_are_something_else(index, name, content):
    files = index()
    files[name].write_bytes(content)
    with pytest.raises(ValueError, match=r"found .*; expected .*delete the file and fetch it again") as caught:
        select_chains(files, LIMITS)
    assert str(files[name]) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("pdb_entry_type.txt", b"1abc\tdiffraction\n2abc\tdiffraction\n", r"line 1, '1abc\\tdiffraction'"),
        ("resolu.idx", b"IDCODE\n1ABC 2.00\n2ABC 1.50\n", "line 1, 'IDCODE'"),
        ("resolu.idx", b"1ABC ; 2.00\n2ABC 1.50\n", "line 2, '2ABC 1.50'"),
        ("entries.idx", b"IDCODE\n------\n1ABC\tH\t01/02/03\t2.0\tX-RAY DIFFRACTION\n", "line 1, 'IDCODE'"),
        ("entries.idx", b"1ABC\tH\t2.0\tNAME\tS\tA\t01/02/03\tX-RAY DIFFRACTION\n", "line 1, '1ABC"),
        ("pdb_bundle_index.txt", b"holdings\n", "line 1, 'holdings'"),
        ("pdb_seqres.txt.gz", gzip.compress(b"AAAA\n>1abc_A mol:protein length:4\nAAAA\n", mtime=0), r"'AAAA\\n'"),
        ("pdb_seqres.txt.gz", gzip.compress(b">1ABC:A|PDBID|SEQUENCE\nAAAA\n", mtime=0), "'>1ABC:A"),
        (
            "pdb_seqres.txt.gz",
            gzip.compress(b">1abc_A mol:protein length:4 " * 99, mtime=0)[:40],
            "a damaged gzip file",
        ),
        ("pdb_seqres.txt.gz", b">1abc_A mol:protein length:4\nAAAA\n", "a damaged gzip file"),
    ],
)
def test_changed_forms_of_index_files(index, name, content, found):
    files = index()
    files[name].write_bytes(content)
    with pytest.raises(ValueError, match=found):
        select_chains(files, LIMITS)


@pytest.mark.parametrize(("rows", "odd", "passes"), [(200, 2, True), (200, 3, False)])
def test_one_odd_row_in_a_hundred_is_skipped(index, caplog, rows, odd, passes):
    files = index()
    text = "".join(f"{1000 + number}\tprot\tNMR\n" for number in range(rows - 2)) + "5000 something else\n" * odd
    files["pdb_entry_type.txt"].write_text("1abc\tprot\tEM\n2abc\tprot\tEM\n" + text)
    if passes:
        assert len(select_chains(files, LIMITS)[0]) == 2
        assert f"{odd} odd rows were skipped, the first is line {rows + 1}, '5000 something else'" in caplog.text
    else:
        with pytest.raises(ValueError, match=f"found line {rows + 1}, '5000 something else'"):
            select_chains(files, LIMITS)


def test_index_files_must_all_be_given(index):
    files = index()
    del files["resolu.idx"]
    with pytest.raises(ValueError, match=r"no resolu\.idx$"):
        select_chains(files, LIMITS)


def test_limits_must_be_possible():
    with pytest.raises(ValueError, match="max_length 20"):
        ChainLimits(min_length=51, max_length=20)


def test_nothing_selected_says_why(index):
    with pytest.raises(ValueError, match=r"no chain is left.*'shorter than 70 residues': 2"):
        select_chains(index(), ChainLimits(min_length=70, max_length=255))


def test_written_selection(index, tmp_path):
    files, path = index(sequence="X" * 60), tmp_path / "made" / "selection.tsv"
    receipt = {"retrieved": "2026-01-02", "bytes": files["resolu.idx"].stat().st_size, "sha256": "stated"}
    Path(f"{files['resolu.idx']}.json").write_text(json.dumps(receipt))
    write_selection(path, LIMITS, files=files)
    assert path.read_text() == "entry\tchain\tlength\tresolution\texperiment\n2abc\tB\t60\t1.5\tdiffraction\n"
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["limits"] == {"min_length": 51, "max_length": 255, "worst_resolution": 5.0}
    assert (about["chains"], about["entries"], about["residues"]) == (1, 1, 60)
    assert about["rejects"] == {"has non-standard residues": 1}
    assert set(about["index"]) == set(INDEX_FILES)
    assert about["index"]["resolu.idx"] == {"retrieved": "2026-01-02", "sha256": "stated"}
    digest = hashlib.sha256(files["entries.idx"].read_bytes()).hexdigest()
    assert about["index"]["entries.idx"] == {"retrieved": None, "sha256": digest}
    assert sorted(name.name for name in path.parent.iterdir()) == ["selection.json", "selection.tsv"]


def test_a_failed_selection_leaves_nothing(index, tmp_path):
    with pytest.raises(ValueError, match="no chain is left"):
        write_selection(tmp_path / "selection.tsv", ChainLimits(min_length=70, max_length=255), files=index())
    assert not list(tmp_path.glob("*selection*"))


# Files of entries


@pytest.fixture(scope="module")
def entry_file(tmp_path_factory):
    positions = 3.8 * np.arange(60)[:, None] * np.array([1.0, 0, 0])
    content = mmcif(Entry("1abc", (Molecule("A", "A", "1", tuple(trace(positions, "ACDEFG" * 10))),)))
    return content.encode()


@pytest.mark.parametrize("entry", ["1abc", "1ABC"])
def test_a_good_entry_file(entry_file, tmp_path, entry):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(entry_file))
    check_entry(path, entry)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda cif: cif, "begins with b'data_1ABC.*expected a gzip file"),
        (lambda cif: HTML, "begins with b'<!DOCTYPE html>.*expected a gzip file"),
        (lambda cif: b"", "begins with b'', expected data_"),
        (lambda cif: gzip.compress(b""), "begins with b'', expected data_"),
        (lambda cif: gzip.compress(HTML), "begins with b'<!DOCTYPE html>.*expected data_"),
        (lambda cif: gzip.compress(cif)[:100], "damaged gzip"),
        (lambda cif: gzip.compress(cif)[:-1], "damaged gzip"),
        (lambda cif: gzip.compress(cif)[:-8] + bytes(8), "expected a gzip file|damaged gzip"),
        (lambda cif: gzip.compress(cif.replace(b"_entry.id 1ABC", b"_entry.id   2ABC ")), "entry 2ABC, expected 1abc"),
        (lambda cif: gzip.compress(cif.replace(b"_entry.id 1ABC", b"")), r"no _entry\.id, expected 1abc"),
    ],
)
def test_what_is_no_entry_file(entry_file, tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content(entry_file))
    with pytest.raises(ValueError, match=message) as caught:
        check_entry(path, "1abc")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("entry", "place"), [("1abc", "ab/1abc.cif.gz"), ("pdb_00001abc", "00/pdb_00001abc.cif.gz")])
def test_places_of_entry_files(entry, place):
    assert entry_path("folder", entry) == Path("folder", place)


# Stores


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return write_pdb(tmp_path_factory.mktemp("mirror"), entries=6)


@pytest.fixture
def prepare(bank, tmp_path):
    """Select, put the entries' files where a download would, and build a store."""
    files = bank.files(CLUSTERS) | {name: tmp_path / name for name in ("selection.tsv", "entries.tsv")}
    write_selection(files["selection.tsv"], LIMITS, files=bank.files(*INDEX_FILES))
    entries = sorted(set(pd.read_csv(files["selection.tsv"], sep="\t", dtype=str)["entry"]))
    has_file = [bank.entries[entry].has_file for entry in entries]
    for entry in (entry for entry, has in zip(entries, has_file, strict=True) if has):
        path = entry_path(tmp_path / "entries", entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bank.folder / f"{entry}.cif.gz", path)
    rows = {"id": entries, "status": ["ok" if has else "missing" for has in has_file], "bytes": 1, "sha256": ""}
    pd.DataFrame(rows).to_csv(files["entries.tsv"], sep="\t", index=False)

    def build(name="store", seed=0, **settings):
        places = {"files": files | {ENTRY: tmp_path / "entries"}, "scratch": tmp_path / f"scratch-{name}"}
        return build_store(tmp_path / name, ProteinDataBank(seed=seed), **places, progress=False, **settings)

    build.files = files
    return build


def same_bytes(one, other):
    return all((other / path.name).read_bytes() == path.read_bytes() for path in one.iterdir())


def test_the_stand_in_is_selected_as_it_says(bank):
    table, rejects = select_chains(bank.files(*INDEX_FILES), LIMITS)
    assert rejects == bank.rejects
    expected = {
        (entry.name, one.author)
        for entry in bank.entries.values()
        if entry.name not in bank.unselected
        for one in entry.molecules
        if one.kind == "protein"
    }
    assert sorted(expected) == list(table[["entry", "chain"]].itertuples(index=False, name=None))


def test_the_stand_in_has_chains_to_train_on(tmp_path):
    bank = write_pdb(tmp_path)
    table, _ = select_chains(bank.files(*INDEX_FILES), LIMITS)
    assert len(table) >= 40
    for entry in bank.entries.values():
        if entry.has_file:
            check_entry(bank.folder / f"{entry.name}.cif.gz", entry.name)


def likeliest(places):
    """The first place of the highest occupancy."""
    return max(places, key=lambda place: place[1])[2]


def kept(bank):
    """Residues that the store must have of each chain, by name: letter, number and place of Cα in Å."""
    chains = {}
    for entry in bank.entries.values():
        if entry.has_file and entry.name not in bank.unselected | {"9one"}:
            for one in (molecule for molecule in entry.molecules if molecule.kind == "protein"):
                chains[f"{entry.name.upper()}_{one.author}"] = [
                    (
                        residue.letter,
                        int(residue.number.rstrip("AB")),
                        max(residue.places, key=lambda place: place[1])[2],
                    )
                    for residue in one.resolved
                    if residue.name != "SEP"
                ]
    return chains


def test_the_store_has_every_number_of_the_files(prepare, bank):
    store = Store(prepare())
    store.verify()
    assert store.fields == FIELDS
    expected = kept(bank)
    assert sorted(store.text("name")) == sorted(expected)
    for example in store:
        letters, numbers, places = zip(*expected[example["name"]], strict=True)
        assert example["residue"].tobytes().decode() == "".join(letters)
        assert example["residue_index"].tolist() == list(numbers)
        np.testing.assert_array_equal(example["positions"], np.array(places).astype(np.float32))
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        assert example["chain_break"].tolist() == [*(steps > 4.0), False]


def test_clusters_are_those_of_the_file(prepare, bank):
    store = Store(prepare())
    cluster, names = store.scalar("cluster"), store.text("name")
    assert cluster[0] == 0
    assert set(np.diff(cluster)) == {0, 1}  # cluster by cluster
    family = {entity: number for number, entities in enumerate(bank.families) for entity in entities}
    of = {
        f"{entry.name.upper()}_{one.author}": family.get(f"{entry.name.upper()}_{one.entity}", entry.name)
        for entry in bank.entries.values()
        for one in entry.molecules
    }
    # The same partition: pairs of labels are as many as labels of either kind.
    pairs = {(label, of[name]) for label, name in zip(cluster.tolist(), names, strict=True)}
    assert len(pairs) == len({label for label, _ in pairs}) == len({key for _, key in pairs})
    assert any(count > 1 for count in Counter(of[name] for name in names).values())
    assert store.provenance["chains_without_cluster"] == 2  # both of 9own, together
    assert len({label for label, key in pairs if key == "9own"}) == 1


def test_the_manifest_counts_what_was_left_out(prepare, bank):
    store = Store(prepare())
    made = store.provenance
    assert made["rejects"] == {
        "entries": {"missing": 1},
        "chains": {"entry missing": 1, "fewer than 2 resolved residues": 1},
        "residues": {NON_STANDARD: 1, "not resolved": 6},
    }
    assert made["selection"]["rejects"] == dict(sorted(bank.rejects.items()))
    assert made["selection"]["chains"] == len(store) + 2
    assert made["statistics"]["chains"] == len(store)
    assert made["statistics"]["residues"] == store.lengths.sum()
    assert made["statistics"]["clusters"] == store.scalar("cluster")[-1] + 1
    assert set(made["files"]) == {"selection.tsv", "entries.tsv", "clusters-by-entity-50.txt"}


def test_the_seed_chooses_the_order(prepare):
    first, other = Store(prepare()), Store(prepare("other", seed=1))
    assert sorted(first.text("name")) == sorted(other.text("name"))
    assert first.text("name") != other.text("name")


def test_processes_and_pieces_do_not_change_the_bytes(prepare, monkeypatch):
    first = prepare()
    monkeypatch.setattr(pdb, "_ENTRIES_PER_PIECE", 3)
    monkeypatch.setattr(pdb, "_CHAINS_PER_BLOCK", 5)
    assert same_bytes(first, prepare("other", processes=2))


def test_an_interrupted_preparation_goes_on(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(pdb, "_ENTRIES_PER_PIECE", 4)
    whole = prepare()
    read, entries = [], sorted((tmp_path / "entries").rglob("*.cif.gz"), key=lambda path: path.name)

    def interrupted(path):
        read.append(path)
        if len(read) == 10:
            raise KeyboardInterrupt
        return read_chains(path)

    monkeypatch.setattr(pdb, "read_chains", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare("again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))
    assert same_bytes(whole, prepare("again"))
    assert read == entries[:10] + entries[8:]  # two whole pieces were kept
    assert not (tmp_path / "scratch-again").exists()


def test_an_existing_store_is_refused_before_anything_is_read(prepare, monkeypatch):
    path = prepare()
    with monkeypatch.context() as patched:
        patched.setattr(pdb, "read_chains", None)
        with pytest.raises(FileExistsError):
            prepare()
    assert prepare(overwrite=True) == path


def test_an_entry_that_cannot_be_read(prepare, tmp_path, caplog):
    path = entry_path(tmp_path / "entries", "9aut")
    path.write_bytes(gzip.compress(b"data_9AUT\n_entry.id 9AUT\n"))
    with caplog.at_level(logging.WARNING):
        rejects = Store(prepare()).provenance["rejects"]
    assert rejects["entries"] == {"missing": 1, "not readable": 1}
    assert rejects["chains"]["entry not readable"] == 2
    assert str(path) in caplog.text


def test_a_chain_that_is_not_in_its_file(prepare):
    path = prepare.files["selection.tsv"]
    path.write_text(path.read_text().replace("9aut\tNA\t", "9aut\tN\t"))
    store = Store(prepare())
    assert store.provenance["rejects"]["chains"]["no such protein chain in the file"] == 1
    assert "9AUT_B" in store.text("name")


def test_a_file_that_vanished(prepare, tmp_path):
    path = entry_path(tmp_path / "entries", "9aut")
    path.unlink()
    with pytest.raises(ValueError, match=r"no such file, although entries\.tsv calls it fetched") as caught:
        prepare()
    assert str(path) in str(caught.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("entries.tsv", lambda text: text.replace("9aut\tok", "9xxx\tok"), r"entries\.tsv: no row of 9aut"),
        ("entries.tsv", lambda text: text.replace("9aut\tok", "9aut\tlost"), "found the status 'lost'"),
        ("entries.tsv", lambda text: text.replace("status", "state"), r"entries\.tsv: expected columns id, status"),
        ("selection.tsv", lambda text: "", r"selection\.tsv: expected columns entry, chain, length"),
        ("entries.tsv", lambda text: text.replace("\tok", "\tmissing"), "no chain is left.*'entry missing'"),
    ],
)
def test_tables_that_are_something_else(prepare, tmp_path, name, change, message):
    path = prepare.files[name]
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=message):
        prepare()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(HTML, "line 1, '<!DOCTYPE"), (b"", "an empty file"), (b"AF_X_1 MA_Y_1\n3XYZ_1\n", "none of the .* entities")],
)
def test_cluster_files_that_are_something_else(prepare, tmp_path, content, message):
    prepare.files[CLUSTERS] = tmp_path / "clusters"
    prepare.files[CLUSTERS].write_bytes(content)
    with pytest.raises(ValueError, match=message):
        prepare()


def test_mdtraj_reads_the_same(bank):
    mdtraj = pytest.importorskip("mdtraj")
    path = bank.folder / "9l51.cif.gz"
    (ours,) = read_chains(path)
    theirs = mdtraj.load(str(path))
    selected = theirs.topology.select("name CA")
    np.testing.assert_allclose(ours.positions, 10 * theirs.xyz[0, selected], atol=1e-4)
    assert ours.sequence == "".join(one.code for one in theirs.topology.residues)
    assert ours.residue_index.tolist() == [one.resSeq for one in theirs.topology.residues]


def test_a_line_without_an_end_does_not_fill_memory_when_an_entry_is_checked(tmp_path):
    path = tmp_path / "1abc.cif.gz"
    path.write_bytes(gzip.compress(b"data_1ABC\n" + bytes(64 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"no _entry\.id, expected 1abc"):
            check_entry(path, "1abc")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
