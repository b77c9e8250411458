"""A manifest tells where numbers come from, and nothing of who made them where."""

import json
import os
import platform
import socket
from importlib import metadata

import pytest

from equidyn import __version__
from equidyn.study import manifest as module
from equidyn.study.manifest import manifest

CONFIG = {
    "study": "test",
    "results": "/secret-folder/results",
    "data": {"force_field": {"seed": 3, "folder": "/secret-folder/data"}, "voxel_denoising": {"seed": 4}},
    "evaluation": {"seed": 5, "rotations": 2},
}
RUNS = {"b": {"seed": 1, "task": "force_field"}, "a": {"seed": 2, "task": "voxel_denoising"}}
MEASURED = {
    run: {"seconds": seconds, "device": "cpu", "devices": 1, "threads": 2, "torch": "2.13.0", "peak_host_bytes": 10**9}
    for run, seconds in (("a", 10.0), ("b", 2.5))
}
EVALUATED = {"a": 1.0, "b": 0.5}
STORES = {
    "force_field": {
        "examples": 799,
        "provenance": {
            "files": {"a.hdf5": {"sha256": "00", "retrieved": "2026-01-01", "rejects": {"charged": 1}}},
            "limits": {"max_force": 51.42},
            "warnings": ["largest net force 115 eV/Å"],
            "statistics": {"force_max_ev_per_angstrom": 11.2, "elements_atoms": {"H": 5}},
        },
    },
    "voxel_denoising": {"examples": 5, "provenance": {"files": [{"name": "b"}], "rejects": {"too large": 2}}},
    "outside": {"examples": 7, "provenance": {}},
}
CODE = {"training": "00ff", "evaluation": {"a": "0f"}}


def made(**changes):
    arguments = {
        "config": CONFIG,
        "runs": RUNS,
        "measured": MEASURED,
        "evaluated": EVALUATED,
        "stores": STORES,
        "code": CODE,
    }
    return manifest(**arguments | changes)


def test_what_was_given_is_in_it():
    found = made()
    assert (found["study"], found["version"], found["code"]) == ("test", __version__, CODE)
    assert found["seeds"] == {
        "data": {"force_field": 3, "voxel_denoising": 4},
        "runs": {"b": 1, "a": 2},
        "evaluation": 5,
    }
    assert list(found["runs"]) == ["b", "a"]
    assert found["runs"]["a"] == {
        "training_seconds": 10.0, "evaluation_seconds": 1.0,
        "device": "cpu", "devices": 1, "threads": 2, "torch": "2.13.0",
    }  # fmt: skip
    assert found["seconds"] == {"training": 12.5, "evaluation": 1.5}


def test_unknown_times_are_neither_guessed_nor_summed():
    for unknown in (float("nan"), None):
        found = made(measured=MEASURED | {"a": MEASURED["a"] | {"seconds": unknown}})
        assert found["runs"]["a"]["training_seconds"] is None
    assert found["seconds"] == {"evaluation": 1.5}
    assert "NaN" not in json.dumps(found)


def test_what_was_left_out_and_what_is_conspicuous_is_in_it():
    assert made()["data"] == {
        "force_field": {
            "examples": 799,
            "left_out": {"a.hdf5": {"charged": 1}},
            "limits": {"max_force": 51.42},
            "warnings": ["largest net force 115 eV/Å"],
            "force_max_ev_per_angstrom": 11.2,
        },
        "voxel_denoising": {"examples": 5, "left_out": {"too large": 2}},
        "outside": {"examples": 7, "left_out": {}},
    }


def test_same_study_same_manifest_as_json_too():
    text = json.dumps(made(), allow_nan=False)
    assert text == json.dumps(made(), allow_nan=False)
    assert json.loads(text) == made()


def test_machine_is_described():
    machine = made()["machine"]
    assert machine["cpu"]
    assert machine["cpus"] == os.cpu_count()
    assert machine["memory_bytes"] > 2**28
    assert machine["architecture"] == platform.machine()
    assert machine["system"].startswith(platform.system())


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("processor\t: 0\nmodel name\t: Fast CPU: 3 GHz\nprocessor\t: 1\nmodel name\t: Other\n", "Fast CPU: 3 GHz"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "arm"),
        (None, "arm"),
    ],
)
def test_cpu_is_as_the_system_names_it(monkeypatch, tmp_path, listed, expected):
    path = tmp_path / "cpuinfo"
    if listed is not None:
        path.write_text(listed)
    monkeypatch.setattr(module, "Path", lambda _: path)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert made()["machine"]["cpu"] == expected


def test_host_and_folders_are_not_told(monkeypatch):
    monkeypatch.setattr(platform, "_uname_cache", None)
    for where, name in ((socket, "gethostname"), (platform, "node"), (platform, "_node")):
        monkeypatch.setattr(where, name, lambda *_: "secret-host")
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real[0], "secret-host", *real[2:])))
    assert platform.uname().node == "secret-host"
    assert "secret" not in json.dumps(made())


def test_packages_are_those_that_decide_results():
    packages = made()["packages"]
    assert list(packages) == sorted(packages)
    assert {"numpy", "pandas", "torch", "snakemake"} <= set(packages)
    assert not {"equidyn", "pytest", "ruff"} & set(packages)
    assert all(metadata.version(name) == version for name, version in packages.items())


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy==1", 'no-such-package-here>2; extra == "train"'])
    assert made()["packages"] == {"numpy": metadata.version("numpy")}


def test_runs_must_be_finished():
    with pytest.raises(ValueError, match=r"no time of the training of run\(s\) a: finish the study first"):
        made(measured={"b": MEASURED["b"]})
    with pytest.raises(ValueError, match=r"no time of the evaluation of run\(s\) b, a"):
        made(evaluated={})
