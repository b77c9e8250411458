"""Distances of pairs and their classes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equidyn.core.pairs import distance_class, pair_distances


@settings(max_examples=50, deadline=None)
@given(
    distances=st.lists(st.floats(0, 5), min_size=1, max_size=20),
    low=st.floats(0, 1),
    span=st.floats(0.5, 3),
    classes=st.integers(3, 80),
)
def test_classes_count_the_limits_below(distances, low, span, classes):
    limits = torch.linspace(low, low + span, classes - 1, dtype=torch.float64)
    distances = torch.cat([torch.tensor(distances, dtype=torch.float64), limits])  # a limit is not below itself
    expected = (limits < distances[:, None]).sum(1)
    found = distance_class(distances, low, low + span, classes)
    assert torch.equal(found, expected)
    assert found[-len(limits) :].tolist() == list(range(classes - 1))


def test_distances_are_those_between_points():
    x = torch.randn(2, 7, 3, generator=torch.Generator().manual_seed(0)) * 100
    found = pair_distances(x)
    for b, i, j in np.ndindex(2, 7, 7):
        assert float(found[b, i, j]) == pytest.approx(float((x[b, i].double() - x[b, j].double()).norm()), rel=1e-5)
    assert (found.diagonal(dim1=1, dim2=2) == 0).all()
