"""Every figure by name: its text, and what draws it.

Nothing here imports a plotting library, so that the workflow can read it when it is parsed.
"""

from dataclasses import dataclass, field

from equidyn.figures.parts.options import ACTIONS

ALL_TASKS = "all"
"""Stands for a task in figures that show several: these are drawn with a mapping of the options of each."""

STUDY_TABLES = ("evaluation", "costs", "claims", "published", "published_tables", "published_landscape")
"""Tables of which a study has one, not one for each task."""


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes:
        draw: (tables…, options) to (figure, rows shown), as ``"module:name"``; see `equidyn.core.plugins.load`.
        title: Its heading in a report.
        description: What is drawn, in plain words; `equidyn.figures.parts.captions.caption` adds what depends on the
            data.
        tasks: Which tasks it can be drawn for, or `ALL_TASKS`.
        tables: Those it is drawn from, in the order in which `draw` takes them: some of `STUDY_TABLES`, or kinds that
            have one for each task.
        varies: Columns of the run table; where no run differs from the baseline in one of them, there is nothing to
            draw.
        needs_model: Ending of the model's name that some run must have.
        notes: What writes the rest of its caption, (rows shown, options) to sentences, as ``"module:name"``; None for
            figures of the evaluation table, whose captions `equidyn.figures.parts.captions` writes.
        category: Part of the report.
        labels: Sort figures in the report.
    """

    draw: str
    title: str
    description: str
    tasks: tuple[str, ...] = ("force_field", "voxel_denoising")
    tables: tuple[str, ...] = ("evaluation",)
    varies: tuple[str, ...] = ()
    needs_model: str = ""
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

_ROUGHNESS = (
    "Roughness is the root mean square of what the best quadratic leaves, divided by the range of that quadratic; R² "
    "is the share of the variance that it explains."
)

FIGURES = {
    "percent_linear": Entry(
        "equidyn.figures.families.dynamics.draw:percent_linear",
        "Equivariance share of the loss",
        _SHARE
        + "One line per seed of the baseline; rings mark the lowest values, and the dip before the first rise. "
        + _STEP_ZERO,
        labels={"quantity": "percent", "axes": "linear"},
    ),
    "percent_logx": Entry(
        "equidyn.figures.families.dynamics.draw:percent_logx",
        "Equivariance share of the loss, logarithmic steps",
        _SHARE
        + "One line per seed of the baseline; rings mark the lowest values, and the dip before the first rise. "
        + _STEP_ZERO,
        labels={"quantity": "percent", "axes": "log x"},
    ),
    "percent_loglog": Entry(
        "equidyn.figures.families.dynamics.draw:percent_loglog",
        "Equivariance share of the loss, both axes logarithmic",
        _SHARE
        + "One line per seed of the baseline; rings mark the lowest values, and the dip before the first rise. "
        + _STEP_ZERO,
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "losses": Entry(
        "equidyn.figures.families.dynamics.draw:losses",
        "The loss and its two parts",
        "Left: held-out squared error of the baseline and its two parts, which add up to it: equivariance error, and "
        "twirled error, the error of the prediction averaged over rotations. Dashed across: the loss of the trivial "
        "prediction behind the skill. Right: both parts relative to the first evaluated step; rings mark where each "
        "first is a tenth and a hundredth of it. The twirled error starts with the whole target in it, so it cannot "
        "fall far before the network predicts something. " + _STEP_ZERO,
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "percent_by_train_size": Entry(
        "equidyn.figures.families.dynamics.draw:percent_by_train_size",
        "Equivariance share by training set size",
        _SHARE + "One colour per training set; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        varies=("train_subset",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "training examples"},
    ),
    "percent_by_model_size": Entry(
        "equidyn.figures.families.dynamics.draw:percent_by_model_size",
        "Equivariance share by model size",
        _SHARE + "One colour per model; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        varies=("model",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "model size"},
    ),
    "percent_by_optimiser": Entry(
        "equidyn.figures.families.dynamics.draw:percent_by_optimiser",
        "Equivariance share by optimiser and learning rate",
        _SHARE + "One colour per optimiser and rate; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        varies=("optimiser", "lr"),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "optimiser"},
    ),
    "percent_by_augmentation": Entry(
        "equidyn.figures.families.dynamics.draw:percent_by_augmentation",
        "Equivariance share with and without rotated training examples",
        _SHARE + "One colour per setting; further seeds are thin lines of the same colour. " + _STEP_ZERO,
        varies=("augmentation",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "augmentation"},
    ),
    "skill_companion": Entry(
        "equidyn.figures.families.dynamics.draw:skill_companion",
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
        "equidyn.figures.families.flow_times.draw:percent_by_time_loglog",
        "Equivariance share of the loss by flow time, both axes logarithmic",
        _SHARE + "One colour per flow time for the baseline; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "percent_by_time_logx": Entry(
        "equidyn.figures.families.flow_times.draw:percent_by_time_logx",
        "Equivariance share of the loss by flow time, logarithmic steps",
        _SHARE + "One colour per flow time for the baseline; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        labels={"quantity": "percent", "axes": "log x"},
    ),
    "percent_final_by_time": Entry(
        "equidyn.figures.families.flow_times.draw:percent_final_by_time",
        "Equivariance share of the loss after training, by flow time",
        "Share of the held-out squared error that comes from equivariance error at the last step of the baseline and "
        "of its replicates, with its value above each bar; below, the skill of the same networks. " + _FLOW.rstrip(),
        tasks=("flow_matching",),
        labels={"quantity": "percent", "axes": "linear"},
    ),
    "losses_by_time": Entry(
        "equidyn.figures.families.flow_times.draw:losses_by_time",
        "The loss and its two parts by flow time",
        "Held-out squared error of the baseline and its two parts, which add up to it: twirled error, the error of the "
        "prediction averaged over rotations, and equivariance error. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "percent_by_time_and_train_size": Entry(
        "equidyn.figures.families.flow_times.draw:percent_by_time_and_train_size",
        "Equivariance share by flow time and training set size",
        _BY_TIME + "One colour per training set; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        varies=("train_subset",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "training examples"},
    ),
    "percent_by_time_and_model_size": Entry(
        "equidyn.figures.families.flow_times.draw:percent_by_time_and_model_size",
        "Equivariance share by flow time and model size",
        _BY_TIME + "One colour per model; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        varies=("model",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "model size"},
    ),
    "percent_by_time_and_augmentation": Entry(
        "equidyn.figures.families.flow_times.draw:percent_by_time_and_augmentation",
        "Equivariance share by flow time, with and without rotated training examples",
        _BY_TIME + "One colour per setting; further seeds are thin. " + _FLOW + _STEP_ZERO,
        tasks=("flow_matching",),
        varies=("augmentation",),
        category="What changes the dynamics",
        labels={"quantity": "percent", "varies": "augmentation"},
    ),
    "error_against_skill_by_time": Entry(
        "equidyn.figures.families.flow_times.draw:error_against_skill_by_time",
        "Equivariance error against skill by flow time",
        "Equivariance error relative to the energy of what the baseline predicts beyond the prediction that skill is "
        "measured against, against skill; one path per flow time. Relative error does not vanish when predictions do, "
        "so it tells a network that learned to rotate its predictions from one that fell silent. " + _FLOW.rstrip(),
        tasks=("flow_matching",),
        category="What changes the dynamics",
        labels={"quantity": "relative error", "axes": "skill"},
    ),
    "data_summary": Entry(
        "equidyn.figures.families.data.draw:data_summary",
        "Training and validation data",
        "Distributions of simple quantities over the examples of the training set and of the validation set, which "
        "have no cluster in common; each set's shares add up to 100 %. Dashed: medians.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("data",),
        notes="equidyn.figures.families.data.draw:notes",
        category="Data",
        labels={"quantity": "data"},
    ),
    "percent_by_action": Entry(
        "equidyn.figures.families.voxels.draw:percent_by_action",
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
        "equidyn.figures.families.voxels.draw:interpolation_floor",
        "What turning grids costs by itself",
        "Errors of a prediction that is perfect for every orientation of the molecule, the clean grid: all of it comes "
        "from how predictions are compared. Top: squared error relative to the square of what it is compared with. "
        "Bottom: the share of equivariance error in it. A zero is no error at all, about 1e-15 is rounding. "
        "Rotations and ways of comparing: "
        + _WAYS
        + '. The "symmetric" grid has the molecule in its middle; the "upstream" grid has it 0.625 voxels off on each '
        "axis, which the rotation knows unless said to be ignored.",
        tasks=("voxel_denoising",),
        tables=("floors",),
        notes="equidyn.figures.families.voxels.draw:floor_notes",
        category="Data",
        labels={"quantity": "relative error", "axes": "log"},
    ),
    "orientation_audit": Entry(
        "equidyn.figures.families.orientation.draw:orientation_audit",
        "Orientation of the data",
        "Whether examples lie in all directions, told by the longest and the shortest principal axis of each (of the "
        "positions of its atoms, masses left out; axes that are not defined, as variances along two differ by less "
        "than 1 % of their sum, are left out). Left: maps of the axes, in which uniform axes fill equal areas equally, "
        "with the eigenvalues λ of the mean of u uᵀ over the unit vectors u, and the p-value of Bingham's test of them "
        "for clustered axes. Right: share of the training axes within an angle of x, y or z, less that of uniform "
        "axes, 1 − cos; band and p-value, of the largest difference, from turning all clusters at random.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("orientation", "orientation_tests", "orientation_angles"),
        notes="equidyn.figures.families.orientation.draw:notes",
        category="Data",
        labels={"quantity": "orientation"},
    ),
    "hessian_spectra": Entry(
        "equidyn.figures.families.curvature.draw:hessian_spectra",
        "Eigenvalues of the Hessian of either loss",
        "Magnitude of the eigenvalues of the Hessian of the twirled error and of the equivariance error, on held-out "
        "data and in the parameters of one block of the baseline, against their rank; one row of panels per block, "
        "with common axes, one column per training step. Positive and negative eigenvalues are ranked apart: where "
        "all are known, a curve ends at how many there are. The flatter the curve, the better conditioned the loss. "
        "Grey: at this step the network predicts nothing useful yet.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("hessian",),
        notes="equidyn.figures.families.curvature.draw:spectra_notes",
        category="Why it is easy",
        labels={"quantity": "eigenvalues", "axes": "log-log"},
    ),
    "hessian_summary": Entry(
        "equidyn.figures.families.curvature.draw:hessian_summary",
        "Curvature of either loss over training",
        "Numbers that describe the Hessian of the twirled error and of the equivariance error, on held-out data and in "
        "the parameters of one block of the baseline, against the training step; one column of panels per block. "
        "Equivariance error is far smaller than the twirled error, so the largest eigenvalue is also shown relative "
        "to the loss that it belongs to; effective rank and condition do not depend on the scale of a loss. The "
        "condition is told by the median magnitude of eigenvalues, as the smallest of many are zero or chance. "
        + _STEP_ZERO,
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("hessian",),
        notes="equidyn.figures.families.curvature.draw:notes",
        category="Why it is easy",
        labels={"quantity": "curvature", "axes": "log-log"},
    ),
    "error_by_angle": Entry(
        "equidyn.figures.families.structure.draw:error_by_angle",
        "Equivariance error by the angle of the rotation",
        "Half the mean squared difference between the turned back predictions for two orientations a rotation apart, "
        "against the rotation's angle, for several training steps of the baseline. Left: as a share of the held-out "
        "loss. Next: relative to its average over all rotations, which is the equivariance error; black are errors of "
        "one angular degree alone, scaled alike. Right, where predictions are differentiable: the degree that an error "
        "would have which grows from angle 0 as fast. A network that predicts vectors as the product of a linear layer "
        "and invariant features has degree 2.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("angles",),
        notes="equidyn.figures.families.structure.draw:angle_notes",
        category="The error's own structure",
        labels={"quantity": "percent", "axes": "log y", "varies": "angle"},
    ),
    "error_by_layer": Entry(
        "equidyn.figures.families.structure.draw:error_by_layer",
        "Equivariance error by layer",
        "Variance over rotations of the features that each layer of the baseline puts out, turned back as they ought "
        "to turn, relative to the mean square of the features, for several training steps; last, of the prediction.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("layers",),
        notes="equidyn.figures.families.structure.draw:layer_notes",
        category="The error's own structure",
        labels={"quantity": "relative error", "axes": "log y", "varies": "layer"},
    ),
    "gradient_ratio": Entry(
        "equidyn.figures.families.gradients.draw:gradient_ratio",
        "Equivariance share of the loss against the ratio of gradient norms",
        "Share of the held-out squared error that comes from equivariance error, against the norm of its gradient "
        "relative to that of the twirled error, by all parameters; one point per checkpoint. The line is the path of "
        "the baseline through them, grey lines are those of other runs. " + _STEP_ZERO,
        tables=("gradients",),
        notes="equidyn.figures.families.gradients.draw:notes",
        category="Why it is easy",
        labels={"quantity": "gradients", "axes": "log-log"},
    ),
    "gradient_ratio_by_time": Entry(
        "equidyn.figures.families.gradients.draw:gradient_ratio_by_time",
        "Equivariance share of the loss against the ratio of gradient norms, by flow time",
        "Share of the held-out squared error that comes from equivariance error, against the norm of its gradient "
        "relative to that of the twirled error, by all parameters; one point per checkpoint, one panel per flow time, "
        "all on one scale. Lines are the path of the baseline through them, grey lines are those of other runs. "
        + _FLOW
        + _STEP_ZERO,
        tasks=("flow_matching",),
        tables=("gradients",),
        notes="equidyn.figures.families.gradients.draw:notes",
        category="Why it is easy",
        labels={"quantity": "gradients", "axes": "log-log"},
    ),
    "gradient_split": Entry(
        "equidyn.figures.families.gradients.draw:gradient_split",
        "Gradients of the two parts of the loss",
        "Gradients of the baseline's held-out loss against the training step. Top: norm of the gradient of the twirled "
        "error and of the equivariance error by all parameters. Middle: the ratio of the two, for all parameters and "
        "for groups of them. Bottom: cosine of the angle between the two gradients; where it is negative, reducing one "
        "part raises the other. " + _STEP_ZERO,
        tables=("gradients",),
        notes="equidyn.figures.families.gradients.draw:notes",
        category="Why it is easy",
        labels={"quantity": "gradients", "axes": "log-log"},
    ),
    "head_deviation": Entry(
        "equidyn.figures.families.heads.draw:head_deviation",
        "Distance of the last layer from equivariance",
        "Squared distance of the weights of the last linear layer from those with which the layer itself would be "
        "equivariant, |w⊥|², against the training step; on the right, the same per weight, which for a force field is "
        "the variance over the three rows. Below it, if the layer can be equivariant at all, its share of the squared "
        "length of the weights. Grey: other runs. " + _STEP_ZERO,
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("head",),
        notes="equidyn.figures.families.heads.draw:notes",
        category="Why it is easy",
        labels={"quantity": "last layer", "axes": "log x"},
    ),
    "head_error": Entry(
        "equidyn.figures.families.heads.draw:head_error",
        "Equivariance error and the last layer",
        "Predictions are linear in the weights w of the last layer, so that at fixed features the equivariance error "
        "is a quadratic form wᵀQw. First panel: the error against the squared distance of w from equivariance, |w⊥|², "
        "one point per checkpoint. Then: the error that the form predicts against the measured one, with the line of "
        "equality; the error per squared distance, what features make of it; and, if the layer can be equivariant at "
        "all, which part of the predicted error comes from w⊥, from the rest of w, and from the two "
        "together. " + _STEP_ZERO,
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("head",),
        notes="equidyn.figures.families.heads.draw:notes",
        category="Why it is easy",
        labels={"quantity": "last layer", "axes": "log-log"},
    ),
    "landscape_surfaces": Entry(
        "equidyn.figures.families.landscapes.draw:landscape_surfaces",
        "Loss landscapes",
        "The two parts of the loss around a checkpoint of the baseline, in a plane of weights through it. Above, "
        "batch, noise and rotations are the same at all points; below, rotations are drawn anew at each, as published "
        "grids look. Heights have one scale in all panels, though not one zero. " + _ROUGHNESS,
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("landscape",),
        notes="equidyn.figures.families.landscapes.draw:notes",
        category="Why it is easy",
        labels={"quantity": "landscape", "axes": "3D"},
    ),
    "landscape_contours": Entry(
        "equidyn.figures.families.landscapes.draw:landscape_contours",
        "Loss landscapes, each on its own scale",
        "The two parts of the loss around a checkpoint of the baseline, in a plane of weights through it (cross), with "
        "contours of the best quadratic. Above, batch, noise and rotations are the same at all points; below, "
        "rotations are drawn anew at each, as published grids look. Colours have a scale of their own in each panel. "
        + _ROUGHNESS,
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("landscape",),
        notes="equidyn.figures.families.landscapes.draw:notes",
        category="Why it is easy",
        labels={"quantity": "landscape", "axes": "contours"},
    ),
    "landscape_roughness": Entry(
        "equidyn.figures.families.landscapes.draw:landscape_roughness",
        "Roughness of loss landscapes",
        "Roughness of the two parts of the loss around a checkpoint of the baseline, along eigenvectors of the Hessian "
        "of each part and along random directions, and of the published grids. Filled: batch, noise and rotations are "
        "the same at all points; open: rotations are drawn anew at each. On the right, how many times rougher the "
        "latter is. " + _ROUGHNESS + " Grey: where 95 % of grids of the same size lie that are nothing but noise.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("landscape",),
        notes="equidyn.figures.families.landscapes.draw:roughness_notes",
        category="Why it is easy",
        labels={"quantity": "roughness", "axes": "log"},
    ),
    "landscape_published": Entry(
        "equidyn.figures.families.landscapes.draw:landscape_published",
        "Published loss landscapes",
        "The authors' grids of the two parts of the loss, drawn as ours are. Heights have one scale in each row, "
        "though not one zero. " + _ROUGHNESS,
        tasks=(ALL_TASKS,),
        tables=("published_landscape",),
        notes="equidyn.figures.families.landscapes.draw:published_notes",
        category="Why it is easy",
        labels={"quantity": "landscape", "axes": "3D"},
    ),
    "loss_against_compute": Entry(
        "equidyn.figures.families.compute.draw:loss_against_compute",
        "Held-out loss against training compute",
        "Held-out loss of the baseline, of other sizes (thin) and of an exactly equivariant control, trained on the "
        "same data in the same way, against training compute; and of the baseline averaged over rotations at test "
        "time, which is its twirled loss. Below: best losses so far divided by the control's at equal compute, "
        "linear in the logarithm of compute between evaluations. FLOP: matrix products and convolutions, there and "
        "back, from closed formulas for examples of typical size; what else networks do takes time too, and is not "
        "counted. Step 0 is the untrained network.",
        tasks=("force_field", "flow_matching", "voxel_denoising"),
        tables=("evaluation", "costs"),
        notes="equidyn.figures.families.compute.draw:notes",
        category="What it costs",
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "published_force_field": Entry(
        "equidyn.figures.families.beside_published.draw:published_force_field",
        "Published and our equivariance share, force fields",
        "Share of the held-out squared error that comes from equivariance error, against the training step: left as "
        "published for EScAIP, right in this study, one row for each thing that the study varies, on common axes. "
        "Shading, on our side alone: the baseline predicts nothing useful. " + _STEP_ZERO,
        tasks=("force_field",),
        tables=("evaluation", "published"),
        varies=("train_subset", "model", "optimiser", "lr", "seed"),
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "published_losses": Entry(
        "equidyn.figures.families.beside_published.draw:published_losses",
        "Published and our losses, force fields",
        "Held-out loss and its two parts against the training step: left as published for EScAIP, right in this study. "
        "Rows pair training sets by rank, from the largest down. " + _STEP_ZERO,
        tasks=("force_field",),
        tables=("evaluation", "published"),
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "published_flow_matching": Entry(
        "equidyn.figures.families.beside_published.draw:published_flow_matching",
        "Published and our equivariance share, flow matching",
        "Share of the held-out squared error that comes from equivariance error, one colour per flow time: left as "
        "published for Proteína, right in this study. Rows: all data; less data (published 1 % and 0.1 %, here about a "
        "tenth and a hundredth); a network with triangle updates. Flow time t runs from 0, pure noise, to 1, data. "
        + _STEP_ZERO,
        tasks=("flow_matching",),
        tables=("evaluation", "published"),
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "published_flow_losses": Entry(
        "equidyn.figures.families.beside_published.draw:published_flow_losses",
        "Published and our losses, flow matching",
        "Equivariance error, twirled error and their sum by flow time: left as published for Proteína with 60M "
        "parameters, right for the baseline. Flow time t runs from 0, pure noise, to 1, data. " + _STEP_ZERO,
        tasks=("flow_matching",),
        tables=("evaluation", "published"),
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "published_flow_losses_varied": Entry(
        "equidyn.figures.families.beside_published.draw:published_flow_losses_varied",
        "Published and our losses, flow matching with triangle updates or little data",
        "Losses by flow time: left as published for Proteína, right in this study. Rows: equivariance error and "
        "twirled error of a network with triangle updates; total error with little data (published 0.1 %, here about "
        "a hundredth). Flow time t runs from 0, pure noise, to 1, data. " + _STEP_ZERO,
        tasks=("flow_matching",),
        tables=("evaluation", "published"),
        needs_model="-tri",
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "published_voxels": Entry(
        "equidyn.figures.families.beside_published.draw:published_voxels",
        "Published and our equivariance share, voxel denoising",
        "Left the authors' numbers of VoxMol, right this study: share of the held-out squared error that comes from "
        "equivariance error, by data and by model size. The largest published network, trained on all data, stands for "
        "100 %; the size of those with less is not stated. " + _STEP_ZERO,
        tasks=("voxel_denoising",),
        tables=("evaluation", "published_tables"),
        varies=("train_subset", "model"),
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "percent", "axes": "log-log"},
    ),
    "published_voxels_losses": Entry(
        "equidyn.figures.families.beside_published.draw:published_voxels_losses",
        "Published and our losses, voxel denoising",
        "Left the authors' numbers of VoxMol, right this study: equivariance error, then twirled error, both unbiased, "
        "by data and by model size. The largest published network, trained on all data, stands for 100 %; the size of "
        "those with less is not stated. " + _STEP_ZERO,
        tasks=("voxel_denoising",),
        tables=("evaluation", "published_tables"),
        varies=("train_subset", "model"),
        notes="equidyn.figures.families.beside_published.draw:notes",
        category="Beside the published figures",
        labels={"quantity": "losses", "axes": "log-log"},
    ),
    "verdicts": Entry(
        "equidyn.figures.families.claims.draw:verdicts",
        "The paper's claims, judged",
        "One panel for each kind of statistic, one line for each claim and task: the value measured here with its "
        "interval, and the range that the claim expects, shaded. A claim is reproduced if the whole interval lies in "
        "that range, not reproduced if all of it lies outside, and otherwise not testable at this scale.",
        tasks=(ALL_TASKS,),
        tables=("claims",),
        notes="equidyn.figures.families.claims.draw:notes",
        category="All tasks",
        labels={"quantity": "claims"},
    ),
    "summary": Entry(
        "equidyn.figures.families.summary.draw:summary",
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
