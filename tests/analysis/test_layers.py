"""Where in a network the symmetry breaks."""

import numpy as np
import pytest
import torch

from equidyn.analysis.layers.measure import OUTPUT, measure
from equidyn.analysis.losses import HeldOutLoss
from equidyn.run.protocol import EvaluationSettings

PROTOCOL = EvaluationSettings(rotations=3, batch_size=4)


def test_escaip_is_invariant_up_to_its_prediction(trained, validation_indices):
    task, model = trained
    indices = validation_indices[:6]
    rows = measure(task, model, indices, PROTOCOL, {})
    assert [row["layer"] for row in rows] == [
        "input", "blocks.0", "node_projection", "edge_projection", "direction", "magnitude", OUTPUT,
    ]  # fmt: skip
    assert all(row["relative_error"] < 1e-20 for row in rows[:-1])
    assert {row["kind_of_action"] for row in rows[:-1]} == {"invariant"}
    values = HeldOutLoss(task, model, indices, PROTOCOL, exact=False).values()
    assert rows[-1]["relative_error"] * rows[-1]["energy"] == pytest.approx(values["equivariance"], rel=1e-6)
    assert rows[-1]["floor"] < 1e-25


def test_pairs_of_proteina_are_invariant(flow):
    task, model, condition = flow
    rows = measure(task, model, np.arange(4), PROTOCOL, condition)
    assert [row["layer"] for row in rows] == ["pair_builder", OUTPUT]
    assert rows[0]["relative_error"] < 1e-20 < rows[1]["relative_error"]


def test_grids_of_voxmol_turn_on_the_finest_level(voxels):
    task, model, condition = voxels
    rows = measure(task, model, np.arange(2), EvaluationSettings(rotations=4), condition)
    assert [row["layer"] for row in rows] == ["first", "down.0", "down.1", "up.12", "up.13", "up.14", OUTPUT]
    assert {row["kind_of_action"] for row in rows[:-1]} == {"grid"}
    assert all(row["relative_error"] > 1e-6 for row in rows)
    # A kernel of one weight keeps the symmetry, so that the first layer has none of the error.
    with torch.no_grad():
        model.first.weight.copy_(model.first.weight.mean((2, 3, 4), keepdim=True).expand_as(model.first.weight))
    again = measure(task, model, np.arange(2), EvaluationSettings(rotations=4), condition)
    assert again[0]["relative_error"] < 1e-20
    with pytest.raises(ValueError, match="use 'cube'"):
        measure(task, model, np.arange(2), PROTOCOL, {"comparison": "atoms"})
