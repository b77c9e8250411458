"""The limits of a cluster: no job asks for more, and what cannot fit is refused with what to change."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from project import tiny, write_study

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.study.limits import RETRIES, check_limits, cuts, retries
from equidyn.study.plan_report import report
from equidyn.study.planning import LIMITS, SAFETY, analyses_of, evaluation_hours, evaluation_parts, plan, resources
from equidyn.study.reading import read_study
from equidyn.study.stages import Study

ROOT = Path(__file__).parents[2]
ANALYSES = cards("equidyn.analysis")
LONGEST = (60, 240, 1440)


@pytest.fixture
def paper(monkeypatch):
    """The paper's study."""
    monkeypatch.chdir(ROOT)
    return read_study(["config/paper.yaml"], ANALYSES)


def limited(config, **limits):
    return config | {"cluster": config["cluster"] | limits}


def refusal(config, runs):
    with pytest.raises(StudyError) as error:
        check_limits(config, runs, ANALYSES, "mine.yaml")
    return str(error.value).splitlines()


@pytest.mark.parametrize("minutes", LONGEST)
def test_no_job_of_the_papers_grid_asks_for_more(paper, minutes):
    config, runs = paper
    limits = {"max_runtime": minutes, "max_memory_mb": 40_000, "max_cpus": 8, "max_gpus": 4}
    config = limited(config, **limits)
    kinds = [(row, kind) for row in runs.values() for kind in ("training", "evaluation")]
    kinds += [(row, card) for row in runs.values() for card in analyses_of(config, row, ANALYSES)]
    assert len(kinds) > 2 * len(runs)
    for row, kind in kinds:
        for attempt in range(1, 7):
            asked = resources(config, row, kind, attempt - 1, attempt - 1)
            for name, limit in LIMITS.items():
                assert 0 < asked[name] <= limits[limit], (row["name"], kind, attempt, name)


def test_other_jobs_are_limited_too(paper):
    study = Study(limited(paper[0], max_runtime=240, max_memory_mb=32_000, max_cpus=4), ANALYSES, "workflow/scripts")
    asked = {"cpus_per_task": 4, "mem_mb": 16_000, "runtime": 240}
    assert study.data_resources("force_field", "store") == asked
    assert study.data_resources("force_field", "store", 1, 0) == asked
    assert study.data_resources("force_field", "store", 0, 1) == asked | {"mem_mb": 32_000}
    assert study.data_resources("force_field", "store", 0, 2) == asked | {"mem_mb": 32_000}
    assert study.limited({"runtime": 100}, 1) == {"runtime": 200}
    assert study.limited({"runtime": 100}, 2) == {"runtime": 240}
    assert study.retries("data") == 5 + RETRIES
    assert Study(paper[0], ANALYSES, "workflow/scripts").retries("data") is None


def test_a_job_that_reads_all_data_and_gets_less_than_it_needs_is_named(paper):
    config, runs = limited(paper[0], max_runtime=60, max_memory_mb=12_000), paper[1]
    assert cuts(limited(paper[0], max_runtime=240, max_memory_mb=16_000)) == cuts(paper[0]) == []
    found = cuts(config)
    assert len(found) == 3 * len(config["data"])
    assert found[2] == (
        "data.force_field: the job for its description may need 240 minutes, and gets 60, cluster.max_runtime: "
        "should it fail, raise that, or make the data elsewhere"
    )
    assert "MB, and gets 12,000, cluster.max_memory_mb: " in " ".join(report(config, runs, ANALYSES).split())


def test_rules_ask_for_nothing_by_themselves():
    """Every amount in a rule goes through what knows the limits, but for one thread and for what an archive has."""
    rules = "\n".join(file.read_text() for file in ROOT.glob("rules/*.smk") if file.name != "archive.smk")
    asked = re.findall(r"^ +(?:mem_mb=|runtime=|gpu=|threads: )(.*)$", rules, re.MULTILINE)
    assert len(asked) > 40
    assert [
        amount
        for amount in asked
        if not amount.removeprefix("workflow.resource_settings.cores or ").startswith("asks_for") and amount != "1"
    ] == []


@pytest.mark.parametrize("minutes", LONGEST)
def test_evaluations_are_cut_to_fit(paper, minutes):
    config, runs = limited(paper[0], max_runtime=minutes), paper[1]
    for row in runs.values():
        parts = evaluation_parts(config, row)
        assert sum(map(len, parts)) == plan(config, row, ANALYSES).checkpoints
        for steps in parts:
            assert len(steps) == 1 or SAFETY * 60 * evaluation_hours(config, row, len(steps)) <= minutes


def test_evaluations_take_an_hour_or_as_many_checkpoints_as_asked_for(paper):
    config, row = paper[0], paper[1]["60M"]
    most = max(map(len, evaluation_parts(config, row)))
    assert evaluation_hours(config, row, most) <= 1 < evaluation_hours(config, row, most + 1)
    config["evaluation"]["checkpoints_per_job"] = 7
    assert {len(part) for part in evaluation_parts(config, row)[:-1]} == {7}
    config["evaluation"]["checkpoints_per_job"] = "all"
    assert len(evaluation_parts(config, row)) == 1
    config["cluster"]["max_runtime"] = 60
    assert len(evaluation_parts(config, row)) > 1


def test_without_a_cluster_nothing_is_cut(paper):
    config, row = paper[0], paper[1]["400M"]
    del config["cluster"]
    config["evaluation"]["checkpoints_per_job"] = "all"
    assert len(evaluation_parts(config, row)) == 1


