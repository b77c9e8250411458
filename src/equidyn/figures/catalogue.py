"""Every figure by name: its text, and what draws it.

Nothing here imports a plotting library, so that the workflow can read it when it is parsed.
"""

from dataclasses import dataclass, field

from equidyn.figures.options import ACTIONS

ALL_TASKS = "all"
"""Stands for a task in figures that show several: these are drawn with a mapping of the options of each."""


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes:
        draw: (table, options) to (figure, rows shown), as ``"module:name"``; see `equidyn.plugins.load`.
        title: Its heading in a report.
        description: What is drawn, in plain words; `equidyn.figures.captions.caption` adds what depends on the data.
        tasks: Which tasks it can be drawn for, or `ALL_TASKS`.
        table: The table it is drawn from: "evaluation", the study's, or the kind of an analysis: then it is that
            analysis' table of the task.
        notes: What writes the rest of its caption, (rows shown, options) to sentences, as ``"module:name"``; None for
            figures of the evaluation table, whose captions `equidyn.figures.captions` writes.
        category: Part of the report.
        labels: Sort figures in the report.
    """

    draw: str
    title: str
    description: str
    tasks: tuple[str, ...] = ("force_field", "voxel_denoising")
    table: str = "evaluation"
    notes: str | None = None
    category: str = "Training dynamics"
    labels: dict[str, str] = field(default_factory=dict)


_SHARE = (
    "Share of the held-out squared error that comes from equivariance error (the variance of the prediction over "
    "rotations of the input, rotated back), against the training step; below it, the skill of the same networks, "
    "with a dotted line at the limit below, and cut off where an untrained network is far below zero. "
)
_WAYS = "; ".join(action.described for action in ACTIONS.values())
_STEP_ZERO = "Step 0 is the untrained network."
_FLOW = (
    "Flow time t runs from 0, pure noise, to 1, data; what is compared is the clean structure that the network "
    "predicts. Steps count updates of the optimiser (published figures of this kind count rows of a log). "
)
_BY_TIME = (
    "Share of the held-out squared error that comes from equivariance error, against the training step, one panel per "
    "flow time; in the last panel, the validation loss: the mean over flow times of the error divided by (1 − t)², its "
    "weight in training. Panels share one scale, but for times at which no network predicts anything useful. "
)

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
        "twirled error, the error of the prediction averaged over rotations. Dashed across: the loss of the trivial "
        "prediction behind the skill. Right: both parts relative to the first evaluated step; rings mark where each "
        "first is a tenth and a hundredth of it. The twirled error starts with the whole target in it, so it cannot "
        "fall far before the network predicts something. " + _STEP_ZERO,
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
        "Equivariance error relative to the energy of what the network predicts beyond the prediction that skill is "
        "measured against, against skill; one path per run, one marker per checkpoint. Relative error does not vanish "
        "when predictions do, so it tells a network that learned to rotate its predictions from one that fell silent. "
        "Controls are equivariant by construction, those of grids under the rotations of a cube alone; if they "
        "were evaluated by sampled rotations, those are shown, and what is left is rounding, or comes from the grid.",
        category="What changes the dynamics",
        labels={"quantity": "relative error", "axes": "skill"},
    ),
    "percent_by_time_loglog": Entry(
        "equidyn.figures.flow_times:percent_by_time_loglog",
        "Equivariance share of the loss by flow time, both axes logarithmic",
        _SHARE + "One colour per flow time for the baseline; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "percent_by_time_logx": Entry(
        "equidyn.figures.flow_times:percent_by_time_logx",
        "Equivariance share of the loss by flow time, logarithmic steps",
        _SHARE + "One colour per flow time for the baseline; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        labels={"quantity": "percent", "axes": "log x"},
    ),
    "percent_final_by_time": Entry(
        "equidyn.figures.flow_times:percent_final_by_time",
        "Equivariance share of the loss after training, by flow time",
        "Share of the held-out squared error that comes from equivariance error at the last step of the baseline and "
        "of its replicates, with its value above each bar; below, the skill of the same networks. " + _FLOW.rstrip(),
        tasks=("flow_matching",),
        labels={"quantity": "percent", "axes": "linear"},
    ),
    "losses_by_time": Entry(
        "equidyn.figures.flow_times:losses_by_time",
        "The loss and its two parts by flow time",
        "Held-out squared error of the baseline and its two parts, which add up to it: twirled error, the error of the "
        "prediction averaged over rotations, and equivariance error. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "percent_by_time_and_train_size": Entry(
        "equidyn.figures.flow_times:percent_by_time_and_train_size",
        "Equivariance share by flow time and training set size",
        _BY_TIME + "One colour per training set; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "training examples"},
    ),
    "percent_by_time_and_model_size": Entry(
        "equidyn.figures.flow_times:percent_by_time_and_model_size",
        "Equivariance share by flow time and model size",
        _BY_TIME + "One colour per model; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "model size"},
    ),
    "percent_by_time_and_augmentation": Entry(
        "equidyn.figures.flow_times:percent_by_time_and_augmentation",
        "Equivariance share by flow time, with and without rotated training examples",
        _BY_TIME + "One colour per setting; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "augmentation"},
    ),
    "error_against_skill_by_time": Entry(
        "equidyn.figures.flow_times:error_against_skill_by_time",
        "Equivariance error against skill by flow time",
        "Equivariance error relative to the energy of what the baseline predicts beyond the prediction that skill is "
        "measured against, against skill; one path per flow time. Relative error does not vanish when predictions do, "
        "so it tells a network that learned to rotate its predictions from one that fell silent. " + _FLOW.rstrip(),
        tasks=("flow_matching",),
        category="What changes the dynamics",
        labels={"quantity": "relative error", "axes": "skill"},
    ),
    "data_summary": Entry(
        "equidyn.figures.data:data_summary",
        "Training and validation data",
        "Distributions of simple quantities over the examples of the training set and of the validation set, which "
        "have no cluster in common; each set's shares add up to 100 %. Dashed: medians.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        table="data",
        notes="equidyn.figures.data:notes",
        category="Data",
        labels={"quantity": "data"},
    ),
    "percent_by_action": Entry(
        "equidyn.figures.voxels:percent_by_action",
        "Equivariance share by rotations and how predictions are compared",
        "Top: share of the baseline's held-out squared error that comes from equivariance error, against the training "
        "step. Middle: the equivariance error, relative to the loss of a blank grid, as losses have one scale per "
        "voxel and another per atom. Bottom: skill. One colour for each way of rotating and comparing: "
        + _WAYS
        + ". Dash-dotted: the interpolation floor, what a perfect prediction leaves when compared in the same way, on "
        "top as a share of the same network's loss; where there is none, or only below the axis, there is no line. "
        + _STEP_ZERO,
        tasks=("voxel_denoising",),
        labels={"quantity": "percent", "axes": "log-log", "varies": "rotations"},
    ),
    "interpolation_floor": Entry(
        "equidyn.figures.voxels:interpolation_floor",
        "What turning grids costs by itself",
        "Errors of a prediction that is perfect for every orientation of the molecule, the clean grid: all of it comes "
        "from how predictions are compared. Top: squared error relative to the square of what it is compared with. "
        "Bottom: the share of equivariance error in it. A zero is no error at all, about 1e-15 is rounding. "
        "Rotations and ways of comparing: "
        + _WAYS
        + '. The "symmetric" grid has the molecule in its middle; the "upstream" grid has it 0.625 voxels off on each '
        "axis, which the rotation knows unless said to be ignored.",
        tasks=("voxel_denoising",),
        table="floors",
        notes="equidyn.figures.voxels:floor_notes",
        category="Data",
        labels={"quantity": "relative error", "axes": "log"},
    ),
    "summary": Entry(
        "equidyn.figures.summary:summary",
        "Equivariance share of the loss in all tasks",
        "Share of the held-out squared error that comes from equivariance error (the variance of the prediction over "
        "rotations of the input), against the training step, for the baseline of each task; all panels have one scale. "
        "Flow time t runs from 0, pure noise, to 1, data; predictions on grids are compared in several ways. "
        + _STEP_ZERO,
        tasks=(ALL_TASKS,),
        category="All tasks",
        labels={"quantity": "percent", "axes": "log-log"},
    ),
}


def figures_for(task: str) -> list[str]:
    """Names of the figures of a task, or of those of `ALL_TASKS`."""
    return [name for name, entry in FIGURES.items() if task in entry.tasks]
