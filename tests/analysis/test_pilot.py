"""The pilot run has the form of the authors' curves, and the numbers of its table."""

import numpy as np
import pandas as pd
from project import ROOT

from equidyn.analysis.authors import CURVE, published_curves
from equidyn.analysis.pilot import pilot_curves

TABLE = ROOT / "src/equidyn/data/published/pilot/escaip-6M.csv"


def test_has_the_form_of_the_authors_curves():
    ours, theirs = pilot_curves(), published_curves()
    assert list(ours) == list(theirs)
    assert (ours.dtypes == theirs.dtypes).all()
    assert not ours.duplicated([*CURVE, "step"]).any()
    assert not set(ours["figure"]) & set(theirs["figure"])


def test_has_the_numbers_of_the_table():
    ours, table = pilot_curves(), pd.read_csv(TABLE)
    for weights, series in (("raw", "raw weights"), ("ema", "averaged weights")):
        own, expected = ours[ours["series"] == series], table[table["weights"] == weights]
        for quantity, rows in own.groupby("quantity"):
            assert list(rows["step"]) == list(expected["step"])
            assert list(rows["value"]) == list(expected[quantity])
            low, high = ("percent_low", "percent_high") if quantity == "percent" else (quantity, quantity)
            assert list(rows["low"]) == list(expected[low])
            assert list(rows["high"]) == list(expected[high])
    np.testing.assert_allclose(table["twirled"] + table["equivariance"], table["total"], rtol=1e-8)
    np.testing.assert_allclose(table["skill"], 1 - table["total"] / table["null_loss"], atol=1e-8)
    first = table[table["percent"] <= 2].groupby("weights")["step"].min()
    assert first.to_dict() == {"raw": 75, "ema": 1000}
