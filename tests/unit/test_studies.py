"""Studies: what of a configuration is checked beyond its schema, and what is made of it."""

from pathlib import Path

import pytest
import yaml

from equidyn.studies import StudyError, check_config, conditions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.fixture(scope="module")
def schema():
    return yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def test_default_configuration_is_valid(config, schema):
    check_config(config, schema)


@pytest.mark.parametrize("section", ["training", "evaluation"])
def test_a_task_with_data_needs_its_settings(config, schema, section):
    del config[section]["flow_matching"]
    with pytest.raises(StudyError, match=rf"mine: {section}\.flow_matching: missing, although data\.flow_matching is"):
        check_config(config, schema, "mine")


def test_a_folder_belongs_to_the_source_files(config, schema):
    config["data"]["flow_matching"]["folder"] = "structures"
    with pytest.raises(StudyError, match=r"data\.flow_matching\.folder: found 'structures', which does not go"):
        check_config(config, schema)
    config["data"]["flow_matching"]["source"] = "files"
    check_config(config, schema)


def test_conditions_are_all_combinations():
    assert conditions({}) == [{}]
    found = conditions({"t": [0.0, 0.9], "self_conditioning": [False, True]})
    assert len(found) == 4
    assert found[1] == {"t": 0.0, "self_conditioning": True}
    assert {tuple(sorted(c)) for c in found} == {("self_conditioning", "t")}
