"""Checkpoints and resumable state: exact round trips, nothing half written, clear words about what is broken."""

import json
import pickle

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from equidyn.run import checkpoints as module
from equidyn.run.checkpoints import (
    CheckpointError,
    checkpoint_name,
    fingerprint,
    load_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
)

WEIGHTS = {
    "layer.weight": torch.randn(5, 3).T,  # not contiguous
    "layer.scale": torch.tensor(1.5),
    "counts": torch.arange(4),
    "fine": torch.randn(2, dtype=torch.float64),
}
METADATA = {"step": 7, "recipe": {"lr": 1e-3, "model": "é"}, "list": [1, None, True]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "raw" / checkpoint_name(7)
    save_checkpoint(path, WEIGHTS, METADATA)
    return path


def test_names_sort_by_step():
    steps = [0, 1, 9, 10, 445_470, 12_345_678]
    assert sorted(map(checkpoint_name, steps)) == [checkpoint_name(step) for step in steps]


def test_round_trip(path):
    weights, metadata = load_checkpoint(path)
    assert weights.keys() == WEIGHTS.keys()
    for name, value in WEIGHTS.items():
        assert weights[name].dtype == value.dtype
        assert torch.equal(weights[name], value)
    assert {key: metadata[key] for key in METADATA} == METADATA


def test_saving_replaces_and_leaves_nothing_else(path):
    save_checkpoint(path, {"a": torch.ones(2)}, {})
    assert load_checkpoint(path)[0].keys() == {"a"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_failed_save_keeps_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def half(_, temporary, **__):
        temporary.write_bytes(b"half")
        raise SafetensorError("no space left")

    monkeypatch.setattr(module, "save_file", half)
    with pytest.raises(OSError, match=r"could not be written \(no space left\); its disk has [\d,]+ MB left.*00000007"):
        save_checkpoint(path, {"a": torch.ones(2)}, {})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"00000007\.safetensors: no such checkpoint: restore the file, or"):
        load_checkpoint(tmp_path / checkpoint_name(7))


@pytest.mark.parametrize("keep", [0, 4, 8, 60, -1])
def test_truncated(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"00000007\.safetensors: damaged or truncated .*: restore the file"):
        load_checkpoint(path)


def test_not_ours(path):
    save_file({"a": torch.ones(1)}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="safetensors without our metadata: restore the file, or delete"):
        load_checkpoint(path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="safetensors without our metadata"):
        load_checkpoint(path)


def test_other_format(path):
    save_file({"a": torch.ones(1)}, path, metadata={"equidyn": json.dumps({"format_version": 99})})
    with pytest.raises(CheckpointError, match="format 99, this version reads 2: restore the file, or delete"):
        load_checkpoint(path)


def test_pickle_from_outside_is_not_run(path, tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path / "harm").write_text, ("done",)

    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    torch.save({"step": Attack()}, tmp_path / "state.pt")
    with pytest.raises(pickle.UnpicklingError):
        load_state(tmp_path / "state.pt")
    assert not (tmp_path / "harm").exists()


def test_state_round_trip(tmp_path):
    path = tmp_path / "deep" / "state.pt"
    assert load_state(path) is None
    save_state(path, {"step": 1})
    state = {"step": 3, "metrics": {"loss": [0.1, 1 / 3]}, "model": {"a": torch.randn(3)}, "seconds": 2.5}
    save_state(path, state)
    found = load_state(path)
    assert torch.equal(found.pop("model")["a"], state.pop("model")["a"])
    assert found == state
    assert [file.name for file in path.parent.iterdir()] == ["state.pt"]


def test_failed_state_keeps_the_old_one(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_state(path, {"step": lambda: None})
    assert load_state(path) == {"step": 1}


def test_tied_weights_are_kept_under_each_name(tmp_path):
    def tied():
        model = torch.nn.ModuleDict({"into": torch.nn.Linear(4, 4), "out": torch.nn.Linear(4, 4)})
        model["out"].weight = model["into"].weight
        return model

    model, again, path = tied(), tied(), tmp_path / "x.safetensors"
    save_checkpoint(path, model.state_dict(), {"step": 0})
    weights, _ = load_checkpoint(path)
    assert weights.keys() == model.state_dict().keys()
    again.load_state_dict(weights)
    assert again["out"].weight is again["into"].weight
    assert torch.equal(again["out"].weight, model["into"].weight)


def test_slices_of_one_tensor_are_kept(tmp_path):
    whole = torch.arange(6.0)
    save_checkpoint(tmp_path / "x.safetensors", {"a": whole[:2], "b": whole[1:5], "c": whole}, {"step": 0})
    weights, _ = load_checkpoint(tmp_path / "x.safetensors")
    assert {name: value.tolist() for name, value in weights.items()} == {
        "a": [0, 1],
        "b": [1, 2, 3, 4],
        "c": [0, 1, 2, 3, 4, 5],
    }


def test_fingerprints_tell_contents_apart(path, tmp_path):
    again, other = tmp_path / "again.safetensors", tmp_path / "other.safetensors"
    save_checkpoint(again, {name: value.clone() for name, value in WEIGHTS.items()}, METADATA)
    save_checkpoint(other, WEIGHTS | {"counts": torch.arange(4) + (torch.arange(4) == 3)}, METADATA)
    assert fingerprint(again) == fingerprint(path) != fingerprint(other)
    other.unlink()
    with pytest.raises(CheckpointError, match=r"other\.safetensors: no such checkpoint"):
        fingerprint(other)
    other.mkdir()
    with pytest.raises(CheckpointError, match=r"other\.safetensors: damaged or truncated .*directory"):
        fingerprint(other)
