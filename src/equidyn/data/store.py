"""One on-disk format for every data set: a folder of memory-mapped arrays and a manifest.

A store holds `n` examples (molecules, proteins). Its fields come in three kinds:

===========  ==============================  ======================================================
kind         file(s)                         one example's value
===========  ==============================  ======================================================
ragged       ``<name>.npy`` (rows, *shape)   rows ``offsets[i]:offsets[i + 1]``, one per atom or
                                             residue; ``offsets.npy`` (n + 1,) int64 is shared
scalar       ``<name>.npy`` (n, *shape)      row ``i``
text         ``<name>.npy`` (bytes,) uint8   UTF-8 bytes between ``<name>_offsets.npy`` (n + 1,)
===========  ==============================  ======================================================

Nothing is pickled, so opening a store from elsewhere runs no code. Reading an example costs the
same wherever it lies, and worker processes share the pages that the operating system has cached.
``manifest.json`` states the format version, counts, each field's dtype, unit and meaning, size and
SHA-256 of each file, and where the data came from. Equal input gives equal bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import operator
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equidyn.core.files import writing

FORMAT = "equidyn-store"
VERSION = 1
MANIFEST = "manifest.json"
OFFSETS = "offsets"

_HEADER_BYTES = 256  # header of every .npy file, fixed: it is written twice, before and after the rows
_BUFFER_BYTES = 1 << 20  # bytes of one array that wait in memory
_REMEDY = "delete the folder and run the step that makes it again"


class StoreError(Exception):
    """A store or an index file on disk is missing, damaged or not valid."""

    def __init__(self, path: str | Path, found: str, expected: str, remedy: str = _REMEDY):
        super().__init__(f"{path}: found {found}; expected {expected}. To repair: {remedy}.")

    def __reduce__(self):
        # The default rebuilds from the joined message, which this signature does not take.
        return _rebuild_error, self.args


def _rebuild_error(message: str) -> StoreError:
    error = StoreError.__new__(StoreError)
    error.args = (message,)
    return error


@dataclass(frozen=True)
class Field:
    """The content of one array of a store.

    Attributes:
        dtype: NumPy dtype (``"float32"``), or ``"str"`` for one text per example.
        shape: Shape of one row, behind the example, atom or residue axis.
        unit: Physical unit, empty for pure numbers and labels.
        meaning: One line for a reader of the manifest.
        ragged: Whether an example holds many rows (one per atom or residue) or just one.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    unit: str = ""
    meaning: str = ""
    ragged: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if self.is_text:
            if self.shape:
                raise ValueError(f"a text field has no row shape, found {self.shape}")
            object.__setattr__(self, "ragged", False)
            return
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "biuf":
            raise ValueError(f"dtype {dtype} cannot be stored: use booleans, integers, floats or 'str'")
        object.__setattr__(self, "dtype", dtype.name)

    @property
    def is_text(self) -> bool:
        """Whether the field holds one text per example."""
        return self.dtype == "str"

    @property
    def kind(self) -> str:
        """Either ``"ragged"``, ``"scalar"`` or ``"text"``."""
        return "text" if self.is_text else "ragged" if self.ragged else "scalar"


SPLIT = Field("uint8", (), "", "0 training, 1 validation, 2 test, as the source has it", ragged=False)
"""The field `split` of stores whose source prescribes one."""

TRAINING, VALIDATION, TEST = range(3)
"""The numbers in the field `split`."""


