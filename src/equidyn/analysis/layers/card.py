"""The card of the analysis of hidden layers."""

from equidyn.analysis.card import INEXACT, AnalysisCard, AnalysisSettings


class LayerSettings(AnalysisSettings):
    """Equivariance error of hidden features that should rotate in a known way."""


CARD = AnalysisCard(
    name="layers",
    order=6,
    measure="equidyn.analysis.layers.measure:measure",
    settings=LayerSettings,
    cannot=dict.fromkeys(("trilinear", "cubic", "atoms"), INEXACT),
)
