"""Untrusted pickles, read without running them.

A pickle is a program: Python's own unpickler imports the objects that it names and calls them. Here
`pickletools.genops`, Python's disassembler, takes the file apart, and a small interpreter executes the few operations
that plain data need. Nothing is imported or called on behalf of the pickle: the names in `ALLOWED` stand for functions
of this module that keep data, and any other name or operation is an error.

The data may still harm a later parser, RDKit's for instance, or exhaust memory. `run_confined` therefore reads them in
a child process without network and with limited memory, which returns nothing but files and text.
"""

import json
import math
import os
import pickletools
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np

from equidyn.core import process
from equidyn.core.plugins import load
from equidyn.data.store import StoreError

PROTOCOLS = range(2, 6)
"""The protocols that can be read; Python 3 writes no others unless asked to."""

_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
_FORETOLD = 3  # exit code of a child that says in one message what is wrong


class PickleError(Exception):
    """A pickle is damaged, or needs more than plain data."""


class ConfinementError(Exception):
    """A child process could not be confined, or failed."""


class CrashError(ConfinementError):
    """A child process died of what it did, such as an access to memory that is not there."""


@dataclass(slots=True)
class PickledMolecule:
    """An RDKit molecule that has not been constructed yet.

    Attributes:
        binary: RDKit's own form; `rdkit.Chem.Mol(binary)` makes the molecule.
    """

    binary: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.binary, bytes):
            raise PickleError(f"a molecule made from {type(self.binary).__name__}, expected bytes")


@dataclass(slots=True)
class _NumberType:
    """NumPy's type of a plain number; `order` is that of its bytes."""

    code: str
    align: bool = False
    copy: bool = True
    order: Literal["<", ">", "|", "="] = "="

    def __post_init__(self) -> None:
        if self.code not in ("b1", *(f"{kind}{size}" for kind in "iu" for size in "1248"), "f2", "f4", "f8"):
            raise PickleError(f"a NumPy array or number of type {self.code!r}, expected a plain number")

    def build(self, state: Any) -> None:
        # (version, byte order, and six places that are empty for numbers)
        if not isinstance(state, tuple) or len(state) != 8 or state[1] not in ("<", ">", "|", "="):
            raise PickleError("a NumPy type with a state that numbers do not have")
        self.order = state[1]


def _number(kind: Any, content: Any) -> bool | int | float:
    if not isinstance(kind, _NumberType) or not isinstance(content, bytes):
        raise PickleError("a NumPy number made from something else than its type and bytes")
    dtype = np.dtype(kind.code).newbyteorder(kind.order)
    if len(content) != dtype.itemsize:
        raise PickleError(f"a NumPy number {kind.code} of {len(content)} bytes")
    return np.frombuffer(content, dtype).item()


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise PickleError(f"a text encoded as {encoding!r}, expected latin1, as pickles write bytes")
    return text.encode("latin1")


@dataclass(frozen=True)
class _Constructor:
    """The replacement of a name in a pickle."""

    name: str
    make: Callable[..., Any]


_MAKERS: Mapping[str, Callable[..., Any]] = {
    # Molecules are what the files are about.
    "rdkit.Chem.rdchem.Mol": PickledMolecule,
    # Protocol 2 has no bytes, and writes them as a text to be encoded.
    "_codecs.encode": _encode,
    # Energies and weights may be NumPy's numbers; of NumPy 1 and 2.
    "numpy.dtype": _NumberType,
    "numpy.core.multiarray.scalar": _number,
    "numpy._core.multiarray.scalar": _number,
}
ALLOWED = {name: _Constructor(name, make) for name, make in _MAKERS.items()}
"""Names that a pickle may use."""


