"""Force-field data of the paper: the two archives of MACE-OFF23, extended XYZ, cut into training and test by frame."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np

from equidyn.core.tars import ModestTarInfo
from equidyn.data.force_limits import ForceLimits
from equidyn.data.preparation import LimitedGzip, Portion
from equidyn.data.spice import DAMAGED, ELEMENTS, FIELDS, SYMBOLS, Geometries, SourceFile, build
from equidyn.data.store import SPLIT, TRAINING, VALIDATION, StoreError

if TYPE_CHECKING:
    from equidyn.data.sources.spice_mace_off.card import SpiceMaceOff

TRAIN_FILE, TEST_FILE = "train_large_neut_no_bad_clean.tar.gz", "test_large_neut_all.tar.gz"


class Archive(NamedTuple):
    """One archive of MACE-OFF23: the side of the split that it holds, and its published number of frames."""

    split: int
    frames: int


ARCHIVES = {TRAIN_FILE: Archive(TRAINING, 951_005), TEST_FILE: Archive(VALIDATION, 50_195)}

BLOCK_BYTES = 8 << 20  # bytes of extended XYZ in a piece, besides the frame that the block's end cuts
_LONGEST_FRAME = 1 << 28  # bytes
_MOST_ATOMS = 100_000  # more than that is no atom count but another number in its place


def build_store(
    path: str | Path,
    recipe: SpiceMaceOff,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the force-field data set of the paper from the two archives of MACE-OFF23.

    Their test file is what the paper's networks were validated on, so its examples are marked as validation. The split
    is by frame: most molecules are on both sides.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.spice.FIELDS` and `split`.
        recipe: The seed, and limits on forces.
        files: Paths of the archives `TRAIN_FILE` and `TEST_FILE`, by these names.

    Raises:
        ValueError: `files` has other names.
        StoreError: An archive is missing, truncated or damaged, or the end of a frame cannot be found; nothing is left
            behind.
    """
    if files.keys() != ARCHIVES.keys():
        raise ValueError(f"files: found {sorted(files)}, expected {sorted(ARCHIVES)}")
    sources = [
        SourceFile(
            name,
            Path(files[name]),
            pieces=xyz_blocks,
            make=partial(portion_of_xyz, limits=recipe),
            frames=archive.frames,
            constant={"split": archive.split},
        )
        for name, archive in ARCHIVES.items()
    ]
    return build(
        path,
        FIELDS | {"split": SPLIT},
        sources,
        scratch=scratch,
        seed=recipe.seed,
        limits=recipe,
        processes=processes,
        progress=progress,
        overwrite=overwrite,
        versions=("numpy",),
        source="SPICE as MACE-OFF23 was trained on, DOI 10.17863/CAM.107498",
        split="by frame, as the source has it; its test file is the validation side",
        grouping="frames of equal SMILES; those without, of equal composition",
    )


