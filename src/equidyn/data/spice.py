"""SPICE: molecules labelled by density functional theory, from the files that its users publish.

Two sources, with the same level of theory and the same choice of molecules (ten elements, neutral, no ion pairs):

- the two archives of MACE-OFF23, extended XYZ, cut into training and test by frame: the data of the paper;
- the HDF5 files of SPICE itself, which have no split. They lack molecules that the authors of MACE-OFF23 added, so what
  is made of them is another data set.

Either is read in pieces (a block of frames, some conformations) by worker processes and never unpacked on disk.
Energies stay in double precision until the references of the elements are subtracted.
"""

import contextlib
import gzip
import logging
import re
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import metadata
from itertools import chain, compress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from equidyn.core.seeding import seed_for
from equidyn.data import molecules
from equidyn.data.geometries import LongestAxes
from equidyn.data.molecules import BOHR_ANGSTROM, HARTREE_EV
from equidyn.data.preparation import Portion, portions, source_sha256
from equidyn.data.store import Field, StoreError, StoreWriter
from equidyn.data.subsets import TRAINING, VALIDATION

log = logging.getLogger(__name__)

FIELDS = molecules.FIELDS | {
    "cluster": Field("int32", (), "", "molecule, see the manifest's `grouping`; from 0 as they come", ragged=False)
}
FIELDS_WITH_SPLIT = FIELDS | {
    "split": Field("uint8", (), "", "0 training, 1 validation, 2 test, as the source has it", ragged=False)
}

ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9, "P": 15, "S": 16, "Cl": 17, "Br": 35, "I": 53}
REFERENCE_EV = {
    "H": -13.571964772646918,
    "C": -1030.5671648271828,
    "N": -1486.3750255780376,
    "O": -2043.933693071156,
    "F": -2715.318528602957,
    "P": -9287.407133426237,
    "S": -10834.4844708122,
    "Cl": -12522.649269035726,
    "Br": -70045.28385080204,
    "I": -8102.524593409054,
}
"""Energy of each element that is subtracted, eV: those that EScAIP was trained with, at the level of SPICE."""
LEVEL_OF_THEORY = "ωB97M-D3(BJ)/def2-TZVPPD, total energy and minus its gradient, gas phase, neutral"
PUBLISHED_FORCE_RMS = 1.0758
"""Root mean square of the force components that EScAIP was trained with, eV/Å."""

TRAIN_FILE, TEST_FILE = "train_large_neut_no_bad_clean.tar.gz", "test_large_neut_all.tar.gz"


class Archive(NamedTuple):
    """What is known of one archive of MACE-OFF23: the side of the split it holds, and its published frames."""

    split: int
    frames: int


ARCHIVES = {TRAIN_FILE: Archive(TRAINING, 951_005), TEST_FILE: Archive(VALIDATION, 50_195)}

BLOCK_BYTES = 8 << 20  # of extended XYZ in a piece, and the frame that the block's end cuts
CONFORMATIONS = 2_000  # of an HDF5 file in a piece; fewer than twice as many where a molecule has more
_MOST_ATOMS = 100_000  # more than that is no atom count but another number in its place
_ORIENTED_SHARE = 0.01  # of geometries whose orientation is measured
_EMPTY_GROUP = "group without conformations"  # the one reason that does not count geometries
_DAMAGED = "delete the file, and download it again"

_REFERENCES = np.full(256, np.nan)  # by atomic number
_REFERENCES[list(ELEMENTS.values())] = [REFERENCE_EV[symbol] for symbol in ELEMENTS]
_SYMBOLS = {number: symbol for symbol, number in ELEMENTS.items()}


