"""Force-field data of SPICE's own releases: HDF5 files, which have no split.

They lack molecules that the authors of MACE-OFF23 added, so the resulting data set differs from the paper's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from equidyn.data.force_limits import ForceLimits
from equidyn.data.geometries import BOHR_ANGSTROM, HARTREE_EV
from equidyn.data.preparation import Portion
from equidyn.data.spice import DAMAGED, ELEMENTS, EMPTY_GROUP, FIELDS, Geometries, SourceFile, build
from equidyn.data.store import StoreError

if TYPE_CHECKING:
    from equidyn.data.sources.spice.card import Spice

CONFORMATIONS = 2_000  # conformations per piece; fewer than twice as many where a molecule has more


def build_store(
    path: str | Path,
    recipe: Spice,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make a force-field data set from an HDF5 file of SPICE. It has no split and no field for one.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.spice.FIELDS`.
        recipe: The release, which the manifest states, the seed, and limits on forces.
        files: Path of the one HDF5 file, by its name.

    Raises:
        ValueError: `files` is not one file.
        StoreError: The file is missing, truncated or damaged; nothing is left behind.
    """
    if len(files) != 1:
        raise ValueError(f"files: found {sorted(files)}, expected one HDF5 file")
    ((name, file),) = ((name, Path(file)) for name, file in files.items())
    return build(
        path,
        FIELDS,
        [SourceFile(name, file, pieces=hdf5_ranges, make=partial(portion_of_hdf5, file, limits=recipe))],
        scratch=scratch,
        seed=recipe.seed,
        limits=recipe,
        processes=processes,
        progress=progress,
        overwrite=overwrite,
        versions=("h5py", "numpy", "rdkit"),
        source=f"SPICE {recipe.release}, DOI 10.5281/zenodo.7258939; not the selection of MACE-OFF23",
        release=recipe.release,
        units={"bohr in angstrom": BOHR_ANGSTROM, "hartree in eV": HARTREE_EV},
        grouping="groups of equal SMILES; those without, of equal name",
    )


class HdfRange(NamedTuple):
    """Conformations `start` to `stop` of one group; none where the group has none."""

    group: str
    start: int
    stop: int


def hdf5_ranges(path: Path) -> Iterator[list[HdfRange]]:
    """Cut an HDF5 file of SPICE into pieces of `CONFORMATIONS` or somewhat more.

    Raises:
        StoreError: The file is cut short or damaged.
    """
    with _opened(path) as file:
        piece, size = [], 0
        for name, group in file.items():
            count = _conformations(group)
            for start in range(0, max(count, 1), CONFORMATIONS):
                piece.append(HdfRange(name, start, min(start + CONFORMATIONS, count)))
                size += piece[-1].stop - start
                # Groups without conformations must not make a piece without bounds.
                if size >= CONFORMATIONS or len(piece) >= CONFORMATIONS:
                    yield piece
                    piece, size = [], 0
        if piece:
            yield piece


def portion_of_hdf5(path: Path, piece: Sequence[HdfRange], limits: ForceLimits | None = None) -> Portion:
    """Read some conformations; rejects are counted in conformations, or in groups where these have none."""
    geometries = Geometries(limits)
    with _opened(path) as file:
        for name, start, stop in piece:
            group = file[name]
            smiles, subset = (group[key].asstr()[0] if key in group else "" for key in ("smiles", "subset"))
            molecule = smiles or name
            if objection := _objection(group, molecule, subset):
                geometries.rejects[objection] += max(stop - start, 1)
                continue
            numbers = group["atomic_numbers"][()]
            numbers = np.where(np.isin(numbers, list(ELEMENTS.values())), numbers, 0)
            gradient = group["dft_total_gradient"][start:stop].astype(np.float64)
            geometries.add(
                lengths=[len(numbers)] * (stop - start),
                numbers=np.tile(numbers, stop - start),
                positions=group["conformations"][start:stop].astype(np.float64).reshape(-1, 3) * BOHR_ANGSTROM,
                forces=gradient.reshape(-1, 3) * (-HARTREE_EV / BOHR_ANGSTROM),
                energy=group["dft_total_energy"][start:stop] * HARTREE_EV,
                molecule=molecule,
                subset=subset,
            )
    return geometries.portion()


def _objection(group: Any, molecule: str, subset: str) -> str:
    """Return why none of the group's conformations can be an example; empty if nothing is against them."""
    from rdkit import Chem, rdBase

    count = _conformations(group)
    if not count:
        return EMPTY_GROUP
    if "ion pairs" in subset.lower():
        return "ion pairs"
    atoms = group["conformations"].shape[1]
    expected = {
        "atomic_numbers": (atoms,),
        "dft_total_energy": (count,),
        "dft_total_gradient": (count, atoms, 3),
    }
    if any(name not in group or group[name].shape != shape for name, shape in expected.items()):
        return "labels missing or of another shape"
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(molecule, sanitize=False)
    if mol is None:
        return "charge unknown, no readable SMILES"
    return "charged" if Chem.GetFormalCharge(mol) else ""


def _conformations(group: Any) -> int:
    """Return the number of a group's conformations; the data set has fewer axes where all were removed."""
    dataset = group.get("conformations")
    return 0 if dataset is None or len(dataset.shape or ()) != 3 else dataset.shape[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open an HDF5 file to be read, without locks, which network file systems may not know."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except OSError as error:
        raise StoreError(path, f"a file that cannot be read ({error})", "a whole HDF5 file", DAMAGED) from error