class XyzBlock(NamedTuple):
    """Whole frames of an extended XYZ file.

    Attributes:
        file: Name of the file in messages.
        first: Number of frames before these.
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
    """Columns of the atoms of a frame.

    Attributes:
        species: Column of the element.
        positions: Columns of x, y and z.
        forces: Columns of the forces, by name.
        width: Number of all columns.
    """

    species: int
    positions: tuple[int, ...]
    forces: Mapping[str, tuple[int, ...]]
    width: int


# A header of nothing but keys with values that are bare or in double quotes, as nearly all are.
_SIMPLE = re.compile(r"""(?:[^\s="'{\[\\]+=(?:"[^"\\]+"|[^\s="'{\[\\]+)(?:\s+|$))+""")
_SIMPLE_PAIR = re.compile(r'([^\s=]+)=(?:"([^"]+)"|(\S+))')
# The parts of any header; the quote at the end may be missing, and a backslash quotes one character.
_QUOTED = "|".join(rf"\{first}((?:\\.?|[^\{last}\\])*)\{last}?" for first, last in ('""', "''", "{}", "[]"))
_PART = re.compile(rf"""(\s+)|(=)|\\(.?)|([^\s="'{{\[\\]+)|{_QUOTED}""", re.DOTALL)
_SPACE, _EQUALS, _ESCAPED, _BARE = range(1, 5)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
# Names of the energy and the forces of one level of theory, those that ASE knows first.
_LEVELS = (("energy", "forces"), ("REF_energy", "REF_forces"))
_CHARGES = {"charge", "total_charge", "tot_charge", "net_charge", "formal_charge", "molecular_charge"}
_MATRICES = ("Lattice", "virial", "stress")  # nine numbers each, or ASE refuses the frame
_NUMBERS = {change(symbol): number for symbol, number in ELEMENTS.items() for change in (str, str.lower, str.upper)}
# What a missing value may be written as; and what is no SMILES, but the key that follows one.
_NO_SMILES = ("", "None", "nan")
_NO_SMILES_CHARACTERS = re.compile(r"[\s_]")


def xyz_blocks(path: Path) -> Iterator[XyzBlock]:
    """Cut the extended XYZ files in a ``.tar.gz`` into blocks of whole frames, without unpacking it on disk.

    Hidden members, such as the companions that macOS adds, are skipped.

    Raises:
        StoreError: The archive is truncated or damaged, holds no frame, or the end of a frame cannot be found.
    """
    found = False
    try:
        # Not tarfile's own gzip mode, which neither checks the checksum nor reads on behind a first part.
        with (
            LimitedGzip(path) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|", bufsize=1 << 20, tarinfo=ModestTarInfo) as archive,
        ):
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep any number of them
                if member.isfile() and not PurePosixPath(member.name).name.startswith("."):
                    for block in _blocks(cast(IO[bytes], archive.extractfile(member)), f"{path}, {member.name}"):
                        found = True
                        yield block
            while unpacked.read(1 << 20):  # to the end, where the checksum is
                pass
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise StoreError(path, f"an archive that cannot be read ({error})", "a whole .tar.gz", DAMAGED) from error
    if not found:
        raise StoreError(path, "no frame", "an archive of extended XYZ", DAMAGED)


def _blocks(stream: IO[bytes], file: str) -> Iterator[XyzBlock]:
    rest, first = b"", 0
    while content := stream.read(BLOCK_BYTES):
        text = rest + content
        frames = _frames(file, first, text)
        end = frames[-1].end if frames else 0
        if frames:
            yield XyzBlock(file, first, text[:end])
        rest, first = text[end:], first + len(frames)
        if len(rest) > _LONGEST_FRAME:
            found = f"no end of frame {first} (from 0) in {len(rest):,} bytes"
            raise StoreError(file, found, f"frames of at most {_LONGEST_FRAME:,} bytes", DAMAGED)
    if rest.strip():
        text = rest.rstrip() + b"\n"
        frames = _frames(file, first, text)
        if not frames or frames[-1].end < len(text):
            raise StoreError(file, f"the end of the file within frame {first + len(frames)}", "a whole frame", DAMAGED)
        yield XyzBlock(file, first, text)


def _frames(file: str, first: int, text: bytes) -> list[_Frame]:
    """Find the whole frames at the start of a text whose first frame is number `first`, counted from 0."""
    ends = (np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1).tolist()
    frames: list[_Frame] = []
    line = start = 0
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


def portion_of_xyz(block: XyzBlock, limits: ForceLimits | None = None) -> Portion:
    """Read a block of frames as ASE does. A frame that cannot be an example is counted, and its neighbours are read."""
    geometries = Geometries(limits)
    for frame in _frames(*block):
        try:
            info = read_header(block.text[frame.header : frame.body].decode())
            layout = _layout(info["Properties"])
            objection = _objection(info)
            level = _level(info, layout)
            columns = (*layout.positions, *(layout.forces[level[1]] if level else layout.positions))
            numbers, positions, forces = _read_atoms(
                block.text[frame.body : frame.end].decode(), frame.atoms, layout, columns
            )
            energy = _number(info[level[0]]) if level else 0.0
        except (KeyError, ValueError):
            geometries.rejects["unreadable"] += 1
            continue
        if objection or not level:
            geometries.rejects[objection or "energy and forces of different levels of theory"] += 1
            continue
        smiles = info.get("smiles", "")
        is_absent = smiles in _NO_SMILES or _NO_SMILES_CHARACTERS.search(smiles)
        molecule = _composition(numbers) if is_absent else smiles
        geometries.add([frame.atoms], numbers, positions, forces, [energy], molecule, info.get("config_type", ""))
    return geometries.portion()


def read_header(line: str) -> dict[str, str]:
    """Return what the second line of a frame says, by key, the values as the texts that ASE sees.

    Values may stand in double or single quotes, in braces or in brackets; a backslash quotes the next character. Spaces
    around `=` do not count, so that a key without a value takes what follows for its value. A key alone has the
    value "T".

    Raises:
        ValueError: ASE cannot read the line.
    """
    line = line.strip()
    if _SIMPLE.fullmatch(line):
        return {key: quoted or bare for key, quoted, bare in _SIMPLE_PAIR.findall(line)}
    pairs = [[""]]
    for part in _PART.finditer(line):
        kind = cast(int, part.lastindex)
        if kind == _SPACE:
            if pairs[-1][-1]:
                pairs.append([""])
        elif kind == _EQUALS:
            if pairs[-1] == [""]:
                pairs.pop()
            if not pairs:
                raise ValueError("a value without a key")
            pairs[-1].append("")
        else:
            pairs[-1][-1] += part[kind] if kind in (_ESCAPED, _BARE) else _ESCAPE.sub(r"\1", part[kind])
    return {key: "=".join(values) if values else "T" for key, *values in pairs}


def _objection(info: Mapping[str, str]) -> str:
    """Return why a frame is no neutral molecule in open space; empty if it can be one.

    Raises:
        ValueError: What the header says of its charge or box cannot be read.
    """
    for name in _MATRICES:
        if name in info and len(list(map(float, _words(info[name])))) != 9:
            raise ValueError(f"{name} is no matrix")
    is_periodic = any(map(_boolean, _words(info["pbc"]))) if "pbc" in info else "Lattice" in info
    if is_periodic:
        return "periodic"
    return "charged" if any(_number(value) for key, value in info.items() if key.lower() in _CHARGES) else ""


def _level(info: Mapping[str, str], layout: _Layout) -> tuple[str, str] | None:
    """Return the names of energy and forces of the first level that has both; None if none has.

    Raises:
        KeyError: There is no energy, or there are no forces.
    """
    for energy, forces in _LEVELS:
        if energy in info and forces in layout.forces:
            return energy, forces
    if not layout.forces or not any(energy in info for energy, _ in _LEVELS):
        raise KeyError("energy or forces")
    return None


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _number(text: str) -> float:
    (word,) = _words(text)
    return float(word)


def _boolean(word: str) -> bool:
    return word in ("T", "True", "true") or (word not in ("F", "False", "false") and bool(float(word)))


def _read_atoms(
    text: str, atoms: int, layout: _Layout, columns: Sequence[int]
) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return atomic numbers, and what is in six columns as (atoms, 3) positions and (atoms, 3) forces of one frame."""
    tokens = text.split()
    if len(tokens) != atoms * layout.width:
        raise ValueError(f"{len(tokens)} columns of {atoms} atoms, expected {layout.width} each")
    species = tokens[layout.species :: layout.width]
    numbers = [_NUMBERS.get(symbol, 0) for symbol in species]
    if 0 in numbers and not all(map(str.isalpha, species)):  # rows of unequal lengths can add up
        raise ValueError("a number in the column of elements")
    values = [token for column in columns for token in tokens[column :: layout.width]]
    positions, forces = np.array(list(map(float, values))).reshape(2, 3, atoms)
    return numbers, positions.T, forces.T


@lru_cache
def _layout(properties: str) -> _Layout:
    """Read a frame's key ``Properties``: name, type and number of columns, and so on."""
    parts = properties.split(":")
    columns, width = {}, 0
    for name, _, size in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
        columns[name] = tuple(range(width, width + int(size)))
        width += int(size)
    (species,) = columns["species"]
    forces = {name: columns[name] for _, name in _LEVELS if name in columns}
    if any(len(found) != 3 for found in (columns["pos"], *forces.values())):
        raise ValueError("positions or forces of other than 3 columns")
    return _Layout(species, columns["pos"], forces, width)


def _composition(numbers: Sequence[int]) -> str:
    counts = Counter(numbers)
    return "composition " + " ".join(f"{SYMBOLS.get(number, '?')}{counts[number]}" for number in sorted(counts))
