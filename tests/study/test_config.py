"""Studies: what of a configuration is checked beyond its sections, and what is made of it."""

from pathlib import Path

import pytest
import yaml

from equidyn.core.rooms import cards
from equidyn.study.config import (
    StudyError,
    analysis_arguments,
    analysis_protocol,
    analysis_steps,
    check_analyses,
    check_config,
    conditions,
    protocol,
)
from equidyn.study.reference import renewed, schema

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


def test_a_folder_belongs_to_the_source_files(config):
    config["data"]["flow_matching"]["folder"] = "structures"
    with pytest.raises(StudyError, match=r"data\.flow_matching\.folder: unknown key; known keys: min_length"):
        check_config(config, ANALYSES)
    config["data"]["flow_matching"]["source"] = "files"
    check_config(config, ANALYSES)


def test_conditions_are_all_combinations():
    assert conditions({}) == [{}]
    found = conditions({"t": [0.0, 0.9], "self_conditioning": [False, True]})
    assert len(found) == 4
    assert found[1] == {"t": 0.0, "self_conditioning": True}
    assert {tuple(sorted(c)) for c in found} == {("self_conditioning", "t")}


class TestAnalyses:
    """What analyses ask for must be there."""

    @pytest.fixture
    def runs(self, config):
        row = {"name": "augmented", "task": "force_field", "steps": 1000}
        return dict.fromkeys(("augmented", "other"), row) | {
            "proteins": {"task": "flow_matching", "steps": 1000},
            "voxels": {"task": "voxel_denoising", "steps": 400},
        }

    def test_of_the_default_study_can_be_made(self, config, runs):
        check_analyses(config, runs, ANALYSES)

    def test_of_a_task_without_runs_are_left_out(self, config, runs):
        del runs["voxels"]
        check_analyses(config, runs, ANALYSES)

    @pytest.mark.parametrize(
        ("analysis", "task", "change", "expected"),
        [
            (
                "head",
                "force_field",
                {"runs": ["augmented", "nobody"]},
                "runs: 'nobody' is no run of this task; its runs",
            ),
            ("head", "force_field", {"runs": ["augmented", "voxels"]}, "runs: 'voxels' is no run of this task"),
            ("head", "force_field", {"runs": ["other"]}, "figures show the baseline: add 'augmented'"),
            ("landscape", "force_field", {"steps": [317]}, "run 'augmented' keeps no step 317; it keeps"),
            ("layers", "voxel_denoising", {"conditions": {"action": ["cubic"]}}, "'cubic' is not evaluated: add it to"),
            ("layers", "voxel_denoising", {"conditions": {"t": [0.5]}}, "conditions.t: 0.5 is not evaluated"),
            (
                "layers",
                "voxel_denoising",
                {"conditions": {"action": ["atoms"]}},
                "cannot use 'atoms': features of a network",
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
        assert len(evaluated["conditions"]) == 8
        assert analysed["conditions"] == [{"t": 0.4, "self_conditioning": False}]
        assert (analysed["examples"], analysed["batch_size"], analysed["rotations"]) == (3, 2, 7)
        assert (analysed["seed"], analysed["weights"]) == (evaluated["seed"], ["ema"])
        assert analysis_arguments(config, "angles", row) == {"angles": [90], "local": True}
        del settings["conditions"]
        assert analysis_protocol(config, "angles", row)["conditions"] == evaluated["conditions"]


def test_documented_keys_are_those_that_are_checked():
    text = (ROOT / "config/README.md").read_text("utf-8")
    assert renewed(text, ANALYSES) == text, "run make reference"
    with pytest.raises(ValueError, match="expected the lines"):
        renewed("# Configuration\n", ANALYSES)


def test_the_schema_knows_every_section():
    found = schema(ANALYSES)
    assert {"study", "data", "training", "evaluation", "analysis", "figures"} <= set(found["required"])
    assert set(found["$defs"]["Analysis"]["properties"]) == {*ANALYSES, "interpolation_floors"}
