"""A small Protein Data Bank: index files and mmCIF files in the forms of the real one.

Most entries hold packaged chains, with backbone atoms added, enough of them to train on. The others are cases that the
pipeline has to tell apart, one each; `_special` says which.
"""

import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import gemmi
import numpy as np

from equidyn.data.sources.offline_chains.build import packaged_chains
from equidyn.data.structures import STANDARD

NAMES = {letter: name for name, letter in STANDARD.items()} | {"X": "UNK"}
LONGEST = 128
"""Residues of the longest ordinary chain, so that training on them is quick."""


@dataclass(frozen=True)
class Residue:
    """One deposited residue.

    Attributes:
        name: Three letters.
        letter: One letter, as the sequence file has it.
        number: Author's number, with the insertion code if there is one.
        places: Alternate places of Cα, (location, occupancy, position in Å); none if the residue was not resolved.
    """

    name: str
    letter: str
    number: str
    places: tuple[tuple[str, float, np.ndarray], ...]

    @property
    def is_het(self) -> bool:
        return self.name not in STANDARD and not self.name.startswith("D")


@dataclass(frozen=True)
class Molecule:
    """A chain of an entry: its ids, its entity and its residues."""

    author: str
    label: str
    entity: str
    residues: tuple[Residue, ...]
    kind: str = "protein"

    @property
    def sequence(self) -> str:
        return "".join(residue.letter for residue in self.residues)

    @property
    def resolved(self) -> list[Residue]:
        return [residue for residue in self.residues if residue.places]


@dataclass(frozen=True)
class Entry:
    """An entry and how the index files speak of it.

    Attributes:
        name: Id in lower case.
        molecules: Chains.
        method: As in the mmCIF file.
        resolution: Å; None if nobody knows.
        in_resolutions: Whether ``resolu.idx`` gives the resolution, which ``entries.idx`` does in any case.
        models: Models in the file; all after the first are displaced.
        hydrogens: Whether the file has some.
        in_clusters: Whether RCSB's clusters know the entities.
        in_bundles: Whether the entry is in the bundle index.
        has_file: Whether the entry's file is there.
    """

    name: str
    molecules: tuple[Molecule, ...]
    method: str = "X-RAY DIFFRACTION"
    resolution: float | None = 1.8
    in_resolutions: bool = True
    models: int = 1
    hydrogens: bool = False
    in_clusters: bool = True
    in_bundles: bool = False
    has_file: bool = True

    @property
    def entities(self) -> list[str]:
        return list(dict.fromkeys(f"{self.name.upper()}_{one.entity}" for one in self.molecules))


@dataclass(frozen=True)
class Bank:
    """What was written.

    Attributes:
        folder: Holds the index files and the entries' files, ``<id>.cif.gz``.
        entries: All entries, those without a file included.
        families: Entities that share a cluster.
        rejects: Chains that a selection with the usual limits leaves out, by its reasons.
        unselected: Entries with such chains only.
    """

    folder: Path
    entries: dict[str, Entry]
    families: list[list[str]]
    rejects: Counter[str] = field(default_factory=Counter)
    unselected: frozenset[str] = frozenset()

    def files(self, *names: str) -> dict[str, Path]:
        return {name: self.folder / name for name in names}


def write_pdb(folder: str | Path, entries: int = 48, seed: int = 0) -> Bank:
    """Write ``pdb/current`` below `folder`, which may then be served as a mirror.

    Args:
        folder: Root of the mirror.
        entries: Ordinary ones; every fourth has two copies of its chain.
        seed: Chooses their chains.
    """
    ordinary = sorted(_ordinary(entries, seed), key=lambda entry: entry.name)
    special = list(_special())
    made = {entry.name: entry for entry in (*ordinary, *special)}
    folder = Path(folder, "pdb", "current")
    folder.mkdir(parents=True)
    for entry in made.values():
        if entry.has_file:
            content = gzip.compress(mmcif(entry).encode(), compresslevel=1, mtime=0)
            (folder / f"{entry.name}.cif.gz").write_bytes(content)
    families = _families(made.values())
    for name, text in _index(made.values(), families).items():
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    return Bank(folder, made, families, *_left_out())


