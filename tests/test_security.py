"""Every promise of SECURITY.md is kept by tests that exist, and states the limits of the code."""

import re
from pathlib import Path

from equidyn.core import tars
from equidyn.data import preparation, structures
from equidyn.data.sources.spice_mace_off import build
from equidyn.study import archives, reading

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(rows) == 9
    for row in rows:
        file = ""
        for stated, name in re.findall(r"`(tests/[^:`]+)?::(\w+)`", row):
            file = stated or file
            assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.M), (file, name)


def test_the_limits_are_those_of_the_code():
    assert (preparation.MOST_EXPANSION, preparation.LEAST_LIMIT) == (100, 1 << 30)
    assert (archives.MOST_BYTES, archives.MOST_FILES, tars.LONGEST_HEADER) == (10 << 30, 100_000, 1 << 20)
    assert (reading.DEEPEST, reading.MOST_VALUES) == (50, 100_000)
    assert structures.MAX_BYTES == 10**9
    assert build._LONGEST_FRAME == 256 << 20
    stated = [
        "100 times their size (or 1 GiB", "100,000 files to 10 GiB", "1 MiB", "50 levels", "100,000 values",
        "10⁹ bytes or more", "256 MiB",
    ]  # fmt: skip
    assert all(limit in TEXT for limit in stated)
