"""What sources of protein chains share: which chains become examples, how they are put together and described."""

from collections import Counter

import numpy as np
import pytest

from equidyn.data.chain_limits import ChainRecipe
from equidyn.data.chains import FIELDS, collate, objection, random_order, statistics
from equidyn.data.structures import NO_CA, NON_STANDARD, Chain


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


def recipe(**settings):
    return ChainRecipe(**({"min_length": 3, "max_length": 255, "identity": 0.5, "coverage": 0.8} | settings))


def chain(n=10, **settings):
    """A straight chain of n residues, with a gap behind residue `broken`, if given."""
    positions = np.zeros((n, 3), np.float32)
    positions[:, 0] = 3.8 * np.arange(n) + 5 * (np.arange(n) > settings.pop("broken", n))
    settings = {"positions": positions, **settings}
    numbers = np.arange(n, dtype=np.int32)
    return Chain(entry="X", chain="A", residue_index=numbers, residue=np.full(n, 71, np.uint8), **settings)


@pytest.mark.parametrize(
    ("candidate", "settings", "reason"),
    [
        (chain(), {}, ""),
        (chain(), {"min_length": 10, "max_length": 10}, ""),
        (chain(9), {"min_length": 10}, "shorter than 10 residues"),
        (chain(11), {"max_length": 10}, "longer than 10 residues"),
        (chain(0), {}, "shorter than 3 residues"),
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
def test_objections(candidate, settings, reason):
    assert objection(candidate, recipe(**settings)) == reason


@pytest.mark.parametrize(
    "settings", [{"min_length": 2}, {"min_length": 20, "max_length": 10}, {"worst_resolution": 0.0}]
)
def test_impossible_recipes(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        recipe(**settings)
