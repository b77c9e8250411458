"""Neighbour graphs of molecules, against their definition."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from suite import choose, molecules

from equidyn.core.batch import MoleculeBatch
from equidyn.core.rotations import haar
from equidyn.models.graph import (
    MEAN_EPSILON,
    TIE,
    mean_over_neighbours,
    neighbour_graph,
    sum_over_neighbours,
    with_few_shapes,
)


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
                if i != j and distance < max_radius + TIE:
                    distances.append((distance, j))
            nearest = sorted(distance for distance, _ in distances)
            shortest, excluded = ([*nearest, *[np.inf] * (max_neighbors + 1)][place] for place in (0, max_neighbors))
            found |= {(i, j) for distance, j in distances if distance < max(excluded - TIE, shortest + TIE)}
    return found


def on_lattice(batch):
    """The molecules with atoms at different points of a cubic lattice of 1.5 Å, where each has many equally distant."""
    places = torch.cartesian_prod(*3 * [torch.arange(3)])[batch.local_index]
    return batch.with_positions(1.5 * places.to(batch.positions.dtype))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 12), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
    max_neighbors=st.integers(1, 14),
    max_radius=st.floats(1.5, 8.0),
    dense=st.booleans(),
    tied=st.booleans(),
)
def test_neighbour_graph_is_the_brute_force_one(sizes, seed, max_neighbors, max_radius, dense, tied):
    batch = molecules(sizes, seed=seed, dtype=torch.float64)
    batch = on_lattice(batch) if tied else batch
    expected = brute_neighbours(batch, max_neighbors, max_radius)
    assume(len({i for i, _ in expected}) == len(batch.positions))
    slots = max_neighbors if dense else None
    graph = neighbour_graph(batch, max_neighbors=max_neighbors, max_radius=max_radius, slots=slots)

    edges = list(zip(graph.centre.tolist(), graph.neighbour.tolist(), strict=True))
    assert [edge for edge, real in zip(edges, graph.real.tolist(), strict=True) if real] == sorted(expected)
    degree = np.bincount(graph.centre[graph.real], minlength=len(batch.positions))
    np.testing.assert_array_equal(graph.mask.sum(1), degree)
    assert graph.mask.shape[1] == max(degree.max(), max_neighbors if dense else 0)
    # slots: filled from the left, in order of edges
    taken = graph.mask.view(-1).nonzero()[:, 0]
    assert graph.slot[graph.real].tolist() == taken.tolist()
    assert not (graph.mask[:, 1:] & ~graph.mask[:, :-1]).any()
    # what stands for missing neighbours
    empty = ~graph.real
    assert graph.is_dense == (dense or len(taken) >= 0.9 * graph.mask.numel())
    assert graph.is_dense or not empty.any()
    assert torch.equal(graph.neighbour[empty], graph.centre[empty])
    assert not graph.direction[empty].any()
    # sums and means see neighbours only
    x = torch.randn(len(graph.slot), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    sums = torch.zeros(len(degree), 3, dtype=torch.float64).index_add(0, graph.centre[graph.real], x[graph.real])
    torch.testing.assert_close(sum_over_neighbours(x, graph), sums)
    mean = sums / (torch.from_numpy(degree)[:, None] + MEAN_EPSILON)
    torch.testing.assert_close(mean_over_neighbours(x, graph), mean)
    # geometry, and each unordered pair once
    x = batch.positions
    difference = x[graph.centre] - x[graph.neighbour]
    distance = graph.pair_distance[graph.pair]
    torch.testing.assert_close(distance[graph.real], difference.norm(dim=1)[graph.real], rtol=0, atol=1e-12)
    torch.testing.assert_close(graph.direction, difference / distance[:, None], rtol=0, atol=1e-12)
    assert (graph.pair_distance.diff() >= 0).all()
    pairs = {}
    for edge, pair, real in zip(edges, graph.pair.tolist(), graph.real.tolist(), strict=True):
        if not real:
            continue
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


@pytest.mark.parametrize("jitter", [0.0, 1e-6, 1e-5])
@pytest.mark.parametrize("far", [0.0, 100.0])
@pytest.mark.parametrize("dense", [False, True])
def test_equally_distant_atoms_are_all_neighbours_however_the_molecule_lies(jitter, far, dense):
    batch, generator = on_lattice(molecules((27, 27, 13))), torch.Generator().manual_seed(0)
    batch = batch.with_positions(batch.positions + jitter * torch.randn(67, 3, generator=generator) + far)
    settings = {"max_neighbors": 4, "max_radius": 3.0, "slots": 4 if dense else None}
    graph = neighbour_graph(batch, **settings)
    # of 27 points the one in the middle has 6 nearest and keeps them, those in the middle of faces have 5
    assert graph.mask[:27].sum(1).bincount().tolist() == [0, 0, 0, 8, 12, 6, 1]
    for R in haar(20, generator=generator):
        turned = neighbour_graph(batch.with_positions(batch.positions @ R.float()), **settings)
        assert torch.equal(turned.neighbour, graph.neighbour)
        assert torch.equal(turned.mask, graph.mask)
    order = torch.randperm(27, generator=generator)
    alone = neighbour_graph(choose(batch, [0])[0], **settings)
    other = neighbour_graph(replace(choose(batch, [0])[0], positions=batch.positions[:27][order]), **settings)
    edges = {*zip(alone.centre[alone.real].tolist(), alone.neighbour[alone.real].tolist(), strict=True)}
    reordered = order[other.centre[other.real]].tolist(), order[other.neighbour[other.real]].tolist()
    assert edges == {*zip(*reordered, strict=True)}


def test_atoms_at_the_radius_are_neighbours_however_the_molecule_lies():
    batch = on_lattice(molecules((27,)))
    for R in haar(20, generator=torch.Generator().manual_seed(0)):
        graph = neighbour_graph(batch.with_positions(batch.positions @ R.float()), max_neighbors=26, max_radius=1.5)
        assert graph.mask.sum() == 2 * 54  # edges of the lattice


def test_coinciding_atoms_are_no_neighbours():
    batch = molecules((3,))
    positions = batch.positions.clone()
    positions[2] = positions[1] + 1e-3
    graph = neighbour_graph(batch.with_positions(positions), max_neighbors=5, max_radius=6.0)
    edges = set(zip(graph.centre.tolist(), graph.neighbour.tolist(), strict=True))
    assert edges == {(0, 1), (0, 2), (1, 0), (2, 0)}


def clouds(count, generator):
    """Random atoms at the density of molecules, 10 to 60 in each."""
    sizes = torch.randint(10, 61, (count,), generator=generator)
    radius = (3 * sizes.repeat_interleave(sizes)).pow(1 / 3)[:, None]
    directions = torch.nn.functional.normalize(torch.randn(len(radius), 3, generator=generator))
    depth = torch.rand(len(radius), 1, generator=generator).pow(1 / 3)
    return MoleculeBatch(radius * depth * directions, torch.ones(len(radius), dtype=torch.long), sizes)


def test_padded_batches_have_few_shapes():
    generator, shapes = torch.Generator().manual_seed(0), Counter()
    for _ in range(40):
        batch = clouds(64, generator)
        graph = neighbour_graph(batch, max_neighbors=20, max_radius=12.0, slots=20)
        padded, wider = with_few_shapes(batch, graph)
        shapes[tuple(tuple(value.shape) for value in vars(wider).values())] += 1
        assert len(wider.mask) == len(padded.positions) == padded.atoms_per_molecule.sum()
        assert len(padded.positions) < 1.15 * len(batch.positions)
        assert len(wider.pair_distance) < 1.4 * len(graph.pair_distance)
    assert len(shapes) <= 6
