"""Planning, evaluation, analyses and figures know no task and no network by name: their cards say what differs."""

import ast
import re
from pathlib import Path

import pytest

from equidyn.core.rooms import cards
from equidyn.models.registry import configurations
from equidyn.tasks.registry import task_cards

PACKAGE = Path(__file__).parents[1] / "src/equidyn"
FLOORS = ("study", "run", "analysis", "figures")
NAMING = {
    "analysis/authors.py": "what the authors published, network by network",
    "analysis/pilot.py": "which of their networks was trained here",
    "figures/families/beside_published": "what the authors published, beside a study of these very tasks",
    "analysis/interpolation.py": "what interpolating the grids of one task costs",
}
"""Where names belong to what is said, and why."""


def names():
    """Names of tasks, architectures and their sizes, and of the packages that they live in."""
    return {*task_cards(), *cards("equidyn.models"), *configurations()} - {
        "control"
    }  # also a word, for any exact network


def words_of(tree):
    """Texts, docstrings apart, and identifiers of a module, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    statement.value.value = ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        for field in ("id", "attr", "name", "module", "arg"):
            if isinstance(word := getattr(node, field, None), str):
                yield getattr(node, "lineno", 0), word


def found_in(text):
    """Lines of a module's text that name a task or a network."""
    pattern = re.compile(
        rf"(?<![a-z0-9])({'|'.join(map(re.escape, sorted(names(), key=len, reverse=True)))})(?![a-z0-9])", re.I
    )
    return [f"{line}: {word}" for line, word in words_of(ast.parse(text)) if pattern.search(word)]


def found_below(folder):
    """What is found in each module of a folder, or in one module."""
    files = [folder] if folder.is_file() else folder.rglob("*.py")
    found = {str(file.relative_to(PACKAGE)): found_in(file.read_text()) for file in files}
    return {file: lines for file, lines in found.items() if lines}


@pytest.mark.parametrize("floor", FLOORS)
def test_no_task_and_no_network_is_named(floor):
    found = found_below(PACKAGE / floor)
    assert {file: lines for file, lines in found.items() if not file.startswith(tuple(NAMING))} == {}


@pytest.mark.parametrize("place", NAMING)
def test_exceptions_are_needed(place):
    assert found_below(PACKAGE / place)


@pytest.mark.parametrize(
    "text",
    [
        "if task == 'force_field': pass",
        "x = model.startswith('escaip-')",
        "from equidyn.tasks.flow_matching.task import FlowMatching",
        "def of_voxel_denoising(): pass",
    ],
)
def test_names_are_found(text):
    assert found_in(f'"""Of force_field."""\n{text}') != []
    assert found_in('"""Of force_field."""') == []