def read_object(stream: BinaryIO) -> Any:
    """Return a pickled object, all of it in memory.

    Args:
        stream: Stream of a pickle, protocol 2 to 5. Molecules are returned as `PickledMolecule`, NumPy's numbers as
            Python's.

    Raises:
        PickleError: The pickle is cut short or damaged, names something that is not in `ALLOWED`, or wants an operation
            that plain data do not need.
    """
    machine = _Machine()
    position: int | None = 0
    try:
        for operation, argument, position in pickletools.genops(stream):  # noqa: B007  (read in errors)
            machine.execute(operation.name, argument)
    except PickleError as error:
        raise PickleError(f"byte {position}: {error}") from None
    except ValueError as error:
        raise PickleError(f"behind byte {position} the pickle is cut short or damaged ({error})") from None
    return machine.result()


class _Machine:
    """The stack machine that executes pickles, restricted to plain data."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._started = False

    def execute(self, operation: str, argument: Any) -> None:
        """Execute one operation.

        Raises:
            PickleError: It is not one that plain data need, or does not fit what came before it.
        """
        if operation in _LITERALS:
            self._stack.append(argument)
        elif operation in _CONSTANTS:
            self._stack.append(_CONSTANTS[operation])
        elif operation in _OPERATIONS:
            _OPERATIONS[operation](self, argument)
        else:
            raise PickleError(f"operation {operation} refused: plain data do not need it")
        if not self._started:
            raise PickleError(f"no pickle of protocol {PROTOCOLS[0]} to {PROTOCOLS[-1]}")

    def result(self) -> Any:
        """Return what was read, at the end."""
        if len(self._stack) != 1 or self._marks:
            raise PickleError("damaged: it ends in the middle of an object")
        return self._stack[0]

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise PickleError("damaged: an operation without operand")
        return self._stack.pop()

    def _pop_marked(self) -> list[Any]:
        if not self._marks:
            raise PickleError("damaged: the end of a group that has no beginning")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _top(self, *kinds: type) -> Any:
        value = self._pop()
        self._stack.append(value)
        if kinds and type(value) not in kinds:
            expected = " or ".join(kind.__name__.strip("_") for kind in kinds)
            raise PickleError(f"changes a {type(value).__name__.strip('_')}, expected {expected}")
        return value

    def _start(self, protocol: int) -> None:
        self._started = protocol in PROTOCOLS

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _empty_list(self, _: None) -> None:
        self._stack.append([])

    def _empty_dict(self, _: None) -> None:
        self._stack.append({})

    def _tuple_of(self, count: int) -> None:
        self._stack.append(tuple([self._pop() for _ in range(count)][::-1]))

    def _tuple_of_marked(self, _: None) -> None:
        self._stack.append(tuple(self._pop_marked()))

    def _append(self, _: None) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _append_marked(self, _: None) -> None:
        items = self._pop_marked()
        self._top(list).extend(items)

    def _set_item(self, _: None) -> None:
        value, key = self._pop(), self._pop()
        self._set(key, value)

    def _set_marked(self, _: None) -> None:
        items = self._pop_marked()
        for key, value in zip(items[::2], items[1::2], strict=True):  # ValueError: damaged
            self._set(key, value)

    def _set(self, key: Any, value: Any) -> None:
        if not isinstance(key, (str, int, float)):
            raise PickleError(f"a dictionary's key is a {type(key).__name__}, expected text or a number")
        self._top(dict)[key] = value

    def _put(self, number: int | None) -> None:
        # Entries are numbered by the pickle, or else one by one.
        self._memo[len(self._memo) if number is None else number] = self._top()

    def _get(self, number: int) -> None:
        if number not in self._memo:
            raise PickleError(f"refers to entry {number}, which does not exist")
        self._stack.append(self._memo[number])

    def _name(self, text: str) -> None:
        self._stack.append(_allowed(".".join(text.split(" ", 1))))

    def _name_on_stack(self, _: None) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(_allowed(f"{module}.{name}"))

    def _call(self, _: None) -> None:
        arguments, constructor = self._pop(), self._pop()
        if not isinstance(constructor, _Constructor) or not isinstance(arguments, tuple):
            raise PickleError(f"calls a {type(constructor).__name__}, which is data")
        try:
            self._stack.append(constructor.make(*arguments))
        except TypeError:
            raise PickleError(f"calls {constructor.name} with {len(arguments)} unexpected arguments") from None

    def _set_state(self, _: None) -> None:
        state = self._pop()
        target = self._top(PickledMolecule, _NumberType)
        # RDKit adds the attributes that Python code gave a molecule; they are no part of it.
        if isinstance(target, _NumberType):
            target.build(state)


def _allowed(name: str) -> _Constructor:
    if name not in ALLOWED:
        raise PickleError(f"{name} refused: a pickle of molecules needs no other names than {', '.join(ALLOWED)}")
    return ALLOWED[name]


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_OPERATIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine._start,
    "FRAME": lambda machine, length: None,
    "STOP": lambda machine, _: None,
    "MARK": _Machine._mark,
    "EMPTY_LIST": _Machine._empty_list,
    "EMPTY_DICT": _Machine._empty_dict,
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "TUPLE": _Machine._tuple_of_marked,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._append_marked,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_marked,
    "MEMOIZE": _Machine._put,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "GLOBAL": _Machine._name,
    "STACK_GLOBAL": _Machine._name_on_stack,
    "REDUCE": _Machine._call,
    "BUILD": _Machine._set_state,
}


def run_confined(function: Callable[..., None], *, memory_gb: float, **arguments: Any) -> None:
    """Call a function in a child process without network and with limited memory, and wait for it.

    The child runs under util-linux's ``unshare``, in namespaces of its own for users and network, and ends when this
    process does. It may read and write files as this process may, and returns nothing: the function leaves files.

    Args:
        function: A function of a module.
        memory_gb: Largest address space of the child, in 2^30 bytes.
        **arguments: Arguments of the function, as JSON-able values.

    Raises:
        ConfinementError: The system has no ``unshare`` or refuses it, or the function failed; with the child's message.
        CrashError: The child process crashed.
    """
    if not 0 < memory_gb < math.inf:
        raise ValueError(f"memory_gb is {memory_gb}, expected a positive number")
    request = {
        "function": f"{function.__module__}:{function.__qualname__}",
        "memory_bytes": int(memory_gb * 2**30),
        "arguments": arguments,
    }
    command = ["unshare", "--map-root-user", "--net", "--", sys.executable, "-m", __spec__.name]
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **process.variables(threads=1)},
        )
    except FileNotFoundError:
        raise ConfinementError(_refusal("unshare: no such program")) from None
    # The child's input stays open until it has ended; leaving the block for an error closes it, and ends the child. One
    # that ends at once breaks the pipe, when it is written to or when it is closed, and says why on stderr.
    with suppress(BrokenPipeError), child:
        assert child.stdin is not None  # they are pipes
        assert child.stderr is not None
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
        said = child.stderr.read().strip()
    if child.returncode == 0:
        return
    if said.startswith("unshare:"):
        raise ConfinementError(_refusal(said))
    if child.returncode == _FORETOLD:
        raise ConfinementError(said)
    kind = CrashError if -child.returncode in _CRASHES else ConfinementError
    raise kind(f"the child process for {request['function']} ended with {child.returncode}: {said}")


def _refusal(said: str) -> str:
    return (
        f"pickles are read only in a child process without network, which this system refuses ({said}). To repair: "
        "use the source geom-arrays, which holds no pickles, or install util-linux and enable user namespaces"
    )


def main() -> int:
    """Execute the request of the parent process on standard input; return the exit code."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    limit = request["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        load(request["function"])(**request["arguments"])
    except StoreError as error:
        print(error, file=sys.stderr)
        return _FORETOLD
    except MemoryError:
        needed = f"{limit / 2**30:g} GB of memory do not suffice for {request['function']}"
        print(f"{needed}. To repair: set memory_gb higher", file=sys.stderr)
        return _FORETOLD
    return 0


def _end_with_parent() -> None:
    """Wait until the parent closes standard input or ends, and end this process."""
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read(), whose lock would hang the end of the interpreter
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
