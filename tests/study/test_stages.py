"""What decides the result of each job of a study, and nothing else, is in what the job is told."""

from copy import deepcopy

import pytest
from project import ROOT, tiny, write_study

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.study.stages import STUDY_TABLES, Study

ANALYSES = cards("equidyn.analysis")


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make the tiny study, changed by a function of its configuration and of the rows of its run table."""
    monkeypatch.chdir(tmp_path)

    def made(change=lambda config, rows: None):
        config, rows = deepcopy(tiny())
        change(config, rows)
        write_study(tmp_path, config, rows)
        return Study(config, ANALYSES, ROOT / "workflow/scripts")

    return made


def told(study):
    """What all jobs are told, by stage and what the job is of."""
    runs = {(stage, run): getattr(study, stage)(run) for stage in ("training", "evaluation") for run in study.runs}
    data = {(stage, task): getattr(study, stage)(task) for stage in ("store", "split") for task in study.tasks}
    tables = {(kind, ""): study.told(kind) for kind in STUDY_TABLES if study.makes(kind, "all")}
    analyses = {place: study.told(*place) for place in study.analysed()}
    others = {(kind, task): study.told(kind, task) for kind in ("data", "orientation") for task in study.tasks}
    return {**runs, **data, **tables, **analyses, **others, ("report", ""): study.reported()}


def changed(make, change):
    before, after = told(make()), told(make(change))
    return {place for place in before if before[place] != after[place]}


LATER = {("evaluation", ""), ("claims", ""), ("report", "")}
"""What every evaluation goes into."""


def test_a_run_changes_what_is_made_of_it_and_no_other_run(make):
    found = changed(make, lambda config, rows: rows[1].update(lr="0.1"))
    assert found == LATER | {("training", "fewer"), ("evaluation", "fewer"), ("costs", "")} | {
        (analysis, task) for analysis, task in make().analysed()
    }  # which carry columns of the table of the evaluation


def test_data_change_all_that_follows_in_one_task(make):
    found = changed(make, lambda config, rows: config["data"]["flow_matching"].update(seed=5))
    assert {("store", "flow_matching"), ("training", "proteins"), ("evaluation", "proteins")} <= found
    assert {("data", "flow_matching"), ("orientation", "flow_matching"), ("gradients", "flow_matching")} <= found
    assert found >= LATER
    assert not [place for place in found if place[0] in ("store", "split", "data") and place[1] != "flow_matching"]
    assert not {("training", "augmented"), ("training", "voxels")} & found


def test_how_is_evaluated_changes_no_training(make):
    found = changed(make, lambda config, rows: config["evaluation"].update(resamples=101))
    assert {kind for kind, _ in found} == {"evaluation", "claims", "report", *ANALYSES}


def test_what_decides_no_number_changes_nothing_but_the_report(make):
    def change(config, rows):
        config["training"]["state_every"] = 77
        config["training"]["devices"] = 1
        config["figures"]["formats"] = ["png"]

    assert changed(make, change) == {("report", "")}


def test_an_analysis_changes_itself_and_the_claims(make):
    found = changed(make, lambda config, rows: config["analysis"]["angles"]["force_field"].update(angles=[30]))
    assert found == {("angles", "force_field"), ("claims", ""), ("report", "")}


def test_tables_that_are_not_asked_for_are_not_made(make):
    study = make()
    assert study.makes("floors", "voxel_denoising")
    assert not study.makes("floors", "force_field")
    assert not study.makes("published_tables", "all")
    assert not make(lambda config, rows: config["analysis"].pop("interpolation_floors")).makes(
        "floors", "voxel_denoising"
    )


class TestArchive:
    """Where tables are there, their content decides what is made of them."""

    @pytest.fixture
    def archived(self, make, tmp_path):
        study = make(lambda config, rows: config.update(archive=True))
        analyses = [study.table(*place) for place in study.analysed()]
        tables = [*map(study.table, study.judged), *study.tables_of_runs("clusters"), *analyses]
        for file in [*tables, *study.record_files()]:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(f"PAR1{file}PAR1")
        study.require(tables)
        return study

    @pytest.mark.parametrize("content", ["", "PAR1", "PAR1 and what was written before the disk was full"])
    def test_a_table_that_is_cut_short_is_named(self, archived, tmp_path, content):
        (tmp_path / archived.table("costs")).write_text(content)
        with pytest.raises(StudyError, match=r"costs\.parquet is damaged \(1 of 2 files are\): get it back with git"):
            archived.require([archived.table("costs"), archived.table("evaluation")])

    def test_another_table_changes_claims_and_figures(self, archived, tmp_path):
        claims, figure = archived.judging(), archived.origin([("evaluation", "force_field")])
        verdicts = archived.origin([("claims", "all")])
        (tmp_path / archived.table("evaluation")).write_text("other")
        assert archived.judging() != claims
        assert archived.origin([("evaluation", "force_field")]) != figure
        assert archived.origin([("claims", "all")]) != verdicts
        assert archived.origin([("costs", "all")]) == archived.origin([("costs", "all")])

    def test_a_missing_table_is_named(self, archived, tmp_path):
        file = archived.table("costs")
        (tmp_path / file).unlink()
        with pytest.raises(StudyError, match=r"archive: .*costs\.parquet is missing \(1 of 1 files are\)"):
            archived.require([file])
