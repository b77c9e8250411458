"""Numbers as people read them."""

import pytest

from equidyn.core.numbers import count, power, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.00123456, "0.00123"), (9.9e-4, "9.9e-4"), (0.5, "0.5"), (999.4, "999"), (999.7, "1,000"),
        (12345.6, "12,346"), (123456, "1.2e5"), (-999.7, "-1,000"), (float("inf"), "∞"), (float("-inf"), "-∞"),
    ],
)  # fmt: skip
def test_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize(("value", "text"), [(68193, "68k"), (6_140_000, "6.1M"), (999_600, "1.0M"), (12, "12")])
def test_count(value, text):
    assert count(value) == text


@pytest.mark.parametrize(("value", "text"), [(3e-3, "3e-3"), (1.25e7, "1.2e7"), (0.01, "1e-2")])
def test_power(value, text):
    assert power(value) == text
