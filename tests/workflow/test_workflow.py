"""The workflow, run for real on a tiny study in a temporary copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from project import tiny_study

from equidyn.report.rendering import vega

pytestmark = pytest.mark.workflow

KINDS = ("rows", "examples")

BLOCKED = """
import traceback
# Snakemake loads all of its plugins, and the one for SLURM asks for pandas.
if not any("snakemake_executor_plugin" in frame.filename for frame in traceback.extract_stack()):
    raise RuntimeError(f"{__name__} was imported")
__getattr__ = lambda name: object
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose study has run once, completely, which takes minutes: tests that need it are slow."""
    project = tiny_study(tmp_path_factory.mktemp("finished"))
    result = project.run()
    assert result.returncode == 0, result.stderr[-5000:] + result.stdout[-2000:]
    return project


@pytest.fixture
def edited(finished, tmp_path):
    """The finished project, whose library, scripts and registry are restored after the test."""
    parts = ("src", "workflow", "config")
    for part in parts:
        shutil.copytree(finished.folder / part, tmp_path / part)
    yield finished
    for part in parts:
        shutil.rmtree(finished.folder / part)
        (tmp_path / part).rename(finished.folder / part)


@pytest.fixture
def fresh(tmp_path):
    """A project that has not run."""
    return tiny_study(tmp_path)


@contextmanager
def truncated(file: Path, size: int):
    """Cut a file to some bytes, and make it whole again."""
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    try:
        yield
    finally:
        file.write_bytes(whole)


@contextmanager
def moved(file: Path):
    """Take a file away, and put it back."""
    elsewhere = file.rename(file.with_name(f"{file.name}.elsewhere"))
    try:
        yield
    finally:
        elsewhere.rename(file)


def forbid(folder: Path, *names: str):
    """Packages in a folder that fail when they are imported."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(BLOCKED)