def mmcif(entry: Entry) -> str:
    """Return the entry's file."""
    made = gemmi.Structure()
    made.name = entry.name.upper()
    made.info["_entry.id"], made.info["_exptl.method"] = made.name, entry.method
    made.cell.set(100, 100, 100, 90, 90, 90)
    for entity in dict.fromkeys(one.entity for one in entry.molecules):
        copies = [one for one in entry.molecules if one.entity == entity]
        described = gemmi.Entity(entity)
        described.entity_type = gemmi.EntityType.Polymer
        is_protein = copies[0].kind == "protein"
        described.polymer_type = gemmi.PolymerType.PeptideL if is_protein else gemmi.PolymerType.Dna
        described.subchains = [one.label for one in copies]
        described.full_sequence = [residue.name for residue in copies[0].residues]
        made.entities.append(described)
    for number in range(entry.models):
        model = gemmi.Model(number + 1)
        for one in entry.molecules:
            model.add_chain(_chain(one, displaced=7.0 * number, hydrogens=entry.hydrogens))
        made.add_model(model)
    document = made.make_mmcif_document()
    if entry.resolution:  # gemmi reads it, and does not write it
        block = document.sole_block()
        if entry.method == "ELECTRON MICROSCOPY":
            block.set_pair("_em_3d_reconstruction.resolution", str(entry.resolution))
        else:
            block.set_pair("_refine.pdbx_refine_id", gemmi.cif.quote(entry.method))
            block.set_pair("_refine.ls_d_res_high", str(entry.resolution))
    return document.as_string()


# Entries


def _ordinary(count: int, seed: int) -> Iterator[Entry]:
    chains = [chain for chain in _packaged() if len(chain) <= LONGEST]
    for number, index in enumerate(np.random.default_rng(seed).permutation(len(chains))[:count]):
        chain = chains[index]
        first = Molecule(chain.chain, "A", "1", tuple(trace(chain.positions + number, chain.sequence)))
        copies = [first]
        if number % 4 == 0:
            turned = chain.positions[:, [1, 2, 0]]
            other = "B" if chain.chain != "B" else "C"
            copies.append(Molecule(other, "B", "1", tuple(trace(turned, chain.sequence))))
        is_em = number % 5 == 1
        yield Entry(
            chain.entry.lower(),
            tuple(copies),
            method="ELECTRON MICROSCOPY" if is_em else "X-RAY DIFFRACTION",
            resolution=3.1 if is_em else 1.9,
            hydrogens=number % 3 == 0,
        )


def _special() -> Iterator[Entry]:
    """Yield one entry for each case."""
    by_length = {len(chain): chain for chain in _packaged()}
    short = (chain for length, chain in sorted(by_length.items()) if 60 <= length <= 100)

    def residues() -> list[Residue]:
        chain = next(short)
        return trace(chain.positions, chain.sequence)

    def entry(name: str, *chains: Sequence[Residue], **settings) -> Entry:
        named = zip("ABCD", "1234", chains, strict=False)
        return Entry(name, tuple(Molecule(letter, letter, no, tuple(one)) for letter, no, one in named), **settings)

    shortest, longest = (trace(by_length[length].positions, by_length[length].sequence) for length in (51, 255))
    beyond = replace(longest[-1], number="256", places=((".", 1.0, longest[-1].places[0][2] + [3.8, 0, 0]),))
    yield entry("9l50", shortest[:50])
    yield entry("9l51", shortest)
    yield entry("9l55", longest)
    yield entry("9l56", [*longest, beyond])
    yield entry("9nmr", residues(), method="SOLUTION NMR", resolution=None, models=2)
    yield entry("9unk", _changed(residues(), 5, name="UNK", letter="X"))
    yield entry("9r50", residues(), resolution=5.0)
    yield entry("9r51", residues(), resolution=5.01)
    # Electron microscopists may leave the field empty that resolu.idx is made from.
    yield entry("9em1", residues(), method="ELECTRON MICROSCOPY", resolution=3.4, in_resolutions=False)
    yield entry("9em2", residues(), method="ELECTRON MICROSCOPY", resolution=None)
    yield entry("9mod", residues(), models=3)
    yield entry("9alt", _with_alternates(residues()))
    yield entry("9mse", _changed(_changed(residues(), 0, name="MSE", letter="M"), 9, name="MSE", letter="M"))
    yield entry("9sep", _changed(residues(), 7, name="SEP", letter="S"))  # phosphoserine, deposited as serine
    yield entry("9ins", _with_insertions(residues()))
    yield entry("9gap", _unresolved(residues(), [0, 1, 20, 21, 22, 40]))
    yield entry("9one", _unresolved(residues(), range(1, 100)))
    yield entry("9bun", residues(), in_bundles=True)
    yield entry("9mis", residues(), has_file=False)
    yield entry("pdb_00009abc", residues())
    yield entry("1e10", residues())  # no number
    own = residues()
    yield Entry(
        "9own", tuple(Molecule(name, name, "1", tuple(own)) for name in "AB"), in_clusters=False
    )  # entity without a cluster
    first, second = residues(), residues()
    yield Entry("9aut", (Molecule("B", "A", "1", tuple(first)), Molecule("NA", "B", "2", tuple(second))))
    strand = tuple(
        Residue(f"D{base}", base, str(number), ((".", 1.0, np.array([6.0 * number, 0, 30])),))
        for number, base in enumerate("ACGT" * 15, start=1)
    )
    yield Entry("9dna", (Molecule("A", "A", "1", tuple(residues())), Molecule("D", "B", "2", strand, kind="na")))