def test_lack_of_time_raises_time_and_lack_of_memory_memory(paper):
    config, runs = paper
    first, late, large = (resources(config, runs["60M"], "evaluation", *lacked) for lacked in ((0, 0), (2, 0), (0, 2)))
    assert late == first | {"runtime": pytest.approx(3 * first["runtime"], abs=3)}
    assert large == first | {"mem_mb": 3 * first["mem_mb"]}


@pytest.mark.parametrize("minutes", LONGEST)
def test_work_goes_on_for_as_many_jobs_as_it_takes(paper, minutes):
    """Twice the estimate, as planned, in jobs that each lose some time before they begin."""
    config, runs = limited(paper[0], max_runtime=minutes), paper[1]
    needed = max(SAFETY * 60 * plan(config, row, ANALYSES).hours / minutes for row in runs.values())
    assert needed < retries(config, runs, ANALYSES, "training") - RETRIES + 1 < 1.2 * needed + 1
    assert minutes == 1440 or retries(config, runs, ANALYSES, "analysis") > RETRIES


def test_a_chain_of_ten_jobs_of_a_minute(paper):
    config, runs = paper
    row = runs["1M"]
    config["training"]["state_every"] = 10
    row["steps"] = round(row["steps"] * 5 / 60 / plan(config, row, ANALYSES).hours)
    config["training"]["compile"] = False
    config["cluster"]["max_runtime"] = 1
    assert retries(config, {"1M": row}, ANALYSES, "training") >= 10 + RETRIES


def test_the_profile_decides_about_work_that_fits(paper):
    config, runs = paper
    assert yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text("utf-8"))["retries"] == RETRIES
    assert retries(config, {"1M": runs["1M"]}, ANALYSES, "training") is None
    assert retries(config, runs, ANALYSES, "evaluation") is None
    assert retries(config, runs, ANALYSES, "training") > RETRIES
    del config["cluster"]
    assert retries(config, runs, ANALYSES, "training") is None, "nothing ends jobs where there is no cluster"


class TestRefused:
    """Studies that do not fit."""

    @pytest.mark.parametrize("minutes", LONGEST)
    def test_the_papers_study_is_not(self, paper, minutes):
        check_limits(limited(paper[0], max_runtime=minutes), paper[1], ANALYSES, "paper")

    def test_an_analysis_of_which_a_single_step_is_too_long(self, paper):
        config, runs = limited(paper[0], max_runtime=15), paper[1]
        config["analysis"] = {name: config["analysis"][name] for name in ("hessian", "landscape")}
        config["analysis"]["landscape"]["force_field"]["examples"] *= 32
        found = [line for line in refusal(config, runs) if "analysis" in line]
        assert len(found) == 2
        for line, name in zip(found, ("hessian", "landscape"), strict=True):
            assert f"run 'default', analysis.{name}.force_field: a step must fit into a job: " in line
            assert f"cluster.max_runtime is 15; lower analysis.{name}.force_field.examples or rotations" in line
            config["analysis"][name]["force_field"]["examples"] //= 32
        assert not [line for line in refusal(config, runs) if "analysis" in line]

    def test_an_evaluation_whose_single_checkpoint_is_too_long(self, paper):
        config, runs = limited(paper[0], max_runtime=15), paper[1]
        config["analysis"] = {}
        (found,) = [line for line in refusal(config, runs) if "evaluation" in line]
        assert found.startswith("mine.yaml: run '400M', evaluation.flow_matching: a checkpoint must fit into a job: ")
        assert found.endswith("cluster.max_runtime is 15; lower evaluation.flow_matching.examples or rotations")

    def test_a_training_that_saves_its_state_too_rarely(self, paper):
        config, runs = paper
        config["training"]["state_every"] = 10**6
        config["cluster"]["max_runtime"] = 600
        (found,) = [line for line in refusal(config, runs) if "7M" in line and "28M" not in line]
        assert found.startswith("mine.yaml: run '7M', training.voxel_denoising: 1,000,000 steps must fit into a job: ")
        assert found.endswith("lower training.state_every")

    def test_more_gpus_than_a_job_may_have(self, paper):
        found = refusal(limited(paper[0], max_gpus=2), paper[1])
        assert found[0] == (
            "mine.yaml: run '400M', training.flow_matching: 4 GPUs, but cluster.max_gpus is 2; lower training.devices"
        )
        assert len(found) == 6

    def test_more_memory_than_a_node_has(self, paper):
        found = refusal(limited(paper[0], max_memory_mb=31_000), paper[1])
        assert len(found) == 1
        assert found[0].startswith(
            "mine.yaml: run '400M', training.flow_matching: 31,951 MB, but cluster.max_memory_mb"
        )
        assert found[0].endswith("is 31,000; lower training.devices or training.flow_matching.microbatch")
        found = refusal(limited(paper[0], max_memory_mb=6_000), paper[1])
        assert any("analysis.gradients.force_field: " in line for line in found)
        assert all(line.split("; lower ")[1].endswith((".microbatch", ".batch_size or folds")) for line in found)

    def test_when_a_study_is_read_unless_it_is_archived(self, tmp_path, monkeypatch, paper):
        monkeypatch.chdir(tmp_path)
        config, rows = deepcopy(tiny())
        config["cluster"] = limited(paper[0], max_gpus=1)["cluster"]
        config["training"]["devices"] = 2
        write_study(tmp_path, config, rows)
        with pytest.raises(StudyError, match=r"tiny\.yaml: run 'augmented', .* cluster\.max_gpus is 1; lower"):
            read_study(["config/tiny.yaml"], ANALYSES)
        write_study(tmp_path, config | {"archive": True}, rows)
        read_study(["config/tiny.yaml"], ANALYSES)
