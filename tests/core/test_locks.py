"""Files that processes hold while they are at work."""

import json
import os
import subprocess
import sys
import time

import pytest

from equidyn.core import locks

HOLD = """
import sys, time
from pathlib import Path
from equidyn.core import locks
file = Path(sys.argv[1])
file.write_text(locks.mark() + "\\nresults/table\\n", encoding="utf-8")
locks.hold(file, lambda: print("waiting", flush=True))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def at_work(tmp_path):
    """A process that has marked and holds a file."""
    file = tmp_path / "0.output.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout.readline() == "held\n"
        yield process, file
        process.kill()


def test_a_file_of_a_process_at_work_stays(at_work):
    process, file = at_work
    (holder,) = locks.remove_left([file])
    assert holder.pid == process.pid
    assert f"process {process.pid} on " in locks.refusal([holder], file.parent)
    assert file.exists()


def test_a_file_of_a_killed_process_is_removed(at_work):
    process, file = at_work
    process.kill()
    process.wait()
    assert locks.remove_left([file]) == []
    assert not file.exists()


def test_a_killed_process_that_nobody_has_waited_for_holds_nothing(at_work):
    process, file = at_work
    process.kill()
    while locks.remove_left([file]):
        time.sleep(0.01)
    assert process.returncode is None


def test_a_stopped_process_is_at_work(at_work):
    process, file = at_work
    process.send_signal(19)
    assert len(locks.remove_left([file])) == 1


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({}, False),
        ({"boot": "before"}, False),  # the machine was started anew
        ({"boot": "other", "machine": "other"}, True),
        ({"boot": "other", "host": "elsewhere"}, True),
        ({"boot": "other", "machine": ""}, True),
    ],
)
def test_of_other_machines_nothing_is_known(changed, left, tmp_path):
    file = tmp_path / "0.output.lock"
    word, _, fields = locks.mark().partition("{")
    file.write_text(f"{word}{json.dumps(json.loads('{' + fields) | changed)}\nresults/table\n", encoding="utf-8")
    assert len(locks.remove_left([file])) == left
    assert file.exists() == left


@pytest.mark.parametrize(
    "content", ["", "results/table\n", "held by ", "held by {}\n", 'held by {"host"', "held by []\n"]
)
def test_a_file_without_a_mark_stays(content, tmp_path):
    file = tmp_path / "0.output.lock"
    file.write_text(content, encoding="utf-8")
    assert locks.remove_left([file]) == []
    assert file.exists()


def test_a_file_that_is_gone_is_no_obstacle(tmp_path):
    assert locks.remove_left([tmp_path / "0.output.lock"]) == []


def test_one_process_at_a_time_is_in_a_block(at_work):
    process, file = at_work
    process.send_signal(19)
    code = "import sys; from pathlib import Path; from equidyn.core import locks\n"
    code += "with locks.one_at_a_time(Path(sys.argv[1])): print('in', flush=True)"
    with subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE, encoding="utf-8") as second:
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1)
        process.kill()
        assert second.stdout.read() == "in\n"


def test_a_file_of_another_user_is_held_too(tmp_path, monkeypatch):
    opened = os.open

    def refused(path, flags, *mode):
        if flags & os.O_WRONLY:
            raise PermissionError
        return opened(path, flags, *mode)

    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "open", refused)
    locks.hold(tmp_path / "file")
    monkeypatch.undo()
    assert locks._is_held(tmp_path / "file")


def test_who_holds_a_file_is_waited_for(at_work):
    process, file = at_work
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE, encoding="utf-8") as second:
        assert second.stdout.readline() == "waiting\n"
        process.kill()
        assert second.stdout.readline() == "held\n"
        second.kill()


def test_a_process_does_not_wait_for_itself(tmp_path):
    for _ in range(2):
        locks.hold(tmp_path / "file", lambda: pytest.fail("it waits"))


def test_a_file_that_was_removed_is_held_anew(tmp_path):
    file = tmp_path / "0.output.lock"
    for _ in range(2):
        file.write_text(f"{locks.mark()}\nresults/table\n", encoding="utf-8")
        locks.hold(file)
        assert len(locks.remove_left([file])) == 1
        file.unlink()


def test_what_a_process_has_forked_holds_nothing(tmp_path):
    code = f"""
import os, time
from equidyn.core import locks
locks.hold({str(tmp_path / "file")!r})
if not os.fork():
    time.sleep(30)
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdin=subprocess.DEVNULL)
    locks.hold(tmp_path / "file", lambda: pytest.fail("it waits for the child"))
