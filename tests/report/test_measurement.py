"""A measurement as a page, as JSON and as a table, and the command that writes them."""

import json

import numpy as np
import pandas as pd
import pytest

from equidyn import measure
from equidyn.cli import main
from equidyn.report.measurement import write

rng = np.random.default_rng(0)
A = rng.normal(size=(3, 3))
ITEMS = [{"pos": rng.normal(size=(size, 3)), "z": 1 + np.arange(size) % 3} for size in rng.integers(3, 9, 14)]
TRUE = [{"forces": one["pos"]} for one in ITEMS]


def predict(items):
    return [{"forces": one["pos"] @ A.T, "energy": np.square(one["pos"]).sum()} for one in items]


@pytest.fixture(scope="module")
def found():
    return measure(predict, ITEMS, TRUE)


def test_page(found, tmp_path):
    write(tmp_path / "page.html", found, "<a model>")
    text = (tmp_path / "page.html").read_text()
    assert "&lt;a model&gt;" in text
    assert text.index("forces: real") < text.index("Numbers</h2>") < text.index("Where the error of forces lies</h2>")
    assert "a network that is not constrained" in text
    assert "energy: round-off" in text
    assert "Where the error of energy" not in text  # there is none to show
    for panel in ("By degree", "By angle", "By element", "By number of atoms", "Averaged over rotations"):
        assert f"<!-- {panel}" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "https://matplotlib.org", ""
    ).replace("http://creativecommons.org", "")
    assert len(text) < 2e6


def test_same_bytes(found, tmp_path):
    for name in ("one.html", "two.html"):
        write(tmp_path / name, found, "model")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_json_and_table(found, tmp_path):
    write(tmp_path / "all.json", found, "model")
    read = json.loads((tmp_path / "all.json").read_text())
    assert read["properties"]["forces"]["numbers"]["percent"] == found["forces"].percent
    assert read["properties"]["energy"]["numbers"]["percent"] is None
    assert len(read["properties"]["forces"]["by_example"]["total"]) == len(ITEMS)
    write(tmp_path / "table.csv", found, "model")
    table = pd.read_csv(tmp_path / "table.csv").set_index("property")
    assert table.loc["forces", "percent"] == pytest.approx(found["forces"].percent)
    assert table.loc["energy", "verdict"] == "round-off"


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        build = pytest.importorskip("ase.build", reason="ASE is not installed")
        from ase.io import write as write_structures

        structures = []
        for number in range(12):
            atoms = build.bulk(("Cu", "Au", "Ag")[number % 3], cubic=True)
            atoms.rattle(0.1, seed=number)
            structures.append(atoms)
        write_structures(tmp_path / "some.extxyz", structures)
        (tmp_path / "calculators_of_test.py").write_text(
            "from ase.calculators.emt import EMT\n\n\n"
            "class Tilted(EMT):\n"
            "    def calculate(self, atoms=None, properties=('energy',), system_changes=('positions',)):\n"
            "        super().calculate(atoms, properties, system_changes)\n"
            "        self.results['forces'][:, 2] *= 1.5\n"
        )
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_round_off(self, folder, capsys):
        arguments = ["--calculator", "ase.calculators.emt:EMT", "--structures", "some.extxyz", "--rotations", "12"]
        assert main(["measure", *arguments, "--out", "page.HTML", "all.json", "table.csv", "--fail-above", "0"]) == 0
        assert "'forces' is round-off" in capsys.readouterr().out
        assert {file.name for file in folder.glob("*.[Hjc]*")} == {"page.HTML", "all.json", "table.csv"}

    def test_fails_above(self, folder, capsys):
        arguments = ["--calculator", "calculators_of_test:Tilted", "--structures", "some.extxyz", "--rotations", "12"]
        assert main(["measure", *arguments, "--properties", "forces", "--fail-above", "1"]) == 2
        said = capsys.readouterr()
        assert "tied to the z axis" in said.out
        assert "% is more than 1 %" in said.err

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"--calculator": "nothing"}, "does not have the form"),
            ({"--calculator": "nowhere:EMT"}, "No module named 'nowhere'"),
            ({"--calculator": "absent.safetensors"}, "there is no checkpoint absent.safetensors"),
            ({"--calculator": "operator:neg"}, "neg() fails: TypeError"),
            ({"--targets": "forces"}, "nor of the form PROPERTY=NAME"),
            ({"--out": "absent/page.html"}, "there is no folder absent"),
            ({"--fail-above": "nan"}, "--fail-above: nan"),
            ({"--structures": "absent.xyz"}, "there is no file absent.xyz"),
            ({"--out": "page.pdf"}, "ends in none of .html, .json, .csv"),
            ({"--group": "SO(4)"}, "unknown group"),
        ],
    )
    def test_mistakes(self, folder, capsys, changed, message):
        options = {"--calculator": "ase.calculators.emt:EMT", "--structures": "some.extxyz"} | changed
        assert main(["measure", *(word for option in options.items() for word in option)]) == 1
        assert message in capsys.readouterr().err
        assert not list(folder.glob("page*"))
