"""Jobs without Snakemake: what was interrupted is done again, what is finished is kept."""

import math
import multiprocessing
import os
import shutil
import tarfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from project import tiny, write_study

from equidyn.cli import main
from equidyn.core.locks import one_at_a_time
from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.study import running
from equidyn.study.running import Job, JobError, OutOfTimeError, _do, collect, make_data, run
from equidyn.study.stages import Study

SCRIPT = """
from pathlib import Path

def main(output, text, log):
    Path(output).mkdir(exist_ok=True)
    if text == "killed":
        raise SystemExit(1)
    if text == "slow":
        Path(output, "begun").touch()
        __import__("time").sleep(60)
    Path(output, text).touch()
"""

OUTPUTS = {
    "make_store": "[arguments[1]]",
    "split_store": "arguments[1:3]",
    "draw_subset": "[arguments[1]]",
    "train_network": "[arguments[2] + '/throughput.json', arguments[2] + '/raw/0.safetensors']",
    "evaluate_checkpoints": "arguments[2:4]",
    "gather_run": "list(vars(arguments[1]).values())",
    "analyse_checkpoints": "[arguments[3]]",
    "time_steps": "arguments[2]",
}
FAKE = """
from pathlib import Path

def main(*arguments):
    name = [word for word in arguments if str(word).endswith(".log")][0].partition("/logs/")[2]
    if Path("bad").exists() and Path("bad").read_text() in name:
        raise SystemExit(1)
    for output in map(Path, {outputs}):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
"""


@pytest.fixture
def do(tmp_path):
    """Do a job that makes a folder with a file of a name; what the folder holds then, and whether the job was done."""
    (tmp_path / "make.py").write_text(SCRIPT)
    study, output = SimpleNamespace(folder=tmp_path, scripts=tmp_path), tmp_path / "out"

    def done(text, deadline=math.inf, **options):
        said = []
        _do(study, Job("make", "one", text, [str(output)], [str(output), text], 2, **options), said.append, deadline)
        return [path.name for path in output.iterdir()], not said[0].endswith("is there")

    return done


def test_what_was_killed_is_not_taken_for_finished(do):
    assert do("first") == (["first"], True)
    assert do("first") == (["first"], False)
    for _ in range(2):
        with pytest.raises(JobError, match="make one ended with exit code 1"):
            do("killed")
    assert do("second") == (["second"], True)
    assert do("second") == (["second"], False)


def test_what_nothing_is_recorded_of_is_refused(do, tmp_path):
    assert do("first") == (["first"], True)
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(
        StudyError, match=r"out: is there, but not what it was made from .*one\.json is missing.* remove"
    ):
        do("first")
    assert do("first", is_given=True) == (["first"], False)
    shutil.rmtree(tmp_path / "out")
    assert do("second") == (["second"], True)


def test_a_job_is_done_by_one_process_at_a_time(do, tmp_path):
    assert do("first") == (["first"], True)
    waiting = threading.Thread(target=do, args=("second",))
    with one_at_a_time(tmp_path / "state/told/make/one.lock"):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["first"]
    waiting.join()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]


def test_a_job_that_is_out_of_time_is_told_to_stop_and_done_next_time(do, tmp_path):
    began = time.monotonic()
    with pytest.raises(OutOfTimeError, match="in make one"):
        do("slow", deadline=began + 5)
    assert time.monotonic() < began + 50, "it was not waited for"
    with pytest.raises(OutOfTimeError, match="before make one"):
        do("first", deadline=began)
    assert do("first") == (["first"], True)


class Here:
    """A process that is this one."""

    def __init__(self, target, args):
        self.target, self.args, self.exitcode = target, args, None

    def start(self):
        try:
            self.target(*self.args)
            self.exitcode = 0
        except SystemExit as end:
            self.exitcode = end.code

    def join(self, timeout=None):
        pass

    def is_alive(self):
        return False


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Scripts that only touch their outputs; one fails whose log has a name that the file "bad" holds."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, outputs in OUTPUTS.items():
        (folder / f"{name}.py").write_text(FAKE.format(outputs=outputs))
    return folder


