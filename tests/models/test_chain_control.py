"""The exactly equivariant network of chains: the shared suite, and what is its own."""

from dataclasses import replace

import pytest
from suite import DTYPES, TOLERANCE, FlowMatchingModelSuite, assert_close, chains, rotation

from equidyn.models.chain_control.network import ChainControl, ChainControlConfig


class TestChainControl(FlowMatchingModelSuite):
    network = ChainControl
    config = ChainControlConfig(layers=2, hidden=8, kernels=3, radial=6, separation=2, waves=3)
    small = {"layers": 1}  # noqa: RUF012
    is_equivariant = True
    has_distogram = False

    def test_impossible_sizes(self):
        with pytest.raises(ValueError, match="layers must be positive, found 0"):
            ChainControlConfig(layers=0)

    @DTYPES
    def test_turns_without_self_conditioning_too(self, dtype):
        model, batch = self.make(dtype), chains(dtype=dtype, x_sc=False)
        R = rotation(dtype=dtype)
        expected = self.run(model, batch).velocity @ R.T
        assert_close(self.run(model, replace(batch, x_t=batch.x_t @ R.T)).velocity, expected, TOLERANCE[dtype])

    @DTYPES
    def test_blind_to_translation(self, dtype):
        model, batch = self.make(dtype), self.batch(dtype)
        moved = replace(batch, x_t=batch.x_t + 5, x_sc=batch.x_sc - 3)
        assert_close(self.run(model, moved).velocity, self.run(model, batch).velocity, 10 * TOLERANCE[dtype])
