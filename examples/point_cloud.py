"""How much of the error of a small network of point clouds is broken symmetry, before and after it is trained."""

import torch
from torch import Tensor, nn

import equidyn


class Network(nn.Module):
    """Predicts the covariance of a cloud from a sum over its points; nothing in it knows of rotations."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.point = nn.Sequential(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.whole = nn.Linear(width, 9)

    def forward(self, points: Tensor) -> Tensor:
        """Tensors (B, 3, 3) of clouds (B, n, 3)."""
        return self.whole(self.point(points).mean(1)).reshape(-1, 3, 3)


def clouds(count: int) -> tuple[Tensor, Tensor]:
    """Clouds (count, 40, 3) of different shapes, in all directions, and their covariances (count, 3, 3)."""
    axes = torch.linalg.qr(torch.randn(count, 3, 3)).Q
    points = torch.randn(count, 40, 3) * (0.3 + torch.rand(count, 1, 3)) @ axes
    return points, points.transpose(1, 2) @ points / 40


torch.manual_seed(0)
network = Network()
points, covariances = clouds(60)
print("Untrained:", equidyn.measure(network, points, covariances, ranks=2), sep="\n")

optimiser = torch.optim.Adam(network.parameters(), 3e-3)
for _ in range(200):
    inputs, targets = clouds(32)
    optimiser.zero_grad()
    (network(inputs) - targets).square().mean().backward()
    optimiser.step()

found = equidyn.measure(network, points, covariances, ranks=2, rotations=96)
print("\nTrained:", found, sep="\n")

one = found["prediction"]
print("\nAveraged over so many even rotations, its loss would be so much of what it is:")
for count, loss in one.averaging:
    print(f"{count:6.0f} {loss / one.numbers['total']:6.0%}")
