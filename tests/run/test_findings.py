"""What is found of checkpoints: kept one by one, looked at once, and never taken for that of another checkpoint."""

import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from checkpoint_files import checkpoint_files

from equidyn.run.checkpoints import CheckpointError, checkpoint_name
from equidyn.run.findings import findings

STEPS = [0, 1, 2]
BOTH = ("raw", "ema")
ALL = [(step, kind) for step in STEPS for kind in BOTH]


class Find:
    """Finds numbers that the content of a checkpoint decides, and fails where it is told to."""

    def __init__(self, folder, failures=None):
        self.folder, self.failures, self.seen = folder, failures or {}, []

    def __call__(self, step, kind):
        self.seen.append((step, kind))
        if (step, kind) in self.failures:
            raise self.failures[step, kind]
        text = (self.folder / kind / checkpoint_name(step)).read_text()
        return pd.DataFrame({"name": text, "value": [len(text) / 3, float("nan"), 1e-300], "count": [step, 2, 3]})


@pytest.fixture
def folder(tmp_path):
    return checkpoint_files(tmp_path / "run", STEPS)


@pytest.fixture
def found(folder, tmp_path):
    """All that a call finds of some checkpoints, by step and weights."""

    def run(find, steps=STEPS, weights=BOTH, state=tmp_path / "state"):
        tables = findings(find, folder, steps, weights, state, title="run", progress=False)
        return {(step, kind): table for step, kind, table in tables}

    return run


def assert_equal(one, other):
    assert list(one) == list(other)
    for key, table in one.items():
        pd.testing.assert_frame_equal(table, other[key], check_exact=True)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), OSError(28, "No space left"), RuntimeError("CUDA")]
)
@pytest.mark.parametrize("place", [0, 3, 5])
def test_an_interrupted_call_goes_on_where_it_was(found, folder, tmp_path, error, place):
    whole = found(Find(folder), state=tmp_path / "other")
    with pytest.raises(type(error)):
        found(Find(folder, {ALL[place]: error}))
    again = Find(folder)
    assert_equal(found(again), whole)
    assert again.seen == ALL[place:]


def test_a_bad_checkpoint_costs_itself_only(found, folder, tmp_path, caplog):
    whole = found(Find(folder), state=tmp_path / "other")
    missing, damaged = folder / "ema" / checkpoint_name(1), folder / "raw" / checkpoint_name(2)
    kept, bad = missing.read_bytes(), CheckpointError(f"{damaged}: damaged or truncated")
    missing.unlink()
    failures = {(0, "raw"): ValueError("not finite"), (2, "ema"): torch.linalg.LinAlgError("singular"), (2, "raw"): bad}
    with pytest.raises(CheckpointError) as error:
        found(Find(folder, failures))
    summary, *each = str(error.value).splitlines()
    assert re.match(r"4 of 6 checkpoints .* others is kept; .* restored or the run is trained again:", summary)
    assert each == [
        f"{folder}/raw/00000000.safetensors: not finite",
        f"{missing}: no such checkpoint: restore the file, or delete {folder} and train the run again",
        f"{damaged}: damaged or truncated",
        f"{folder}/ema/00000002.safetensors: singular",
    ]
    assert [record.getMessage() for record in caplog.records] == each
    missing.write_bytes(kept)
    again = Find(folder)
    assert_equal(found(again), whole)
    assert again.seen == [(0, "raw"), (1, "ema"), (2, "raw"), (2, "ema")]


def test_another_content_is_another_checkpoint(found, folder):
    found(Find(folder))
    (folder / "ema" / checkpoint_name(1)).write_text("trained again")
    again = Find(folder)
    assert (found(again)[1, "ema"]["name"] == "trained again").all()
    assert again.seen == [(1, "ema")]


def test_a_copy_is_the_same_checkpoint(found, folder):
    found(Find(folder))
    path = folder / "ema" / checkpoint_name(1)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    again = Find(folder)
    found(again)
    assert not again.seen


def test_equal_weights_count_once(found, folder):
    (folder / "ema" / checkpoint_name(0)).write_bytes((folder / "raw" / checkpoint_name(0)).read_bytes())
    find = Find(folder)
    tables = found(find)
    assert (0, "ema") not in find.seen
    pd.testing.assert_frame_equal(tables[0, "ema"], tables[0, "raw"], check_exact=True)


def test_parts_that_are_cut_differently_find_what_is_missing(found, folder):
    found(Find(folder), steps=[0, 2], weights=["ema"])
    again = Find(folder)
    assert list(found(again, steps=[1, 2])) == [(1, "raw"), (1, "ema"), (2, "raw"), (2, "ema")]
    assert again.seen == [(1, "raw"), (1, "ema"), (2, "raw")]


def test_half_a_file_of_a_killed_process_is_not_taken(found, folder, tmp_path):
    whole = found(Find(folder))
    for file in (tmp_path / "state").iterdir():
        file.rename(file.with_name(f".{file.stem}.new.parquet")).write_bytes(b"half")
    again = Find(folder)
    assert_equal(found(again), whole)
    assert again.seen == ALL
    assert not list((tmp_path / "state").glob(".*"))


@pytest.mark.parametrize("content", [b"", b"half", b"PAR1 whatever PAR1"])
def test_a_damaged_table_is_found_again(found, folder, tmp_path, content):
    whole = found(Find(folder))
    min((tmp_path / "state").iterdir()).write_bytes(content)
    again = Find(folder)
    assert_equal(found(again), whole)
    assert len(again.seen) == 1


SLOW = """
import sys, time
from pathlib import Path
import pandas as pd
from equidyn.run.findings import findings

def find(step, kind):
    if step == 2:
        time.sleep(1000)
    text = Path(sys.argv[1], kind, f"{step:08d}.safetensors").read_text()
    return pd.DataFrame({"name": text, "value": [len(text) / 3, float("nan"), 1e-300], "count": [step, 2, 3]})

findings(find, sys.argv[1], [0, 1, 2], ["raw", "ema"], sys.argv[2], title="run")
"""


def test_a_job_that_runs_out_of_time_keeps_what_it_has_found(found, folder, tmp_path):
    job = subprocess.Popen([sys.executable, "-c", SLOW, folder, tmp_path / "state"], stderr=subprocess.DEVNULL)
    while len(list(tmp_path.glob("state/0*"))) < 4:
        assert job.poll() is None
        time.sleep(0.05)
    job.terminate()
    assert job.wait(timeout=60) == -signal.SIGTERM
    again = Find(folder)
    assert_equal(found(again), found(Find(folder), state=tmp_path / "other"))
    assert again.seen == [(2, "raw"), (2, "ema")]
