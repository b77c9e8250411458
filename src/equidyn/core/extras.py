"""Which extra of the package brings what is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
    "torch": "measure",
    "jaxtyping": "measure",
    "vl_convert": "report",
    "yaml": "workflow",
    "snakemake": "workflow",
    "rdkit": "data",
    "tblite": "data",
    "gemmi": "data",
    "h5py": "data",
    "requests": "data",
    "tenacity": "data",
    "mdtraj": "data",
    "safetensors": "train",
    "ase": "ase",
    "mace": "mace",
    "lightning": "trainers",
    "pytorch_lightning": "trainers",
    "torchmetrics": "trainers",
    "transformers": "trainers",
}
"""The smallest extra that brings a package, by the name that it is imported by."""


@contextmanager
def needed_by(what: str) -> Iterator[None]:
    """Say of an import that fails which extra would bring it.

    Args:
        what: What needs the import, in words.

    Raises:
        ModuleNotFoundError: The package is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRAS or "pip install" in str(error):
            raise
        hint = f"{what} needs the package {name}: pip install 'equidyn[{EXTRAS[name]}]'"
        raise ModuleNotFoundError(hint, name=error.name) from error