@pytest.mark.slow
class TestFinishedStudy:
    """What a complete run leaves behind."""

    def test_everything_is_there(self, finished):
        table = pd.read_parquet(finished.results / "tables/evaluation.parquet")
        assert set(table["run"]) == {"augmented", "fewer", "proteins", "voxels"}
        voxels = table[table["run"] == "voxels"]
        assert (voxels.groupby(["step", "weights"])["comparison"].agg(set) == {"voxels", "trilinear", "atoms"}).all()
        floors = pd.read_csv(finished.results / "tables/floors/voxel_denoising.csv").set_index("comparison")
        assert floors.loc["voxels", "relative_error"] < 1e-10 < floors.loc["trilinear", "relative_error"]
        proteins = table[table["run"] == "proteins"]
        assert (proteins.groupby(["step", "weights"])["t"].agg(set) == {0.0, 0.9}).all()
        assert table.loc[table["task"] == "force_field", "t"].isna().all()
        minima = pd.read_csv(finished.results / "tables/minima.csv")
        assert set(minima["run"]) == set(table["run"])
        assert set(table["step"]) == {0, 2, 6}
        assert set(table["weights"]) == {"raw", "ema"}
        assert (table.loc[table["comparison"].isin(["vectors", "voxels"]), "floor_control"] < 1e-8).all()
        for run in ("augmented", "fewer"):
            rows = pd.read_parquet(finished.results / f"tables/runs/{run}.parquet")
            assert len(rows) == 6
            examples = pd.read_parquet(finished.results / f"tables/examples/{run}.parquet")
            sums = examples.groupby(["step", "weights", "estimator"])[["equivariance", "total"]].sum()
            percent = 100 * sums["equivariance"] / sums["total"]
            expected = rows.set_index(["step", "weights", "estimator"])["percent"]
            pd.testing.assert_series_equal(percent.sort_index(), expected.sort_index(), check_names=False)
            clusters = pd.read_parquet(finished.results / f"tables/clusters/{run}.parquet")
            sums = clusters.groupby(["step", "weights", "estimator"])[["equivariance", "total"]].sum().astype(float)
            percent = 100 * sums["equivariance"] / sums["total"]
            pd.testing.assert_series_equal(percent.sort_index(), expected.sort_index(), check_names=False, rtol=1e-5)
        for kind in ("gradients", "head", "hessian", "landscape", "angles", "spectrum", "averages", "layers"):
            rows = pd.read_parquet(finished.results / f"tables/{kind}/force_field.parquet")
            assert set(rows["run"]) == {"augmented"}
            assert rows[["percent", "skill", "unit"]].notna().all(axis=None)
            assert (finished.results / f"tables/{kind}/force_field.csv").exists()
        costs = pd.read_csv(finished.results / "tables/costs.csv").set_index("run")
        assert set(costs.index) == set(table["run"])
        assert (costs[["seconds", "step_flops"]] > 0).all(axis=None)
        manifest = json.loads((finished.results / "manifest.json").read_text())
        assert set(manifest["runs"]) == set(table["run"])
        assert all(run["evaluation_seconds"] > 0 for run in manifest["runs"].values())
        claims = pd.read_csv(finished.results / "tables/claims.csv")
        assert {"force_field", "flow_matching", "voxel_denoising"} == set(claims["task"])
        head = pd.read_parquet(finished.results / "tables/head/force_field.parquet")
        assert (head["predicted"] / head["measured"] - 1).abs().max() < 1e-2
        split = pd.read_parquet(finished.results / "tables/gradients/flow_matching.parquet")
        assert set(split["t"]) == {0.9}
        for task in ("force_field", "flow_matching", "voxel_denoising"):
            audit = pd.read_parquet(finished.results / f"tables/orientation/{task}.parquet")
            assert {"train", "validation"} == set(audit["side"])
            figures = {file.suffix for file in (finished.results / "figures" / task).iterdir()}
            assert {".png", ".pdf", ".svg", ".csv"} <= figures
        assert all("+" in folder.name for folder in (finished.results / "state").iterdir()), "no finished training"

    def test_report_holds_the_figures_and_needs_no_network(self, finished):
        page = (finished.results / "report.html").read_text(encoding="utf-8")
        figures = [file.relative_to(finished.results / "figures") for file in finished.results.glob("figures/*/*.png")]
        assert len(figures) > 30
        for figure in figures:
            assert f'id="figure-{figure.parent}-{figure.stem}"' in page
        linked = re.findall(r"href=[\"'](figures/[^\"']*)", page)
        assert len(linked) >= 2 * len(figures), "data, and other formats"
        assert all((finished.results / link).is_file() for link in linked)
        assert not re.search(r"(src|href)=[\"'](?!#|data:|figures/)", page.replace(vega(), ""))

    def test_second_run_does_nothing(self, finished):
        assert finished.planned() == {}

    def test_times_of_files_mean_nothing(self, finished):
        for part in ("src", "workflow", "rules", "config", "results/tiny/data", "results/tiny/tables/runs"):
            for path in [finished.folder / part, *(finished.folder / part).rglob("*")]:
                path.touch()
        assert finished.planned() == {}

    def test_a_copy_of_the_results_is_as_good(self, finished, tmp_path):
        copy = tiny_study(tmp_path / "copy")
        shutil.copytree(finished.results, copy.results, ignore=shutil.ignore_patterns("train", "evaluate"))
        for path in (copy.results / "data").rglob("*"):
            path.touch()
        assert copy.planned() == {}

    def test_what_decides_nothing_here_reruns_nothing(self, edited):
        edited.edit("workflow/scripts/train_network.py", '"""Train one', '"""Fit one')
        edited.edit("src/equidyn/run/recipe.py", 'description="Peak learning rate."', 'description="Largest rate."')
        edited.edit("src/equidyn/study/planning.py", "SAFETY = 2.0", "SAFETY = 3.0")
        edited.edit("src/equidyn/models/escaip/configurations.toml", "[", "[escaip-mine]\nparameters = 1\n\n[")
        edited.edit("config/downloads.tsv", "2026-", "2025-")
        sources, analyses = (edited.folder / f"src/equidyn/{floor}" for floor in ("data/sources", "analysis"))
        shutil.copytree(sources / "spice", sources / "added")
        edited.edit("src/equidyn/data/sources/added/card.py", 'source="spice"', 'source="added"')
        shutil.copytree(analyses / "head", analyses / "added")
        edited.edit("src/equidyn/analysis/added/card.py", 'name="head"', 'name="added"')
        assert edited.planned() == {}

    def test_a_script_reruns_its_stage_and_what_follows(self, edited):
        edited.edit("workflow/scripts/evaluate_checkpoints.py", "import torch\n", "import torch\n\n    print(torch)\n")
        planned = edited.planned()
        assert planned["evaluate_checkpoints"] == 8
        assert not planned.keys() & {"make_store", "split_store", "train_network", "analyse_checkpoints"}
        assert {"gather_run", "gather_tables", "judge_claims", "draw_figure", "write_report"} <= planned.keys()

    def test_a_comment_or_docstring_reruns_nothing(self, edited):
        edited.edit("src/equidyn/figures/parts/style.py", '"""', '"""Edited. ')
        edited.edit("src/equidyn/models/escaip/network.py", '"""', '"""Edited. ')
        edited.edit("src/equidyn/core/decomposition.py", "import numpy as np\n", "import numpy as np  # a comment\n")
        assert edited.planned() == {}

    def test_the_figure_style_redraws_figures_only(self, edited):
        with (edited.folder / "src/equidyn/figures/parts/style.py").open("a") as stream:
            stream.write("\nEXTRA = 1\n")
        assert edited.planned().keys() == {"draw_figure", "write_report"}

    def test_a_title_redraws_its_figure_and_the_report_only(self, edited):
        edited.edit("src/equidyn/figures/families/curvature/card.py", "Eigenvalues of the Hessian", "Eigenvalues")
        assert edited.planned() == {"draw_figure": 1, "write_report": 1}

    def test_a_new_family_draws_its_own_figures_only(self, edited):
        families = edited.folder / "src/equidyn/figures/families"
        shutil.copytree(families / "summary", families / "added")
        edited.edit("src/equidyn/figures/families/added/card.py", 'name="summary"', 'name="added"')
        edited.edit("src/equidyn/figures/families/added/card.py", '"summary",', '"again",')
        edited.edit("src/equidyn/figures/families/added/draw.py", "def summary(", "def again(")
        assert edited.planned() == {"draw_figure": 1, "write_report": 1}

    def test_the_estimator_reruns_evaluation_and_figures(self, edited):
        edited.edit("src/equidyn/core/decomposition.py", "ESTIMATOR_VERSION = 2", "ESTIMATOR_VERSION = 3")
        measured = {"evaluate_checkpoints", "measure_floors", "analyse_checkpoints", "gather_analysis"}
        gathered = {"gather_run", "gather_tables", "write_manifest", "judge_claims"}
        assert edited.planned().keys() == measured | gathered | {"draw_figure", "write_report"}

    def test_an_analysis_reruns_alone(self, edited):
        edited.edit("src/equidyn/analysis/angles/measure.py", "LOCAL_ANGLE = 1e-3", "LOCAL_ANGLE = 2e-3")
        planned = edited.planned()
        assert planned["analyse_checkpoints"] == 1
        assert planned.keys() == {
            "analyse_checkpoints",
            "gather_analysis",
            "judge_claims",
            "draw_figure",
            "write_report",
        }

    def test_the_model_reruns_training(self, edited):
        edited.edit("src/equidyn/models/escaip/network.py", "GAUSSIAN_REACH = 6.0", "GAUSSIAN_REACH = 6.5")
        planned = edited.planned().keys()
        assert {"train_network", "evaluate_checkpoints", "draw_figure"} <= planned
        assert not planned & {"make_store", "split_store", "draw_subset"}

    def test_the_size_of_batches_measures_nothing_again(self, finished):
        size = finished.config["evaluation"]["force_field"].pop("batch_size")
        try:
            planned = finished.planned()
        finally:
            finished.config["evaluation"]["force_field"]["batch_size"] = size
        assert planned.keys() == {"write_config", "write_manifest", "write_report"}

    def test_another_row_adds_its_own_jobs(self, finished):
        finished.rows.append(finished.rows[0] | {"name": "second-seed", "seed": "1"})
        try:
            planned = finished.planned("train")
        finally:
            finished.rows.pop()
        assert planned["train_network"] == 1


