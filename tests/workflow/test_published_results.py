"""What is published with the repository follows from its tables, and the documentation states it."""

import json
import os
import random
import shutil
import signal
import subprocess
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from project import ROOT, Project, read_study

from equidyn.core.marked import renewed
from equidyn.report.document import part

pytestmark = pytest.mark.workflow
PUBLISHED = ROOT / "results/cpu"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project and of the published tables, in which everything has been drawn anew."""
    config, named = read_study("cpu", "cpu")
    project = Project(tmp_path_factory.mktemp("published"), config, list(named.values()))
    unpublished = shutil.ignore_patterns("examples", "claims.*")
    shutil.copytree(PUBLISHED / "tables", project.results / "tables", ignore=unpublished)
    for name in ("config.yaml", "manifest.json"):
        shutil.copy(PUBLISHED / name, project.results / name)
    result = project.run("figures", "report", "--config", "archive=True")
    assert result.returncode == 0, result.stderr[-5000:]
    return project


@pytest.fixture(scope="module")
def redrawn(project):
    return project.results


@pytest.mark.slow
@pytest.mark.long
def test_figures_are_those_of_the_tables(redrawn):
    names = {file.relative_to(PUBLISHED) for file in PUBLISHED.glob("figures/*/*.png")}
    assert names == {file.relative_to(redrawn) for file in redrawn.glob("figures/*/*.png")} != set()
    for name in names:
        published, ours = (
            np.asarray(Image.open(folder / name).convert("RGB"), dtype=int) for folder in (PUBLISHED, redrawn)
        )
        assert published.shape == ours.shape, name
        # Another processor may round a coordinate otherwise, which moves a few pixels of an edge.
        differing = (np.abs(published - ours) > 8).any(axis=-1).mean()
        assert differing <= 1e-3, f"{name}: {100 * differing:.2g} % of the pixels differ"


@pytest.mark.slow
@pytest.mark.long
def test_captions_are_those_of_the_tables(redrawn):
    for file in PUBLISHED.glob("figures/*/*.txt"):
        assert (redrawn / file.relative_to(PUBLISHED)).read_text() == file.read_text(), file.name


@pytest.mark.slow
@pytest.mark.long
def test_claims_are_those_of_the_tables(redrawn):
    published, ours = (pd.read_parquet(folder / "tables/claims.parquet") for folder in (PUBLISHED, redrawn))
    pd.testing.assert_frame_equal(published, ours, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.long
def test_interrupted_drawing_removes_nothing(project):
    """However it ends, at a random time: what is published stays whole, and drawing once more makes all as it was."""
    published = {
        file: file.read_bytes()
        for file in project.results.rglob("*")
        if file.suffix in (".png", ".txt", ".parquet", ".yaml", ".json") or file.name == "claims.csv"
    }
    draw = ("figures", "report", "--forceall", "--config", "archive=True", "figures={formats: [png]}")
    times = random.Random(0)
    for attempt in range(10):
        drawing = project.start(*draw)
        with suppress(subprocess.TimeoutExpired):
            drawing.communicate(timeout=times.uniform(1, 25))
        if attempt % 3:
            drawing.send_signal((signal.SIGINT, signal.SIGTERM)[attempt % 3 - 1])
        else:
            os.killpg(drawing.pid, signal.SIGKILL)
        drawing.communicate(timeout=300)
        lost = [
            file for file, content in published.items() if not file.exists() or file.stat().st_size < len(content) / 2
        ]
        assert not lost, f"attempt {attempt}"
    result = project.run(*draw)
    assert result.returncode == 0, result.stderr[-5000:]
    for file, content in published.items():
        assert file.read_bytes() == content, file
    left = list(project.results.rglob(".*.new.*"))
    assert not left, "half-written files of processes that were killed"


@pytest.mark.slow
@pytest.mark.long
def test_the_report_of_snakemake_has_every_figure_and_the_claims(project):
    result = project.run("figures", "report", "--config", "archive=True", "--report", "snakemake.html")
    assert result.returncode == 0, result.stderr[-5000:]
    html = (project.folder / "snakemake.html").read_text()
    results, categories = (
        json.JSONDecoder().raw_decode(html, html.index(f"var {name} = {{") + len(f"var {name} = "))[0]
        for name in ("results", "categories")
    )
    folder = project.results.relative_to(project.folder)
    published = [file for kind in ("png", "txt") for file in PUBLISHED.glob(f"figures/*/*.{kind}")]
    drawn = {str(folder / file.relative_to(PUBLISHED)) for file in published}
    assert set(results) == drawn | {f"{folder}/tables/claims.csv"}
    assert len(drawn) > 100
    for path, shown in results.items():
        part = {"png": "picture", "txt": "caption", "csv": "table"}[path.rpartition(".")[2]]
        assert shown["labels"]["part"] == part
        assert "95 % confidence" in shown["caption"] or part == "table"
    assert set(categories) == {"All tasks", "Claims", "Flow matching", "Force field", "Voxel denoising"}


def test_runs_are_those_of_the_run_table():
    _, named = read_study("cpu", "cpu")
    costs = pd.read_parquet(PUBLISHED / "tables/costs.parquet").set_index("run")
    manifest = json.loads((PUBLISHED / "manifest.json").read_text())
    assert list(costs.index) == list(named) == list(manifest["runs"])
    for run, row in named.items():
        for column in ("task", "model", "train_subset", "optimiser"):
            assert costs.loc[run, column] == row[column]
        for column in ("batch_size", "steps", "lr", "augmentation", "seed"):
            assert costs.loc[run, column] == float(row[column])


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/findings.md", "docs/claims.md"])
def test_the_documentation_states_what_is_in_the_tables(monkeypatch, name):
    monkeypatch.chdir(ROOT)
    text = (ROOT / name).read_text("utf-8")
    assert renewed(text, part) == text, "run make reference"
