"""Networks outside the package: a plain class and a table of sizes are enough, and what is wrong is told early."""

import math

import pytest
import torch

from equidyn.core.settings import StudyError
from equidyn.models.costs import work
from equidyn.models.registry import configuration, configurations
from equidyn.run.evaluation import evaluate_run
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.force_field.task import ForceField
from equidyn.tasks.registry import task_cards

PARAMETERS = 4 * 8 + 8 * 4 + 4

NETWORKS = """
import torch
from torch import nn


class Net(nn.Module):
    "Forces from each atom's own place; knows nothing of Config, elements, no_decay or named outputs."

    def __init__(self, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width, bias=False), nn.Tanh(), nn.Linear(width, 4))

    def forward(self, batch):
        return self.layers(torch.cat([batch.positions, batch.atomic_numbers[:, None] / 10], 1))[:, :3]


class Chains(Net):
    def forward(self, batch):
        return self.layers(torch.nn.functional.pad(batch.x_t, (0, 1)))[..., :3]


class Grids(Net):
    def forward(self, grids):
        return torch.cat([self.layers(half.movedim(1, -1)).movedim(-1, 1) for half in grids.split(4, 1)], 1)


class Picky(Net):
    "Needs numbers, as lists of neighbours do."

    def forward(self, batch):
        first = int(batch.atoms_per_molecule[0])
        assert first > 0
        return super().forward(batch)


class Energies(Net):
    def forward(self, batch):
        return super().forward(batch)[:, 0]


class Lost(Net):
    def forward(self, batch):
        return batch.lost


def costs(size, width=8):
    from equidyn.models.work import Work

    return Work(forward=size * width)
"""

