"""A study that is interrupted ten times, against one left alone; `make torture` does it more often."""

import pytest
from torture.bench import NOT_COMPARED, torture
from torture.study import ENOUGH

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.long]


def test_interrupted_studies_make_the_same(tmp_path):
    counts = torture(interruptions=10, seed=0, folder=tmp_path, targets=ENOUGH)
    assert counts.interruptions == 10
    assert not counts.differences
    assert not counts.unexplained


@pytest.mark.parametrize("name", ["tables/claims.csv", "figures/all/summary.png", "train/one/metrics.parquet"])
def test_results_are_compared(name):
    assert not NOT_COMPARED.search(name)
