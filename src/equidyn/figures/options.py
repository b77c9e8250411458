"""What to draw, and the words for it in each task."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """How figures and captions name things.

    Attributes:
        examples: What data consist of.
        clusters: Groups of related examples, which the bootstrap resamples as one.
        null: The predictor that skill is measured against.
        remark: What it amounts to.
        trivial: The same kind of predictor, in a few words.
        error: What the squared error is a mean of.
    """

    examples: str
    clusters: str
    null: str
    remark: str
    trivial: str
    error: str


WORDS = {
    "force_field": Words(
        examples="examples",
        clusters="molecules",
        null="the best constant prediction",
        remark="which is zero for forces",
        trivial="a constant",
        error="Mean squared error per component",
    ),
    "flow_matching": Words(
        examples="chains",
        clusters="sequence families",
        null="the best multiple of the noisy input",
        remark="a Wiener filter for each flow time; at t = 0 the input is pure noise, which tells nothing of the data",
        trivial="a multiple of the noisy input",
        error="Squared error per coordinate",
    ),
}


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
        useful_skill: Below this skill a network predicts nothing useful.
        threshold: Percent below which the paper calls a network nearly equivariant.
        confidence: Level at which the table's intervals were computed, for captions.
    """

    baseline: str = "base"
    task: str = "force_field"
    weights: str = "ema"
    estimator: str = "exact"
    self_conditioning: bool = False
    useful_skill: float = 0.05
    threshold: float = 2.0
    confidence: float = 0.95

    @property
    def words(self) -> Words:
        """How to name things of the task."""
        return WORDS[self.task]
