"""A network measured while it trains, in a loop of your own: raw weights and their average."""

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equidyn import Monitor

torch.manual_seed(0)
points = torch.randn(200, 8, 3)
forces = -points / (1 + points.square().sum(-1, keepdim=True))  # of a spring at the origin, which gives way
train, held_out = slice(0, 150), slice(150, 200)

model = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.SiLU(), torch.nn.Linear(64, 3))
averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
optimiser = torch.optim.Adam(model.parameters(), 1e-2)
monitor = Monitor({"raw": model, "averaged": averaged}, points[held_out], forces[held_out])

for step in range(501):
    if found := monitor(step):
        raw, mean = found["raw/percent"], found["averaged/percent"]
        print(f"step {step:3d}: {raw:5.2f} % raw, {mean:5.2f} % averaged, skill {found['raw/skill']:.2f}")
    loss = (model(points[train]) - forces[train]).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    averaged.update_parameters(model)
