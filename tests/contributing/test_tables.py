"""Each table of CONTRIBUTING.md, followed once: the thing is added at the places named, nowhere else, and run."""

import json

import pandas as pd
import pytest
from contribution import Contribution, documented

pytestmark = pytest.mark.workflow

PLACES = {
    "A figure": 2, "An analysis": 2, "A model": 2, "A data source": 2, "A task": 3, "A claim": 2, "A group": 1,
    "A column of the run table": 2,
}  # fmt: skip


@pytest.mark.parametrize("thing", PLACES)
def test_places_are_few(thing):
    assert len(documented(thing)) == PLACES[thing]


NETWORK = '''"""Atoms pull at their neighbours, each kind of atom in its own way."""

import torch
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.models.graph import neighbour_graph, sum_over_neighbours


class Pull(nn.Module):
    """A force along each edge, from an embedding of the neighbour."""

    elements = 20

    def __init__(self, radius: float = 5.0):
        super().__init__()
        self.radius, self.pull = radius, nn.Embedding(self.elements, 3)

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces of a batch of molecules."""
        graph = neighbour_graph(batch, max_neighbors=8, max_radius=self.radius)
        along = graph.direction.to(batch.positions.dtype) * self.pull(batch.atomic_numbers[graph.neighbour])
        return ForceOutput(sum_over_neighbours(along, graph), None, None)
'''
TRAIN = """
import sys
import numpy as np
from equidyn.data.store import Store
from equidyn.models.registry import configuration
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.force_field.task import ForceField

store, output = Store(sys.argv[1]), sys.argv[2]
learned = {"batch_size": 4, "steps": 2, "optimiser": "adamw", "lr": 1e-3, "augmentation": 0.5, "seed": 0}
recipe = Recipe(model="pull-small", **configuration("pull-small").built_from, **learned)
train(ForceField.fit(store, np.arange(12)), np.arange(12), recipe, [0, 2], output=output, state=output + "-state")
"""


@pytest.mark.slow
def test_a_model_is_trained(tmp_path, store):
    added = Contribution(tmp_path, "A model")
    room = "src/equidyn/models/pull"
    added.write(f"{room}/__init__.py", '"""A network of pulls."""\n')
    added.write(
        f"{room}/card.py",
        '"""What others may know of it."""\n\nfrom equidyn.models.card import Architecture\n\n'
        'CARD = Architecture(name="pull", task="force_field", network="equidyn.models.pull.network:Pull")\n',
    )
    added.write(f"{room}/network.py", NETWORK)
    added.write(f"{room}/configurations.toml", "[pull-small]\nparameters = 60\nsizes = { radius = 4.0 }\n")
    added.run(TRAIN, store.path, tmp_path / "out")
    assert json.loads((tmp_path / "out/run.json").read_text())["model"] == "pull-small"
    assert "pull-small" in added.run("from equidyn.cli import main; main(['models'])")
    # It can be planned and run by the workflow, without a word on it anywhere else.
    project = added.project
    project.rows = [project.rows[0] | {"model": "pull-small"}]
    assert project.planned("train")["train_network"] == 1


SOURCE = '''"""Two atoms on a spring."""

import numpy as np

from equidyn.data.geometries import FORCE_FIELD, cluster_field
from equidyn.data.store import StoreWriter


def build_store(path, recipe, *, processes=1):
    """Make a store of molecules of two atoms."""
    rng = np.random.default_rng(recipe.seed)
    with StoreWriter(path, FORCE_FIELD | {"cluster": cluster_field("molecule")}) as writer:
        for number in range(recipe.molecules):
            stretch = rng.normal()
            positions = np.array([[-0.5, 0, 0], [0.5, 0, 0]]) * (1 + 0.1 * stretch)
            writer.append(
                positions=positions.astype(np.float32),
                atomic_numbers=np.array([1, 1], np.uint8),
                forces=(-stretch * positions).astype(np.float32),
                energy=stretch**2,
                cluster=number,
            )
        writer.finish(source="springs")
'''
SOURCE_CARD = '''"""What others may know of springs."""

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, SourceCard, Typical


class Springs(Settings):
    """How many there are."""

    molecules: int = Field(ge=1, description="Molecules of two atoms.")
    seed: Seed = 0


CARD = SourceCard(
    task="force_field",
    source="springs",
    text="two atoms on a spring",
    build="equidyn.data.sources.springs.build:build_store",
    recipe=Springs,
    typical=Typical(100, mean=2, largest=2),
)
'''


