"""Fixtures of the tests of sources."""

import numpy as np
import pytest

from equidyn.data import chains


@pytest.fixture
def by_first_letter(monkeypatch):
    """Clusters without MMseqs2, which takes seconds to start: by the first letter of the sequence."""

    def cluster(sequences, **settings):
        letters = list(dict.fromkeys(sequence[0] for sequence in sequences))
        return np.array([letters.index(sequence[0]) for sequence in sequences], np.int32), "first letter"

    monkeypatch.setattr(chains, "cluster_sequences", cluster)
