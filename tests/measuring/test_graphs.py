"""Graphs of PyTorch Geometric, in its own batches."""

import pytest
import torch

from equidyn import measure

Data = pytest.importorskip("torch_geometric.data", reason="PyTorch Geometric is not installed").Data


def graphs(count, **fields):
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        nodes = int(torch.randint(3, 9, (), generator=generator))
        edges = torch.cat([pairs := torch.combinations(torch.arange(nodes)).T, pairs.flip(0)], 1)
        pos = torch.randn(nodes, 3, generator=generator)
        found.append(Data(pos=pos, z=1 + torch.arange(nodes) % 2, edge_index=edges, **fields))
    return found


class Network(torch.nn.Module):
    """Forces along edges, which a matrix turns aside, and an energy of their lengths."""

    def __init__(self, aside):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.eye(3) + aside * torch.tensor([[0.0, 1, 0], [0, 0, 0], [0, 0, 0]]))

    def forward(self, batch):
        source, target = batch.edge_index
        edges = batch.pos[target] - batch.pos[source]
        forces = torch.zeros_like(batch.pos).index_add(0, source, edges @ self.matrix)
        energy = edges.new_zeros(batch.num_graphs).index_add(0, batch.batch[source], edges.square().sum(1))
        return {"forces": forces, "energy": energy}


@pytest.mark.parametrize("batch_size", [1, 64])
def test_equivariant(batch_size):
    items = graphs(12)
    targets = {"forces": [torch.zeros_like(one.pos) for one in items], "energy": torch.zeros(12)}
    found = measure(Network(0.0), items, targets, batch_size=batch_size)
    assert found.turned == ("pos",)
    assert {name: one.verdict for name, one in found.properties.items()} == dict.fromkeys(
        ("forces", "energy", "energy per atom"), "round-off"
    )
    assert found["forces"].by_element["element"].tolist() == [1, 2]
    assert not any("change places" in text for text in found.warnings)


def test_known_share():
    items = graphs(12)
    found = measure(Network(0.5), items, {"forces": [torch.zeros_like(one.pos) for one in items]}, exact=5)["forces"]
    # Of I + aside·E, with E of one entry off the diagonal, the part beyond the isotropic one has the square aside².
    assert found.percent == pytest.approx(100 * 0.25 / (3 + 0.25), rel=1e-5)
    assert found.suspects[0].name == "a network that is not constrained to be equivariant"


def test_fields_that_are_left_alone_are_named():
    found = measure(Network(0.0), graphs(10, field=torch.randn(1, 3), shift=torch.randn(1, 3)))
    assert found.turned == ("field", "pos")
    assert any("'shift' looks like vectors" in text for text in found.warnings)