class TestWithoutSnakemake:
    """`equidyn run`, beside the finished study."""

    @staticmethod
    def run(project, *names):
        """Run it in a project; what is said, and the exit status."""
        project.write()
        return subprocess.run(
            [sys.executable, "-m", "equidyn.cli", "run", *names, "--config", project.config_file],
            cwd=project.folder,
            env=os.environ | {"PYTHONPATH": str(project.folder / "src")},
            capture_output=True,
            text=True,
            check=False,
        )

    @pytest.mark.slow
    def test_same_files_and_numbers(self, finished, fresh):
        first = self.run(fresh, "fewer", "augmented")
        assert first.returncode == 0, first.stderr
        for name in (name for name, tasks in fresh.config["analysis"].items() if "force_field" in tasks):
            table = f"analyse/{name}/augmented.parquet"
            pd.testing.assert_frame_equal(
                pd.read_parquet(fresh.results / table), pd.read_parquet(finished.results / table), rtol=1e-9
            )
        for kind in ("runs", "examples", "clusters"):
            name = f"tables/{kind}/fewer.parquet"
            pd.testing.assert_frame_equal(
                pd.read_parquet(fresh.results / name), pd.read_parquet(finished.results / name)
            )
        assert self.run(fresh, "fewer").stdout.splitlines() == ["run fewer: is finished"]
        folder = fresh.results.relative_to(fresh.folder)
        assert "gather_run" not in fresh.planned(f"{folder}/tables/runs/fewer.parquet")
        assert not fresh.planned(f"{folder}/analyse/head/augmented.parquet")

        fresh.config["evaluation"]["rotations"] = 3
        anew = [line for line in self.run(fresh, "fewer").stdout.splitlines() if not line.endswith("is there")]
        assert [line.split()[0] for line in anew] == ["evaluate_checkpoints", "evaluate_checkpoints", "gather_run"]

    def test_mistakes_are_named(self, fresh):
        found = self.run(fresh, "nobody")
        assert found.returncode == 1
        assert "config/runs/tiny.tsv: no run 'nobody'; its runs: augmented, fewer" in found.stderr


