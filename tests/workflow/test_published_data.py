"""The paper's configuration on stand-ins of its data sets: from a server on this machine to evaluated networks."""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from project import Project, read_study, unchecked_registry
from standins import geom, pdb, spice
from standins.server import serve

from equidyn.data.store import Store
from equidyn.data.subsets import read_index

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.long]

STEPS = 20
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, "MiB")
sys.exit(done.returncode)
"""
MODELS = {"force_field": "escaip-tiny", "flow_matching": "proteina-0.5M", "voxel_denoising": "voxmol-0.3M"}
SUBSETS = {
    "force_field": {"60": 60, "all": "all"},
    "flow_matching": {"half": 0.5, "all": "all"},
    "voxel_denoising": {"half": 0.5, "all": "all"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serves stand-ins of all data sets, as dataset/version/file."""
    folder = tmp_path_factory.mktemp("published")
    spice.write_xyz_archives(folder / "spice_mace_off/2023", train=300, test=60)
    spice.write_hdf5(folder / "spice/1.1.4/SPICE-1.1.4.hdf5", molecules=20, conformers=12)
    pdb.write_pdb(folder)
    for write in (geom.write_dataverse, geom.write_arrays):
        write(folder)
    with serve(folder) as running:
        yield running


def paper_study(folder, server, sources):
    """The paper's study with small networks for 20 steps, its registry pointing to the server, on some sources."""
    config, rows = read_study("paper", "paper")
    config |= {"study": "stand-in", "downloads": config["downloads"] | {"mirror": ""}}
    del config["cluster"]
    config["data"] = {task: config["data"][task] | sources[task] for task in sources}
    config["training"] |= {"device": "cpu", "devices": 1, "checkpoint_steps": [0, STEPS], "state_every": 10}
    config["training"]["voxel_denoising"]["task"] |= {"side": 16, "spacing": 0.5}
    config["evaluation"] |= {"rotations": 2, "checkpoints_per_job": 1, "resamples": 100, "weights": ["raw"]}
    config["evaluation"]["flow_matching"]["conditions"]["t"] = [0.5]
    for task in MODELS:
        config["evaluation"][task] |= {"examples": 6, "batch_size": 6}
    config["analysis"] = {"interpolation_floors": config["analysis"]["interpolation_floors"]}
    baselines = config["figures"]["baseline"]
    chosen = []
    for task in sources:
        config["data"][task]["subsets"] = SUBSETS[task]
        row = rows[baselines[task]] | {"model": MODELS[task], "train_subset": "all", "batch_size": 4, "steps": STEPS}
        chosen.append(row)
    project = Project(folder, config, chosen)
    unchecked_registry(project.folder / config["downloads"]["registry"], server.url)
    return project


@pytest.mark.parametrize(
    "sources",
    [
        {
            "force_field": {"source": "spice-mace-off"},
            "flow_matching": {"source": "pdb", "validation_fraction": 0.2},
            "voxel_denoising": {"source": "geom-arrays"},
        },
        {
            "force_field": {"source": "spice", "release": "1.1.4", "validation_fraction": 0.2},
            "voxel_denoising": {"source": "geom-dataverse"},
        },
    ],
    ids=lambda sources: "+".join(data["source"] for data in sources.values()),
)
def test_from_download_to_evaluation(sources, server, tmp_path):
    project = paper_study(tmp_path, server, sources)
    plan = project.run("--dry-run", "evaluate")
    assert plan.returncode == 0, plan.stderr[-3000:] + plan.stdout[-3000:]
    assert not server.requests, "a dry run needs no network"
    result = project.run("evaluate")
    assert result.returncode == 0, result.stderr[-6000:] + result.stdout[-2000:]
    table = pd.read_parquet(project.results / "tables/evaluation.parquet")
    assert set(table["task"]) == set(sources)
    assert set(table["step"]) == {0, STEPS}
    assert table[["percent", "total", "skill"]].notna().all(axis=None)
    for task in sources:
        store = Store(project.results / f"data/{task}/store")
        store.verify()
        assert '"rejects"' in (store.path / "manifest.json").read_text()
        train, validation = (read_index(project.results / f"data/{task}/index/{side}.npy") for side in
                             ("subsets/all", "validation"))  # fmt: skip
        assert not set(train) & set(validation)
        if "validation_fraction" in sources[task]:
            assert not set(store.scalar("cluster")[train]) & set(store.scalar("cluster")[validation])
        else:
            assert set(store.scalar("split")[train]) == {0}
            assert set(store.scalar("split")[validation]) == {1}
    assert all("+" in folder.name for folder in (project.results / "state").iterdir()), "no finished training"
    again = project.run("evaluate")
    assert "Nothing to be done" in again.stdout + again.stderr
    server.requests.clear()


def test_data_can_be_staged_from_a_folder(server, tmp_path, tmp_path_factory):
    """A mirror in a folder serves machines without a network, and a file that it lacks is named."""
    sources = {"voxel_denoising": {"source": "geom-arrays"}}
    project = paper_study(tmp_path, server, sources)
    mirror = tmp_path / "mirror"
    geom.write_arrays(mirror)
    lost = mirror / "geom_drugs_arrays/18484634/geom_drugs_processed.zip"
    kept = lost.read_bytes()
    lost.unlink()
    project.config["downloads"]["mirror"] = str(mirror)
    result = project.run("data", "--retries", "0")
    assert result.returncode != 0
    assert "geom_drugs_processed.zip" in result.stderr + result.stdout
    assert not (tmp_path / "downloads/geom_drugs_arrays/18484634/geom_drugs_processed.zip").exists()
    lost.write_bytes(kept)
    result = project.run("data", "--retries", "0")
    assert result.returncode == 0, result.stderr[-5000:]
    assert not server.requests
    receipt = json.loads((tmp_path / "downloads/geom_drugs_arrays/18484634/geom_drugs_processed.zip.json").read_text())
    assert receipt["bytes"] == len(kept)


def test_the_whole_grid_is_planned(tmp_path):
    """A dry run of the paper's study, with a job for each checkpoint, needs no network and little memory."""
    config, rows = read_study("paper", "paper")
    project = Project(tmp_path, config | {"study": "grid"}, list(rows.values()))
    project.write()
    snakemake = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--quiet",
        "rules",
        "--configfile",
        project.config_file,
    ]
    result = subprocess.run(
        [sys.executable, "-c", PEAK, *snakemake],
        cwd=project.folder,
        env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    said = result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    assert int(counts["train_network"]) == 28
    assert 28 < int(counts["evaluate_checkpoints"]) < 1000, "several checkpoints in each job"
    assert int(re.search(r"peak (\d+) MiB", said)[1]) < 1024
