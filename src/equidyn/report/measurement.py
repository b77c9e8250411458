"""A measurement in files: all numbers, a table, or a page."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from equidyn.core.files import replacing
from equidyn.measuring.measurement import Measurement


def write(path: str | Path, measurement: Measurement, title: str) -> None:
    """Write a measurement, in full or not at all, in the format that the file's name ends in, one of `WRITERS`."""
    text = WRITERS[Path(path).suffix](measurement, title)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _json(measurement: Measurement, title: str) -> str:
    return json.dumps({"title": title, **_plain(measurement.to_dict())}, indent=1, ensure_ascii=False) + "\n"


def _csv(measurement: Measurement, title: str) -> str:
    return measurement.table().to_csv(index=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: null where a number is missing or not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


WRITERS: dict[str, Callable[[Measurement, str], str]] = {".json": _json, ".csv": _csv}
"""By the end of a file's name, what makes its text of a measurement and a title."""
