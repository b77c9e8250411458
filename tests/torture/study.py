"""A study in which every kind of job takes seconds: two data sets from a mirror, networks on one and two processes.

Of the proteins only the examples are made, the molecules' networks are trained, evaluated, analysed and drawn.
"""

from pathlib import Path

from project import Project, tiny, unchecked_registry
from standins import pdb, spice

STEPS = 12
EVERYTHING = ("all", "data")
ENOUGH = tuple(
    f"results/torture/{name}"
    for name in ("config.yaml", "manifest.json", "tables/claims.csv", "figures/force_field/losses.png")
)
"""What takes a third of the time, and has jobs of most rules."""


def write_mirror(folder: Path) -> None:
    """Stand-ins of the data sets that are downloaded."""
    spice.write_xyz_archives(folder / "spice_mace_off/2023", train=60, test=20)
    pdb.write_pdb(folder, entries=16)


def small_study(folder: Path, mirror: Path) -> Project:
    """A copy of the project with the study."""
    config, rows = tiny()
    config |= {"study": "torture"}
    config["downloads"] = {"registry": "config/downloads.tsv", "folder": "downloads", "mirror": str(mirror)}
    config["data"] = {
        "force_field": {"source": "spice-mace-off", "seed": 0, "subsets": {"all": "all"}},
        "flow_matching": {"source": "pdb", "min_length": 51, "max_length": 110, "worst_resolution": 5.0, "seed": 0}
        | {"validation_fraction": 0.3, "subsets": {"all": "all"}},
    }
    config["training"] |= {"checkpoint_steps": [0, STEPS], "state_every": 3, "device": "cpu"}
    config["training"] |= {"devices": {"escaip-small": 2}}
    config["evaluation"]["checkpoints_per_job"] = 1
    for section in ("training", "evaluation"):
        del config[section]["voxel_denoising"]
    config["analysis"] = {"head": {"force_field": config["analysis"]["head"]["force_field"] | {"runs": ["one"]}}}
    config["figures"] |= {"formats": ["png"], "baseline": {"force_field": "one"}}
    one = rows[0] | {"name": "one", "steps": str(STEPS)}
    rows = [one, one | {"name": "two", "model": "escaip-small", "seed": "1"}]
    project = Project(folder, config, rows)
    unchecked_registry(project.folder / config["downloads"]["registry"])
    return project