def _left_out() -> tuple[Counter[str], frozenset[str]]:
    """Return why the usual limits leave out what, and the entries that they leave out whole."""
    reasons = {
        "9l50": "shorter than 51 residues",
        "9l56": "longer than 255 residues",
        "9nmr": "neither diffraction nor electron microscopy",
        "9unk": "has non-standard residues",
        "9r51": "resolution worse than 5 Å",
        "9em2": "no resolution (EM)",
        "9bun": "entry in pdb_bundle_index.txt",
    }
    return Counter(reasons.values()) + Counter({"not a protein": 1}), frozenset(reasons)


def _packaged() -> list:
    return list(packaged_chains())


def trace(positions: np.ndarray, sequence: str) -> list[Residue]:
    """Return residues numbered from 1, at positions of whole hundredths of Å."""
    places = np.round(positions.astype(np.float64), 2)
    return [
        Residue(NAMES[letter], letter, str(number), ((".", 1.0, place),))
        for number, (letter, place) in enumerate(zip(sequence, places, strict=True), start=1)
    ]


def _changed(residues: Sequence[Residue], at: int, **changes) -> list[Residue]:
    return [replace(one, **changes) if number == at else one for number, one in enumerate(residues)]


def _unresolved(residues: Sequence[Residue], at: Sequence[int]) -> list[Residue]:
    return [replace(one, places=()) if number in at else one for number, one in enumerate(residues)]


def _with_alternates(residues: Sequence[Residue]) -> list[Residue]:
    """Two or three places for some residues: the second, the first, the first of equals, and the third wins."""
    occupancies = {3: (0.4, 0.6), 8: (0.7, 0.3), 13: (0.5, 0.5), 18: (0.2, 0.3, 0.5)}
    changed = list(residues)
    for at, shares in occupancies.items():
        place = residues[at].places[0][2]
        aside = np.array([0.25, 0, 0])
        places = tuple(("ABC"[k], share, place + k * aside) for k, share in enumerate(shares))
        changed[at] = replace(residues[at], places=places)
    return changed


def _with_insertions(residues: Sequence[Residue]) -> list[Residue]:
    """Number as antibodies do: 50, 51, 52, 52A, 52B, 53."""
    numbers = ["50", "51", "52", "52A", "52B", *(str(number) for number in range(53, 53 + len(residues)))]
    return [replace(one, number=number) for one, number in zip(residues, numbers, strict=False)]


# Files


def _chain(molecule: Molecule, *, displaced: float, hydrogens: bool) -> gemmi.Chain:
    chain = gemmi.Chain(molecule.author)
    along = np.array([residue.places[0][2] for residue in molecule.resolved])
    step = np.array([[3.8, 0, 0]])
    before, after = np.vstack([along[:1] - step, along[:-1]]), np.vstack([along[1:], along[-1:] + step])
    numbers = {id(residue): number for number, residue in enumerate(molecule.residues, start=1)}
    for residue, previous, following in zip(molecule.resolved, before, after, strict=True):
        made = gemmi.Residue()
        made.name, made.seqid = residue.name, gemmi.SeqId(residue.number)
        made.subchain, made.entity_id, made.entity_type = molecule.label, molecule.entity, gemmi.EntityType.Polymer
        made.label_seq, made.het_flag = numbers[id(residue)], "H" if residue.is_het else "A"
        for location, occupancy, place in residue.places:
            for name, position in _atoms(molecule.kind, place, previous, following, hydrogens):
                atom = gemmi.Atom()
                atom.name, atom.element = name, gemmi.Element(name[0])
                atom.altloc, atom.occ = location.replace(".", "\0"), occupancy
                atom.pos = gemmi.Position(*(position + displaced))
                made.add_atom(atom)
        chain.add_residue(made)
    return chain