def test_a_data_source_makes_a_store(tmp_path):
    added = Contribution(tmp_path, "A data source")
    room = "src/equidyn/data/sources/springs"
    added.write(f"{room}/__init__.py", '"""Springs."""\n')
    added.write(f"{room}/card.py", SOURCE_CARD)
    added.write(f"{room}/build.py", SOURCE)
    project = added.project
    section = {"source": "springs", "molecules": 20, "seed": 0, "validation_fraction": 0.25, "subsets": {"12": 12}}
    project.config["data"] = {"force_field": section}
    project.config["analysis"] = {}
    project.rows = [project.rows[0] | {"train_subset": "12"}]
    result = project.run("data")
    assert result.returncode == 0, result.stderr[-4000:]
    program = "from equidyn.data.store import Store; print(len(Store('results/tiny/data/force_field/store')))"
    assert added.run(program) == "20\n"
    assert added.run("from equidyn.cli import main; main(['plan', '--config', 'config/tiny.yaml'])")


# --- a figure -------------------------------------------------------------------------------------------------------

FIGURE_CARD = '''"""Figures of counts."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="counts",
    order=50,
    figures=(
        Figure("checkpoints", "Checkpoints", "Evaluated checkpoints of each run.", category="Counts", notes="notes"),
    ),
)
'''
FIGURE_DRAW = '''"""Counts."""

import pandas as pd
from matplotlib.figure import Figure

from equidyn.figures.parts import style
from equidyn.figures.parts.options import Options


def checkpoints(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """A bar for each run."""
    data = table.groupby("run", as_index=False)["step"].nunique()
    figure = style.new_figure(4, 3)
    figure.add_subplot().bar(data["run"], data["step"])
    return figure, data


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How many runs there are."""
    return [f"Runs: {len(data)}."]
'''
DRAW = """
import pandas as pd
from analysis_tables import identities
from equidyn.figures.parts.making import make_figure
from equidyn.figures.planned import drawing, figures_for

config = {"figures": {"baseline": {"force_field": "base"}, "weights": "ema", "estimator": "exact"}}
config["evaluation"] = {"confidence": 0.95}
run = {"name": "base", "task": "force_field", "model": "escaip-tiny"}
assert "checkpoints" in figures_for("force_field")
pd.DataFrame(identities()).to_parquet("evaluation.parquet")
told = drawing(config, {"base": run}, "force_field", "checkpoints")
make_figure(**told, tables=["evaluation.parquet"], stem="drawn/checkpoints", formats=["png"])
"""


def test_a_figure_is_drawn(tmp_path):
    added = Contribution(tmp_path, "A figure")
    room = "src/equidyn/figures/families/counts"
    added.write(f"{room}/__init__.py", '"""Counts."""\n')
    added.write(f"{room}/card.py", FIGURE_CARD)
    added.write(f"{room}/draw.py", FIGURE_DRAW)
    added.run(DRAW)
    assert (tmp_path / "drawn/checkpoints.png").stat().st_size > 1000
    assert (tmp_path / "drawn/checkpoints.txt").read_text().rstrip().endswith("Runs: 1.")
    assert (tmp_path / "drawn/checkpoints.csv").read_text().splitlines()[-1] == "base,4"


# --- an analysis ----------------------------------------------------------------------------------------------------

