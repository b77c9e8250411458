"""Mistakes in a configuration or run table are named with the place and the remedy, before anything runs."""

from pathlib import Path

import pytest
from project import tiny, write_study

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.study.reading import read_study
from equidyn.study.sources import wanted_files

PUBLISHED = {"source": "spice-mace-off", "seed": 0, "subsets": {"12": 12, "all": "all"}}


def read(folder: Path, config: dict, rows: list[dict]):
    """Write a study and read it as the workflow does."""
    write_study(folder, config, rows)
    config, runs = read_study([f"config/{config['study']}.yaml"], cards("equidyn.analysis"))
    return runs, wanted_files(config)


def test_the_tiny_study_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs, entries = read(tmp_path, *tiny())
    assert set(runs) == {"augmented", "fewer", "proteins", "voxels"}
    assert not any(entries.values())


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        (
            lambda config, rows: config["training"]["force_field"].update(clipp=1.0),
            r"training\.force_field\.clipp: unknown key; did you mean 'clip'",
        ),
        (
            lambda config, rows: config["evaluation"]["flow_matching"]["conditions"].update(t=[0.5, 1.0]),
            r"evaluation\.flow_matching\.conditions\.t\.1: found 1\.0; it should be less than 1",
        ),
        (
            lambda config, rows: config["data"]["flow_matching"].update(source="files"),
            r"data\.flow_matching\.folder: missing",
        ),
        (
            lambda config, rows: config["evaluation"].update(rotations="ten"),
            r"evaluation\.rotations: found 'ten'; it should be a valid integer",
        ),
        (lambda config, rows: config["training"].update(checkpoint_steps=[0, 6, 2]), r"steps must increase"),
        (lambda config, rows: rows.append(rows[0]), r"tiny\.tsv, row 5 \(augmented\): the name appears twice"),
        (lambda config, rows: rows[0].update(model="escaip-9M"), r"unknown model 'escaip-9M'; known models: escaip-6M"),
        (lambda config, rows: rows[0].update(model="escaip-tinny"), r"did you mean 'escaip-tiny'\?"),
        (lambda config, rows: rows[0].update(task="force-field"), r"row 1 .*, task: .*did you mean 'force_field'\?"),
        (lambda config, rows: rows[0].update(train_subset="1000"), r"'1000' is not a subset; .*12, all"),
        (
            lambda config, rows: rows[0].update(lr="fast"),
            r"row 1 \(augmented\), lr: found 'fast'; it should be a valid number",
        ),
        (
            lambda config, rows: rows[0].update(augmentation="1.5"),
            r"augmentation: found '1.5'; it should be less than or equal to 1",
        ),
        (
            lambda config, rows: config["figures"]["baseline"].update(force_field="nobody"),
            r"'nobody' is not a run of this .*augmented, fewer",
        ),
        (lambda config, rows: config.update(run_table="config/none.tsv"), r"config/none.tsv: no such run table"),
        (
            lambda config, rows: config["analysis"]["head"]["force_field"].update(steps=[6, 7]),
            r"analysis\.head\.force_field\.steps: run 'augmented' keeps no step 7; it keeps \[0, 2, 6\]",
        ),
        (
            lambda config, rows: config["data"].update(force_field=PUBLISHED),
            r"downloads: missing, although data\.force_field\.source 'spice-mace-off' is downloaded",
        ),
        (
            lambda config, rows: config["data"].update(force_field=PUBLISHED | {"conformers": 4}),
            r"data\.force_field\.conformers: unknown key",
        ),
        (
            lambda config, rows: config["data"]["voxel_denoising"].update(source="geom"),
            r"data\.voxel_denoising\.source: unknown source 'geom'; known sources: geom-arrays, .*offline",
        ),
        (
            lambda config, rows: config["data"]["voxel_denoising"].update(source="ofline"),
            r"data\.voxel_denoising\.source: unknown source 'ofline'.*; did you mean 'offline'\?",
        ),
        (
            lambda config, rows: (
                config["data"].update(force_field=PUBLISHED),
                config.update(downloads={"registry": "config/none.tsv", "folder": "downloads"}),
            ),
            r"config/none\.tsv",
        ),
        (
            lambda config, rows: config["analysis"]["hessian"]["force_field"].update(block="direction"),
            r"analysis\.hessian\.force_field\.block: unknown key; did you mean 'blocks'",
        ),
        (
            lambda config, rows: config["training"]["force_field"].update(task={"side": 24, "spacing": 0.5}),
            r"training\.force_field\.task: unknown key; known keys: sampling",
        ),
        (
            lambda config, rows: config["training"]["voxel_denoising"].pop("task"),
            r"training\.voxel_denoising\.task: missing",
        ),
        (
            lambda config, rows: config["training"].update(checkpoint_steps="all"),
            r"training\.checkpoint_steps: found 'all'; it should be a valid array or be an object",
        ),
        (
            lambda config, rows: config["training"].update(checkpoint_steps={"per_decade": 0}),
            r"training\.checkpoint_steps\.per_decade: found 0; it should be greater than or equal to 1",
        ),
        (
            lambda config, rows: config["evaluation"]["force_field"].update(examples=1),
            r"evaluation\.force_field\.examples: found 1; it should be 'all' or be greater than or equal to 2",
        ),
        (
            lambda config, rows: config["evaluation"].update(sampled=1),
            r"evaluation\.sampled: found 1; it should be a valid boolean",
        ),
        (
            lambda config, rows: config["evaluation"].update(weights=["ema", "mean"]),
            r"evaluation\.weights\.1: found 'mean'; it should be 'raw' or 'ema' or match pattern",
        ),
        (
            lambda config, rows: config["evaluation"].update(weights=["raw", "ema-0.999"]),
            r"evaluation\.weights: runs of flow_matching keep no 'ema-0\.999' but raw, ema; add its decay to "
            r"training\.flow_matching\.averages",
        ),
        (
            lambda config, rows: config["figures"].update(formats=["pdf"]),
            r"figures\.formats: the report shows PNG; add 'png'",
        ),
        (
            lambda config, rows: config["data"].clear(),
            r"data: no task has data; add one",
        ),
        (lambda config, rows: config.update(study="Mine"), r"study: found 'Mine'; it should match pattern"),
        (lambda config, rows: rows[0].pop("lr"), r"row 1 \(augmented\), lr: missing"),
        (lambda config, rows: config.update(results="archive"), r"results: names a folder; .* set archive: true"),
        (
            lambda config, rows: config["training"].update(devices={"escaip-9M": 2}),
            r"training\.devices: unknown model 'escaip-9M'; known models: escaip-6M",
        ),
        (
            lambda config, rows: config["analysis"]["interpolation_floors"]["voxel_denoising"].update(
                comparisons=["quintic"]
            ),
            r"interpolation_floors\.voxel_denoising\.comparisons: unknown comparison 'quintic'; .* trilinear",
        ),
        (
            lambda config, rows: config["analysis"]["interpolation_floors"].update(
                force_field=config["analysis"]["interpolation_floors"]["voxel_denoising"]
            ),
            r"analysis\.interpolation_floors\.force_field: nothing is interpolated in this task",
        ),
    ],
)
def test_each_is_named(tmp_path, monkeypatch, mistake, expected):
    monkeypatch.chdir(tmp_path)
    config, rows = tiny()
    mistake(config, rows)
    with pytest.raises(StudyError, match=expected):
        read(tmp_path, config, rows)
