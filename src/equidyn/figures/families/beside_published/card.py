"""Figures of published curves beside those of a study."""

from functools import partial

from equidyn.figures.card import Family, Figure, any_task
from equidyn.figures.phrases import STEP_ZERO, TIME
from equidyn.study.choice import MODEL_SIZE, OPTIMISER, SEED, TRAIN_SIZE

figure = partial(Figure, category="Beside the published figures", tables=("evaluation", "published"), notes="notes")
of_forces = partial(figure, tasks=("force_field",))
of_flows = partial(figure, tasks=("flow_matching",))
of_voxels = partial(
    figure, tasks=("voxel_denoising",), tables=("evaluation", "published_tables"), varies=(TRAIN_SIZE, MODEL_SIZE)
)

_LARGEST = (
    "The largest published network, trained on all data, stands for 100 %; the size of those with less is not stated."
)

CARD = Family(
    name="beside_published",
    order=12,
    figures=(
        of_forces(
            "published_force_field",
            "Published and our equivariance share, force fields",
            """Share of the held-out loss that comes from equivariance error, against the training step: left as
            published for EScAIP, right in this study, one row for each thing that the study varies. Shares have one
            axis in each row, steps one on each side.""",
            f"Shading, on our side alone: the baseline predicts nothing useful. {STEP_ZERO}",
            varies=(SEED, MODEL_SIZE, TRAIN_SIZE, OPTIMISER),
        ),
        of_forces(
            "published_losses",
            "Published and our losses, force fields",
            """Held-out loss and its two parts against the training step: left as published for EScAIP, right in this
            study. Rows pair training sets by rank, from the largest down.""",
            STEP_ZERO,
        ),
        of_forces(
            "published_pilot",
            "The authors' network trained here, beside their curves",
            """Share of the held-out loss that comes from equivariance error, against the training step: the authors'
            EScAIP with 6M parameters as they published it, and the same network trained once by this package with their
            recipe; below, the skill of the latter.""",
            f"""Trained on 39,640 conformers of 155 small molecules in place of the authors' 950,000 of SPICE.
            {STEP_ZERO}""",
            tables=("published",),
            notes="pilot_notes",
        ),
        of_flows(
            "published_flow_matching",
            "Published and our equivariance share, flow matching",
            """Share of the held-out loss that comes from equivariance error, one colour per flow time: left as
            published for Proteína, right in this study. Rows: all data; less data (published 1 % and 0.1 %, here about
            a tenth and a hundredth); a network with triangle updates.""",
            f"{TIME} {STEP_ZERO}",
        ),
        of_flows(
            "published_flow_losses",
            "Published and our losses, flow matching",
            """Equivariance error, twirled loss and their sum by flow time: left as published for Proteína with 60M
            parameters, right for the baseline.""",
            f"{TIME} {STEP_ZERO}",
        ),
        of_flows(
            "published_flow_losses_varied",
            "Published and our losses, flow matching with triangle updates or little data",
            """Losses by flow time: left as published for Proteína, right in this study. Rows: equivariance error and
            twirled loss of a network with triangle updates; total loss with little data (published 0.1 %, here about
            a hundredth).""",
            f"{TIME} {STEP_ZERO}",
            appendix=any_task,
            varies=(MODEL_SIZE,),
            variant="triangle updates",
        ),
        of_voxels(
            "published_voxels",
            "Published and our equivariance share, voxel denoising",
            """Left the authors' numbers of VoxMol, right this study: share of the held-out loss that comes from
            equivariance error, by data and by model size.""",
            f"{_LARGEST} {STEP_ZERO}",
        ),
        of_voxels(
            "published_voxels_losses",
            "Published and our losses, voxel denoising",
            """Left the authors' numbers of VoxMol, right this study: equivariance error, then twirled loss, both
            unbiased, by data and by model size.""",
            f"{_LARGEST} {STEP_ZERO}",
        ),
    ),
)
