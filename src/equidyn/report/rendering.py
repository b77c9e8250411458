"""Pages made of the templates of this room, which share a base, a style and macros in `parts`."""

import math
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from equidyn.core.numbers import short

_BUNDLE = """
import sys, vl_convert
sys.stdout.buffer.write(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode())
"""
SYMBOLS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", NOT_TESTABLE: "?"}
"""The possible verdicts on a claim, each with its symbol."""

_HEADERS = {
    "train_subset": "training data",
    "train_examples": "training examples",
    "batch_size": "batch size",
    "lr": "learning rate",
    "augmentation": "share rotated",
    "seconds": "training time (s)",
    "seconds_per_step": "time per step (s)",
    "training_flops": "training compute (FLOP)",
    "percent": "share at the end (%)",
    "final_percent": "share at the end (%)",
    "skill": "skill at the end",
    "final_skill": "skill at the end",
    "t": "flow time",
    "worst": "worst 1 %",
    "total_in_worst": "their share of the loss (%)",
    "equivariance_in_worst": "share of the equivariance error (%)",
}  # other columns are named as they are, with spaces
_NONE = "–"


def render(template: str, **values: Any) -> str:
    """The HTML of a page.

    Text is escaped. Filters for values: ``number`` and ``cell`` (numbers as people read them), ``plain`` (all digits,
    of seeds and years), and ``header`` (the name of a column).

    Args:
        template: Name of a template in this room, one that extends ``parts/base.html.j2``.
        **values: What it shows.

    Raises:
        jinja2.UndefinedError: The template shows a value that is not given.
    """
    return _ENVIRONMENT.get_template(template).render(values)


@cache
def vega() -> str:
    """The scripts of Vega-Lite as a module that defines ``vegaEmbed``, for pages that draw.

    Vega-Lite is the smallest of the maintained libraries, 0.9 MB beside Bokeh's 1.3 and Plotly's 4.8, and draws in SVG.
    They are put together in a process of their own, as they would hold up all threads of this one for a second.
    """
    import vl_convert  # noqa: F401 (here an error names the package)

    made = subprocess.run([sys.executable, "-c", _BUNDLE], check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return made.stdout


def _header(name: str) -> str:
    return _HEADERS.get(name, name.replace("_", " "))


def _numeric(table: pd.DataFrame) -> set[str]:
    """Columns of numbers, which are set flush right."""
    return {name for name in table if pd.api.types.is_numeric_dtype(table[name])}


def expected(low: float, high: float, closed: str) -> str:
    """The range that a claim expects: a limit where it has one, with zero as no limit for what is never negative.

    Args:
        low: Lower end.
        high: Upper end.
        closed: Which ends belong to it, as in `pandas.Interval`.
    """
    if math.isinf(high):
        return f"{'≥' if closed in ('left', 'both') else '>'} {number(low)}"
    if low == 0 or math.isinf(low):
        return f"{'≤' if closed in ('right', 'both') else '<'} {number(high)}"
    return f"{number(low)} to {number(high)}"


def number(value: float) -> str:
    """A number to the digits that matter, with a true minus sign."""
    if pd.isna(value):
        return _NONE
    is_count = isinstance(value, int) and abs(value) < 1e9
    text = f"{value:,}" if is_count else short(value)
    return text.replace("-", "−", 1) if value < 0 else text


def _cell(value: Any) -> str:
    """A value of a table."""
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else _plain(value)


def _plain(value: Any) -> str:
    """A value of the manifest, where a whole number may be a seed or a year: all digits, without separators."""
    if isinstance(value, float):
        return number(value)
    return _NONE if value is None or value is pd.NA else str(value)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
_ENVIRONMENT.globals["verdicts"] = SYMBOLS
_ENVIRONMENT.filters |= {
    "cell": _cell, "header": _header, "number": number, "numeric": _numeric, "plain": _plain,
}  # fmt: skip
