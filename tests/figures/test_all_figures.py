"""What holds of every figure, tried on the published tables: it shows rows of its tables, and refuses what it lacks."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
import yaml
from drawing_checks import draw_checked
from matplotlib.text import Text
from project import ROOT

from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.figures.parts import style
from equidyn.figures.parts.options import Options
from equidyn.figures.planned import drawing, figures_drawn, known_figures
from equidyn.study.stages import STUDY_TABLES, is_made

RESULTS = ROOT / "results/cpu"
CONFIG = yaml.safe_load((RESULTS / "config.yaml").read_text(encoding="utf-8"))
RUNS = pd.read_csv(RESULTS / "tables/costs.csv", dtype={"train_subset": str}).set_index("run").to_dict("index")
DRAWN = figures_drawn(CONFIG, RUNS, partial(is_made, CONFIG, cards("equidyn.analysis")))
EACH = [(task, name) for name, task in {name: task for task, name in reversed(DRAWN)}.items()]
OF_RUNS = [(task, name) for task, name in EACH if not known_figures()[name].overview]
KEYS = ("task", "run", "step", "weights", "estimator", "t", "self_conditioning", "group", "comparison")


@cache
def table(kind, task):
    """A published table."""
    name = kind if kind in STUDY_TABLES else f"{kind}/{task}"
    return pd.read_parquet(RESULTS / f"tables/{name}.parquet")


def tables(task, name):
    """The tables of a figure."""
    return [table(kind, task) for kind in known_figures()[name].tables]


def options(task, name):
    """The options of a figure, as its job receives them."""
    read = {each: Options.read(fields) for each, fields in drawing(CONFIG, RUNS, task, name)["options"].items()}
    return read if known_figures()[name].overview else read[task]


def last_of(rows, run):
    """Rows of the last step of a run."""
    own = rows[rows["run"] == run]
    return own[own["step"] == own["step"].max()]


@pytest.mark.parametrize(("task", "name"), EACH)
def test_rows_are_those_of_its_tables(task, name):
    chosen = options(task, name)
    figure, data, caption = draw_checked(name, *tables(task, name), chosen)
    assert figure.axes
    assert len(data)
    assert not data.columns.duplicated().any()
    assert not set("{}") & set(caption)
    first = tables(task, name)[0]
    keys = [key for key in KEYS if key in first and key in data]
    if known_figures()[name].tables == ("evaluation",):
        found = data.merge(first, on=keys, suffixes=("", "_there"))
        assert len(found) == len(data)
        for column in [column for column in data if f"{column}_there" in found]:
            pd.testing.assert_series_equal(found[column], found[f"{column}_there"], check_names=False)
    if "skill" in data and "unskilled" in data and task in CONFIG["data"]:
        known = data.dropna(subset="skill")
        np.testing.assert_array_equal(known["unskilled"].astype(bool), known["skill"] < chosen.useful_skill)


@pytest.mark.parametrize(("task", "name"), OF_RUNS)
def test_one_checkpoint_of_the_baseline_is_enough(task, name):
    chosen = options(task, name)
    if known_figures()[name].varies and "published" in known_figures()[name].tables[-1]:
        pytest.skip("compares runs")
    few = [last_of(each, chosen.baseline) if {"run", "weights"} <= set(each) else each for each in tables(task, name)]
    _, data, caption = draw_checked(name, *few, chosen)
    assert len(data)
    assert caption


@pytest.mark.parametrize(("task", "name"), OF_RUNS[::9])
def test_texts_of_tables_are_shown_as_they_are(task, name):
    sly = "<b> & $\\frac$ {0}\n%s"
    shown = [
        each.assign(**{column: each[column] + sly for column in ("model", "unit") if column in each})
        for each in tables(task, name)
    ]
    with style.applied():
        figure, _ = load(known_figures()[name].draw)(*shown, options(task, name))
        figure.draw_without_rendering()
        texts = figure.findobj(Text)
    assert not any(text.get_parse_math() for text in texts)
    assert not any("mathdefault" in text.get_text() for text in texts)


@pytest.mark.parametrize(("task", "name"), EACH)
def test_what_is_missing_is_refused(task, name):
    draw = load(known_figures()[name].draw)
    chosen = options(task, name)
    empty = [each[:0] for each in tables(task, name)]
    with pytest.raises(ValueError, match=r"\w"):
        draw(*empty, chosen)
    if (task, name) in OF_RUNS and {"run", "weights"} <= set(tables(task, name)[0]):
        with pytest.raises(ValueError, match="no run is named 'bass'"):
            draw(*tables(task, name), replace(chosen, baseline="bass"))
        with pytest.raises(ValueError, match="no rows of task 'weather' to draw"):
            draw(*tables(task, name), replace(chosen, task="weather"))
        for column in {"unit", "estimator"} & set(tables(task, name)[0]):
            with pytest.raises(ValueError, match=rf"lacks the column\(s\) .*{column}"):
                draw(tables(task, name)[0].drop(columns=column), *tables(task, name)[1:], chosen)
