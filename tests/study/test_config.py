"""Studies: what of a configuration is checked beyond its sections, and what is made of it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from equidyn.core.marked import renewed
from equidyn.core.rooms import cards
from equidyn.run.recipe import Run
from equidyn.study.choice import choice_of
from equidyn.study.config import (
    StudyError,
    analysis_arguments,
    analysis_protocol,
    analysis_steps,
    check_analyses,
    check_config,
    conditions,
    protocol,
    read_runs,
    recipe,
)
from equidyn.study.reference import schema, tables
from equidyn.tasks.registry import task_card

ANALYSES = cards("equidyn.analysis")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def test_default_configuration_is_valid(config):
    check_config(config, ANALYSES)


@pytest.mark.parametrize("section", ["training", "evaluation"])
def test_a_task_with_data_needs_its_settings(config, section):
    del config[section]["flow_matching"]
    with pytest.raises(StudyError, match=rf"mine: {section}\.flow_matching: missing, although data\.flow_matching is"):
        check_config(config, ANALYSES, "mine")


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/etc", "..", "<b>", "$x$", "a b", "a\nb", "a\n", "{run}", "-x", "", "é"]
)
def test_names_that_lead_elsewhere_are_refused(config, name):
    with pytest.raises(StudyError, match=r"study: found .* should match pattern"):
        check_config(config | {"study": name}, ANALYSES)
    config["data"]["force_field"]["subsets"][name] = 5
    with pytest.raises(StudyError, match=r"(?s)data\.force_field\.subsets.* should match pattern"):
        check_config(config, ANALYSES)
    row = {"task": "force_field", "model": "escaip-tiny", "train_subset": "all", "batch_size": 1, "steps": 1}
    row |= {"optimiser": "adamw", "lr": 1.0, "augmentation": 0.0, "seed": 0}
    assert Run(name="a", **row)
    with pytest.raises(ValidationError, match="should match pattern"):
        Run(name=name, **row)


def test_a_folder_belongs_to_the_source_files(config):
    config["data"]["flow_matching"]["folder"] = "structures"
    with pytest.raises(StudyError, match=r"data\.flow_matching\.folder: unknown key; known keys: min_length"):
        check_config(config, ANALYSES)
    config["data"]["flow_matching"]["source"] = "files"
    check_config(config, ANALYSES)


def test_conditions_are_all_combinations():
    pairs = [{"group": "SO(3)", "comparison": "vectors"}, {"group": "O(3)", "comparison": "vectors"}]
    assert conditions(pairs, {}) == pairs
    found = conditions(pairs, {"t": [0.0, 0.9], "self_conditioning": [False, True]})
    assert len(found) == 8
    assert found[1] == pairs[0] | {"t": 0.0, "self_conditioning": True}
    assert found[4] == pairs[1] | {"t": 0.0, "self_conditioning": False}
    assert {tuple(c) for c in found} == {("group", "comparison", "t", "self_conditioning")}


def test_figures_show_the_usual_comparison(config):
    def shown(task):
        choice = choice_of(config, task)
        return choice.group, choice.comparison

    assert shown("force_field") == ("SO(3)", None)
    assert shown("voxel_denoising") == ("SO(3)", "trilinear")
    config["evaluation"]["voxel_denoising"]["symmetries"] = [{"group": "cube", "comparison": "voxels"}]
    assert shown("voxel_denoising") == ("cube", "voxels")


@pytest.mark.parametrize(
    ("task", "group", "comparison", "expected"),
    [
        ("force_field", "SO(2)", "vectors", r"unknown group 'SO\(2\)'; known groups: SO\(3\), O\(3\), cube, trans"),
        (
            "voxel_denoising",
            "SO(3)",
            "voxels",
            r"'SO\(3\)' does not allow the comparison 'voxels'; those that do: cube",
        ),
        ("voxel_denoising", "translations", "atoms", "'translations' does not allow the comparison 'atoms'"),
    ],
)
def test_groups_must_exist_and_allow_the_comparison(config, task, group, comparison, expected):
    config["evaluation"][task]["symmetries"] = [{"group": group, "comparison": comparison}]
    with pytest.raises(StudyError, match=rf"evaluation\.{task}\.symmetries\[0\]: .*{expected}"):
        check_config(config, ANALYSES)


def test_the_group_that_augments_must_exist(config):
    config["training"]["force_field"]["group"] = "O(3)"
    check_config(config, ANALYSES)
    config["training"]["force_field"]["group"] = "O(2)"
    with pytest.raises(StudyError, match=r"training\.force_field\.group: unknown group 'O\(2\)'; known groups"):
        check_config(config, ANALYSES)


def test_the_group_that_augments_must_fit_the_task(config):
    config["training"]["voxel_denoising"]["group"] = "translations"
    with pytest.raises(StudyError, match=r"training\.voxel_denoising\.group: .* cannot use the group 'translations'"):
        check_config(config, ANALYSES)


def test_a_task_is_augmented_by_its_usual_group(config, monkeypatch):
    monkeypatch.chdir(ROOT)
    row = read_runs(config["run_table"], config)["augmented"]
    assert recipe(config, row)["group"] == "SO(3)"
    monkeypatch.setattr("equidyn.study.config.task_card", lambda task: replace(task_card(task), group="O(3)"))
    assert recipe(config, row)["group"] == "O(3)"
    config["training"]["force_field"]["group"] = "cube"
    assert recipe(config, row)["group"] == "cube"


@pytest.mark.parametrize(
    "place",
    [
        ("downloads",),
        ("cluster",),
        ("analysis", "head"),
        ("analysis", "head", "force_field"),
        ("evaluation", "force_field", "symmetries"),
        ("training", "force_field", "precision"),
        ("data", "force_field"),
    ],
    ids=".".join,
)
def test_empty_keys_are_named(config, place):
    section = config
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = None
    with pytest.raises(StudyError, match=rf"config: {re.escape('.'.join(place))}: empty; give it a value"):
        check_config(config, ANALYSES)


def test_recipes_of_data_may_have_empty_keys(config):
    config["data"]["voxel_denoising"]["max_radius"] = None
    check_config(config, ANALYSES)


class TestAnalyses:
    """What analyses ask for must be there."""

    @pytest.fixture
    def runs(self, config):
        return read_runs(ROOT / config["run_table"], config)

    def test_of_the_default_study_can_be_made(self, config, runs):
        check_analyses(config, runs, ANALYSES)

    def test_of_a_task_without_runs_are_left_out(self, config, runs):
        runs = {name: row for name, row in runs.items() if row["task"] != "voxel_denoising"}
        check_analyses(config, runs, ANALYSES)

    @pytest.mark.parametrize(
        ("analysis", "task", "change", "expected"),
        [
            (
                "head",
                "force_field",
                {"runs": ["augmented", "nobody"]},
                "runs: 'nobody' is not a run of this task; its runs",
            ),
            ("head", "force_field", {"runs": ["augmented", "voxels"]}, "runs: 'voxels' is not a run of this task"),
            ("head", "force_field", {"runs": ["larger"]}, "figures show the baseline: add 'augmented'"),
            ("landscape", "force_field", {"steps": [317]}, "run 'augmented' keeps no step 317; it keeps"),
            (
                "layers",
                "voxel_denoising",
                {"symmetries": [{"group": "SO(3)", "comparison": "cubic"}]},
                r"'cubic' under 'SO\(3\)' is not evaluated: add it to evaluation.voxel_denoising.symmetries",
            ),
            ("layers", "voxel_denoising", {"conditions": {"t": [0.5]}}, "conditions.t: 0.5 is not evaluated"),
            (
                "layers",
                "voxel_denoising",
                {"symmetries": [{"group": "SO(3)", "comparison": "atoms"}]},
                r"cannot use 'atoms' under 'SO\(3\)': features of a network",
            ),
        ],
    )
    def test_mistakes_are_named(self, config, runs, analysis, task, change, expected):
        config["analysis"][analysis][task] |= change
        with pytest.raises(StudyError, match=rf"analysis\.{analysis}\.{task}.*{expected}"):
            check_analyses(config, runs, ANALYSES)

    def test_steps_are_some_or_all_of_those_kept(self, config, runs):
        config["training"]["checkpoint_steps"] = [0, 3]
        assert analysis_steps(config, "head", runs["augmented"]) == [0, 3, 1000]
        config["analysis"]["head"]["force_field"]["steps"] = [1000, 0]
        assert analysis_steps(config, "head", runs["augmented"]) == [0, 1000]

    def test_the_protocol_is_the_evaluation_s_but_for_what_the_analysis_says(self, config, runs):
        row = runs["proteins"]
        config["analysis"]["angles"]["flow_matching"] = settings = {
            "runs": ["proteins"], "steps": "all", "examples": 3, "batch_size": 2, "rotations": 7, "angles": [90],
            "local": True, "conditions": {"t": [0.4]},
        }  # fmt: skip
        evaluated, analysed = protocol(config, row), analysis_protocol(config, "angles", row)
        assert len(evaluated["conditions"]) == 6
        assert analysed["conditions"] == [
            {"group": "SO(3)", "comparison": "vectors", "t": 0.4, "self_conditioning": False}
        ]
        assert (analysed["examples"], analysed["rotations"]) == (3, 7)
        assert "batch_size" not in evaluated | analysed, "no result depends on it"
        assert (analysed["seed"], analysed["weights"]) == (evaluated["seed"], [config["figures"]["weights"]])
        assert analysis_arguments(config, "angles", row) == {"angles": [90], "local": True}
        del settings["conditions"]
        assert analysis_protocol(config, "angles", row)["conditions"] == evaluated["conditions"]

    def test_weights_are_those_named_or_all_that_are_kept(self, config, runs):
        config["training"]["force_field"]["averages"] = [0.9]
        settings = {"runs": ["augmented"], "steps": "all", "examples": 9, "rotations": 2, "weights": "all"}
        config["analysis"]["averages"] = {"force_field": settings}
        assert analysis_protocol(config, "averages", runs["augmented"])["weights"] == ["raw", "ema", "ema-0.9"]
        assert "weights" not in analysis_arguments(config, "averages", runs["augmented"])
        settings["weights"] = ["ema-0.9", "ema-0.5"]
        assert analysis_protocol(config, "averages", runs["augmented"])["weights"] == settings["weights"]
        with pytest.raises(
            StudyError, match=r"averages\.force_field\.weights: runs of force_field keep no 'ema-0.5' but"
        ):
            check_config(config, ANALYSES)


def test_documented_keys_are_those_that_are_checked():
    text = (ROOT / "config/README.md").read_text("utf-8")
    assert renewed(text, {"configuration": tables(ANALYSES)}.__getitem__) == text, "run make reference"


def test_documented_analyses_are_possible_and_say_common_keys_once():
    text = tables(ANALYSES)
    assert "`analysis.interpolation_floors.voxel_denoising`" in text
    assert "`analysis.interpolation_floors.force_field`" not in text
    assert text.count("| `runs` |") == text.count("| `microbatch` |") == 1


def test_the_schema_knows_every_section():
    found = schema(ANALYSES)
    assert {"study", "data", "training", "evaluation", "analysis", "figures"} <= set(found["required"])
    assert set(found["$defs"]["Analysis"]["properties"]) == {*ANALYSES, "interpolation_floors"}