class StoreWriter:
    """Write a store example by example, in memory that does not grow with their number.

    Rows go to a temporary folder beside `path`, which takes the final name in `finish`. An error
    before that leaves nothing behind; remains of a killed process are removed by the next writer
    of the same store, which may have only one writer at a time.

        with StoreWriter(path, fields) as writer:
            for example in examples:
                writer.append(positions=..., energy=...)
            writer.finish(source="...", seed=1)

    Args:
        path: The folder to make.
        fields: Fields of the store, by name.
        overwrite: Replace a folder that is already there (in `finish`, not before).
    """

    def __init__(self, path: str | Path, fields: Mapping[str, Field], *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.fields = dict(fields)
        self._overwrite = overwrite
        if not self.fields:
            raise ValueError("a store needs at least one field")
        for name in self.fields:
            if not name.isidentifier() or name == OFFSETS or name.endswith("_" + OFFSETS):
                raise ValueError(f"{name!r} cannot name a field: not an identifier, or reserved")
        self._refuse_existing()
        self._has_ragged = any(field.ragged for field in self.fields.values())
        self._count = 0
        self._rows = 0
        self._finished = False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = self.path.with_name(f".{self.path.name}.new")
        if self._folder.exists():
            shutil.rmtree(self._folder)  # remains of a process that was killed
        self._folder.mkdir()
        self._files: dict[str, _ArrayFile] = {}
        try:
            if self._has_ragged:
                self._open(OFFSETS, "int64", ()).append(np.zeros(1, np.int64))
            for name, field in self.fields.items():
                if field.is_text:
                    self._open(name, "uint8", ())
                    self._open(f"{name}_{OFFSETS}", "int64", ()).append(np.zeros(1, np.int64))
                else:
                    self._open(name, field.dtype, field.shape)
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, error_type, error, traceback) -> None:
        if self._finished:
            return
        self.discard()
        if error_type is None:
            raise RuntimeError(f"{self.path}: nothing kept, call finish() at the end of the block")

    def __len__(self) -> int:
        return self._count

    def append(self, **values: Any) -> None:
        """Add one example; every field by name.

        Arrays must already have the declared dtype, so that no rounding happens unseen; Python
        numbers are accepted for scalar fields.

        Raises:
            ValueError: A field is missing or unknown, has another dtype or shape, is empty, or
                holds NaN or infinity. The example is then not stored, and writing may go on.
        """
        where = f"example {self._count}"
        self._check_names(values, where)
        checked = {name: self._check(name, values[name], where) for name in self.fields}
        lengths = {name: len(checked[name]) for name, field in self.fields.items() if field.ragged}
        if 0 in lengths.values():
            raise ValueError(f"{where}: no rows; an example has at least one atom or residue")
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{where}: ragged fields differ in length: {lengths}")
        self._write({name: [rows] if self.fields[name].is_text else rows for name, rows in checked.items()})
        if lengths:
            self._end_examples(np.array([next(iter(lengths.values()))]))
        self._count += 1

    def extend(self, lengths: np.ndarray, **values: Any) -> None:
        """Add many examples at once; every field by name.

        Args:
            lengths: (m,) integers, rows of each example in the ragged fields.
            **values: Rows of all examples end to end for ragged fields, one row per example for scalar ones, in the
                declared dtype; `str` per example for text.

        Raises:
            ValueError: As in `append`; none of the examples is then stored, and writing may go on.
        """
        lengths, where = np.asarray(lengths), f"examples from {self._count}"
        self._check_names(values, where)
        if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 1).any():
            raise ValueError(f"{where}: lengths must be one-dimensional, whole and at least 1")
        checked: dict[str, Any] = {}
        for name, field in self.fields.items():
            if field.is_text:
                checked[name] = [self._check(name, text, where) for text in values[name]]
            else:
                checked[name] = self._check(name, values[name], where, many=True)
            expected = lengths.sum() if field.ragged else len(lengths)
            if len(checked[name]) != expected:
                raise ValueError(f"{where}, field {name!r}: found {len(checked[name])} rows, expected {expected}")
        if len(lengths):
            self._write(checked)
            self._end_examples(lengths)
            self._count += len(lengths)

    def finish(self, **provenance: Any) -> Path:
        """Write the manifest with `provenance`, and give the folder its final name.

        Returns:
            The folder's path.
        """
        if self._finished:
            raise RuntimeError(f"{self.path}: finish() was already called")
        try:
            if self._count == 0:
                raise ValueError(f"{self.path}: no example was appended, an empty store is useless")
            files = {}
            for name, file in self._files.items():
                file.close()
                files[f"{name}.npy"] = {
                    "dtype": file.dtype.name,
                    "shape": [file.rows, *file.shape],
                    "bytes": file.path.stat().st_size,
                    "sha256": _sha256(file.path),
                }
            manifest = {
                "format": FORMAT,
                "version": VERSION,
                "examples": self._count,
                "ragged_rows": self._rows,
                "fields": {
                    name: {
                        "kind": field.kind,
                        "dtype": field.dtype,
                        "shape": list(field.shape),
                        "unit": field.unit,
                        "meaning": field.meaning,
                    }
                    for name, field in self.fields.items()
                },
                "files": files,
                "provenance": provenance,
            }
            text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
            with (self._folder / MANIFEST).open("w", encoding="utf-8") as stream:
                stream.write(text + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            _fsync_folder(self._folder)
            self._take_name()
            _fsync_folder(self.path.parent)
        except BaseException:
            self.discard()
            raise
        self._finished = True
        return self.path

    def discard(self) -> None:
        """Discard everything written so far."""
        for file in self._files.values():
            file.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> _ArrayFile:
        self._files[name] = _ArrayFile(self._folder / f"{name}.npy", dtype, shape)
        return self._files[name]

    def _refuse_existing(self) -> None:
        if self.path.exists() and not self._overwrite:
            raise FileExistsError(f"{self.path} exists already: remove it, or pass overwrite=True to replace it")

    def _take_name(self) -> None:
        self._refuse_existing()
        if not self.path.exists():
            self._folder.rename(self.path)
            return
        old = self.path.with_name(f".{self.path.name}.old")
        if old.exists():
            shutil.rmtree(old)
        self.path.rename(old)
        try:
            self._folder.rename(self.path)
        except BaseException:
            old.rename(self.path)
            raise
        shutil.rmtree(old)

    def _check_names(self, values: Mapping[str, Any], where: str) -> None:
        if values.keys() != self.fields.keys():
            raise ValueError(f"{where}: found fields {sorted(values)}, expected {sorted(self.fields)}")

    def _check(self, name: str, value: Any, where: str, *, many: bool = False) -> np.ndarray:
        """Return `value` as the rows to store: (rows, *shape), or bytes; of one example, or of `many` end to end."""
        field, where = self.fields[name], f"{where}, field {name!r}"
        if field.is_text:
            if not isinstance(value, str):
                raise ValueError(f"{where}: found {type(value).__name__}, expected str")
            return np.frombuffer(value.encode("utf-8"), np.uint8)
        dtype = np.dtype(field.dtype)
        if isinstance(value, (bool, int, float)):
            if isinstance(value, float) and dtype.kind != "f":
                raise ValueError(f"{where}: found the float {value}, expected {dtype}")
            try:
                array = np.array(value, dtype)
            except OverflowError:
                raise ValueError(f"{where}: {value} does not fit into {dtype}") from None
        else:
            array = np.asarray(value)
            if array.dtype != dtype:
                raise ValueError(
                    f"{where}: found dtype {array.dtype}, expected {dtype}; "
                    f"convert with .astype({dtype.name!r}) where the rounding is intended"
                )
        has_rows = field.ragged or many
        wanted = ("rows", *field.shape) if has_rows else field.shape
        row_shape = array.shape[1:] if has_rows else array.shape
        if row_shape != field.shape or (has_rows and array.ndim == 0):
            raise ValueError(f"{where}: found shape {array.shape}, expected {wanted}")
        if dtype.kind == "f" and not np.isfinite(array).all():
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise ValueError(f"{where}: {bad} of {array.size} values are NaN or infinite")
        return array if has_rows else array[None]

    def _write(self, checked: Mapping[str, Any]) -> None:
        """Append the rows of each field; of a text field a list of the bytes of each text."""
        for name, rows in checked.items():
            file = self._files[name]
            if self.fields[name].is_text:
                ends = file.rows + np.cumsum([len(text) for text in rows])
                file.append(np.concatenate(rows))
                self._files[f"{name}_{OFFSETS}"].append(ends)
            else:
                file.append(rows)

    def _end_examples(self, lengths: np.ndarray) -> None:
        """Note where examples with these numbers of ragged rows end."""
        if self._has_ragged:
            ends = self._rows + np.cumsum(lengths, dtype=np.int64)
            self._files[OFFSETS].append(ends)
            self._rows = int(ends[-1])


class Store:
    """Read a store: ``store[i]`` is one example, the full columns are arrays.

    Opening checks the manifest and every file's size, dtype and shape, so that a truncated copy is
    noticed here and not in the middle of a training run; `verify` compares contents as well.
    A store may be pickled and sent to other processes, which open the files themselves.

    All files are opened at once, and stay open: where another store takes the folder's place, this one reads on in the
    former, and its copy in another process is refused. A file that was changed in place since is an error at the next
    access, unless its content is the same. Columns that were handed out before are not checked again.

    Args:
        path: The folder that `StoreWriter` made.

    Raises:
        StoreError: Names the file, what was found, what was expected, and what to do.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._columns: dict[str, _Column] = {}
        with _opened_folder(self.path) as folder:
            self.manifest: dict[str, Any] = _read_manifest(self.path, folder)
            for name, entry in self.manifest["files"].items():
                self._columns[name.removesuffix(".npy")] = _Column(self.path / name, folder, entry)
        self._count: int = self.manifest["examples"]
        self.fields: dict[str, Field] = {
            name: Field(
                entry["dtype"],
                tuple(entry["shape"]),
                entry["unit"],
                entry["meaning"],
                ragged=entry["kind"] == "ragged",
            )
            for name, entry in self.manifest["fields"].items()
        }
        self._kinds = {name: field.kind for name, field in self.fields.items()}
        self._has_ragged = "ragged" in self._kinds.values()
        for name, field in self.fields.items():
            rows = self.manifest["ragged_rows"] if field.ragged else self._count
            if field.is_text:
                rows = self._check_offsets(f"{name}_{OFFSETS}", None)
            self._check_rows(name, (rows, *field.shape))
        if self._has_ragged:
            self._check_offsets(OFFSETS, self.manifest["ragged_rows"])

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {self._count} examples, fields {list(self.fields)})"

    def __reduce__(self):
        return _reopen, (self.path, self.manifest)  # each process maps the files itself

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return example `index`: an array of its own (a copy) per field, ``str`` for text."""
        number = operator.index(index)
        if not -self._count <= number < self._count:
            raise IndexError(f"{self.path}: example {number} of {self._count}")
        number %= self._count
        example: dict[str, Any] = {}
        if self._has_ragged:
            start, end = self._column(OFFSETS)[number : number + 2].tolist()
        for name, kind in self._kinds.items():
            if kind == "ragged":
                example[name] = self._column(name)[start:end].copy()
            elif kind == "scalar":
                example[name] = self._column(name)[number].copy()
            else:
                example[name] = self._text(name, number)
        return example

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(self._count))

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance given to `StoreWriter.finish`: source, seed, versions, statistics."""
        return self.manifest["provenance"]

    @property
    def offsets(self) -> np.ndarray:
        """(n + 1,) int64, read-only: example ``i`` owns ragged rows ``offsets[i:i + 2]``."""
        if not self._has_ragged:
            raise KeyError(f"{self.path} has no ragged field, hence no offsets")
        return self._column(OFFSETS)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: ragged rows (atoms, residues) of each example."""
        return np.diff(self.offsets)

    def lengths_of(self, indices: np.ndarray) -> np.ndarray:
        """(m,) int64: ragged rows of some examples; reads no other offsets than theirs."""
        return self.offsets[indices + 1] - self.offsets[indices]

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Ragged rows of some examples, end to end in the given order."""
        lengths, first = self.lengths_of(indices), self.offsets[indices]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(first, lengths) + within

    def scalar(self, name: str) -> np.ndarray:
        """Return the whole column of a scalar field, (n, *shape), memory-mapped, read-only."""
        return self._column(self._of_kind(name, "scalar"))

    def ragged(self, name: str) -> np.ndarray:
        """Return all rows of a ragged field, (rows, *shape), memory-mapped, read-only.

        Ask for it each time that it is read: reading one of before the file was cut short ends the process.
        """
        return self._column(self._of_kind(name, "ragged"))

    def text(self, name: str) -> list[str]:
        """Return a text field of all examples."""
        self._of_kind(name, "text")
        return [self._text(name, number) for number in range(self._count)]

    def distinct(self, name: str, indices: np.ndarray) -> np.ndarray:
        """Return the distinct values of a ragged field in some examples, rising."""
        column = self.ragged(name)
        return np.unique(np.concatenate([np.unique(column[self.rows(block)]) for block in in_blocks(indices)]))

    def verify(self) -> None:
        """Compare every file's SHA-256 with the manifest's; reads the whole store.

        Raises:
            StoreError: A file's bytes changed since it was written.
        """
        for column in self._columns.values():
            column.verify()

    def _of_kind(self, name: str, kind: str) -> str:
        if self._kinds.get(name) != kind:
            named = [other for other, found in self._kinds.items() if found == kind]
            raise KeyError(f"{self.path} has no {kind} field {name!r}; it has {named}")
        return name

    def _column(self, name: str) -> np.ndarray:
        return self._columns[name].array()

    def _text(self, name: str, number: int) -> str:
        start, end = self._column(f"{name}_{OFFSETS}")[number : number + 2]
        return self._column(name)[start:end].tobytes().decode("utf-8")

    def _check_rows(self, name: str, shape: tuple[int, ...]) -> None:
        entry = self.manifest["files"].get(f"{name}.npy")
        if entry is None or tuple(entry["shape"]) != shape:
            raise StoreError(
                self.path / MANIFEST,
                f"shape {entry and tuple(entry['shape'])} for {name}.npy",
                f"{shape}, as the counts and fields beside it say",
            )

    def _check_offsets(self, name: str, rows: int | None) -> int:
        """Check offsets against each other, and against `rows` if given; return their end."""
        self._check_rows(name, (self._count + 1,))
        path, offsets = self.path / f"{name}.npy", self._column(name)
        if offsets.dtype != np.int64 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise StoreError(path, "offsets that fall somewhere", "int64 rising from 0")
        if rows is not None and offsets[-1] != rows:
            raise StoreError(path, f"{offsets[-1]} as the last offset", f"{rows} rows")
        return int(offsets[-1])


def in_blocks(indices: np.ndarray, size: int = 8192) -> Iterator[np.ndarray]:
    """Yield the indices in blocks, for work that should not hold all their examples in memory."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _reopen(path: Path, manifest: dict[str, Any]) -> Store:
    """Open a store that another process has open."""
    store = Store(path)
    if store.manifest != manifest:
        raise StoreError(path, "another store", "the one that the parent process has open", "start the job again")
    return store


