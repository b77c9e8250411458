"""Every figure by name: its text, and what draws it.

Nothing here imports a plotting library, so that the workflow can read it when it is parsed.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes:
        draw: (table, options) to (figure, rows shown), as ``"module:name"``; see `equidyn.plugins.load`.
        title: Its heading in a report.
        description: What is drawn, in plain words; `equidyn.figures.dynamics.caption` adds what depends on the data.
        category: Part of the report.
        labels: Sort figures in the report.
    """

    draw: str
    title: str
    description: str
    category: str = "Training dynamics"
    labels: dict[str, str] = field(default_factory=dict)


_SHARE = (
    "Share of the held-out squared error that comes from equivariance error (the variance of the prediction over "
    "rotations of the input, rotated back), against the training step; below it, the skill of the same networks, "
    "with a dotted line at the limit below, and cut off where an untrained network is far below zero. "
)
_STEP_ZERO = "Step 0 is the untrained network."

FIGURES = {
    "percent_linear": Entry(
        "equidyn.figures.dynamics:percent_linear",
        "Equivariance share of the loss",
        _SHARE
        + "One line per seed of the baseline; rings mark the lowest values, and the dip before the first rise. "
        + _STEP_ZERO,
        labels={"quantity": "percent", "axes": "linear"},
    ),
    "percent_logx": Entry(
        "equidyn.figures.dynamics:percent_logx",
        "Equivariance share of the loss, logarithmic steps",
        _SHARE
        + "One line per seed of the baseline; rings mark the lowest values, and the dip before the first rise. "
        + _STEP_ZERO,
        labels={"quantity": "percent", "axes": "log x"},
    ),
    "percent_loglog": Entry(
        "equidyn.figures.dynamics:percent_loglog",
        "Equivariance share of the loss, both axes logarithmic",
        _SHARE
        + "One line per seed of the baseline; rings mark the lowest values, and the dip before the first rise. "
        + _STEP_ZERO,
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "losses": Entry(
        "equidyn.figures.dynamics:losses",
        "The loss and its two parts",
        "Left: held-out squared error of the baseline and its two parts, which add up to it: equivariance error, and "
        "twirled error, the error of the prediction averaged over rotations. Dashed across: the loss of the best "
        "constant prediction. Right: both parts relative to the first evaluated step; rings mark where each first is "
        "a tenth and a hundredth of it. The twirled error starts with the whole target in it, so it cannot fall far "
        "before the network predicts something. " + _STEP_ZERO,
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "percent_by_train_size": Entry(
        "equidyn.figures.dynamics:percent_by_train_size",
        "Equivariance share by training set size",
        _SHARE + "One colour per training set; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "training examples"},
    ),
    "percent_by_model_size": Entry(
        "equidyn.figures.dynamics:percent_by_model_size",
        "Equivariance share by model size",
        _SHARE + "One colour per model; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "model size"},
    ),
    "percent_by_optimiser": Entry(
        "equidyn.figures.dynamics:percent_by_optimiser",
        "Equivariance share by optimiser and learning rate",
        _SHARE + "One colour per optimiser and rate; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "optimiser"},
    ),
    "percent_by_augmentation": Entry(
        "equidyn.figures.dynamics:percent_by_augmentation",
        "Equivariance share with and without rotated training examples",
        _SHARE + "One colour per setting; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "augmentation"},
    ),
    "skill_companion": Entry(
        "equidyn.figures.dynamics:skill_companion",
        "Equivariance error against skill",
        "Equivariance error relative to the energy of the network's own predictions, against skill; one path per run, "
        "one marker per checkpoint. Relative error does not vanish when predictions do, so it tells a network that "
        "learned to rotate its predictions from one that fell silent. Controls are equivariant by construction; "
        "if they were evaluated by sampled rotations, those are shown, and what is left is rounding.",
        category="What changes the dynamics",
        labels={"quantity": "relative error", "axes": "skill"},
    ),
}
