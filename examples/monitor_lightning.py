"""A Lightning module measured while it trains: the callback alone is new."""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from equidyn.integrations.lightning import EquivarianceCallback


class ForceField(lightning.LightningModule):
    """Forces on points, from a small network that reads their positions."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 3))

    def forward(self, points):
        """Forces (B, n, 3)."""
        return self.layers(points)

    def training_step(self, batch, _):
        """Mean squared error."""
        points, forces = batch
        return (self(points) - forces).square().mean()

    def configure_optimizers(self):
        """Adam."""
        return torch.optim.Adam(self.parameters(), 1e-2)


torch.manual_seed(0)
points = torch.randn(200, 8, 3)
forces = -points / (1 + points.square().sum(-1, keepdim=True))

callback = EquivarianceCallback(points[150:], forces[150:])
trainer = lightning.Trainer(max_steps=100, callbacks=[callback], logger=False, enable_checkpointing=False,
                            accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
trainer.fit(ForceField(), DataLoader(TensorDataset(points[:150], forces[:150]), batch_size=50, shuffle=True))
print(callback.monitor.table()[["step", "percent", "skill"]])