ANALYSIS_CARD = '''"""What others may know of the analysis of lengths of weights."""

from equidyn.analysis.card import AnalysisCard, AnalysisSettings


class LengthSettings(AnalysisSettings):
    """How long the weights are, to some power."""

    power: float = 1.0


CARD = AnalysisCard(name="lengths", measure="equidyn.analysis.lengths.measure:measure", settings=LengthSettings)
'''
ANALYSIS = '''"""Lengths of weights."""


def measure(task, model, indices, protocol, condition, *, power):
    """The length of all weights together."""
    return [{"length": float(sum(p.square().sum() for p in model.parameters()) ** (power / 2))}]
'''
ANALYSE = """
import sys
import numpy as np
from equidyn.analysis.checkpoints import analyse_run
from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.data.store import Store
from equidyn.models.registry import configuration
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.force_field.task import ForceField

store, card = Store(sys.argv[1]), cards("equidyn.analysis")["lengths"]
learned = {"batch_size": 4, "steps": 2, "optimiser": "adamw", "lr": 1e-3, "augmentation": 0.5, "seed": 0}
recipe = Recipe(model="escaip-tiny", **configuration("escaip-tiny").built_from, **learned)
train(ForceField.fit(store, np.arange(12)), np.arange(12), recipe, [0, 2], output="out", state="state")
protocol = EvaluationSettings(examples=4, batch_size=4, rotations=2, weights=("raw",))
where = {"state": "found", "labels": {"run": 1}}
rows = analyse_run(
    load(card.measure), ForceField, store, np.arange(12, 20), "out", [0, 2], protocol, {"power": 2.0}, **where
)
assert (rows["length"] > 1).all() and rows["length"].nunique() == 2
print(*rows["step"])
"""


@pytest.mark.slow
def test_an_analysis_is_made_of_checkpoints(tmp_path, store):
    added = Contribution(tmp_path, "An analysis")
    room = "src/equidyn/analysis/lengths"
    added.write(f"{room}/__init__.py", '"""Lengths."""\n')
    added.write(f"{room}/card.py", ANALYSIS_CARD)
    added.write(f"{room}/measure.py", ANALYSIS)
    assert added.run(ANALYSE, store.path) == "0 2\n"
    project = added.project
    settings = {"runs": ["augmented"], "steps": [6], "examples": 8, "batch_size": 8, "rotations": 2, "power": 2}
    project.config["analysis"] = {"lengths": {"force_field": settings}}
    assert project.planned("analyse")["analyse_checkpoints"] == 1
    settings["pover"] = settings.pop("power")
    refused = project.run("--dry-run")
    assert "did you mean 'power'" in refused.stderr + refused.stdout


# --- a task ---------------------------------------------------------------------------------------------------------

TASK_CARD = '''"""What others may know of the task of arrows."""

from equidyn.tasks.card import Comparison, Sizes, TaskCard, Words


def sizes(data, settings, typical, count):
    """Every example is one arrow."""
    return Sizes((1.0,), 1.0, "one arrow")


CARD = TaskCard(
    name="arrows",
    task="equidyn.tasks.arrows.task:Arrows",
    unit="m²",
    words=Words(
        title="Arrows", examples="arrows", clusters="quivers", null="no arrow", remark="", trivial="nothing",
        error="Squared error",
    ),
    size="arrows",
    sizes=sizes,
    inputs="equidyn.tasks.arrows.inputs:inputs",
    comparisons={"vectors": Comparison("of vectors", "all of SO(3)", exact=True)},
    comparison="vectors",
)
'''
TASK_INPUTS = '''"""What networks of arrows read."""

import torch


def inputs(size):
    """So many arrows."""
    return torch.zeros(size, 3)
'''
TASK = '''"""Predict an arrow from another."""

from dataclasses import dataclass, replace

import torch

from equidyn.tasks.contract import TrainableTask, Whole


@dataclass(frozen=True)
class Batch:
    """Arrows x (B, 3) and y (B, 3)."""

    x: torch.Tensor
    y: torch.Tensor


class Arrows(TrainableTask):
    """The task on a store with fields x, y and cluster."""

    name, unit = "arrows", "m²"

    def __init__(self, store):
        self.store = store

    @classmethod
    def fit(cls, store, indices):
        return cls(store)

    @classmethod
    def restore(cls, store, state):
        return cls(store)

    def state(self):
        return {}

    def check(self, model, indices):
        pass

    def batch(self, indices, device="cpu"):
        return Batch(*(torch.from_numpy(self.store.scalar(name)[indices]).float().to(device) for name in ("x", "y")))

    def act(self, batch, elements, symmetry):
        example = torch.arange(len(batch.x))
        return Batch(*(symmetry.act_on_vectors(v, elements, example) for v in (batch.x, batch.y)))

    def repeat(self, batch, count):
        return Batch(batch.x.repeat(count, 1), batch.y.repeat(count, 1))

    def predict(self, model, batch):
        return model(batch.x)

    def act_on_prediction(self, prediction, elements, batch, symmetry):
        return symmetry.act_on_vectors(prediction, elements, self.example(batch))

    def target(self, batch):
        return batch.y

    def example(self, batch):
        return torch.arange(len(batch.x))

    def cluster(self, indices):
        return self.store.scalar("cluster")[indices]

    def whole(self, indices):
        return Whole(len(indices), len(indices))

    def loss(self, model, batch, whole=None):
        return (model(batch.x) - batch.y).square().sum() / (3 * (whole.examples if whole else len(batch.x)))

    def describe_batch(self, indices):
        return f"arrows {indices.tolist()}"
'''
ARROWS_CARD = '''"""What others may know of made arrows."""

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, SourceCard, Typical


class MadeArrows(Settings):
    """How many there are."""

    arrows: int = Field(ge=1, description="Arrows.")
    seed: Seed = 0


CARD = SourceCard(
    task="arrows",
    source="made",
    text="arrows at random",
    build="equidyn.data.sources.made_arrows.build:build_store",
    recipe=MadeArrows,
    typical=Typical(100, mean=1, largest=1),
)
'''
ARROWS = '''"""Arrows."""

import numpy as np

from equidyn.data.store import Field, StoreWriter

FIELDS = {name: Field("float32", (3,), ragged=False) for name in ("x", "y")} | {"cluster": Field("int64", ragged=False)}


def build_store(path, recipe, *, processes=1):
    """Make a store of arrows of which one is twice the other."""
    rng = np.random.default_rng(recipe.seed)
    with StoreWriter(path, FIELDS) as writer:
        for number in range(recipe.arrows):
            x = rng.normal(size=3).astype(np.float32)
            writer.append(x=x, y=2 * x, cluster=number)
        writer.finish(source="arrows")
'''


