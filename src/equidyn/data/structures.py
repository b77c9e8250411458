"""Cα traces of protein chains, read from PDB and mmCIF files.

Both formats of one entry give the same chains: author chain ids and residue numbers, the first model, the order of the
file; entity ids are in mmCIF files alone. gemmi parses; the interpretation of residues is decided here, see
`read_chains`.
"""

import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path

import gemmi
import numpy as np

MAX_STEP = 4.0
"""Å between consecutive Cα atoms above which the chain counts as broken; a trans peptide bond gives 3.8."""

STANDARD = {
    "ALA": "A",
    "ARG": "R",
    "ASN": "N",
    "ASP": "D",
    "CYS": "C",
    "GLN": "Q",
    "GLU": "E",
    "GLY": "G",
    "HIS": "H",
    "ILE": "I",
    "LEU": "L",
    "LYS": "K",
    "MET": "M",
    "PHE": "F",
    "PRO": "P",
    "SER": "S",
    "THR": "T",
    "TRP": "W",
    "TYR": "Y",
    "VAL": "V",
}
"""The twenty residues and their one-letter codes."""

READ_AS = {"MSE": "MET"}
"""Residues that stand for a standard one: crystallographers put selenium into methionine."""

MAX_BYTES = 10**9
"""Unpacked bytes from which on a file is refused unread: memory holds a file whole, and the largest of the Protein Data
Bank have some hundred million bytes. No file of 10⁹ lines is below."""

_BLOCK = 1 << 20  # bytes that are read at a time

SAME_PLACE = 2.0
"""Å between Cα atoms of one number below which they are of one residue, whatever the labels; bonded residues are at
least 2.8 Å apart."""

NON_STANDARD = "not a standard residue"
NO_CA = "no Cα atom"

_TAIL = re.compile(rb"(\n(?:ATOM|HETA|atom|heta).{74})[^\r\n]+")
"""A record of an atom that goes on behind its element."""

_CA = re.compile(rb"\n(?:ATOM|HETA|atom|heta).{8}(?: CA |CA  ).{14}([^\r\n]{0,24})")
"""A record of a Cα atom; its group is x, y and z."""

_COORDINATE = re.compile(rb"\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*")

_PROTEIN = (gemmi.PolymerType.PeptideL, gemmi.PolymerType.PeptideD)


class StructureError(ValueError):
    """A file is not a readable structure."""

    def __init__(self, path: str | Path, found: str, remedy: str):
        super().__init__(f"{path}: found {found}; expected a PDB or mmCIF file, plain or gzipped. To repair: {remedy}.")

    def __reduce__(self):
        # The default rebuilds from the joined message, which this signature does not take.
        return _rebuild_error, self.args


def _rebuild_error(message: str) -> StructureError:
    error = StructureError.__new__(StructureError)
    error.args = (message,)
    return error


@dataclass(frozen=True)
class Chain:
    """The resolved residues of one protein chain.

    Attributes:
        entry: Entry the chain belongs to.
        chain: Author chain id.
        positions: (n, 3) float32, Cα coordinates in Å, as in the file.
        residue_index: (n,) int32, author residue numbers. Insertion codes make residues of their own with the same
            number, and numbers need not rise.
        residue: (n,) uint8, one-letter codes in ASCII.
        experiment: Method according to the file, e.g. ``"X-RAY DIFFRACTION"``; empty if it states none.
        resolution: Å; None if the file states none.
        entity: Polymer entity of an mmCIF file, that is, which of its molecules the chain is a copy of; empty for PDB
            files, which do not number them.
        dropped: Residues left out, by reason.
    """

    entry: str
    chain: str
    positions: np.ndarray
    residue_index: np.ndarray
    residue: np.ndarray
    experiment: str = ""
    resolution: float | None = None
    entity: str = ""
    dropped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def name(self) -> str:
        """Entry and chain, e.g. ``"2BCG_B"``."""
        return f"{self.entry}_{self.chain}"

    @property
    def sequence(self) -> str:
        """One letter per residue."""
        return self.residue.tobytes().decode("ascii")

    @cached_property
    def chain_break(self) -> np.ndarray:
        """(n,) bool: the next residue's Cα is more than `MAX_STEP` away; the last residue has no next one."""
        steps = np.linalg.norm(np.diff(self.positions.astype(np.float64), axis=0), axis=1)
        return np.append(steps > MAX_STEP, np.zeros(min(len(self), 1), bool))


