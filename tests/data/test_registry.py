"""Sources of data: found by their cards, light to know, and apart from one another."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.core.settings import Settings, StudyError
from equidyn.data.card import SourceCard, Typical
from equidyn.data.download_registry import files_of
from equidyn.data.registry import source_card, source_cards
from equidyn.study import provenance

REGISTRY = Path(__file__).parents[2] / "config/downloads.tsv"
CARDS = cards("equidyn.data.sources")
MINE = SourceCard("force_field", "mine", "", "x:build", Settings, Typical(10))


def modules_behind(name):
    """The modules that decide the results of one."""
    found, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += provenance._module(module).imports()
    return found


def test_every_task_has_an_offline_source():
    assert set(source_cards("force_field")) == {"offline", "spice", "spice-mace-off"}
    assert set(source_cards("flow_matching")) == {"offline", "files", "pdb"}
    assert set(source_cards("voxel_denoising")) == {"offline", "geom-arrays", "geom-dataverse"}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_cards_say_what_there_is(card):
    assert callable(load(card.build))
    if card.dataset:
        templates = [file for file in files_of(REGISTRY, card.dataset) if file.is_template]
        assert bool(templates) == bool(card.selection)
    if card.selection:
        assert callable(load(card.selection.select))
        assert callable(load(card.selection.check))
    assert card.typical.examples > card.typical.held_out
    assert bool(card.typical.held_out) == card.has_split


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_store_depends_on_its_own_source_alone(card):
    """An edit of another source, or of any card, remakes nothing."""
    room = card.module.rpartition(".")[0]
    behind = [name for name in modules_behind(card.module) if name.startswith("equidyn.data.sources.")]
    assert all(name.startswith(f"{room}.") and not name.endswith(".card") for name in behind)


def test_cards_are_light():
    code = (
        "import sys; from equidyn.core.rooms import cards; cards('equidyn.data.sources')\n"
        "print(*{'torch', 'pandas', 'matplotlib', 'rdkit', 'numpy', 'gemmi'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_a_source_s_section_is_its_recipe_and_the_split():
    section = source_card("force_field", "spice").settings
    given = {"source": "spice", "release": "2.0.1", "seed": 1, "subsets": {"few": 10, "half": 0.5, "all": "all"}}
    assert section(**given, validation_fraction=0.1).release == "2.0.1"
    for wrong in ({}, {"validation_fraction": 1.0}, {"validation_fraction": 0.1, "conformers": 5}):
        with pytest.raises(ValidationError):
            section(**given, **wrong)
    arrays = source_card("voxel_denoising", "geom-arrays").settings
    assert arrays(source="geom-arrays", conformers=5, seed=0, subsets={"all": "all"}).validation_fraction is None
    bank = source_card("flow_matching", "pdb").settings.model_fields
    assert {"min_length", "max_length", "worst_resolution", "seed", "subsets"} <= bank.keys()


def test_sources_outside_the_package_are_named_by_their_cards(monkeypatch):
    monkeypatch.setitem(sys.modules, "mypackage", SimpleNamespace(CARD=MINE))
    name = "mypackage:CARD"
    assert source_card("force_field", name) is MINE
    with pytest.raises(StudyError, match=r"data\.flow_matching\.source: .*expected an equidyn\.data\.card\.SourceCard"):
        source_card("flow_matching", name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spise", r"data\.force_field\.source: unknown source 'spise'; known sources: offline, spice, spice-mace-off"),
        ("nowhere.at_all:CARD", r"data\.force_field\.source: 'nowhere\.at_all:CARD' cannot be imported"),
    ],
)
def test_unknown_sources_are_named(name, message):
    with pytest.raises(StudyError, match=message):
        source_card("force_field", name)
