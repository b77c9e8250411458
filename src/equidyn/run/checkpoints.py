"""Checkpoints: the weights of a network at one training step, as safetensors with metadata."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from equidyn.core.files import replacing

FORMAT_VERSION = 2


class CheckpointError(ValueError):
    """A checkpoint file that is missing, damaged, or of another format."""


def checkpoint_name(step: int) -> str:
    """File name of the checkpoint after `step` optimiser steps."""
    return f"{step:08d}.safetensors"


def save_checkpoint(path: str | Path, weights: dict[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write weights and JSON-able metadata under a temporary name, then rename."""
    text = json.dumps({"format_version": FORMAT_VERSION, **metadata})
    contiguous: dict[str, Tensor] = {}
    storages = set()
    for name, value in weights.items():
        tensor = value.detach().cpu().contiguous()
        # Tied weights are written under each of their names, as safetensors has no tensors that share memory.
        storage = tensor.untyped_storage().data_ptr()
        contiguous[name] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
    with replacing(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata={"equidyn": text})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def fingerprint(path: str | Path) -> str:
    """Digest of a checkpoint's content, 16 hexadecimal digits; equal for equal weights with equal metadata.

    Raises:
        CheckpointError: The file is missing or cannot be read.
    """
    with _explained(Path(path)), Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and metadata of a checkpoint.

    Raises:
        CheckpointError: The file is missing, truncated, not a checkpoint of this package, or of another format version.
    """
    path = Path(path)
    with _explained(path), safe_open(path, framework="pt") as file:
        metadata: dict[str, Any] = json.loads((file.metadata() or {})["equidyn"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if metadata.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format {metadata.get('format_version')}, this version reads {FORMAT_VERSION}: {_remedy(path)}"
        )
    return weights, metadata


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of reading a checkpoint, with its name and what to do."""
    try:
        yield
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint: {_remedy(path)}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged or truncated ({error}): {_remedy(path)}") from None
    except KeyError:
        raise CheckpointError(f"{path}: safetensors without our metadata: {_remedy(path)}") from None


def _remedy(path: Path) -> str:
    return f"restore the file, or delete {path.parent.parent} and train the run again"


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write the resumable state of a training run, which replaces the last one atomically."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        try:
            torch.save(state, stream)
        except RuntimeError as error:  # which PyTorch raises when a write fails
            raise OSError(str(error)) from error


def load_state(path: str | Path) -> dict[str, Any] | None:
    """The resumable state, or None if there is none yet."""
    path = Path(path)
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