@pytest.mark.slow
def test_a_task_is_evaluated(tmp_path):
    added = Contribution(tmp_path, "A task")
    room, source = "src/equidyn/tasks/arrows", "src/equidyn/data/sources/made_arrows"
    for folder in (room, source):
        added.write(f"{folder}/__init__.py", '"""Arrows."""\n')
    added.write(f"{room}/card.py", TASK_CARD)
    added.write(f"{room}/task.py", TASK)
    added.write(f"{room}/inputs.py", TASK_INPUTS)
    added.write(f"{source}/card.py", ARROWS_CARD)
    added.write(f"{source}/build.py", ARROWS)
    project = added.project
    sizes = "sizes = { in_features = 3, out_features = 3, bias = false }"
    network = f'[linear]\nnetwork = "torch.nn:Linear"\ntask = "arrows"\nparameters = 9\n{sizes}\n'
    (tmp_path / "networks.toml").write_text(network)
    config = project.config
    section = {"source": "made", "arrows": 40, "seed": 0, "validation_fraction": 0.25, "subsets": {"all": "all"}}
    config |= {"data": {"arrows": section}, "models": "networks.toml", "analysis": {}}
    for part in ("training", "evaluation"):
        config[part] = {
            key: value for key, value in config[part].items() if key not in ("flow_matching", "voxel_denoising")
        }
        config[part]["arrows"] = config[part].pop("force_field")
    config["figures"]["baseline"] = {"arrows": "augmented"}
    project.rows = [project.rows[0] | {"task": "arrows", "model": "linear"}]
    result = project.run("evaluate")
    assert result.returncode == 0, result.stderr[-4000:]
    table = pd.read_parquet(project.results / "tables/evaluation.parquet")
    assert set(table["task"]) == {"arrows"}
    assert set(table["step"]) == {0, 2, 6}
    assert (table["percent"] > 0).all()


# --- a claim --------------------------------------------------------------------------------------------------------

