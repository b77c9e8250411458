"""Damaged tables are named."""

import pandas as pd
import pytest

from equidyn.study.frames import read_frame


def test_whole_tables_are_read(tmp_path):
    table = pd.DataFrame({"step": range(1000)})
    table.to_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "a.parquet"), table)


@pytest.mark.parametrize("change", ["inside", "end"])
def test_damaged_ones_are_named(tmp_path, change):
    file = tmp_path / "a.parquet"
    pd.DataFrame({"step": range(1000)}).to_parquet(file)
    content = bytearray(file.read_bytes())
    place = slice(4, 1000) if change == "inside" else slice(-1000, None)
    content[place] = b"\xff" * len(content[place])
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet: damaged \(.+\): make it anew, or get it back with git"):
        read_frame(file)


def test_missing_ones_are_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_frame(tmp_path / "a.parquet")
