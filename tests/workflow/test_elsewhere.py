"""The workflow in odd places: as a module of another, in folders with any name, where text is ASCII by default."""

import tempfile
from pathlib import Path

import pytest
import yaml
from project import tiny_study

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.long]

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ODD = "a {run} {task} {} 100 % $HOME 'b\" \\n"
LETTERS = "é ü 蛋白"
MINE = """
module equidyn:
    snakefile: {snakefile!r}
    config: config["ours"]

use rule * from equidyn as equidyn_*

rule mine:
    default_target: True
    input: rules.equidyn_{target}.input
"""


def short(project):
    """The project with one run of the study, and nothing but its evaluation."""
    project.rows, project.config["analysis"] = project.rows[:1], {}
    for section in ("data", "training", "evaluation"):
        for other in ("flow_matching", "voxel_denoising"):
            del project.config[section][other]
    project.config["figures"] |= {"formats": ["png"], "baseline": {"force_field": "augmented"}}
    return project


def use_as_module(project, folder, target):
    """Write the Snakefile and configuration of another workflow into a folder."""
    folder.mkdir()
    project.write()
    config = project.config | {"run_table": str(project.folder / project.config["run_table"])}
    theirs = "theirs: {twice: 1, twice: 2}  # as Snakemake allows\n"
    (folder / "mine.yaml").write_text(yaml.safe_dump({"ours": config}) + theirs, encoding="utf-8")
    snakefile = MINE.format(snakefile=str(project.folder / "Snakefile"), target=target)
    (folder / "Snakefile").write_text(snakefile, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "target", "made", "environment"),
    [
        pytest.param(ODD, "evaluate", "tables/evaluation.csv", ASCII, marks=pytest.mark.slow),
        (f"{ODD} {LETTERS}", "data", "data/force_field/index/validation.npy", {}),
    ],
    ids=["ASCII", "letters"],
)
def test_as_a_module(name, target, made, environment, tmp_path):
    project, folder = short(tiny_study(tmp_path / name)), tmp_path / f"my {name}"
    use_as_module(project, folder, target)
    result = project.snakemake("--configfile", "mine.yaml", folder=folder, **environment)
    assert result.returncode == 0, result.stderr[-5000:]
    assert (folder / "results/tiny" / made).exists()
    assert not (project.folder / "results").exists()


def test_all_of_it_can_be_asked_of_a_module(tmp_path):
    project = tiny_study(tmp_path / "project")
    use_as_module(project, tmp_path / "mine", "all")
    result = project.snakemake("--dry-run", "--configfile", "mine.yaml", folder=tmp_path / "mine")
    assert result.returncode == 0, result.stderr[-5000:]
    assert "equidyn_write_report" in result.stdout + result.stderr


def test_times_count_in_rules_of_the_other_workflow(tmp_path):
    project, folder = tiny_study(tmp_path / "project"), tmp_path / "mine"
    use_as_module(project, folder, "data")
    with (folder / "Snakefile").open("a", encoding="utf-8") as snakefile:
        snakefile.write("\nrule copied:\n    input: 'a'\n    output: 'b'\n    shell: 'cp a b'\n")
    for content in ("old", "new"):
        (folder / "a").write_text(content, encoding="utf-8")
        result = project.snakemake("b", "--configfile", "mine.yaml", folder=folder)
        assert result.returncode == 0, result.stderr[-5000:]
        assert (folder / "b").read_text("utf-8") == content


@pytest.mark.parametrize(
    ("target", "made", "environment"),
    [
        pytest.param("evaluate", "tables/evaluation.csv", ASCII, marks=pytest.mark.slow),
        ("data", "data/force_field/index/validation.npy", {}),
    ],
    ids=["ASCII", "usual"],
)
def test_in_folders_of_any_name(target, made, environment, tmp_path):
    project = short(tiny_study(tmp_path / f"{ODD} {LETTERS}"))
    result = project.run(target, **environment)
    assert result.returncode == 0, result.stderr[-5000:]
    assert (project.results / made).exists()


def test_into_a_folder_of_any_name(tmp_path):
    project, folder = short(tiny_study(tmp_path / "project")), tmp_path / f"{ODD} {LETTERS}"
    project.config["run_table"] = str(project.folder / "config/runs/tiny.tsv")
    result = project.run("data", "--directory", str(folder))
    assert result.returncode == 0, result.stderr[-5000:]
    assert (folder / "results/tiny/data/force_field/index/validation.npy").exists()
    assert not project.results.exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_results_and_parts_of_them_may_be_links_to_other_disks(tmp_path):
    project = short(tiny_study(tmp_path / "project"))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        for place, disk in (("results", Path(scratch)), ("results/tiny/train", tmp_path / "other")):
            (disk / "linked").mkdir(parents=True)
            (project.folder / place).parent.mkdir(exist_ok=True)
            (project.folder / place).symlink_to(disk / "linked")
        result = project.run("evaluate")
        assert result.returncode == 0, result.stderr[-5000:]
        assert Path(scratch, "linked/tiny/tables/evaluation.csv").exists()
        assert (tmp_path / "other/linked/augmented/run.json").exists()
        assert project.planned("evaluate") == {}
