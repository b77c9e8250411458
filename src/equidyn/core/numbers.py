"""Numbers formatted for people, in labels and captions."""

import math

import pandas as pd


def count(number: int) -> str:
    """A count in short form: 68193 as 68k, 6140000 as 6.1M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            scaled = number / size
            return f"{scaled:.1f}{letter}" if scaled < 9.95 else f"{scaled:.0f}{letter}"
    return str(number)


def power(value: float) -> str:
    """A number as mantissa and power of ten, such as 3e-3."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def short(value: float) -> str:
    """A number in as few characters as possible, such as 0.003, 1e-5 or ∞."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"
    return power(value)


def several(values: pd.Series) -> str:
    """A whole number, or the range of several ones."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
