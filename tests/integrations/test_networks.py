"""The shipped networks are what the study trained, and come out as unconstrained."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from equidyn.integrations.ase import measure_calculator
from equidyn.integrations.networks import WEIGHTS, NetworkCalculator, escaip_small, escaip_tiny
from equidyn.run.checkpoints import CheckpointError

rng = np.random.default_rng(0)


def molecules():
    found = []
    for name in ("CH3CH2OH", "CH3OH", "C6H6", "CH3CN", "CH3COOH", "HCOOH", "C2H6", "C3H8", "CH3COCH3", "CH3CHO"):
        one = molecule(name)
        one.rattle(0.03, rng=rng)
        one.euler_rotate(*rng.uniform(0, 360, 3))
        found.append(one)
    return found


@pytest.mark.parametrize("make", [escaip_tiny, escaip_small])
def test_are_unconstrained(make):
    found = measure_calculator(make, molecules())
    assert found["energy"].verdict == "round-off"  # made of invariants alone
    assert found["forces"].verdict == "real"
    assert found["forces"].suspects[0].name == "a network that is not constrained to be equivariant"
    assert found["forces"].suspects[0].clear
    assert 0.5 < found["forces"].share < 10


def test_predict_forces():
    tblite = pytest.importorskip("tblite.ase", reason="tblite's calculator for ASE is not installed")
    for one in molecules():
        one.calc = tblite.TBLite(method="GFN2-xTB", verbosity=0)
        true = one.get_forces()
        one.calc = escaip_small()
        assert np.square(one.get_forces() - true).sum() < 0.3 * np.square(true).sum()


def test_is_small():
    assert all(file.stat().st_size < 1e6 for file in WEIGHTS.iterdir())


def test_refuses_what_it_does_not_know(tmp_path):
    for atoms, message in (
        (bulk("Cu"), "pbc = False"),
        (Atoms([118, 1], [[0, 0, 0], [0, 0, 2]]), "knows elements 1 to 1"),
    ):
        atoms.calc = escaip_tiny()
        with pytest.raises(ValueError, match=message):
            atoms.get_forces()
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        NetworkCalculator(tmp_path / "absent.safetensors")