@contextlib.contextmanager
def _opened_folder(path: Path) -> Iterator[int]:
    """Open a folder, whose files are then those of one store even if another one takes its place meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(path, "no folder", "a store", "run the step that makes it") from None
    try:
        yield handle
    finally:
        os.close(handle)


class _Column:
    """An array file of a store, open and mapped into memory.

    Args:
        path: The file, in messages.
        folder: Descriptor of its folder.
        entry: What the manifest says of it.

    Raises:
        StoreError: The file is missing, or not as the manifest says.
    """

    def __init__(self, path: Path, folder: int, entry: Mapping[str, Any]) -> None:
        self._path, self._entry, self._handle = path, entry, -1
        try:
            # A pipe of this name would wait for a writer.
            self._handle = os.open(path.name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            raise StoreError(path, "no such file", f"{entry['bytes']} bytes") from None
        self._stamp = self._now()
        shape, dtype = self._header()
        mapped = mmap.mmap(self._handle, self._stamp[0], access=mmap.ACCESS_READ)
        self._array: np.ndarray = np.ndarray(shape, dtype, mapped, offset=_HEADER_BYTES)

    def __del__(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def array(self) -> np.ndarray:
        """Return the array, read-only.

        Raises:
            StoreError: The file was changed in place. Reading on where it was cut short would end the process.
        """
        if self._now() != self._stamp:
            stamp = self._now()
            if stamp[0] != self._stamp[0]:
                raise StoreError(self._path, f"{stamp[0]} bytes", f"{self._stamp[0]}, as when it was opened")
            self.verify()
            self._stamp = stamp
        return self._array

    def verify(self) -> None:
        """Compare the SHA-256 with the manifest's."""
        with open(self._handle, "rb", closefd=False) as stream:
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != self._entry["sha256"]:
            raise StoreError(self._path, f"SHA-256 {digest}", f"{self._entry['sha256']} ({MANIFEST})")

    def _now(self) -> tuple[int, int]:
        """Size, and time of the last change."""
        try:
            status = os.fstat(self._handle)
        except OSError as error:  # a network file system may forget a file that was removed elsewhere
            raise StoreError(self._path, f"a file that is gone ({error})", "the one that was opened") from error
        return status.st_size, status.st_mtime_ns

    def _header(self) -> tuple[tuple[int, ...], np.dtype]:
        """Return the shape and the dtype, which must be the manifest's."""
        path, entry, size = self._path, self._entry, self._stamp[0]
        if size != entry["bytes"]:
            state = "truncated" if size < entry["bytes"] else "too long"
            raise StoreError(path, f"{size} bytes ({state})", f"{entry['bytes']} bytes")
        try:
            with open(self._handle, "rb", closefd=False) as stream:
                np.lib.format.read_magic(stream)
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        except ValueError as error:
            raise StoreError(path, f"no .npy header ({error})", "a version 1.0 .npy file") from None
        found = (dtype.name, shape)
        expected = (entry["dtype"], tuple(entry["shape"]))
        if found != expected or size != _HEADER_BYTES + dtype.itemsize * math.prod(shape):
            raise StoreError(path, f"{found} in {size} bytes", f"{expected}")
        return shape, dtype


