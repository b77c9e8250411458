"""Verdicts on claims.

A claim is reproduced if the whole interval of its statistic lies in the range that is expected if it holds, not
reproduced if the whole interval lies outside, and not testable at this scale otherwise.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from equidyn.core.numbers import short

REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable at this scale"


def verdict(expected: pd.Interval, low: float, high: float, what: str = "interval") -> tuple[str, str]:
    """Whether an interval, ends included, supports a claim, and the reason.

    Args:
        expected: Range that would reproduce it.
        low: Lower end of the interval; NaN if there is none.
        high: Upper end.
        what: What the ends are of, in words.
    """
    if np.isnan([low, high]).any():
        return NOT_TESTABLE, f"there is no {what}"
    ends = f"the {what}, {short(low)}," if low == high else f"the {what}, {short(low)} to {short(high)},"
    if low in expected and high in expected:
        return REPRODUCED, f"{ends} lies within the expected range"
    if not expected.overlaps(pd.Interval(low, high, closed="both")):
        return NOT_REPRODUCED, f"{ends} lies outside the expected range"
    return NOT_TESTABLE, f"{ends} straddles an end of the expected range"
