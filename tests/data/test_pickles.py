"""Pickles from elsewhere: plain data and molecules come through, programs do not, and memory stays bounded."""

import contextlib
import io
import json
import os
import pickle
import pickletools
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from equidyn.data import pickles as module
from equidyn.data.pickles import (
    ConfinementError,
    PickledMolecule,
    PickleError,
    read_object,
    run_confined,
)
from equidyn.data.sources.geom_dataverse.build import unpickle_members

Chem = pytest.importorskip("rdkit.Chem")

PROTOCOLS = (2, 3, 4, 5)


@pytest.fixture(scope="module")
def confined():
    """Skips where the system refuses namespaces to users."""
    try:
        run_confined(os.getpid, memory_gb=4)
    except ConfinementError as error:
        pytest.skip(str(error))


def read(content):
    return read_object(io.BytesIO(content))


class Calls:
    """Pickles as a call of a function with these arguments, and then a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


# Data


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        [],
        {"a": 1, "b": [True, False, None], 3: {"c": ()}},
        [0, -1, 255, 65536, 2**31, -(2**40), 2**200, 0.5, -1e300],
        ["", "é", "x" * 300, b"a", b"\xff" * 300],
        [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [[[]]]],
        {str(number): number for number in range(2500)},
        list(range(1001)),
    ],
)
def test_plain_data_come_through(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value
    assert read(pickletools.optimize(pickle.dumps(value, protocol))) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "<i4", ">i8", "f2", "<f4", ">f8"])
def test_numpy_numbers_become_numbers_of_python(dtype, protocol):
    numbers = [np.array(number).astype(dtype)[()] for number in (1, 0, 1)]
    found = read(pickle.dumps({"energies": numbers}, protocol))["energies"]
    assert found == [number.item() for number in numbers]
    assert {type(number) for number in found} == {type(numbers[0].item())}


def test_numpy_numbers_of_the_first_version_are_known():
    content = pickle.dumps([np.float64(-1.25)], 3)
    old = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != content
    assert read(old) == [-1.25]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_molecules_keep_their_binary(protocol):
    items = [(smiles, [Chem.MolFromSmiles(smiles) for _ in range(2)]) for smiles in ("CCO", "c1ccccc1Br")]
    found = read(pickle.dumps(items, protocol))
    for (smiles, molecules), (expected, originals) in zip(found, items, strict=True):
        assert smiles == expected
        for molecule, original in zip(molecules, originals, strict=True):
            assert type(molecule) is PickledMolecule
            assert Chem.MolToSmiles(Chem.Mol(molecule.binary)) == Chem.MolToSmiles(original)


def test_attributes_of_molecules_are_dropped():
    molecule = Chem.MolFromSmiles("CO")
    molecule.note = {"a": [1]}
    content = pickle.dumps([molecule], 4)
    assert b"note" in content
    assert read(content) == [PickledMolecule(molecule.ToBinary())]


def test_pickles_without_frames_can_be_read():
    stream = io.BytesIO()
    pickler = pickle._Pickler(stream, 4)  # the one in Python writes frames where it is told
    pickler.framer.start_framing = lambda: None
    pickler.dump([("a", [1, 2])])
    assert b"\x95" not in stream.getvalue()
    assert read(stream.getvalue()) == [("a", [1, 2])]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_items_share_is_kept(protocol):
    shared = [b"y" * 100]
    items = [("a", shared, shared), ("b", [])] * 3
    assert read(pickle.dumps(items, protocol)) == items


def test_short_texts_are_shared_between_items():
    text = "shared"
    items = [(text, [number]) for number in range(2500)]
    assert read(pickle.dumps(items, 4)) == items


# Damage


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_that_are_cut_short(protocol):
    content = pickle.dumps([("CCO", [1.5, b"x" * 300, {"a": 2}])], protocol)
    for size in range(2, len(content)):
        with pytest.raises(PickleError, match="cut short or damaged"):
            read(content[:size])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut short or damaged"),
        (b"<html><body>503</body></html>", "cut short or damaged"),
        (pickle.dumps([1], 0), "no pickle of protocol 2 to 5|refused"),
        (pickle.dumps([1], 1), "no pickle of protocol 2 to 5"),
        (b"\x80\x06K\x01.", "no pickle of protocol 2 to 5"),
        (b"\x80\x04.", "ends in the middle"),
        (b"\x80\x04K\x01K\x02.", "ends in the middle"),
        (b"\x80\x04(K\x01.", "ends in the middle"),
        (b"\x80\x04a.", "without operand"),
        (b"\x80\x04K\x01(K\x02\x86.", "without operand"),
        (b"\x80\x04t.", "no beginning"),
        (b"\x80\x04h\x05.", "entry 5, which does not exist"),
        (b"\x80\x04K\x01K\x02a.", "changes a int, expected list"),
        (b"\x80\x04}(K\x01u.", "cut short or damaged"),
        (b"\x80\x04}]K\x01s.", "key is a list"),
    ],
)
def test_damaged_pickles(content, message):
    with pytest.raises(PickleError, match=message):
        read(content)


# Programs


BINARY = Chem.MolFromSmiles("C").ToBinary()


def touch(path):
    return f"touch {path}"


HOSTILE = {
    "call": lambda path: Calls(os.system, touch(path)),
    "evaluation": lambda path: Calls(eval, f"open({str(path)!r}, 'w')"),
    "class": lambda path: Calls(subprocess.Popen, ["touch", str(path)]),
    "call within a call": lambda path: Calls(dict, Calls(zip, ["a"], [Calls(os.system, touch(path))])),
    "chain of attributes": lambda path: Calls(Calls(getattr, os, "system"), touch(path)),
    "key of a dictionary": lambda path: {Calls(os.system, touch(path)): 1},
    "state of a molecule": lambda path: Calls(Chem.Mol, BINARY, state=({"a": Calls(os.system, touch(path))},)),
    "array of objects": lambda path: np.array([Calls(os.system, touch(path)), None], object),
    "type of numbers": lambda path: Calls(np.dtype, Calls(os.system, touch(path))),
    "behind many items": lambda path: [*range(3000), Calls(os.system, touch(path))],
}


class _Pickler(pickle._Pickler):
    """Takes modules for data, which a pickle may import as well."""

    dispatch = pickle._Pickler.dispatch | {
        type(os): lambda self, value: self.save_reduce(__import__, (value.__name__,), obj=value)
    }

    def save_reduce(self, func, args, *rest, **options):
        # The usual one refuses to call what is not callable here.
        if isinstance(func, Calls):
            self.save(func)
            self.save(args)
            self.write(pickle.REDUCE)
            return
        super().save_reduce(func, args, *rest, **options)


def hostile(name, path, protocol):
    stream = io.BytesIO()
    _Pickler(stream, protocol).dump([HOSTILE[name](path)])
    return stream.getvalue()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_programs_are_refused_and_not_run(name, protocol, tmp_path):
    target = tmp_path / "executed"
    content = hostile(name, target, protocol)
    with pytest.raises(PickleError, match=r"byte \d+: .*(refused|which is data|made from|state|type)"):
        read(content)
    assert not target.exists()


@pytest.mark.parametrize("name", ["call", "chain of attributes", "state of a molecule", "array of objects"])
def test_the_same_programs_run_under_the_usual_unpickler(name, tmp_path):
    target = tmp_path / "executed"
    with contextlib.suppress(Exception):  # some fail once they have run
        pickle.loads(hostile(name, target, 4))
    assert target.exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "rdkit.Chem.rdchem.RWMol", "numpy.ndarray"])
@pytest.mark.parametrize("form", [b"\x80\x02c%s\n%s\n.", b"\x80\x04\x8c%c%s\x8c%c%s\x93."])
def test_errors_tell_the_name(name, form):
    place, _, last = name.rpartition(".")
    parts = [part for text in (place, last) for part in (len(text), text.encode())]
    content = form % (tuple(parts) if b"\x8c" in form else (parts[1], parts[3]))
    with pytest.raises(PickleError, match=f"{name} refused: .* rdkit.Chem.rdchem.Mol"):
        read(content)


@pytest.mark.parametrize(
    ("operation", "content"),
    [
        ("INST", b"\x80\x02(ios\nsystem\n."),
        ("OBJ", b"\x80\x02(crdkit.Chem.rdchem\nMol\no."),
        ("NEWOBJ", b"\x80\x02crdkit.Chem.rdchem\nMol\n)\x81."),
        ("NEWOBJ_EX", b"\x80\x04crdkit.Chem.rdchem\nMol\n)}\x92."),
        ("PERSID", b"\x80\x02Pa\n."),
        ("BINPERSID", b"\x80\x02K\x01Q."),
        ("EXT1", b"\x80\x02\x82\x01."),
        ("STRING", b"\x80\x02S'a'\n."),
        ("DUP", b"\x80\x02K\x012."),
        ("NEXT_BUFFER", b"\x80\x05\x97."),
        ("EMPTY_SET", b"\x80\x04\x8f."),
    ],
)
def test_operations_that_data_do_not_need_are_refused(operation, content):
    with pytest.raises(PickleError, match=f"operation {operation} refused"):
        read(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x02crdkit.Chem.rdchem\nMol\n.", None),
        (b"\x80\x02crdkit.Chem.rdchem\nMol\n)R.", "with 0 unexpected arguments"),
        (b"\x80\x02crdkit.Chem.rdchem\nMol\nX\x01\x00\x00\x00a\x85R.", "a molecule made from str"),
        (b"\x80\x02crdkit.Chem.rdchem\nMol\n}b.", "changes a Constructor"),
        (b"\x80\x02}}b.", "changes a dict"),
        (b"\x80\x02K\x01)R.", "calls a int, which is data"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "encoded as 'hex'"),
        (b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.", "type 'O'"),
        (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85RK\x01b.", "state that numbers do not have"),
        (b"\x80\x03cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x85RC\x01a\x86R.", "of 1 bytes"),
    ],
)
def test_allowed_names_take_only_what_they_need(content, message):
    if message is None:
        assert type(read(content)) is module._Constructor  # a name alone does nothing
        return
    with pytest.raises(PickleError, match=message):
        read(content)


# The confined process


def test_confined_process_leaves_files(confined, tmp_path):
    run_confined(os.mkdir, memory_gb=4, path=str(tmp_path / "made"))
    assert (tmp_path / "made").is_dir()


def test_confined_process_has_no_network(confined):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = list(server.getsockname())
        socket.create_connection(address).close()
        with pytest.raises(ConfinementError, match=r"(?s)OSError.*unreachable"):
            run_confined(socket.create_connection, memory_gb=4, address=address)


def test_confined_process_has_limited_memory(confined):
    with pytest.raises(ConfinementError, match=r"4 GB of memory do not suffice.*To repair: set memory_gb higher"):
        run_confined(bytearray, memory_gb=4, source=5 * 2**30)


def test_confined_process_tells_what_is_wrong_with_a_pickle(confined, tmp_path):
    molecule = {"conformers": [{"rd_mol": Chem.MolFromSmiles("CO"), "totalenergy": 0.5}]}
    with pytest.raises(ConfinementError, match=r"^\S*some\.tar, pickle of CO.*cut short.*download it again"):
        unpickled(tmp_path, pickle.dumps(molecule, 4)[:-40])
    target = tmp_path / "executed"
    with pytest.raises(ConfinementError, match=r"(posix|os)\.system refused.*do not trust it"):
        unpickled(tmp_path, hostile("call", target, 4))
    assert not target.exists()
    assert not list(tmp_path.glob("*.npz"))


def unpickled(folder, content):
    """Have a confined process read a pickle as if it were a member of GEOM's archive."""
    path = folder / "some.tar"
    path.write_bytes(content)
    members = [["CO", 0, 0, len(content)]]
    target = str(folder / "made.npz")
    run_confined(unpickle_members, memory_gb=4, tar=str(path), members=members, conformers=1, target=target)


