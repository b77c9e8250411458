"""A model of Hugging Face's Trainer measured while it trains: the callback alone is new."""

import tempfile

import torch
from transformers import Trainer, TrainingArguments

from equidyn.integrations.transformers import EquivarianceCallback


class ForceField(torch.nn.Module):
    """Forces on points, from a small network that reads their positions."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 3))

    def forward(self, points, labels=None):
        """Forces (B, n, 3), and the mean squared error if true ones are given."""
        forces = self.layers(points)
        return {"forces": forces} | ({} if labels is None else {"loss": (forces - labels).square().mean()})


torch.manual_seed(0)
points = torch.randn(200, 8, 3)
forces = -points / (1 + points.square().sum(-1, keepdim=True))
examples = [{"points": one, "labels": true} for one, true in zip(points[:150], forces[:150], strict=True)]

with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(folder, max_steps=100, per_device_train_batch_size=50, learning_rate=1e-2,
                                  report_to=[], disable_tqdm=True, save_strategy="no", use_cpu=True)  # fmt: skip
    trainer = Trainer(ForceField(), arguments, train_dataset=examples)
    trainer.add_callback(
        EquivarianceCallback(points[150:], forces[150:], predict=lambda model, batch: model(batch)["forces"])
    )
    trainer.train()

for found in trainer.state.log_history:
    if "equivariance_percent" in found:
        print(f"step {found['step']:3d}: {found['equivariance_percent']:5.2f} %")
