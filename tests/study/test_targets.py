"""Figures that a study does not draw are refused with what it draws."""

import pytest

from equidyn.core.settings import StudyError
from equidyn.study.targets import check_targets

DRAWN = [("all", "summary"), ("force_field", "losses"), ("force_field", "percent_loglog")]


def test_what_is_drawn_and_what_is_no_figure_pass():
    check_targets(
        ["figures", "--configfile", "config/cpu.yaml", "results/mini/figures/force_field/losses.pdf", "results/x.html"],
        "results/mini",
        DRAWN,
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/mini/figures/force_field/loses.png", r"loses\.png: this .* but force_field/losses, .*; did you mean"),
        ("results/mini/figures/weather/rain.png", "no such figure, but all/summary, force_field/losses"),
        ("results/cpu/figures/all/summary.png", "of another study than results/mini; name the configuration"),
    ],
)
def test_others_are_refused(target, message):
    with pytest.raises(StudyError, match=message):
        check_targets([target], "results/mini", DRAWN)