def build_store_of_xyz(
    path: str | Path,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    seed: int = 0,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the force-field data set of the paper from the two archives of MACE-OFF23.

    Their test file is what the paper's networks were validated on, so its examples are marked as validation. The split
    is by frame: most molecules are on both sides.

    Args:
        path: Store folder to make, with the fields `FIELDS_WITH_SPLIT`.
        files: Where the archives `TRAIN_FILE` and `TEST_FILE` are, by these names.
        scratch: Folder for what an interrupted preparation goes on with; of this preparation only, removed at the end.
        seed: Chooses the geometries whose orientation the manifest describes.
        processes: Worker processes; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: `files` has other names.
        StoreError: An archive is missing, cut short or damaged, or it is lost where a frame ends; nothing is left then.
    """
    if files.keys() != ARCHIVES.keys():
        raise ValueError(f"files: found {sorted(files)}, expected {sorted(ARCHIVES)}")
    sources = [
        _Source(
            name,
            Path(files[name]),
            pieces=xyz_blocks,
            make=portion_of_xyz,
            frames=archive.frames,
            constant={"split": archive.split},
        )
        for name, archive in ARCHIVES.items()
    ]
    return _build(
        path,
        FIELDS_WITH_SPLIT,
        sources,
        scratch=scratch,
        seed=seed,
        processes=processes,
        progress=progress,
        overwrite=overwrite,
        source="SPICE as MACE-OFF23 was trained on, DOI 10.17863/CAM.107498",
        split="by frame, as the source has it; its test file is the validation side",
        grouping="frames of equal SMILES; those without, of equal composition",
        versions=_versions("numpy"),
    )


def build_store_of_hdf5(
    path: str | Path,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    release: str,
    seed: int = 0,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make a force-field data set from an HDF5 file of SPICE. It has no split and no field for one.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        files: Where the one HDF5 file is, by its name.
        scratch: Folder for what an interrupted preparation goes on with; of this preparation only, removed at the end.
        release: Version of the file, such as "1.1.4"; stated in the manifest.
        seed: Chooses the geometries whose orientation the manifest describes.
        processes: Worker processes; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: `files` is not one file.
        StoreError: The file is missing, cut short or damaged; nothing is left then.
    """
    if len(files) != 1:
        raise ValueError(f"files: found {sorted(files)}, expected one HDF5 file")
    ((name, file),) = ((name, Path(file)) for name, file in files.items())
    return _build(
        path,
        FIELDS,
        [_Source(name, file, pieces=hdf5_ranges, make=partial(portion_of_hdf5, file))],
        scratch=scratch,
        seed=seed,
        processes=processes,
        progress=progress,
        overwrite=overwrite,
        source=f"SPICE {release}, DOI 10.5281/zenodo.7258939; not the selection of MACE-OFF23",
        release=release,
        units={"bohr in angstrom": BOHR_ANGSTROM, "hartree in eV": HARTREE_EV},
        grouping="groups of equal SMILES; those without, of equal name",
        versions=_versions("h5py", "numpy", "rdkit"),
    )


# From pieces to the store


@dataclass(frozen=True)
class _Source:
    """One file of a data set.

    Attributes:
        name: What the manifest calls it.
        path: Where it is.
        pieces: Cuts it into pieces, always the same.
        make: Turns a piece into a portion; see `_Geometries.portion`.
        frames: Published number of geometries, if there is one.
        constant: Scalar fields that are the same for all examples of the file.
    """

    name: str
    path: Path
    pieces: Callable[[Path], Iterator[Any]]
    make: Callable[[Any], Portion]
    frames: int | None = None
    constant: Mapping[str, int] = field(default_factory=dict)


def _build(
    path: str | Path,
    fields: Mapping[str, Field],
    sources: Sequence[_Source],
    *,
    scratch: str | Path,
    seed: int,
    processes: int,
    progress: bool,
    overwrite: bool,
    **provenance: Any,
) -> Path:
    """Make a store of the examples in `sources`, in their order."""
    scratch = Path(scratch)
    summary = _Summary(seed)
    with StoreWriter(path, fields, overwrite=overwrite) as writer:
        checksums = [source_sha256(source.path) for source in sources]  # before the work, so that all are there
        for number, source in enumerate(sources):
            summary.begin(source, checksums[number])
            made = portions(
                source.pieces(source.path),
                source.make,
                scratch / str(number),
                processes=processes,
                title=source.name,
                progress=progress,
            )
            try:
                for portion in made:
                    _write(portion, source, summary, writer)
            except StoreError:
                shutil.rmtree(scratch)  # what comes from a damaged file may be damaged
                raise
        if len(writer) == 0:
            raise ValueError(f"no geometry is left; left out were {summary.files}")
        warnings = summary.warnings()
        for warning in warnings:
            log.warning("%s", warning)
        statistics = summary.statistics()
        writer.finish(
            **provenance,
            level_of_theory=LEVEL_OF_THEORY,
            reference_energies_ev=REFERENCE_EV,
            orientation="as the source has it, centred on the mean position",
            files=summary.files,
            warnings=warnings,
            statistics=statistics,
        )
    log.info("%s: %s; files: %s", path, statistics, summary.files)
    shutil.rmtree(scratch)
    return Path(path)


def _write(portion: Portion, source: _Source, summary: "_Summary", writer: StoreWriter) -> None:
    """Add a portion to the summary and to the store."""
    summary.add(portion)
    columns = dict(portion.columns)
    del columns["subset"]
    columns["cluster"] = summary.cluster(columns.pop("molecule"))
    for name, value in source.constant.items():
        columns[name] = np.full(len(portion), value, writer.fields[name].dtype)
    writer.extend(portion.lengths, **columns)


class _Summary:
    """Counts and describes what goes into a store, a portion at a time; numbers molecules as they come."""

    def __init__(self, seed: int) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self._clusters: dict[str, int] = {}
        self._examples = self._oriented = 0
        self._elements = np.zeros(256, np.int64)
        self._atoms_max = 0
        self._force_squares = 0.0
        self._axes = LongestAxes()
        self._rng = np.random.default_rng(seed_for(seed, "orientation"))

    def begin(self, source: _Source, sha256: str) -> None:
        """From now on portions are from this file."""
        self._file = self.files[source.name] = {"sha256": sha256, "frames": 0, "frames_published": source.frames}
        self._rejects: Counter[str] = Counter()
        self._subsets: Counter[str] = Counter()

    def add(self, portion: Portion) -> None:
        self._rejects += portion.rejects
        self._subsets.update(portion.columns["subset"])
        self._examples += len(portion)
        rejected = sum(count for reason, count in portion.rejects.items() if reason != _EMPTY_GROUP)
        self._file["frames"] += len(portion) + rejected
        self._file["rejects"] = dict(sorted(self._rejects.items()))
        self._file["examples_by_subset"] = dict(sorted(self._subsets.items()))
        self._elements += np.bincount(portion.columns["atomic_numbers"], minlength=256)
        self._atoms_max = max(self._atoms_max, portion.lengths.max(initial=0))
        self._force_squares += float(np.square(portion.columns["forces"], dtype=np.float64).sum())
        positions = portion.columns["positions"]
        self._oriented += self._axes.add_some(positions, portion.lengths, _ORIENTED_SHARE, self._rng)

    def cluster(self, names: Sequence[str]) -> np.ndarray:
        """Return (m,) the number of each molecule."""
        return np.array([self._clusters.setdefault(name, len(self._clusters)) for name in names], np.int32)

    def warnings(self) -> list[str]:
        return [
            f"{name}: found {file['frames']:,} frames, {file['frames_published']:,} were published"
            for name, file in self.files.items()
            if file["frames_published"] not in (None, file["frames"])
        ]

    def statistics(self) -> dict[str, Any]:
        atoms = int(self._elements.sum())
        return {
            "examples": self._examples,
            "molecules": len(self._clusters),
            "elements_atoms": {_SYMBOLS[z]: int(self._elements[z]) for z in np.flatnonzero(self._elements)},
            "atoms_mean": atoms / self._examples,
            "atoms_max": int(self._atoms_max),
            "force_rms_ev_per_angstrom": (self._force_squares / (3 * atoms)) ** 0.5,
            "force_rms_published_ev_per_angstrom": PUBLISHED_FORCE_RMS,
            "orientation_of_longest_axis": self._axes.mean_squares(),
            "orientation_measured_on": self._oriented,
        }


class _Geometries:
    """Collects geometries as a source states them, and turns those that can be examples into a portion."""

    def __init__(self) -> None:
        self.rejects: Counter[str] = Counter()
        self._lengths: list[Sequence[int]] = []
        self._numbers: list[Sequence[int]] = []
        self._positions, self._forces = [np.zeros((0, 3))], [np.zeros((0, 3))]
        self._energy: list[Sequence[float]] = []
        self._molecule: list[str] = []
        self._subset: list[str] = []

    def add(
        self,
        lengths: Sequence[int],
        numbers: Sequence[int],
        positions: np.ndarray,
        forces: np.ndarray,
        energy: Sequence[float],
        molecule: str,
        subset: str,
    ) -> None:
        """Take in m geometries of one molecule, end to end.

        Args:
            lengths: (m,) atoms of each, n in all.
            numbers: (n,) atomic numbers, 0 for an element that is not in `ELEMENTS`.
            positions: (n, 3) float64, Å.
            forces: (n, 3) float64, eV/Å.
            energy: (m,) float64, eV, total.
            molecule: Equal for equal molecules.
            subset: Part of the source.
        """
        self._lengths.append(lengths)
        self._numbers.append(numbers)
        self._positions.append(positions)
        self._forces.append(forces)
        self._energy.append(energy)
        self._molecule += [molecule] * len(lengths)
        self._subset += [subset] * len(lengths)

    def portion(self) -> Portion:
        """Leave out what cannot be an example, centre, subtract the references, and round as it is stored.

        The portion has the fields `FIELDS` without `cluster`, and the texts `molecule` and `subset`.
        """
        lengths = np.fromiter(chain.from_iterable(self._lengths), np.int64)
        numbers = np.fromiter(chain.from_iterable(self._numbers), np.uint8)
        energy = np.fromiter(chain.from_iterable(self._energy), np.float64)
        positions, forces = np.concatenate(self._positions), np.concatenate(self._forces)
        starts = np.cumsum(lengths) - lengths
        centre = np.add.reduceat(positions, starts) / lengths[:, None]
        energy -= np.add.reduceat(_REFERENCES[numbers], starts)
        with np.errstate(over="ignore"):  # what single precision cannot hold is left out below
            positions = (positions - np.repeat(centre, lengths, axis=0)).astype(np.float32, order="C")
            forces = forces.astype(np.float32, order="C")
        finite = np.isfinite(positions).all(axis=1) & np.isfinite(forces).all(axis=1)
        keep = np.ones(len(lengths), bool)
        for reason, objection in {
            "single atom": lengths < 2,
            "element without reference energy": np.logical_or.reduceat(numbers == 0, starts),
            "not finite": ~(np.isfinite(energy) & np.logical_and.reduceat(finite, starts)),
        }.items():
            self.rejects[reason] += int(np.count_nonzero(keep & objection))
            keep &= ~objection
        rows = np.repeat(keep, lengths)
        columns = {
            "positions": positions[rows],
            "atomic_numbers": numbers[rows],
            "forces": forces[rows],
            "energy": energy[keep],
            "molecule": list(compress(self._molecule, keep)),
            "subset": list(compress(self._subset, keep)),
        }
        return Portion(lengths[keep], columns, +self.rejects)


# Extended XYZ


class XyzBlock(NamedTuple):
    """Whole frames of an extended XYZ file.

    Attributes:
        file: What messages call the file.
        first: Frames before these.
        text: The frames, end to end.
    """

    file: str
    first: int
    text: bytes


class _Frame(NamedTuple):
    """Atoms of a frame, and where in its text its header, its atoms and its successor begin."""

    atoms: int
    header: int
    body: int
    end: int


class _Layout(NamedTuple):
    """Columns of the atoms of a frame: where the element is, where x, y, z and the forces are, and how many in all."""

    species: int
    values: tuple[int, ...]
    width: int


# A value in quotes may hold anything, quotes after a backslash too; a bare one ends at a space.
_KEY_VALUE = re.compile(r'([^\s=]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|(\S*))')
# What a missing value may be written as.
_NO_SMILES = ("", "None", "nan")


def xyz_blocks(path: Path) -> Iterator[XyzBlock]:
    """Cut the extended XYZ files in a ``.tar.gz`` into blocks of whole frames, without unpacking it on disk.

    Hidden members, such as the companions that macOS adds, are skipped.

    Raises:
        StoreError: The archive is cut short or damaged, holds no frame, or it is lost where a frame ends.
    """
    found = False
    try:
        # Not tarfile's own gzip mode, which neither checks the checksum nor reads on behind a first part.
        with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|", bufsize=1 << 20) as archive:
            for member in archive:
                if member.isfile() and not PurePosixPath(member.name).name.startswith("."):
                    for block in _blocks(archive.extractfile(member), f"{path}, {member.name}"):
                        found = True
                        yield block
            while unpacked.read(1 << 20):  # to the end, where the checksum is
                pass
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise StoreError(path, f"an archive that cannot be read ({error})", "a whole .tar.gz", _DAMAGED) from error
    if not found:
        raise StoreError(path, "no frame", "an archive of extended XYZ", _DAMAGED)


def _blocks(stream: BinaryIO, file: str) -> Iterator[XyzBlock]:
    rest, first = b"", 0
    while content := stream.read(BLOCK_BYTES):
        text = rest + content
        frames = _frames(file, first, text)
        end = frames[-1].end if frames else 0
        if frames:
            yield XyzBlock(file, first, text[:end])
        rest, first = text[end:], first + len(frames)
    if rest.strip():
        text = rest.rstrip() + b"\n"
        frames = _frames(file, first, text)
        if not frames or frames[-1].end < len(text):
            raise StoreError(file, f"the end of the file within frame {first + len(frames)}", "a whole frame", _DAMAGED)
        yield XyzBlock(file, first, text)


def _frames(file: str, first: int, text: bytes) -> list[_Frame]:
    """Find the whole frames at the start of a text whose first frame is number `first`, counted from 0."""
    ends = (np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1).tolist()
    frames, line, start = [], 0, 0
    while line < len(ends):
        count = text[start : ends[line]]
        if not count.strip() and not text[start:].strip():  # empty lines may end a file
            break
        if not (count.strip().isdigit() and 0 < int(count) <= _MOST_ATOMS):
            raise StoreError(
                file,
                f"{count[:60]!r} where frame {first + len(frames)} (from 0) should begin",
                "its number of atoms",
                "compare that frame and the one before it with their numbers of atoms; if the file has changed, "
                "download it again",
            )
        last = line + 1 + int(count)
        if last >= len(ends):
            break
        frames.append(_Frame(int(count), ends[line], ends[line + 1], ends[last]))
        start, line = ends[last], last + 1
    return frames


def portion_of_xyz(block: XyzBlock) -> Portion:
    """Read a block of frames. A frame that cannot be understood is counted, and its neighbours are read."""
    geometries = _Geometries()
    for frame in _frames(*block):
        try:
            info = read_header(block.text[frame.header : frame.body].decode())
            numbers, positions, forces = _read_atoms(block.text[frame.body : frame.end].decode(), frame.atoms, info)
            energy, charge = float(_first(info, "energy", "REF_energy")), float(info.get("total_charge", 0))
        except (KeyError, ValueError):
            geometries.rejects["unreadable"] += 1
            continue
        if charge != 0:
            geometries.rejects["charged"] += 1
            continue
        smiles = info.get("smiles", "")
        molecule = _composition(numbers) if smiles in _NO_SMILES else smiles
        geometries.add([frame.atoms], numbers, positions, forces, [energy], molecule, info.get("config_type", ""))
    return geometries.portion()


def read_header(line: str) -> dict[str, str]:
    """Return what the second line of a frame says, by key; quotes around a value are removed."""
    return {key: quoted or bare for key, quoted, bare in _KEY_VALUE.findall(line)}


def _read_atoms(text: str, atoms: int, info: Mapping[str, str]) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return atomic numbers, (atoms, 3) positions and (atoms, 3) forces of one frame."""
    layout = _layout(info["Properties"])
    tokens = text.split()
    if len(tokens) != atoms * layout.width:
        raise ValueError(f"{len(tokens)} columns of {atoms} atoms, expected {layout.width} each")
    species = tokens[layout.species :: layout.width]
    numbers = [ELEMENTS.get(symbol, 0) for symbol in species]
    if 0 in numbers and not all(map(str.isalpha, species)):  # rows of unequal lengths can add up
        raise ValueError("a number in the column of elements")
    values = [token for column in layout.values for token in tokens[column :: layout.width]]
    positions, forces = np.array(list(map(float, values))).reshape(2, 3, atoms)
    return numbers, positions.T, forces.T


@lru_cache
def _layout(properties: str) -> _Layout:
    """Read a frame's key ``Properties``: name, type and number of columns, and so on."""
    parts = properties.split(":")
    columns, width = {}, 0
    for name, _, size in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
        columns[name] = range(width, width + int(size))
        width += int(size)
    (species,) = columns["species"]
    positions, forces = columns["pos"], _first(columns, "forces", "REF_forces")
    if not len(positions) == len(forces) == 3:
        raise ValueError(f"{len(positions)} columns of positions and {len(forces)} of forces, expected 3 of each")
    return _Layout(species, (*positions, *forces), width)


def _first(values: Mapping[str, Any], *names: str) -> Any:
    """Return what stands under the first of `names` that is there."""
    for name in names:
        if name in values:
            return values[name]
    raise KeyError(names[0])


def _composition(numbers: Sequence[int]) -> str:
    counts = Counter(numbers)
    return "composition " + " ".join(f"{_SYMBOLS.get(number, '?')}{counts[number]}" for number in sorted(counts))


# HDF5


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


def portion_of_hdf5(path: Path, piece: Sequence[HdfRange]) -> Portion:
    """Read some conformations. What is left out is counted in conformations, and in groups where they have none."""
    geometries = _Geometries()
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
        return _EMPTY_GROUP
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
        raise StoreError(path, f"a file that cannot be read ({error})", "a whole HDF5 file", _DAMAGED) from error


def _versions(*names: str) -> dict[str, str]:
    return {name: metadata.version(name) for name in names}
