"""Each table of CONTRIBUTING.md, followed once: the thing is added at the places named, nowhere else, and run."""

import json

import pytest
from contribution import Contribution, documented

pytestmark = pytest.mark.workflow

PLACES = {"A model": 2, "A data source": 2}


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
