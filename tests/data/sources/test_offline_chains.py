"""The protein chains in the package: what its README says of them, and the store that is made of them."""

from collections import Counter

import numpy as np
import pytest

from equidyn.data.chain_limits import ChainRecipe
from equidyn.data.chains import FIELDS, objection
from equidyn.data.sources.offline_chains import build as module
from equidyn.data.sources.offline_chains.build import build_store, packaged_chains
from equidyn.data.store import Store, StoreError


def recipe(**settings):
    return ChainRecipe(**({"min_length": 51, "max_length": 255, "identity": 0.5, "coverage": 0.8} | settings))


@pytest.fixture(scope="module")
def packaged():
    return list(packaged_chains())


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
    assert Counter(objection(chain, recipe(complete=True)) for chain in packaged) == {"": 2000}


def test_a_damaged_archive(monkeypatch):
    monkeypatch.setattr(module, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(StoreError, match=r"found SHA-256 b3366c.*install equidyn again"):
        next(packaged_chains())
    monkeypatch.setattr(module, "ARCHIVE", "nothing.npz")
    with pytest.raises(StoreError, match="no such file"):
        next(packaged_chains())


def test_offline_store(packaged, tmp_path):
    """A store that is clustered with MMseqs2, unlike the stores of files."""
    store = Store(build_store(tmp_path / "store", recipe(max_length=60), processes=2))
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
    first, other = (Store(build_store(tmp_path / str(seed), recipe(max_length=55, seed=seed))) for seed in (0, 1))
    assert sorted(first.text("name")) == sorted(other.text("name"))
    assert first.text("name") != other.text("name")
