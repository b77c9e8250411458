"""What to draw, and the words for it in each task."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Words:
    """How figures and captions name things.

    Attributes:
        title: Of the task.
        examples: What data consist of.
        clusters: Groups of related examples, which the bootstrap resamples as one.
        null: The predictor that skill is measured against.
        remark: What it amounts to.
        trivial: The same kind of predictor, in a few words.
        error: What the squared error is a mean of.
    """

    title: str
    examples: str
    clusters: str
    null: str
    remark: str
    trivial: str
    error: str


WORDS = {
    "force_field": Words(
        title="Force field",
        examples="examples",
        clusters="molecules",
        null="the best constant prediction",
        remark="which is zero for forces",
        trivial="a constant",
        error="Mean squared error per component",
    ),
    "flow_matching": Words(
        title="Flow matching",
        examples="chains",
        clusters="sequence families",
        null="the best multiple of the noisy input",
        remark="a Wiener filter for each flow time; at t = 0 the input is pure noise, which tells nothing of the data",
        trivial="a multiple of the noisy input",
        error="Squared error per coordinate",
    ),
    "voxel_denoising": Words(
        title="Voxel denoising",
        examples="conformers",
        clusters="molecules",
        null="a blank grid",
        remark="which predicts no atom anywhere",
        trivial="a blank grid",
        error="Mean squared error per component",
    ),
}


@dataclass(frozen=True)
class Action:
    """A way of comparing predictions for a molecule in several orientations, where there is more than one.

    Attributes:
        name: In legends.
        text: What it does, for captions.
        exact: Whether the task's control is exactly equivariant under these rotations.
    """

    name: str
    text: str
    exact: bool = False

    @property
    def described(self) -> str:
        """Name and text, for lists."""
        return f'"{self.name}" ({self.text})'


ACTIONS = {
    "cube": Action("of a cube", "the 24 of a cube alone, which permute voxels, so that nothing is interpolated", True),
    "trilinear": Action(
        "all, trilinear",
        "all of SO(3), the predicted grid being turned back by trilinear interpolation between voxels",
    ),
    "cubic": Action("all, cubic splines", "all of SO(3), the predicted grid being turned back by cubic splines"),
    "atoms": Action(
        "all, at the atoms",
        "all of SO(3), no grid being turned back: compared is the overlap of the predicted density with that of each "
        "atom, so that the loss is one per atom",
    ),
}
"""By their names in tables, `equidyn.tasks.voxel_denoising.task.ACTIONS`."""

USUAL_ACTION = {"voxel_denoising": "trilinear"}  # nearest to what the paper can have done


@dataclass(frozen=True)
class Options:
    """What to draw.

    Attributes:
        baseline: Run that others are compared with.
        task: Rows of other tasks are ignored.
        weights: "raw" or "ema".
        estimator: "exact" or "sampled"; runs without the first are shown by the second.
        self_conditioning: Whether networks that can see their own first prediction do; tasks without the choice
            ignore it.
        action: One of `ACTIONS`, for figures that show one; the usual one of the task if None.
        useful_skill: Below this skill a network predicts nothing useful.
        threshold: Percent below which the paper calls a network nearly equivariant.
        confidence: Level at which the table's intervals were computed, for captions.
    """

    baseline: str = "base"
    task: str = "force_field"
    weights: str = "ema"
    estimator: str = "exact"
    self_conditioning: bool = False
    action: str | None = None
    useful_skill: float = 0.05
    threshold: float = 2.0
    confidence: float = 0.95

    @property
    def words(self) -> Words:
        """How to name things of the task."""
        return WORDS[self.task]

    @property
    def conditions(self) -> dict[str, Any]:
        """Columns of the table in which rows of a curve may differ for the same weights, with the value to show."""
        action = self.action or USUAL_ACTION.get(self.task)
        return {"self_conditioning": self.self_conditioning} | ({"action": action} if action else {})

    @property
    def has_floor(self) -> bool:
        """Whether the way in which predictions are compared has an error of its own, beyond rounding."""
        action = self.conditions.get("action")
        return action is not None and not ACTIONS[action].exact
