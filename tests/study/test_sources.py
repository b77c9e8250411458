"""What a study's data are made from."""

from pathlib import Path

import pytest

from equidyn.core.settings import StudyError
from equidyn.study.sources import PUBLISHED, wanted_files

REGISTRY = {"registry": Path(__file__).parents[2] / "config/downloads.tsv"}
OFFLINE = {"force_field": {"source": "offline"}}


@pytest.mark.parametrize(
    ("task", "data", "expected"),
    [
        ("force_field", {"source": "offline"}, set()),
        ("force_field", {"source": "spice", "release": "2.0.1"}, {"SPICE-2.0.1.hdf5"}),
        ("force_field", {"source": "spice", "release": "1.1.4"}, {"SPICE-1.1.4.hdf5"}),
        ("voxel_denoising", {"source": "geom-arrays"}, {"geom_drugs_processed.zip"}),
    ],
)
def test_a_source_wants_the_files_of_its_data_set(task, data, expected):
    assert {file.file for file in wanted_files({"data": {task: data}, "downloads": REGISTRY})[task]} == expected


def test_a_study_that_downloads_nothing_needs_no_registry():
    assert wanted_files({"data": OFFLINE}) == {"force_field": [], PUBLISHED: []}


def test_tables_of_the_authors_are_wanted_where_figures_show_them():
    config = {"data": OFFLINE, "downloads": REGISTRY, "figures": {"published": "voxmol_curves"}}
    wanted = wanted_files(config)
    assert wanted["force_field"] == []
    assert {file.file for file in wanted[PUBLISHED]} >= {"1pct.csv", "full.csv"}
    with pytest.raises(StudyError, match=r"no files of nothing, which figures\.published .nothing. is made from"):
        wanted_files(config | {"figures": {"published": "nothing"}})


def test_a_data_set_without_files_is_an_error():
    config = {"data": {"force_field": {"source": "spice", "release": "9"}}, "downloads": REGISTRY}
    with pytest.raises(StudyError, match=r"downloads\.tsv: no files of spice 9, which data\.force_field\.source"):
        wanted_files(config)
