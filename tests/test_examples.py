"""Each example runs as it stands and prints what it promises."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = {
    "ase_calculator": ("'energy' is round-off", "'energy' is real", "feature tied to the z axis"),
}
"""What each prints, among other things."""

FOLDER = Path(__file__).parents[1] / "examples"


def test_all_are_known():
    assert {file.stem for file in FOLDER.glob("*.py")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for text in EXAMPLES[name]:
        assert text in printed