def test_failures_of_the_function_come_with_its_traceback(confined):
    with pytest.raises(ConfinementError, match=r"(?s)json:loads ended with 1: Traceback.*JSONDecodeError"):
        run_confined(json.loads, memory_gb=4, s="{")


def test_confined_process_ends_with_its_parent(confined):
    code = (
        "from multiprocessing.connection import wait; from equidyn.data.pickles import run_confined; "
        "run_confined(wait, memory_gb=4, object_list=[], timeout=600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while not (found := children.read_text().split()):
            time.sleep(0.05)
        parent.kill()
    assert ends(int(found[0]))


def ends(process):
    """Whether a process that is not our own is gone, or dead and not collected, within a minute."""
    for _ in range(1200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_systems_that_refuse_namespaces(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfinementError, match=r"refuses \(unshare: no such program\).*use the source geom-arrays"):
        run_confined(os.getpid, memory_gb=4)
    fake = tmp_path / "unshare"
    fake.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(ConfinementError, match=r"Operation not permitted.*enable user namespaces"):
        run_confined(os.getpid, memory_gb=4)


@pytest.mark.parametrize("memory_gb", [0, -1, float("inf")])
def test_impossible_memory(memory_gb):
    with pytest.raises(ValueError, match="memory_gb"):
        run_confined(os.getpid, memory_gb=memory_gb)
