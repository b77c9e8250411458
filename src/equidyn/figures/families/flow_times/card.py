"""Figures of runs at several flow times."""

from functools import partial

from equidyn.figures.card import Family, Figure, timed
from equidyn.figures.phrases import FLOW, SHARE, STEP_ZERO
from equidyn.study.choice import AUGMENTATION, MODEL_SIZE, TRAIN_SIZE

of_times = partial(
    Figure,
    caption="""Share of the held-out loss that comes from equivariance error, against the training step, one colour per
    flow time, for the baseline and, thin, its further seeds; below, the skill.""",
    method=f"{SHARE} {FLOW} {STEP_ZERO}",
    category="Training dynamics",
    fits=timed,
)
figure = partial(Figure, category="Training dynamics", fits=timed)


def by(name: str, title: str, colour: str, columns: tuple[str, ...]) -> Figure:
    """A figure of the share of the loss at each flow time by what runs differ in."""
    text = (
        f"Share of the held-out loss that comes from equivariance error, against the training step, by {colour}, one "
        "panel per flow time; in the last panel, the validation loss."
    )
    method = (
        f"{SHARE} The validation loss is the mean over flow times of the error divided by (1 − t)², its weight in "
        "training. Panels share one scale, but for times at which no network predicts anything useful. "
        f"{FLOW} {STEP_ZERO}"
    )
    return Figure(name, title, text, method, "What changes the dynamics", fits=timed, varies=(columns,))


CARD = Family(
    name="flow_times",
    order=2,
    figures=(
        of_times("percent_by_time_loglog", "Equivariance share of the loss by flow time"),
        of_times(
            "percent_by_time_logx",
            "Equivariance share of the loss by flow time on a linear axis",
            appendix=timed,
            log_share=False,
        ),
        figure(
            "percent_final_by_time",
            "Equivariance share of the loss after training, by flow time",
            """Share of the held-out loss that comes from equivariance error at the last step of the baseline and of
            its further seeds, with its value above each bar; below, the skill of the same networks.""",
            FLOW,
            log_share=False,
        ),
        figure(
            "losses_by_time",
            "The loss and its two parts by flow time",
            """Held-out loss of the baseline and its two parts, which add up to it: twirled loss, that of the
            rotation-averaged prediction, and equivariance error.""",
            f"{FLOW} {STEP_ZERO}",
        ),
        by(
            "percent_by_time_and_train_size",
            "Equivariance share by flow time and training set size",
            "training set",
            TRAIN_SIZE,
        ),
        by("percent_by_time_and_model_size", "Equivariance share by flow time and model size", "model", MODEL_SIZE),
        by(
            "percent_by_time_and_augmentation",
            "Equivariance share by flow time, with and without rotated training examples",
            "how many training examples are rotated",
            AUGMENTATION,
        ),
    ),
)
