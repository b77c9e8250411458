"""What the words of reports and of the documentation mean: one word for one thing. `docs/glossary.md` has the same."""

TERMS = {
    "twisted prediction": "For a network f, a rotation g and an input x, h_g(x) = g⁻¹ f(g x): what is predicted for "
    "the rotated input, rotated back. Of an equivariant network it is the same for all g.",
    "loss": "The squared error of twisted predictions on held-out data, averaged over rotations: the sum of the next "
    "two. Figures that show both call it total.",
    "twirled loss": "The squared error of the prediction averaged over rotations. The paper calls it twirled error, "
    "too.",
    "equivariance error": "The variance of twisted predictions over rotations.",
    "share": "The equivariance error in percent of the loss; `percent` in tables and code.",
    "skill": "1 − loss / loss of a predictor that has learned nothing, from 0 (nothing) to 1 (all); negative if "
    "worse. Read it beside the share: a network that predicts nothing has no equivariance error, so a small share "
    "without skill is empty.",
    "null prediction, null loss": "What a predictor that has learned nothing says, the best constant or the best "
    "multiple of a noisy input; and its loss.",
    "relative error": "The equivariance error as a fraction of the mean square of what is predicted beyond the null "
    "prediction; `relative_equivariance` in tables. Unlike the share, it need not get small where nothing is "
    "predicted. `equidyn.measure` and `equidyn.Monitor` print its square root, as `relative_error`.",
    "penalty": "What the loss exceeds the twirled loss by, in percent of the twirled loss.",
    "raw, ema": "The weights of the network itself; a moving average of them along training, which remembers 1 / (1 − "
    "decay) steps, called averaged too. Predictions averaged over rotations are called twirled.",
    "silence": "Before a network predicts anything, its share is small for that reason alone.",
    "dip, late return": "The lowest share early in training; its rise after that.",
    "flow time, t": "How far a flow-matching network is on the way from noise, 0, to data, 1.",
    "baseline": "The run of a task that others are compared with.",
    "opponent": "An equivariant network that the baseline is compared with at equal compute.",
    "control": "A network that is equivariant by construction: what is measured of it is the numeric floor.",
    "floor": "What rounding alone would give in place of an equivariance error.",
    "cluster": "Held-out examples that belong together: conformers of one molecule, or chains of one family of "
    "sequences.",
    "condition": "Under what a prediction is made and compared: flow time, self-conditioning, group of rotations, and "
    "how grids are turned back (comparison).",
    "interval": "Of a share: by bootstrap over clusters; it says nothing of the spread over seeds, which intervals of "
    "claims hold. A range is the extremes of a few values.",
    "claim": "A statement with a statistic that tests it, and the range that the statistic lies in if it holds.",
    "verdict": "Reproduced if the whole interval of a claim’s statistic lies in the expected range, not reproduced if "
    "all of it lies outside, and else not testable at this scale.",
    "FLOP": "A floating-point operation.",
}
"""Meaning of each term, in the order to read them."""


def listed() -> str:
    """The terms as a list in Markdown."""
    return "\n".join(f"- **{term}**: {text}" for term, text in TERMS.items())