MINE = f"""
[mine]
network = "networks:Net"
task = "force_field"
parameters = {PARAMETERS}
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    (tmp_path / "networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "networks", raising=False)


@pytest.fixture
def write(tmp_path, networks):
    def save(text):
        path = tmp_path / "models.toml"
        path.write_text(text)
        configurations.cache_clear()
        return str(path)

    return save


def recipe(entry, **changes):
    row = {"model": entry.name, "steps": 2, "batch_size": 8, "lr": 1e-3, "augmentation": 1.0, "seed": 0}
    return Recipe(optimiser="adamw", **row, **entry.built_from | changes)


def trained(store, indices, tmp_path, recipe):
    task = ForceField.fit(store, indices)
    train(task, indices, recipe, [0, 2], output=tmp_path / "out", state=tmp_path / "state", progress=False)
    return tmp_path / "out"


def test_a_plain_class_trains_and_is_evaluated(store, train_indices, validation_indices, write, tmp_path):
    entry = configuration("mine", write(MINE))
    folder = trained(store, train_indices, tmp_path, recipe(entry))
    rows, _ = evaluate_run(
        ForceField,
        store,
        validation_indices,
        folder,
        [2],
        EvaluationSettings(rotations=2, resamples=100, weights=("raw",)),
        state=tmp_path / "found",
        labels={"run": "mine"},
        progress=False,
    )
    assert rows[["model", "parameters", "estimator"]].values.tolist() == [["mine", PARAMETERS, "sampled"]]
    assert rows["percent"].between(0, 100).all()
    assert math.isnan(rows["floor_control"].item()), "no control was given"


def test_sizes_of_an_architecture_of_this_package(write):
    wide = '[wide]\narchitecture = "escaip"\nparameters = 1_178_434\nsizes = { layers = 2, hidden = 32, heads = 8 }\n'
    entry, known = configuration("wide", write(wide)), configuration("escaip-6M")
    assert (entry.network, entry.task, entry.costs) == (known.network, known.task, known.costs)
    assert entry.is_exact
    assert [*configurations(), "wide"] == list(configurations(write(wide)))


def test_a_wrong_number_of_parameters_ends_training_before_it_starts(store, train_indices, write, tmp_path):
    entry = configuration("mine", write(MINE.replace(f"{PARAMETERS}", "7")))
    with pytest.raises(ValueError, match=rf"networks:Net .* has {PARAMETERS} parameters, expected 7: correct"):
        trained(store, train_indices, tmp_path, recipe(entry))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": {"depth": 3}}, r"networks:Net cannot be built from the sizes {'depth': 3}: .*depth"),
        ({"network": "networks:Nets"}, r"'networks:Nets' cannot be imported"),
        ({"network": "networks.Net"}, r"'networks\.Net' does not have the form 'package\.module:name'"),
        ({"network": "networks:Energies"}, r"Energies returns forces of shape \(\d+,\), expected .*\(\d+, 3\)"),
        ({"network": "networks:Lost"}, "'MoleculeBatch' object has no attribute 'lost'"),
    ],
)
def test_what_a_network_lacks_is_told(store, train_indices, write, tmp_path, changes, message):
    entry = configuration("mine", write(MINE))
    with pytest.raises((ValueError, TypeError, AttributeError), match=message):
        trained(store, train_indices, tmp_path, recipe(entry, **changes))


# --- costs ----------------------------------------------------------------------------------------------------------


def of(network, task):
    return MINE.replace("networks:Net", f"networks:{network}").replace("force_field", task)


@pytest.mark.parametrize(
    ("network", "task", "rows"),
    [
        ("Net", "force_field", 20),
        ("Picky", "force_field", 20),
        ("Chains", "flow_matching", 20),
        ("Grids", "voxel_denoising", 2 * 8**3),
    ],
)
def test_without_a_formula_pytorch_counts(write, network, task, rows):
    size = 8 if task == "voxel_denoising" else 19.2  # rounded up
    found = work("mine", size, models=write(of(network, task)), inputs=task_cards()[task].inputs)
    assert found.forward == 2 * rows * (4 * 8 + 8 * 4)
    assert found.backward == found.forward + 2 * rows * 8 * 4, "none for the inputs"
    assert found.kept >= rows * (4 + 8)
    assert found.peak > 0


def test_a_formula_is_used_as_it_is(write):
    text = MINE.replace("Net", "Net2") + 'costs = "networks:costs"\nsizes = { width = 3 }\n'
    assert work("mine", 7.5, models=write(text)).forward == 22.5


def test_costs_that_cannot_be_counted(write):
    with pytest.raises(ValueError, match="model 'mine': no formula of costs, and nothing to count them with"):
        work("mine", 5, models=write(MINE))
    with pytest.raises(ValueError, match=r"networks:Lost does not run on the result of equidyn.* 'lost'; correct the"):
        work("mine", 5.5, models=write(of("Lost", "force_field")), inputs=task_cards()["force_field"].inputs)


# --- mistakes in the file -------------------------------------------------------------------------------------------

MISTAKES = {
    "no number": (MINE.replace(f"{PARAMETERS}", "'many'"), r"\[mine\], parameters: .*integer.*, found 'many'"),
    "none at all": ('[mine]\nnetwork = "networks:Net"', r"\[mine\], parameters: Field required"),
    "unknown key": (MINE + "layers = 2\n", r"\[mine\], layers: Extra inputs are not permitted, found 2"),
    "no task": (MINE.replace("task =", "note ="), r"\[mine\], task: missing; give an architecture"),
    "no network": ('[mine]\nparameters = 3\ntask = "x"', r"\[mine\], network: missing; give an architecture"),
    "both": (MINE + 'architecture = "voxmol"\n', r"\[mine\]: has both an architecture and a network: leave one out"),
    "unknown architecture": (
        '[mine]\narchitecture = "net"\nparameters = 3',
        r"unknown 'net'; this package has escaip,",
    ),
    "no table": ("mine = 3", r"\[mine\]: .*, found 3"),
    "no TOML": ("[mine", "not valid TOML: "),
    "taken": (MINE.replace("[mine]", "[control]"), "control: this package has a model of that name; choose another"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_the_file(write, text, message):
    with pytest.raises(StudyError, match=rf"models\.toml.*{message}"):
        configuration("mine", write(text))


def test_no_such_file():
    with pytest.raises(StudyError, match=r"models: none\.toml: no such file"):
        configurations("none.toml")


def test_networks_of_this_package_take_the_same_way():
    entry = configuration("escaip-tiny")
    torch.manual_seed(0)
    assert recipe(entry).network == "equidyn.models.escaip.network:EScAIP"