@pytest.fixture
def study(tmp_path, scripts, monkeypatch):
    """The tiny study in a folder of its own, with scripts that make nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=Here))
    monkeypatch.setattr(running.process, "end_with_parent", lambda: None)
    write_study(tmp_path, *tiny())
    Path("workflow").mkdir()
    Path("workflow/scripts").symlink_to(scripts)
    return Study(tiny()[0] | {"run_table": "config/runs/tiny.tsv"}, cards("equidyn.analysis"), scripts)


def done(study, *names, **options):
    """The jobs that are done, or what else is said."""
    said = []
    run(study, names, say=said.append, **options)
    return said


def test_all_runs_in_the_order_of_the_table_and_then_the_timing(study):
    said = done(study)
    trained = [line.split()[1] for line in said if line.startswith("train_network") and not line.endswith("there")]
    assert trained == list(study.runs) == ["augmented", "fewer", "proteins", "voxels"]
    assert said[-1] == "time_steps all"
    analysed = {line.removeprefix("analyse_checkpoints ") for line in said if line.startswith("analyse")}
    assert analysed == {f"{name}/{run}" for name, task in study.analysed() for run in study.analysed_runs(name, task)}
    for file in (*study.tables_of_runs("runs"), study.place("analysed", analysis="head", run="augmented")):
        assert Path(file).exists(), file
    assert "s\tmax_rss" in Path(study.folder, "benchmarks/train_network/fewer.tsv").read_text()
    assert done(study) == [*(f"run {name}: is finished" for name in study.runs), "timing: is finished"]


def test_one_more_analysis_trains_and_evaluates_nothing_again(study):
    done(study, "fewer")
    head = study.config["analysis"]["head"]["force_field"]
    study.config["analysis"]["head"] = {"force_field": head | {"runs": ["augmented", "fewer"]}}
    said = done(study, "fewer")
    assert [line for line in said if not line.endswith("is there")] == ["analyse_checkpoints head/fewer"]


def test_a_run_that_fails_costs_itself_only(study):
    Path("bad").write_text("evaluate_checkpoints/augmented/1")
    said = []
    with pytest.raises(JobError, match=r"^evaluate_checkpoints augmented/1 ended with exit code 1: .*1\.log says why$"):
        run(study, say=said.append)
    assert "gather_run voxels" in said
    Path("bad").unlink()
    assert done(study)[-4:] == [*(f"run {name}: is finished" for name in list(study.runs)[1:]), "timing: is finished"]


def test_what_is_finished_is_finished_where_its_archive_is_unpacked(study, tmp_path, monkeypatch):
    with pytest.raises(OutOfTimeError):
        done(study, minutes=-1)
    assert collect(study, "back.tar.gz") == []
    done(study, "fewer")
    done(study, "proteins")
    Path(study.folder, "tables/runs/proteins.parquet").unlink()
    assert collect(study, "back.tar.gz") == ["run fewer"]
    with tarfile.open("back.tar.gz") as tar:
        names = tar.getnames()
        assert not [name for name in names if name.endswith("safetensors") or "/data/" in name or "examples" in name]
        assert f"{study.place('checkpoints', run='fewer')}/throughput.json" in names, "which costs are gathered from"
        elsewhere = tmp_path / "elsewhere"
        tar.extractall(elsewhere, filter="data")
    monkeypatch.chdir(elsewhere)
    assert done(study, "fewer") == ["run fewer: is finished"]


def test_weights_go_along_for_the_analyses_that_are_left(study, tmp_path, monkeypatch):
    Path("bad").write_text("analyse_checkpoints/landscape")
    with pytest.raises(JobError):
        done(study, "augmented")
    weights = [Path(study.place("checkpoints", run="augmented"), "raw", f"{step:08d}.safetensors") for step in (2, 6)]
    for file in weights:
        file.write_bytes(b"weights")
    assert collect(study, "back.tar.gz") == ["run augmented, but for landscape"]
    with tarfile.open("back.tar.gz") as tar:
        assert [name for name in tar.getnames() if name.endswith("safetensors")] == [str(weights[1])], "of step 6"
    monkeypatch.setattr(running, "MOST_WEIGHTS", 6)
    assert collect(study, "back.tar.gz") == [], (
        "else it would be trained again, and its tables would be of two trainings"
    )
    Path("bad").write_text("analyse_checkpoints/head")
    monkeypatch.setattr(running, "MOST_WEIGHTS", 10**6)
    Path(study.place("analysed", analysis="head", run="augmented")).unlink()
    weights[0].unlink()
    assert collect(study, "back.tar.gz") == [], "whose weights are not here"


def test_data_can_be_made_alone(study):
    said = []
    assert make_data(study, ["proteins", "augmented", "fewer"], said.append) == [
        Path(study.folder, "data"),
        Path(study.folder, "state/told"),
    ]
    assert [line.split()[0] for line in said].count("make_store") == 2
    assert {line.split()[0] for line in said} == {"make_store", "split_store", "draw_subset"}
    assert done(study, "fewer")[:4] == [
        *(
            f"{job}: is there"
            for job in ("make_store force_field", "split_store force_field", "draw_subset force_field/12")
        ),
        "train_network fewer",
    ]


def test_the_command_line_says_how_it_ended(study, capsys):
    command = ["run", "fewer", "--config", "config/tiny.yaml"]
    assert main([*command, "--minutes", "-1"]) == os.EX_TEMPFAIL
    assert "The time was up before make_store force_field: the same command goes on" in capsys.readouterr().out
    assert main([*command, "--data-only"]) == 0
    assert "To take elsewhere: results/tiny/data (" in capsys.readouterr().out
    Path("bad").write_text("train_network/fewer")
    assert main([*command, "--collect", "back.tar.gz"]) == 1
    said = capsys.readouterr().out
    assert "train_network fewer ended with exit code 1" in said
    assert "back.tar.gz (0.0 MiB): nothing yet" in said
    Path("bad").unlink()
    assert main([*command, "--collect", "back.tar.gz"]) == 0
    assert "back.tar.gz (0.0 MiB): run fewer" in capsys.readouterr().out
