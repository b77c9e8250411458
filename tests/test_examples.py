"""Each example runs as it stands and prints what it promises."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

EXAMPLES = {
    "ase_calculator": ([], ("'energy' is round-off", "'energy' is real", "feature tied to the z axis")),
    "calculators": (
        ["emt", "gfn2-xtb", "--structures", "1", "--rotations", "2"],
        ("| 1, displaced | forces |", "gfn2-xtb (tblite"),
    ),
    "monitor_loop": ([], ("step   0:", "% averaged", "step 464:")),
    "monitor_lightning": ([], ("percent", "100")),
    "monitor_transformers": ([], ("step   0:", "step 100:")),
    "point_cloud": ([], ("Trained:\n96 elements", "not constrained to be equivariant", "\n   240    ")),
}
"""Arguments of each, and what it prints, among other things."""

NEEDED = {
    "calculators": ("tblite",),
    "monitor_lightning": ("lightning",),
    "monitor_transformers": ("transformers", "accelerate"),
}
"""Packages without which an example is skipped."""

FOLDER = Path(__file__).parents[1] / "examples"


def test_all_are_known():
    assert {file.stem for file in FOLDER.glob("*.py")} == set(EXAMPLES)
    page = (FOLDER.parent / "docs/examples.md").read_text("utf-8")
    assert set(re.findall(r"examples/(\w+)\.py", page)) == set(EXAMPLES)


@pytest.mark.filterwarnings("ignore")  # trainers warn of whatever could be set otherwise
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, capsys, tmp_path, monkeypatch):
    arguments, texts = EXAMPLES[name]
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for text in texts:
        assert text in printed


@pytest.mark.slow
def test_own_task(tmp_path):
    """The study of a task of one's own trains and is evaluated, and the network learns."""
    root = FOLDER.parent
    for part in ("config", "workflow", "examples"):
        (tmp_path / part).symlink_to(root / part)
    path = os.pathsep.join([str(root / "examples/own_task"), str(root / "src")])
    command = [sys.executable, "-m", "equidyn.cli", "run", "plain", "--config", "examples/own_task/study.yaml"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, check=True)
    rows = pd.read_parquet(tmp_path / "results/own-task/tables/runs/plain.parquet").query("weights == 'raw'")
    assert rows["step"].iloc[[0, -1]].tolist() == [0, 1000]
    assert rows["skill"].iloc[-1] > 0.9
    assert rows["relative_equivariance"].iloc[-1] < 0.1


README = (FOLDER.parent / "README.md").read_text("utf-8")


@pytest.mark.parametrize(("number", "text"), [(0, "not constrained"), (1, "'forces' is round-off"), (2, "'step': 100")])
def test_snippet_of_the_readme(number, text, tmp_path, monkeypatch, capsys):
    """Each runs as printed, by itself, and is short."""
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(snippets) == 3
    assert len(snippets[number].strip().splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    exec(compile(snippets[number], "README.md", "exec"), {"__name__": "__main__"})
    assert text in capsys.readouterr().out


def test_readme_is_short():
    assert len(README.splitlines()) <= 150
    assert len(README.split()) <= 1200


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Jupyter, in its own process and in this one
def test_notebook(tmp_path):
    """It runs, and what it shows is kept in order."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    book = nbformat.read(FOLDER / "measure.ipynb", as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [output.output_type for cell in cells for output in cell.outputs]
    assert shown.count("display_data") == 2
    assert "error" not in shown
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    again = [output.output_type for cell in cells for output in cell.outputs]
    assert again == shown