@pytest.mark.slow
class TestBadCheckpoint:
    """A checkpoint that is damaged costs itself only, and what was found of the others is not found again."""

    def test_others_are_kept(self, finished):
        parts = [finished.results / f"evaluate/augmented/{part}.{kind}.parquet" for part in (0, 1) for kind in KINDS]
        made = [*parts, finished.results / "analyse/head/augmented.parquet"]
        tables = [f"tables/{kind}/augmented.parquet" for kind in ("runs", "examples", "clusters")]
        tables = [finished.results / name for name in (*tables, "tables/head/force_field.parquet")]
        before = {file: file.read_bytes() for file in (*made, *tables)}
        targets = [str(file.relative_to(finished.folder)) for file in tables]
        for file in before:
            file.unlink()
        shutil.rmtree(finished.results / "state")
        bad = finished.results / "train/augmented/raw/00000002.safetensors"
        with truncated(bad, 1000):
            result = finished.run("--keep-going", *targets)
        said = result.stderr + result.stdout
        assert result.returncode != 0
        assert "1 of 4 checkpoints cannot be used" in said, "of the part of two steps"
        assert "1 of 3 checkpoints cannot be used" in said, "of the analysis, of raw weights alone"
        remedy = "restore the file, or delete results/tiny/train/augmented and train the run again"
        assert re.search(rf"{bad.relative_to(finished.folder)}: damaged or truncated \(.*\): {remedy}", said)
        kept = {folder.name.partition("-")[0]: folder for folder in (finished.results / "state").iterdir()}
        assert {name: len(list(folder.glob("*.parquet"))) for name, folder in kept.items()} == {
            "augmented+evaluation": 4,  # raw and averaged weights are equal before the first step
            "augmented+head": 2,
        }
        assert finished.run(*targets).returncode == 0
        assert {file: file.read_bytes() for file in before} == before

    def test_jobs_divided_anew_find_nothing_again(self, finished):
        files = {file: file.stat().st_mtime_ns for file in (finished.results / "state").glob("*/*.parquet")}
        tables = {name: (finished.results / f"tables/{name}").read_bytes() for name in ("evaluation.csv", "minima.csv")}
        per_job = finished.config["evaluation"]["checkpoints_per_job"]
        finished.config["evaluation"]["checkpoints_per_job"] = "all"
        try:
            assert finished.planned("evaluate")["evaluate_checkpoints"] > 0
            assert finished.run("evaluate").returncode == 0
        finally:
            finished.config["evaluation"]["checkpoints_per_job"] = per_job
        for file, time in files.items():
            assert file.stat().st_mtime_ns == time
        assert finished.run("evaluate").returncode == 0, "divided as before"
        for name, content in tables.items():
            assert (finished.results / f"tables/{name}").read_bytes() == content