def read_chains(path: str | Path) -> list[Chain]:
    """Read the protein chains of a structure file.

    - Of several models the first is read; chains are told apart by the author's ids.
    - Residues: those of the polymer. Water, ligands and nucleic acids are ignored, hydrogens make no difference.
    - Of alternate locations, and of alternative residues at one place, the one with the highest occupancy counts, the
      first on ties. They may stand anywhere in the chain, see `_places`.
    - A coordinate of a Cα atom that is no finite number is an error. So are two Cα atoms in one residue that have one
      label and are apart: they are of two molecules with one chain id.
    - PDB files of before 1996, with the entry and a number in columns 73 to 80, are read as those of today.
    - Selenomethionine (MSE), although a HETATM, is read as methionine. Other non-standard residues are dropped and
      counted, and so are residues without Cα.
    - Residues that were not resolved are absent: what is left on both sides become neighbours, with a chain break
      between them if the gap is wider than `MAX_STEP`.

    Args:
        path: PDB or mmCIF file, plain or gzipped; told apart by content, so that the name does not matter.

    Returns:
        Chains in the file's order; none if it has no protein. A chain may have no residue left. The entry is named by
        the file's own id, or by the file's name if it has none.

    Raises:
        StructureError: The file is damaged, not a structure, or has `MAX_BYTES` or more.
        OSError: The file cannot be opened.
    """
    path = Path(path)
    structure = _parse(path)
    try:
        info = dict(structure.info.items())
        about = {
            "entry": info.get("_entry.id", "").strip() or path.name.split(".")[0],
            "experiment": info.get("_exptl.method", "").strip().upper(),
            "resolution": structure.resolution or None,
        }
        polymers = [(chain.name, chain.get_polymer()) for chain in structure[0]]
        for name, polymer in polymers:
            _check_one_molecule(path, name, polymer)
        # Not the entity's name: gemmi merges entities of equal sequence.
        chains = [
            _trace(polymer, chain=name, entity=polymer[0].entity_id, **about)
            for name, polymer in polymers
            if polymer.check_polymer_type() in _PROTEIN
        ]
    except UnicodeDecodeError as error:
        raise StructureError(path, f"names that are not UTF-8 ({error})", "write the file again as UTF-8") from error
    for chain in chains:
        if not np.isfinite(chain.positions).all():
            where = chain.residue_index[~np.isfinite(chain.positions).all(axis=1)][0]
            raise _no_number(path, "no finite number", f"residue {where} of chain {chain.chain}")
    return chains


def _check_one_molecule(path: Path, chain: str, polymer: Iterable[gemmi.Residue]) -> None:
    """Refuse two molecules of one chain id, whose residues of one name and number gemmi makes one residue."""
    for residue in polymer:
        atoms = [atom for atom in residue if atom.name == "CA"]
        for one, other in combinations(atoms, 2):
            distance = one.pos.dist(other.pos)
            if one.altloc == other.altloc and distance >= SAME_PLACE:
                found = f"two Cα atoms {distance:.1f} Å apart in residue {residue.seqid} of chain {chain}"
                raise StructureError(path, found, "give each molecule a chain id of its own")


def _no_number(path: Path, found: str, where: str) -> StructureError:
    remedy = "give the atom its coordinates, or take it out"
    return StructureError(path, f"{found} among the coordinates of the Cα atom of {where}", remedy)


def _parse(path: Path) -> gemmi.Structure:
    """Return the file's content, with polymers recognised."""
    content = _content(path)
    is_cif = _first_word(content).lower().startswith(b"data_")
    if not is_cif:
        _check_coordinates(path, content)
    try:
        structure = _read(content, is_cif)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).removeprefix("string:")
        raise StructureError(path, f"content that cannot be parsed ({reason})", "fetch the file again") from error
    if not len(structure) or not structure[0].count_atom_sites():
        kind = "mmCIF" if is_cif else "PDB"
        raise StructureError(path, f"no atom record (read as {kind})", "fetch the file again, or take it away")
    structure.setup_entities()
    return structure


def _read(content: bytes, is_cif: bool) -> gemmi.Structure:
    """Return what gemmi reads; of a PDB file that it refuses, without the charges of atoms.

    Files of before 1996 number their lines where charges are today.
    """
    if is_cif:
        return gemmi.read_structure_string(content, format=gemmi.CoorFormat.Mmcif)
    try:
        return gemmi.read_structure_string(content, format=gemmi.CoorFormat.Pdb)
    except (RuntimeError, ValueError):
        without = _TAIL.sub(rb"\1", b"\n" + content)
        return gemmi.read_structure_string(without[1:], format=gemmi.CoorFormat.Pdb)


