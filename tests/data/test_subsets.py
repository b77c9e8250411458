"""Splits keep clusters whole, subsets are nested, index files are checked."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equidyn.data.store import StoreError
from equidyn.data.subsets import nested_subsets, read_index, split_by_cluster, write_index

clusters = st.lists(st.integers(-3, 12), min_size=2, max_size=80).filter(lambda c: len(set(c)) > 1)
fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32)


@given(clusters, fractions, seeds)
def test_split(cluster, fraction, seed):
    cluster = np.array(cluster)
    train, validation = split_by_cluster(cluster, validation_fraction=fraction, seed=seed)
    assert train.dtype == validation.dtype == np.int64
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(cluster)))
    assert len(train) > 0
    assert len(validation) > 0
    assert not set(cluster[train]) & set(cluster[validation])
    np.testing.assert_array_equal(train, np.sort(train))
    again = split_by_cluster(cluster, validation_fraction=fraction, seed=seed)
    np.testing.assert_array_equal(again[0], train)
    largest = np.unique(cluster, return_counts=True)[1].max()
    assert abs(len(validation) - fraction * len(cluster)) <= largest


def test_split_of_many_equal_clusters_is_exact():
    _, validation = split_by_cluster(np.repeat(np.arange(100), 7), validation_fraction=0.2, seed=3)
    assert len(validation) == 140


def test_split_depends_on_the_seed_and_takes_names():
    names = np.array(["a", "b", "c", "d", "e", "f"]).repeat(2)
    sides = {tuple(split_by_cluster(names, validation_fraction=0.3, seed=seed)[1]) for seed in range(20)}
    assert len(sides) > 3


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_split_refuses_fractions(fraction):
    with pytest.raises(ValueError, match="validation_fraction"):
        split_by_cluster(np.arange(4), validation_fraction=fraction, seed=0)


def test_split_refuses_one_cluster_and_shapes():
    with pytest.raises(ValueError, match=r"1 cluster\(s\)"):
        split_by_cluster(np.zeros(4), validation_fraction=0.5, seed=0)
    with pytest.raises(ValueError, match="shape"):
        split_by_cluster(np.zeros((2, 2)), validation_fraction=0.5, seed=0)


@given(st.sets(st.integers(0, 500), min_size=4, max_size=60), seeds, st.booleans())
def test_subsets_are_nested(train, seed, by_cluster):
    train = np.array(sorted(train))
    cluster = np.arange(501) // 5
    sizes = {"one": 1, "half": 0.5, "three": 3, "all": "all", "whole": 1.0}
    subsets = nested_subsets(train, sizes, seed=seed, cluster=cluster if by_cluster else None)
    assert list(subsets) == list(sizes)
    assert len(subsets["half"]) == round(0.5 * len(train))
    assert (len(subsets["one"]), len(subsets["three"])) == (1, 3)
    np.testing.assert_array_equal(subsets["all"], train)
    np.testing.assert_array_equal(subsets["whole"], train)
    ordered = sorted(subsets.values(), key=len)
    for small, large in itertools.pairwise(ordered):
        assert set(small) <= set(large)
    if by_cluster:  # at most one cluster is cut
        half, rest = subsets["half"], np.setdiff1d(train, subsets["half"])
        assert len(set(cluster[half]) & set(cluster[rest])) <= 1


def test_a_subset_does_not_depend_on_its_neighbours():
    train = np.arange(100)
    alone = nested_subsets(train, {"a": 10}, seed=1)["a"]
    np.testing.assert_array_equal(nested_subsets(train, {"b": 50, "a": 10}, seed=1)["a"], alone)
    assert set(nested_subsets(train, {"a": 10}, seed=2)["a"]) != set(alone)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (11, r"subset 'x': size 11 exceeds the 10 training examples available: lower it"),
        (0, "is empty"),
        (0.01, "is empty"),
        (1.5, "not a fraction"),
        (0.0, "not a fraction"),
        ("most", "not understood"),
        (True, "not understood"),
    ],
)
def test_impossible_sizes(size, message):
    with pytest.raises(ValueError, match=message):
        nested_subsets(np.arange(10), {"x": size}, seed=0)


def test_training_indices_are_checked():
    with pytest.raises(ValueError, match="repeated"):
        nested_subsets(np.array([1, 1]), {"x": 1}, seed=0)
    with pytest.raises(ValueError, match="empty"):
        nested_subsets(np.array([], np.int64), {"x": "all"}, seed=0)


def test_index_files(tmp_path):
    path = tmp_path / "deep" / "train.npy"
    indices = np.array([5, 2, 9])
    write_index(path, indices)
    write_index(path, indices)
    np.testing.assert_array_equal(read_index(path, 10), indices)
    np.testing.assert_array_equal(read_index(path), indices)
    assert [file.name for file in path.parent.iterdir()] == ["train.npy"]
    with pytest.raises(StoreError, match="numbers from 2 to 9; expected numbers from 0 to 8"):
        read_index(path, 9)


@pytest.mark.parametrize(
    "bad",
    [
        np.array([[1]]),
        np.array([1.0]),
        np.array([1], np.int32),
        np.array([1, 1]),
        np.array([-1]),
        np.array([], np.int64),
    ],
)
def test_bad_indices_are_neither_written_nor_read(tmp_path, bad):
    with pytest.raises(ValueError, match=r"index\.npy: found"):
        write_index(tmp_path / "index.npy", bad)
    assert not list(tmp_path.iterdir())
    np.save(tmp_path / "index.npy", bad)
    with pytest.raises(StoreError, match=r"index\.npy"):
        read_index(tmp_path / "index.npy")


def test_damaged_index_files(tmp_path):
    path = tmp_path / "index.npy"
    with pytest.raises(StoreError, match="no such file"):
        read_index(path)
    write_index(path, np.arange(10))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(StoreError, match="unreadable"):
        read_index(path)
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="unreadable"):
        read_index(path)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(StoreError, match="unreadable"):
        read_index(path)
    with path.open("wb") as stream:
        np.savez(stream, a=np.arange(3))
    with pytest.raises(StoreError, match="archive"):
        read_index(path)
