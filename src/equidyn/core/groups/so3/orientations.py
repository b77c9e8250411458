"""Haar rotations to orient data with, without PyTorch."""

import numpy as np


def orientations(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3, 3) independent Haar rotations, active, for row vectors: ``x ↦ x @ R.T``."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.random(count, rng=rng).as_matrix())