def _check_coordinates(path: Path, content: bytes) -> None:
    """Refuse a PDB file with a Cα atom of the first model whose coordinates gemmi would read as 0 or in part."""
    first_model = b"\n" + content.partition(b"\nENDMDL")[0]
    for record in _CA.finditer(first_model):
        for start in (0, 8, 16):
            value = record[1][start : start + 8]
            if not _COORDINATE.fullmatch(value):
                line = 1 + first_model.count(b"\n", 0, record.start())
                raise _no_number(path, repr(value.decode("ascii", "replace")), f"line {line}, columns 31 to 54")


def _content(path: Path) -> bytes:
    """Return the file's bytes, unpacked."""
    blocks: list[bytes] = []
    with path.open("rb") as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        unpacked = gzip.GzipFile(fileobj=stream) if is_packed else stream
        try:
            while block := unpacked.read(_BLOCK):
                blocks.append(block)
                if sum(map(len, blocks)) >= MAX_BYTES:
                    found = f"{MAX_BYTES:,} bytes or more{' behind gzip' * is_packed}, which no structure needs"
                    raise StructureError(path, found, "split the file by entry or model, or take it away")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise StructureError(path, f"a damaged gzip file ({error})", "fetch the file again") from error
    content = b"".join(blocks)
    if not content.strip():
        raise StructureError(path, "an empty file", "fetch the file again, or take it away")
    return content


def _first_word(content: bytes) -> bytes:
    """Return what follows blank lines and comments of CIF."""
    for line in io.BytesIO(content):
        if (words := line.split()) and not words[0].startswith(b"#"):
            return words[0]
    return b""


def _places(polymer: Iterable[gemmi.Residue]) -> Iterable[list[gemmi.Residue]]:
    """Group residues that are alternatives of one place, in the order in which the places first appear.

    Those of one number that follow each other are. One further on, as where each conformer is a block of its own, joins
    the first of its number that it fits, and is a residue of its own if it fits none.
    """
    places: list[list[gemmi.Residue]] = []
    numbered: dict[str, list[list[gemmi.Residue]]] = {}
    previous = ""
    for residue in polymer:
        number = str(residue.seqid)
        known = numbered.setdefault(number, [])
        place = places[-1] if number == previous else next((one for one in known if _fits(residue, one)), None)
        if place is None:
            place = []
            places.append(place)
            known.append(place)
        place.append(residue)
        previous = number
    return places


def _fits(residue: gemmi.Residue, place: list[gemmi.Residue]) -> bool:
    """Whether a residue can be an alternative to those of its number at a place.

    Either all labels of alternate locations are different, and occupancies do not exceed 1 where one has no label; or
    a Cα atom is less than `SAME_PLACE` from one of theirs, where no other residue can be.
    """
    ours, theirs = list(residue), [atom for one in place for atom in one]
    labels, other = ({atom.altloc for atom in atoms} for atoms in (ours, theirs))
    if not labels & other:
        occupancy = max(atom.occ for atom in ours) + max(atom.occ for atom in theirs)
        if "\0" not in labels | other or occupancy < 1.01:
            return True
    return any(
        one.pos.dist(two.pos) < SAME_PLACE for one in ours if one.name == "CA" for two in theirs if two.name == "CA"
    )


def _trace(polymer: Iterable[gemmi.Residue], **about) -> Chain:
    """Return the chain of a polymer's residues."""
    positions, numbers, letters = [], [], []
    dropped: Counter[str] = Counter()
    for alternatives in _places(polymer):
        candidates = [(atom, residue) for residue in alternatives for atom in residue if atom.name == "CA"]
        if candidates:
            atom, residue = max(candidates, key=lambda candidate: candidate[0].occ)
        else:
            atom, residue = None, alternatives[0]
        letter = STANDARD.get(READ_AS.get(residue.name, residue.name))
        if letter is None:
            dropped[NON_STANDARD] += 1
        elif atom is None:
            dropped[NO_CA] += 1
        else:
            positions.append(atom.pos.tolist())
            numbers.append(residue.seqid.num)
            letters.append(ord(letter))
    with np.errstate(over="ignore"):  # what single precision cannot hold is refused with what is not finite
        coordinates = np.array(positions, np.float32).reshape(-1, 3)
    return Chain(
        positions=coordinates,
        residue_index=np.array(numbers, np.int32),
        residue=np.array(letters, np.uint8),
        dropped=dropped,
        **about,
    )
