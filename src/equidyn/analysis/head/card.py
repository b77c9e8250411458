"""The card of the analysis of the last layer."""

from equidyn.analysis.card import INEXACT, AnalysisCard, AnalysisSettings


class HeadSettings(AnalysisSettings):
    """The last linear layer: its distance from equivariance, and the quadratic form of the error in it."""


CARD = AnalysisCard(
    name="head",
    order=2,
    measure="equidyn.analysis.head.measure:measure",
    settings=HeadSettings,
    cannot=dict.fromkeys(("trilinear", "cubic", "atoms"), INEXACT),
)
