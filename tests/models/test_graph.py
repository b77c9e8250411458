"""Neighbour graphs of molecules, against their definition."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from suite import molecules

from equidyn.models.graph import neighbour_graph


def brute_neighbours(batch, max_neighbors, max_radius):
    """Set of (centre, neighbour) by definition."""
    found = set()
    end = 0
    for size in batch.atoms_per_molecule.tolist():
        first, end = end, end + size
        for i in range(first, end):
            distances = []
            for j in range(first, end):
                distance = float((batch.positions[i].double() - batch.positions[j].double()).norm())
                if i != j and distance <= max_radius:
                    distances.append((distance, j))
            found |= {(i, j) for _, j in sorted(distances)[:max_neighbors]}
    return found


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 12), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
    max_neighbors=st.integers(1, 14),
    max_radius=st.floats(1.5, 8.0),
)
def test_neighbour_graph_is_the_brute_force_one(sizes, seed, max_neighbors, max_radius):
    batch = molecules(sizes, seed=seed, dtype=torch.float64)
    expected = brute_neighbours(batch, max_neighbors, max_radius)
    assume(len({i for i, _ in expected}) == len(batch.positions))
    graph = neighbour_graph(batch, max_neighbors=max_neighbors, max_radius=max_radius)

    edges = list(zip(graph.centre.tolist(), graph.neighbour.tolist(), strict=True))
    assert edges == sorted(expected)
    degree = np.bincount(graph.centre, minlength=len(batch.positions))
    np.testing.assert_array_equal(graph.degree[:, 0], degree)
    np.testing.assert_array_equal(graph.mask.sum(1), degree)
    assert graph.mask.shape[1] == degree.max() <= max_neighbors
    # slots: filled from the left, in order of edges
    assert graph.mask.view(-1).nonzero()[:, 0].tolist() == graph.slot.tolist()
    assert not (graph.mask[:, 1:] & ~graph.mask[:, :-1]).any()
    # geometry, and each unordered pair once
    x = batch.positions
    difference = x[graph.centre] - x[graph.neighbour]
    distance = graph.pair_distance[graph.pair]
    torch.testing.assert_close(distance, difference.norm(dim=1), rtol=0, atol=1e-12)
    torch.testing.assert_close(graph.direction, difference / distance[:, None], rtol=0, atol=1e-12)
    assert (graph.pair_distance.diff() >= 0).all()
    pairs = {}
    for edge, pair in zip(edges, graph.pair.tolist(), strict=True):
        assert pairs.setdefault(pair, frozenset(edge)) == frozenset(edge)
    assert len(set(pairs.values())) == len(pairs) == len(graph.pair_distance)


def test_neighbour_graph_radius_includes_its_end():
    batch = replace(
        molecules((3,)),
        positions=torch.tensor([[0.0, 0, 0], [2.0, 0, 0], [-2.25, 0, 0]], dtype=torch.float64),
        atomic_numbers=torch.tensor([1, 1, 1]),
    )
    graph = neighbour_graph(batch, max_neighbors=5, max_radius=2.25)
    assert graph.neighbour.tolist() == [1, 2, 0, 0]


def test_coinciding_atoms_are_no_neighbours():
    batch = molecules((3,))
    positions = batch.positions.clone()
    positions[2] = positions[1] + 1e-3
    graph = neighbour_graph(batch.with_positions(positions), max_neighbors=5, max_radius=6.0)
    edges = set(zip(graph.centre.tolist(), graph.neighbour.tolist(), strict=True))
    assert edges == {(0, 1), (0, 2), (1, 0), (2, 0)}
