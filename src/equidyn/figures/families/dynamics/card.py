"""Figures of runs with one curve each."""

from functools import partial

from equidyn.figures.card import Family, Figure, untimed
from equidyn.figures.phrases import SHARE, STEP_ZERO
from equidyn.study.choice import AUGMENTATION, MODEL_SIZE, OPTIMISER, TRAIN_SIZE

figure = partial(Figure, category="What changes the dynamics", fits=untimed)
of_replicates = partial(
    Figure,
    caption=f"""{SHARE} One line per seed of the baseline; rings mark the lowest values, and the dip before the first
    rise. {STEP_ZERO}""",
    category="Training dynamics",
    fits=untimed,
)


def by(name: str, title: str, colour: str, columns: tuple[str, ...]) -> Figure:
    """A figure of the share of the loss by what runs differ in."""
    lines = f"One colour per {colour}; further seeds are thin lines of the same colour."
    return figure(name, title, f"{SHARE} {lines} {STEP_ZERO}", varies=(columns,))


CARD = Family(
    name="dynamics",
    order=1,
    figures=(
        of_replicates("percent_linear", "Equivariance share of the loss", log_share=False),
        of_replicates("percent_logx", "Equivariance share of the loss, logarithmic steps", log_share=False),
        of_replicates("percent_loglog", "Equivariance share of the loss, both axes logarithmic"),
        figure(
            "losses",
            "The loss and its two parts",
            f"""Left: held-out squared error of the baseline and its two parts, which add up to it: equivariance error,
            and twirled error, the error of the prediction averaged over rotations. Dashed across: the loss of the
            trivial prediction behind the skill. Right: both parts relative to the first evaluated step; rings mark
            where each first is a tenth and a hundredth of it. The twirled error starts with the whole target in it,
            so it cannot fall far before the network predicts something. {STEP_ZERO}""",
            category="Training dynamics",
        ),
        by("percent_by_train_size", "Equivariance share by training set size", "training set", TRAIN_SIZE),
        by("percent_by_model_size", "Equivariance share by model size", "model", MODEL_SIZE),
        by(
            "percent_by_optimiser",
            "Equivariance share by optimiser and learning rate",
            "optimiser and rate",
            OPTIMISER,
        ),
        by(
            "percent_by_augmentation",
            "Equivariance share with and without rotated training examples",
            "setting",
            AUGMENTATION,
        ),
    ),
)