def _atoms(
    kind: str, place: np.ndarray, previous: np.ndarray, following: np.ndarray, hydrogens: bool
) -> list[tuple[str, np.ndarray]]:
    """Return atoms around a Cα atom, at about the right distances."""
    if kind != "protein":
        return [("P", place)]
    back, forth = ((other - place) / np.linalg.norm(other - place) for other in (previous, following))
    aside = np.cross(back, [0.36, 0.48, 0.8])
    aside /= np.linalg.norm(aside)
    nitrogen, carbon = place + 1.46 * (0.8 * back + 0.6 * aside), place + 1.52 * (0.8 * forth - 0.6 * aside)
    atoms = [("N", nitrogen), ("CA", place), ("C", carbon), ("O", carbon - 1.23 * aside)]
    return [*atoms, ("H", nitrogen + 1.01 * aside), ("HA", place + 1.09 * aside)] if hydrogens else atoms


def _families(entries: Sequence[Entry]) -> list[list[str]]:
    """Put entities of neighbours into one cluster now and then."""
    families: list[list[str]] = []
    known = [entity for entry in entries if entry.in_clusters for entity in entry.entities]
    for number, entity in enumerate(known):
        if number % 6 == 5:
            families[-1].append(entity)
        else:
            families.append([entity])
    return families


def _index(entries: Sequence[Entry], families: Sequence[Sequence[str]]) -> dict[str, str]:
    methods = {"X-RAY DIFFRACTION": "diffraction", "ELECTRON MICROSCOPY": "EM", "SOLUTION NMR": "NMR"}
    sequences, types, resolutions, rows = [], [], [], []
    for entry in entries:
        is_mixed = any(one.kind != "protein" for one in entry.molecules)
        types.append(f"{entry.name}\t{'prot-nuc' if is_mixed else 'prot'}\t{methods[entry.method]}\n")
        listed = entry.resolution if entry.in_resolutions and entry.resolution else -1
        resolutions.append(f"{entry.name.upper()}\t;\t{listed:.2f}\n")
        rows.append(
            f"{entry.name.upper()}\tPROTEIN\t01/02/03\tA \"MADE-UP COMPOUND, 5' END\tHomo sapiens\tDoe, J.\t"
            f"{entry.resolution or 'NOT'}\t{entry.method}\n"
        )
        for one in entry.molecules:
            header = f">{entry.name}_{one.author} mol:{one.kind} length:{len(one.sequence)}  MADE-UP PROTEIN"
            sequences.append(f"{header}\n{one.sequence}\n")
    computed = ["AF_AFP00001F1_1 AF_AFP00002F1_1", "MA_MABAK00001_1"]
    clusters = [" ".join(family) for family in families]
    clusters[0] = f"AF_AFP12345F1_1 {clusters[0]} MA_MABAK00002_1"
    return {
        "pdb_seqres.txt.gz": "".join(sequences),
        "pdb_entry_type.txt": "".join(types),
        "resolu.idx": "PROTEIN DATA BANK LIST OF IDCODES AND DATA RESOLUTION VALUES\nFri Nov 21 10:59:11 EST 2025\n"
        "RESOLUTION VALUE IS -1.00 WHERE THERE IS NONE\n\nIDCODE       RESOLUTION\n------  -    ----------\n"
        + "".join(resolutions),
        "entries.idx": "IDCODE, HEADER, ACCESSION DATE, COMPOUND, SOURCE, AUTHOR LIST, RESOLUTION, EXPERIMENT TYPE\n"
        "------- ------- --------------- --------- --------- ------------ ----------- ----------------\n"
        + "".join(rows),
        "pdb_bundle_index.txt": "".join(f"{name}\n" for name in ("3j3q", *(e.name for e in entries if e.in_bundles))),
        "clusters-by-entity-50.txt": "".join(f"{line}\n" for line in (*computed[:1], *clusters, *computed[1:])),
    }
