"""Cards: they say of each task what its class says, and what others need of it without importing it."""

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import pytest

from equidyn.core.plugins import load
from equidyn.models.registry import configuration
from equidyn.tasks.contract import Task
from equidyn.tasks.registry import task_card, task_cards

TYPICAL = SimpleNamespace(mean=30.0, largest=90)


def test_tasks_are_found_in_the_order_of_reports():
    assert list(task_cards()) == ["force_field", "flow_matching", "voxel_denoising"]


@pytest.mark.parametrize("card", task_cards().values(), ids=task_cards())
def test_a_card_agrees_with_its_task(card):
    task = load(card.task)
    assert Task in task.mro()
    assert (task.name, task.unit) == (card.name, card.unit)
    assert callable(load(card.quantities))
    control = configuration(card.control)
    assert control.control
    assert control.task == card.name


def test_cards_import_nothing_heavy():
    code = "import sys; from equidyn.tasks.registry import task_cards; task_cards(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "pandas", "matplotlib", "rdkit", "numpy"} & set(loaded)


def test_sizes_of_molecules_approach_the_mean_in_large_batches():
    sizes = [task_card("force_field").sizes({}, {}, TYPICAL, count) for count in (1, 4, 10**8)]
    assert [one.mean for one in sizes] == [(30.0,)] * 3
    assert [one.largest for one in sizes] == pytest.approx([90, 60, 30], abs=0.01)


def test_chains_are_padded_to_the_longest_of_a_batch():
    data = {"min_length": 50, "max_length": 250}
    alone, together = (task_card("flow_matching").sizes(data, {}, TYPICAL, count) for count in (1, 64))
    assert sum(alone.mean) / len(alone.mean) == pytest.approx(150)
    assert 240 < sum(together.mean) / len(together.mean) < 250
    assert alone.largest == together.largest == 250


def test_all_grids_are_alike():
    sizes = task_card("voxel_denoising").sizes({}, {"side": 24}, TYPICAL, 3)
    assert (sizes.mean, sizes.largest) == ((24,), 24)


def test_a_task_outside_the_package_is_named_by_its_card(tmp_path, monkeypatch):
    (tmp_path / "mypackage.py").write_text(
        "from dataclasses import replace\n"
        "from equidyn.tasks.registry import task_card\n"
        "CARD = replace(task_card('force_field'), name='own', control='')\n"
        "WORDS = CARD.words\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert task_card("mypackage:CARD").name == "own"
    with pytest.raises(ValueError, match=r"'mypackage:WORDS' is Words.*, expected an equidyn\.tasks\.card\.TaskCard"):
        task_card("mypackage:WORDS")


def test_unknown_task():
    with pytest.raises(
        ValueError, match=r"unknown task 'folding'; known tasks: force_field, .*'mypackage\.module:CARD'"
    ):
        task_card("folding")


def test_a_card_names_one_of_its_comparisons():
    with pytest.raises(ValueError, match="unknown comparison 'none'; its card has vectors"):
        dataclasses.replace(task_card("force_field"), comparison="none")
