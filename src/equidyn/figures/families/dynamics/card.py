"""Figures of runs with one curve each."""

from functools import partial

from equidyn.figures.card import Family, Figure, any_task, untimed
from equidyn.figures.phrases import SHARE, STEP_ZERO
from equidyn.study.choice import AUGMENTATION, MODEL_SIZE, OPTIMISER, TRAIN_SIZE

figure = partial(Figure, category="What changes the dynamics", fits=untimed)
of_replicates = partial(Figure, category="Training dynamics", fits=untimed)


def by(name: str, title: str, colour: str, columns: tuple[str, ...]) -> Figure:
    """A figure of the share of the loss by what runs differ in."""
    text = f"Share of the held-out loss that comes from equivariance error, against the training step, by {colour}; "
    return figure(name, title, f"{text} below, the skill.", f"{SHARE} {STEP_ZERO}", varies=(columns,))


CARD = Family(
    name="dynamics",
    order=1,
    figures=(
        of_replicates(
            "percent_loglog",
            "Equivariance share of the loss",
            """Share of the held-out loss that comes from equivariance error, against the training step, one line per
            seed of the baseline; below, the skill. Rings mark the lowest shares.""",
            f"""{SHARE} The dip is the lowest share before the first rise to twice as much; lowest is that of all steps,
            and with skill that of the steps at which the network predicts something useful. {STEP_ZERO}""",
        ),
        of_replicates(
            "percent_linear",
            "Equivariance share of the loss on linear axes",
            """The same share on a linear axis, as published: left against the training step, right against its
            logarithm. Shares below two percent lie on the axis.""",
            f"{SHARE} {STEP_ZERO}",
            appendix=any_task,
            log_share=False,
        ),
        figure(
            "losses",
            "The loss and its two parts",
            """Left: held-out loss of the baseline and its parts, equivariance error and the twirled loss of the
            rotation-averaged prediction. Right: how fast each part falls; rings mark a tenth and a hundredth of its
            start.""",
            f"""The parts add up to the squared error. The twirled loss starts with the whole target in it, so it
            cannot fall far before the network predicts something. {STEP_ZERO}""",
            category="Training dynamics",
        ),
        by("percent_by_train_size", "Equivariance share by training set size", "training set", TRAIN_SIZE),
        by("percent_by_model_size", "Equivariance share by model size", "model", MODEL_SIZE),
        by(
            "percent_by_optimiser",
            "Equivariance share by optimiser and learning rate",
            "optimiser and learning rate",
            OPTIMISER,
        ),
        by(
            "percent_by_augmentation",
            "Equivariance share with and without rotated training examples",
            "how many training examples are rotated at random",
            AUGMENTATION,
        ),
    ),
)
