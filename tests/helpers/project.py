"""A copy of the project in a temporary folder, in which Snakemake runs tiny studies."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "config", "profiles", "envs", "src")


class Project:
    """A copy of the project with a study of its own.

    Args:
        folder: Where to copy it to.
        config: The study's configuration; `study` names its configuration file, and its run table if it names none.
        rows: The run table, columns by name.
    """

    def __init__(self, folder: Path, config: dict, rows: list[dict]):
        self.folder, self.config, self.rows = folder, config, rows
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source = ROOT / part
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=ignored)
            else:
                shutil.copy(source, folder / part)

    def write(self) -> None:
        """Put configuration and run table in place."""
        write_study(self.folder, self.config, self.rows)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run Snakemake in the copy, on the copy's library, for its study."""
        self.write()
        return self.snakemake(*arguments, "--configfile", self.config_file, **environment)

    def snakemake(self, *arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
        """Run Snakemake in the copy or another folder, on the copy's library."""
        path = os.pathsep.join([environment.pop("path", ""), str(self.folder / "src")]).strip(os.pathsep)
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *("--cores", "2"), *arguments],
            cwd=folder or self.folder,
            env=os.environ | {"PYTHONPATH": path, "OMP_WAIT_POLICY": "PASSIVE"} | environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=1800,  # on a busy machine; minutes otherwise
        )

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake in the copy, for its study, as the leader of a session of its own; it says all on stdout."""
        self.write()
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *("--cores", "2"), *arguments, "--configfile", self.config_file],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "src"), "OMP_WAIT_POLICY": "PASSIVE"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def planned(self, *targets: str) -> dict[str, int]:
        """Rules that would run now, and how many jobs of each."""
        found = self.run("--dry-run", *targets)
        assert found.returncode == 0, found.stderr + found.stdout
        text = found.stdout + found.stderr
        if "Nothing to be done" in text:
            return {}
        table = text.split("Job stats:")[1].split("total")[0]
        jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.MULTILINE)}
        return {rule: count for rule, count in jobs.items() if rule not in ("all", *targets)}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace one passage of a file of the copy."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} no longer has {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    @property
    def config_file(self) -> str:
        """The study's configuration."""
        return f"config/{self.config['study']}.yaml"

    @property
    def results(self) -> Path:
        """What the study makes."""
        return self.folder / "results" / self.config["study"]


def write_study(folder: Path, config: dict, rows: list[dict]) -> None:
    """Write a configuration, and its run table where it says, below a folder."""
    config.setdefault("run_table", f"config/runs/{config['study']}.tsv")
    table = folder / f"config/runs/{config['study']}.tsv"
    table.parent.mkdir(parents=True, exist_ok=True)
    (folder / f"config/{config['study']}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    columns = list(rows[0])
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    table.write_text("\n".join("\t".join(map(str, line)) for line in lines), encoding="utf-8")


def read_study(name: str, runs: str) -> tuple[dict, dict[str, dict]]:
    """A study of the project: its configuration, and the rows of its run table by name."""
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8"))
    del config["run_table"]
    text = (ROOT / f"config/runs/{runs}.tsv").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if not line.startswith("#")]
    columns = table[0].split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in table[1:]]
    return config, {row["name"]: row for row in rows}


def unchecked_registry(path: Path, url: str = "https://nowhere.invalid") -> None:
    """Let every line of a registry name a server, with no more to check than the file's own receipt says."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines, delimiter="\t"))
    for row in rows:
        row |= {"urls": f"{url}/{row['dataset']}/{row['version']}/{row['file']}", "bytes": "", "checksum": ""}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def tiny_study(folder: Path) -> Project:
    """A copy of the project with the tiny study."""
    return Project(folder, *tiny())


def tiny() -> tuple[dict, list[dict]]:
    """The default study cut down to four short runs on a handful of molecules and chains: configuration and rows."""
    config, named = read_study("config", "mini")
    config["study"] = "tiny"
    config["data"]["force_field"] |= {"molecules": 8, "conformers": 4, "subsets": {"12": 12, "all": "all"}}
    config["data"]["flow_matching"] |= {"max_length": 55, "subsets": {"all": "all"}}
    config["data"]["voxel_denoising"] |= {"molecules": 6, "conformers": 2, "subsets": {"all": "all"}}
    config["training"] |= {"checkpoint_steps": [0, 2, 6], "state_every": 3}
    config["evaluation"] |= {"rotations": 2, "checkpoints_per_job": 2, "resamples": 100}
    config["evaluation"]["force_field"]["examples"] = "all"
    config["evaluation"]["flow_matching"] |= {
        "examples": 6,
        "conditions": {"t": [0.0, 0.9], "self_conditioning": [False]},
    }
    config["evaluation"]["voxel_denoising"]["examples"] = 2
    config["training"]["voxel_denoising"]["task"]["side"] = 16
    config["analysis"]["interpolation_floors"]["voxel_denoising"] |= {
        "box": 8.0,
        "spacings": [0.5],
        "comparisons": ["voxels", "trilinear"],
        "molecules": 2,
    }
    small = {"steps": "all", "examples": 8, "batch_size": 8, "rotations": 2}
    of_run = {"runs": ["augmented"], **small}
    block = "direction.linear"
    analyses = {
        "gradients": of_run | {"folds": 2},
        "head": of_run,
        "hessian": of_run | {"steps": [6], "blocks": [block], "probes": 2, "lanczos_steps": 3},
        "landscape": of_run
        | {"steps": [6], "block": block, "directions": ["equivariance", "random"], "points": 3, "extent": 0.1},
        "angles": of_run | {"angles": [20, 90, 180], "local": True},
        "spectrum": of_run | {"examples": 2, "rotations": 48, "degrees": 1},
        "averages": of_run | {"weights": "all"},
        "layers": of_run,
    }
    config["analysis"] |= {name: {"force_field": settings} for name, settings in analyses.items()}
    config["analysis"]["gradients"]["flow_matching"] = {
        "runs": ["proteins"], **small, "examples": 6, "folds": 3, "conditions": {"t": [0.9]},
    }  # fmt: skip
    config["analysis"]["layers"]["voxel_denoising"] = {
        "runs": ["voxels"], **small, "examples": 2, "symmetries": [{"group": "cube", "comparison": "voxels"}],
    }  # fmt: skip
    first = named["augmented"] | {"steps": "6"}
    rows = [first, first | {"name": "fewer", "train_subset": "12"}]
    return config, rows + [named[name] | {"steps": "6"} for name in ("proteins", "voxels")]