CLAIM = """CLAIMS = {
    "ends_learned": Claim(
        "Learns",
        "Networks learn.",
        "runs that were evaluated",
        pd.Interval(1, np.inf),
        lambda evidence: Found(*[len(evidence.replicates)] * 3),
        "ratio",
        ("losses", "losses_by_time"),
    ),
"""
JUDGE = """
import pandas as pd
from analysis_tables import identities
from equidyn.analysis.authors import published_curves, published_landscapes
from equidyn.claims.definitions import judge
from equidyn.study.choice import choice_of

config = {"figures": {"baseline": {"force_field": "base"}, "weights": "ema", "estimator": "exact"}}
evaluation = pd.DataFrame([*identities(), *identities(run="other", seed=1)])
evaluation["variant"] = ""
costs = pd.DataFrame({"run": ["base", "other"], "step_flops": 1e9})
choices = {"force_field": choice_of(config, "force_field")}
authors = {"curves": published_curves(), "landscapes": published_landscapes()}
table = judge(evaluation, {}, {}, costs, choices, **authors, resamples=10).query("weights == 'raw'")
print(*table.set_index("claim").loc["ends_learned", ["value", "verdict"]])
"""


def test_a_claim_is_judged(tmp_path):
    added = Contribution(tmp_path, "A claim")
    added.edit("src/equidyn/claims/definitions.py", "CLAIMS = {\n", CLAIM)
    assert added.run(JUDGE) == "2.0 reproduced\n"


# --- a group --------------------------------------------------------------------------------------------------------

GROUP_CARD = '''"""The card of SO(2)."""

from equidyn.core.groups.card import GroupCard

CARD = GroupCard(name="SO(2)", symmetry="equidyn.core.groups.so2.symmetry:TURNS", text="rotations about z", order=9)
'''
GROUP = '''"""SO(2): rotations about z."""

import torch

from equidyn.core.groups.so2.card import CARD
from equidyn.core.symmetry import MatrixGroup


class Turns(MatrixGroup):
    """The rotations that leave z where it is."""

    card = CARD

    def sample(self, count, *, generator):
        """(count, 3, 3) independent rotations."""
        angle = 2 * torch.pi * torch.rand(count, generator=generator, dtype=torch.float64)
        R = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
        R[:, 0, 0], R[:, 1, 1], R[:, 0, 1], R[:, 1, 0] = angle.cos(), angle.cos(), -angle.sin(), angle.sin()
        return R


TURNS = Turns()
'''
TWIST = """
import numpy as np
import torch
from linear_task import Matrix, VectorTask
from equidyn.run.evaluation import decompose_task
from equidyn.run.protocol import EvaluationSettings

task, protocol = VectorTask(40), EvaluationSettings(rotations=4, batch_size=8)
for matrix in (np.diag([1, 1, 5]), np.diag([1, 5, 1])):  # the first commutes with turns about z, not with all rotations
    for group in ("SO(2)", "SO(3)"):
        split = decompose_task(task, Matrix(matrix).eval(), np.arange(40), protocol, {"group": group})
        print(split.equivariance.sum() / split.total.sum() > 1e-6)
"""


def test_a_group_is_sampled_and_evaluated(tmp_path):
    added = Contribution(tmp_path, "A group")
    room = "src/equidyn/core/groups/so2"
    added.write(f"{room}/__init__.py", '"""SO(2)."""\n')
    added.write(f"{room}/card.py", GROUP_CARD)
    added.write(f"{room}/symmetry.py", GROUP)
    assert added.run(TWIST).split() == ["False", "True", "True", "True"]


# --- a column of the run table --------------------------------------------------------------------------------------


LABEL = """
from equidyn.core.rooms import cards
from equidyn.study.config import labels
from equidyn.study.reading import read_study

config, runs = read_study(["config/tiny.yaml"], cards("equidyn.analysis"))
print(labels(config, runs["augmented"])["campaign"])  # what stands in each row of the tables of a run
"""


def test_a_column_is_carried_into_tables(tmp_path):
    added = Contribution(tmp_path, "A column of the run table")
    field = 'class _Place(Settings):\n    campaign: str = Field("", description="Campaign that the run belongs to.")\n'
    added.edit("src/equidyn/run/recipe.py", "class _Place(Settings):\n", field)
    added.run("from equidyn.cli import main; main(['reference', 'config/README.md'])")
    assert "| `campaign` |" in (tmp_path / "config/README.md").read_text()
    project = added.project
    project.rows = [row | {"campaign": "spring"} for row in project.rows[:1]]
    project.config["analysis"] = {}
    assert project.planned("evaluate")["train_network"] == 1
    assert added.run(LABEL) == "spring\n"