@pytest.fixture(scope="module")
def archived(finished, tmp_path_factory):
    """What is published of the finished study, in a fresh copy of the project in which PyTorch cannot be imported."""
    project = tiny_study(tmp_path_factory.mktemp("archived"))
    for name in ("tables", "config.yaml", "manifest.json"):
        source = finished.results / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project.results / name)
    return project


@pytest.mark.slow
class TestArchive:
    """Published tables are enough to draw everything again."""

    ARCHIVE = ("--config", "archive=True")

    def test_draws_all_figures_as_they_were(self, finished, archived, tmp_path):
        forbid(tmp_path, "torch", "rdkit", "tblite", "gemmi", "mdtraj", "safetensors")
        result = archived.run("figures", "report", *self.ARCHIVE, path=str(tmp_path))
        assert result.returncode == 0, result.stderr[-5000:]
        figures = {file.relative_to(finished.results): file for file in finished.results.glob("figures/**/*.*")}
        assert len(figures) > 150
        shown = [line for line in result.stderr.splitlines() if not line.startswith("figures:")]
        jobs = [line.split(maxsplit=1)[1] for line in shown if " done " in line]
        counts, told = zip(*(job.split(" of 4 done  ") for job in jobs), strict=True)
        assert set(told) == {"Drawing all figures", "Writing the report", "figures", "report"}
        assert list(counts) == sorted(counts)
        assert len(shown) < 20, result.stderr
        for name, file in figures.items():
            redrawn = archived.results / name
            if file.suffix == ".csv":  # another process may round the last digit otherwise
                pd.testing.assert_frame_equal(pd.read_csv(redrawn), pd.read_csv(file), rtol=1e-9)
            else:
                assert redrawn.read_bytes() == file.read_bytes(), name
        assert (archived.results / "report.html").read_bytes() == (finished.results / "report.html").read_bytes()

    def test_has_no_rule_that_makes_anything_anew(self, archived):
        planned = archived.planned("--forceall", "all", *self.ARCHIVE)
        assert planned.keys() == {"judge_claims", "redraw_figures", "write_report"}
        assert archived.run("--dry-run", "train", *self.ARCHIVE).returncode != 0

    def test_one_figure_is_drawn_alone(self, archived):
        file = "results/tiny/figures/force_field/losses.png"
        assert archived.planned("--forceall", file, *self.ARCHIVE) == {"redraw_figures": 1}
        others = {path: path.stat().st_mtime_ns for path in archived.results.glob("figures/*/*.png")}
        (archived.results / "figures/force_field/losses.png").unlink()
        assert archived.run(file, *self.ARCHIVE).returncode == 0
        redrawn = {path for path, time in others.items() if path.stat().st_mtime_ns != time}
        assert redrawn == {archived.results / "figures/force_field/losses.png"}

    def test_another_table_gives_other_claims(self, archived):
        file = archived.results / "tables/clusters/augmented.parquet"
        kept, before = file.read_bytes(), pd.read_csv(archived.results / "tables/claims.csv")
        clusters = pd.read_parquet(file)
        clusters.assign(equivariance=clusters["equivariance"] / 1e6).to_parquet(file)
        try:
            result = archived.run("judge_claims", *self.ARCHIVE)
            assert result.returncode == 0, result.stderr[-5000:]
            after = pd.read_csv(archived.results / "tables/claims.csv")
        finally:
            file.write_bytes(kept)
        chosen = (after["claim"] == "falls_below_2_percent") & (after["task"] == "force_field") & after["value"].notna()
        assert chosen.any()
        assert (after.loc[chosen, "value"] < before.loc[chosen, "value"]).all()

    def test_a_missing_table_is_named(self, archived):
        file = archived.results / "tables/evaluation.parquet"
        with moved(file):
            result = archived.run("figures", *self.ARCHIVE)
        assert result.returncode != 0
        assert "results/tiny/tables/evaluation.parquet is missing (" in result.stderr + result.stdout


