"""The task, its store, and a network that stretches vectors along the axes."""

import numpy as np
import torch
from linear_task import VectorTask
from torch import Tensor, nn

from equidyn.data.geometries import cluster_field
from equidyn.data.store import Field, StoreWriter
from equidyn.tasks.contract import TrainableTask, Whole


def build_store(path, recipe, *, processes=1):
    """Make a store of random vectors."""
    x = np.random.default_rng(0).standard_normal((recipe.examples, 3)).astype(np.float32)
    fields = {"x": Field("float32", (3,), "", "vector", ragged=False), "cluster": cluster_field("pair")}
    with StoreWriter(path, fields) as writer:
        for number, vector in enumerate(x):
            writer.append(x=vector, cluster=number // 2)
        return writer.finish(source="pairs")


class StoredVectors(VectorTask, TrainableTask):
    """Predict a vector from itself."""

    def __init__(self, store):
        self.store, self.x = store, torch.from_numpy(np.array(store.scalar("x")))
        self.y = self.x

    @classmethod
    def fit(cls, store, indices):
        return cls(store)

    def state(self):
        return {}

    @classmethod
    def restore(cls, store, state):
        return cls(store)

    def check(self, model, indices):
        pass

    def whole(self, indices):
        return Whole(len(indices), len(indices))

    def head_tensor(self, model, batch):
        """(N, 3, 3) of a network that stretches along the axes: f_k = Σ_b a_k x_b R_kb."""
        return model.stretch[None, :, None] * batch.x[:, None, :]

    def loss(self, model, batch, whole=None):
        count = whole.examples if whole else len(batch.x)
        return (model(batch.x) - batch.y).square().sum() / count

    def describe_batch(self, indices):
        return f"vectors {indices.tolist()}"


class Stretch(nn.Module):
    """x ↦ (a₁ x₁, a₂ x₂, a₃ x₃)."""

    def __init__(self, initial=(1.0, 1.0, 1.0)):
        super().__init__()
        self.stretch = nn.Parameter(torch.tensor(initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.stretch

    def no_decay(self, name: str) -> bool:
        return True


def inputs(size: int) -> Tensor:
    """One vector, whatever the size."""
    return torch.zeros(1, 3)
