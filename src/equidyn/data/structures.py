"""Cα traces of protein chains, read from PDB and mmCIF files.

Both formats of one entry give the same chains: author chain ids and residue numbers, the first model, the order of the
file; entity ids are in mmCIF files alone. gemmi parses; the interpretation of residues is decided here, see
`read_chains`.
"""

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
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

NON_STANDARD = "not a standard residue"
NO_CA = "no Cα atom"

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
      first on ties.
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
        StructureError: The file is damaged or not a structure.
        OSError: The file cannot be opened.
    """
    path = Path(path)
    structure = _parse(path)
    info = dict(structure.info.items())
    about = {
        "entry": info.get("_entry.id", "").strip() or path.name.split(".")[0],
        "experiment": info.get("_exptl.method", "").strip().upper(),
        "resolution": structure.resolution or None,
    }
    chains = []
    for chain in structure[0]:
        polymer = chain.get_polymer()
        if polymer.check_polymer_type() in _PROTEIN:
            # Not the entity's name: gemmi merges entities of equal sequence.
            chains.append(_trace(polymer, chain=chain.name, entity=polymer[0].entity_id, **about))
    return chains


def _parse(path: Path) -> gemmi.Structure:
    """Return the file's content, with polymers recognised."""
    content = _content(path)
    is_cif = _first_word(content).lower().startswith(b"data_")
    file_format = gemmi.CoorFormat.Mmcif if is_cif else gemmi.CoorFormat.Pdb
    try:
        structure = gemmi.read_structure_string(content, format=file_format)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).removeprefix("string:")
        raise StructureError(path, f"content that cannot be parsed ({reason})", "fetch the file again") from error
    if not len(structure) or not structure[0].count_atom_sites():
        kind = "mmCIF" if is_cif else "PDB"
        raise StructureError(path, f"no atom record (read as {kind})", "fetch the file again, or take it away")
    structure.setup_entities()
    return structure


def _content(path: Path) -> bytes:
    """Return the file's bytes, unpacked."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise StructureError(path, f"a damaged gzip file ({error})", "fetch the file again") from error
    if not content.strip():
        raise StructureError(path, "an empty file", "fetch the file again, or take it away")
    return content


def _first_word(content: bytes) -> bytes:
    """Return what follows blank lines and comments of CIF."""
    for line in io.BytesIO(content):
        if (words := line.split()) and not words[0].startswith(b"#"):
            return words[0]
    return b""


def _trace(polymer: Iterable[gemmi.Residue], **about) -> Chain:
    """Return the chain of a polymer's residues."""
    positions, numbers, letters = [], [], []
    dropped: Counter[str] = Counter()
    for _, group in groupby(polymer, key=lambda residue: str(residue.seqid)):
        alternatives = list(group)
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
    return Chain(
        positions=np.array(positions, np.float32).reshape(-1, 3),
        residue_index=np.array(numbers, np.int32),
        residue=np.array(letters, np.uint8),
        dropped=dropped,
        **about,
    )