class TestBadInput:
    """Mistakes end early, with the place and the remedy."""

    @pytest.mark.parametrize(
        ("mistake", "expected"),
        [
            (
                lambda p: p.config["training"]["force_field"].update(clipp=1.0),
                r"config/tiny\.yaml.*training\.force_field\.clipp: unknown key; did you mean 'clip'",
            ),
            (lambda p: p.rows.append(p.rows[0]), r"tiny\.tsv, row 5 \(augmented\): the name appears twice"),
            (
                lambda p: p.config["analysis"]["head"]["force_field"].update(steps=[6, 7]),
                r"analysis\.head\.force_field\.steps: run 'augmented' keeps no step 7; it keeps \[0, 2, 6\]",
            ),
        ],
        ids=["configuration", "run table", "analyses"],
    )
    def test_the_workflow_reads_the_study_as_the_library(self, fresh, mistake, expected):
        """All mistakes are in tests/study/test_mistakes.py; here, one that each step of reading finds."""
        mistake(fresh)
        result = fresh.run("--dry-run")
        assert result.returncode != 0
        assert re.search(expected, result.stderr + result.stdout, re.DOTALL), result.stderr[-2000:]

    @pytest.mark.slow
    def test_a_subset_larger_than_the_data(self, finished):
        kept = finished.config["data"]["force_field"]["subsets"]
        finished.config["data"]["force_field"]["subsets"] = kept | {"huge": 10**6}
        try:
            result = finished.run("data")
        finally:
            finished.config["data"]["force_field"]["subsets"] = kept
        assert result.returncode != 0
        assert re.search(r"subset 'huge': size 1000000 exceeds", result.stderr + result.stdout)

    @pytest.mark.slow
    def test_a_truncated_checkpoint(self, finished):
        checkpoint = finished.results / "train/augmented/raw/00000006.safetensors"
        with truncated(checkpoint, checkpoint.stat().st_size // 2):
            result = finished.run("results/tiny/evaluate/augmented/1.rows.parquet", "--force")
        assert result.returncode != 0
        assert re.search(r"00000006\.safetensors: damaged or truncated", result.stderr + result.stdout)
        assert finished.run("evaluate").returncode == 0, "whole again, the study finishes"

    @pytest.mark.slow
    def test_a_corrupted_store(self, finished):
        file = finished.results / "data/force_field/store/forces.npy"
        with truncated(file, file.stat().st_size - 8):
            result = finished.run("results/tiny/train/fewer", "--force")
        assert result.returncode != 0
        assert re.search(r"forces\.npy: found .*; expected .*To repair", result.stderr + result.stdout)
        assert finished.run("train").returncode == 0, "whole again, the study finishes"


class TestParsing:
    """Reading the workflow costs little."""

    def test_needs_neither_torch_nor_pandas_nor_matplotlib(self, fresh, tmp_path):
        forbid(tmp_path / "blocked", "torch", "pandas", "matplotlib", "rdkit", "gemmi", "mdtraj")
        result = fresh.run("--dry-run", path=str(tmp_path / "blocked"))
        assert result.returncode == 0, result.stderr[-2000:]

    def test_targets_exist(self, fresh):
        result = fresh.run("--dry-run", "all", "data", "train", "evaluate", "analyse", "figures", "report")
        assert result.returncode == 0, result.stderr[-2000:]

    def test_small_runs_share_a_gpu(self, fresh):
        fresh.config["training"]["device"] = "cuda"
        fresh.rows.append(fresh.rows[0] | {"name": "large", "model": "escaip-6M", "batch_size": "2000"})
        for file, message in (("train", "Training {wildcards.run}"), ("evaluate", "Evaluating {wildcards.run}, part")):
            fresh.edit(
                f"rules/{file}.smk", f'    message:\n        "{message}', "    # "
            )  # to be told of resources instead
        dry = fresh.run("--dry-run", "evaluate", "--forceall").stdout
        jobs = {}
        for job in dry.split("\nrule ")[1:]:
            run, asked = re.search(r"wildcards: run=([^,\n]*)", job), re.search(r"resources: (.*)", job)
            if run and "gpu_share" in asked[1]:
                jobs[job.partition(":")[0], run[1]] = dict(pair.split("=") for pair in asked[1].split(", "))
        shares = {job: int(asked["gpu_share"]) for job, asked in jobs.items()}
        assert shares["train_network", "large"] == 100
        assert shares["train_network", "augmented"] + shares["train_network", "fewer"] < 20
        assert shares["evaluate_checkpoints", "augmented"] < 20
        assert {asked["gpu"] for asked in jobs.values()} == {"1"}, "as clusters count them"

    def test_lint(self, fresh):
        result = fresh.run("--lint")
        assert result.returncode == 0, result.stdout + result.stderr
