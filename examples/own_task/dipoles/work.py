"""The data, the task, and a network."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from dipoles.cards import CHARGES
from equidyn.data.store import Field, StoreWriter
from equidyn.tasks.contract import TrainableTask


@dataclass(frozen=True)
class Clouds:
    """Charges (B, n) in e at points (B, n, 3) in Å, and dipoles (B, 3) in eÅ."""

    points: torch.Tensor
    charges: torch.Tensor
    dipoles: torch.Tensor


def build_store(path, recipe, *, processes=1):
    """Make a store of random clouds."""
    rng = np.random.default_rng(0)
    fields = {
        "points": Field("float32", (3,), "Å", "places of the charges"),
        "charges": Field("float32", (), "e", "charges"),
        "cluster": Field("int32", (), "", "each cloud by itself", ragged=False),
    }
    with StoreWriter(path, fields) as writer:
        for number in range(recipe.examples):
            points, charges = (rng.normal(size=shape).astype("float32") for shape in ((CHARGES, 3), CHARGES))
            writer.append(points=points, charges=charges, cluster=number)
        return writer.finish(source="clouds")


def inputs(size):
    """A cloud of the size that costs are counted for."""
    return Clouds(torch.zeros(1, CHARGES, 3), torch.zeros(1, CHARGES), torch.zeros(1, 3))


class Dipoles(TrainableTask):
    """Predict the dipole of a cloud, Σ q r."""

    name = "dipoles"
    unit = "e²Å²"

    def __init__(self, store):
        self.store = store

    @classmethod
    def fit(cls, store, indices):
        """Nothing needs to be measured."""
        return cls(store)

    def state(self):
        """Nothing needs to be kept."""
        return {}

    @classmethod
    def restore(cls, store, state):
        """The task as it was."""
        return cls(store)

    def check(self, model, indices):
        """All clouds will do."""

    def batch(self, indices, device="cpu"):
        """Some clouds."""
        rows = self.store.rows(indices)
        points = torch.from_numpy(self.store.ragged("points")[rows]).reshape(-1, CHARGES, 3).to(device)
        charges = torch.from_numpy(self.store.ragged("charges")[rows]).reshape(-1, CHARGES).to(device)
        return Clouds(points, charges, torch.einsum("bn,bnc->bc", charges, points))

    def act(self, batch, elements, symmetry):
        """Clouds, turned with their dipoles."""
        points = symmetry.act_on_points(batch.points, elements)
        return replace(batch, points=points, dipoles=self.act_on_prediction(batch.dipoles, elements, batch, symmetry))

    def repeat(self, batch, count):
        """The batch so many times."""
        several = (batch.points.repeat(count, 1, 1), batch.charges.repeat(count, 1), batch.dipoles.repeat(count, 1))
        return Clouds(*several)

    def predict(self, model, batch):
        """Dipoles (B, 3)."""
        return model(batch)

    def act_on_prediction(self, prediction, elements, batch, symmetry):
        """Dipoles, turned."""
        return symmetry.act_on_vectors(prediction, elements, self.example(batch))

    def target(self, batch):
        """True dipoles."""
        return batch.dipoles

    def example(self, batch):
        """Each row is an example."""
        return torch.arange(len(batch.dipoles), device=batch.dipoles.device)

    def cluster(self, indices):
        """Each cloud is independent of all others."""
        return self.store.scalar("cluster")[indices]

    def loss(self, model, batch, whole=None):
        """Mean squared error; of a portion of a batch, its share."""
        count = whole.examples if whole else len(batch.dipoles)
        return (model(batch) - batch.dipoles).square().sum() / (3 * count)

    def describe_batch(self, indices):
        """Which clouds these are."""
        return f"clouds {indices.tolist()}"


class Perceptron(nn.Module):
    """A network that reads charges and coordinates as they come."""

    def __init__(self, width=64):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.head = nn.Linear(width, 3)

    def forward(self, batch):
        """Dipoles (B, 3)."""
        features = torch.cat([batch.points, batch.charges[..., None]], -1)
        return self.head(self.each(features).sum(1))