class _ArrayFile:
    """A ``.npy`` file that grows along its first axis; the header is corrected at the end."""

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.shape = shape
        self.rows = 0
        self._stream = path.open("wb", buffering=_BUFFER_BYTES)
        self._stream.write(self._header())

    def append(self, rows: np.ndarray) -> None:
        with writing(self.path):
            self._stream.write(rows.astype(self.dtype, copy=False).tobytes())
        self.rows += len(rows)

    def close(self) -> None:
        with writing(self.path):
            self._stream.seek(0)
            self._stream.write(self._header())
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # a full disk may refuse what is still buffered
            self._stream.close()

    def _header(self) -> bytes:
        """Return a version 1.0 header of fixed size; numpy itself may pad to another."""
        entries = {
            "descr": self.dtype.str,
            "fortran_order": False,
            "shape": (self.rows, *self.shape),
        }
        start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
        text = repr(entries).encode("ascii")
        if len(start) + len(text) + 1 > _HEADER_BYTES:
            raise ValueError(f"{self.path.name}: row shape {self.shape} has too many axes")
        return start + text.ljust(_HEADER_BYTES - len(start) - 1) + b"\n"


def _read_manifest(folder: Path, handle: int) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        with open(MANIFEST, encoding="utf-8", opener=lambda name, flags: os.open(name, flags, dir_fd=handle)) as stream:
            manifest = json.load(stream)
    except FileNotFoundError:
        raise StoreError(path, "no such file", "the store's manifest") from None
    except ValueError as error:
        raise StoreError(path, f"text that is not JSON ({error})", "the manifest") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StoreError(path, "another kind of JSON", f'"format": "{FORMAT}"', "check the path")
    if manifest.get("version") != VERSION:
        raise StoreError(
            path,
            f"format version {manifest.get('version')}",
            f"version {VERSION}, which this release of equidyn reads",
            "make the store again with this release, or use the release that wrote it",
        )
    wanted = {"examples", "ragged_rows", "fields", "files", "provenance"}
    if missing := sorted(wanted - manifest.keys()):
        raise StoreError(path, f"no {', '.join(missing)}", f"the keys {sorted(wanted)}")
    if strange := [name for name in manifest["files"] if not name.removesuffix(".npy").isidentifier()]:
        raise StoreError(path, f"a file {strange[0]!r}", "names of arrays in the folder", "do not trust it")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:
    """Turn NumPy values and paths of a provenance into JSON-able values."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"provenance holds a {type(value).__name__}, which JSON cannot represent")
