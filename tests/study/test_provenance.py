"""Digests of code change with what can change a result, and with nothing else."""

import hashlib
import shutil

import pytest

from equidyn.study import provenance
from equidyn.study.provenance import code_digest, digest
from equidyn.tasks.registry import task_card, task_cards

STAGES = {
    "training": (
        "equidyn.run.training",
        "equidyn.tasks.force_field.task",
        "equidyn.models.escaip.network",
        "equidyn.core.groups.so3.symmetry",
    ),
    "evaluation": ("equidyn.run.evaluation", "equidyn.tasks.force_field.task", "equidyn.models.escaip.network"),
}


def clear():
    provenance.code_digest.cache_clear()
    provenance._parsed.cache_clear()


def digests():
    return {stage: code_digest(*modules) for stage, modules in STAGES.items()}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A copy of the package, so that nobody edits it meanwhile, and its digests."""
    copy = tmp_path_factory.mktemp("package") / "equidyn"
    shutil.copytree(provenance.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "ROOT", copy)
        clear()
        found = digests()
    clear()
    return copy, found


class Package:
    """A copy of the package that digests are taken of."""

    def __init__(self, folder, known):
        self.folder, self.known = folder, known

    def edit(self, module, old, new):
        """Replace the first `old`, or put `new` in front, in a module that is made if there is none."""
        path = self.folder / f"{module}.py"
        text = path.read_text("utf-8") if path.exists() else ""
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else new + text, "utf-8")
        clear()
        self.known = digests()

    def changed(self, *edit):
        """Stages whose digests an edit changes."""
        before = self.known
        self.edit(*edit)
        return {stage for stage in STAGES if before[stage] != self.known[stage]}


@pytest.fixture
def package(tmp_path, monkeypatch, original):
    folder, known = original
    copy = tmp_path / "equidyn"
    shutil.copytree(folder, copy)
    monkeypatch.setattr(provenance, "ROOT", copy)
    clear()
    yield Package(copy, known)
    monkeypatch.undo()
    clear()


def test_digest_is_short_and_stable():
    assert code_digest("equidyn.core.seeding") == code_digest("equidyn.core.seeding")
    assert len(code_digest("equidyn.core.seeding")) == 16
    assert set(code_digest("equidyn.core.seeding")) <= set("0123456789abcdef")


def test_order_of_modules_does_not_matter():
    assert code_digest("equidyn.core.seeding", "equidyn.core.actions") == code_digest(
        "equidyn.core.actions", "equidyn.core.seeding"
    )
    assert code_digest("equidyn.core.seeding") != code_digest("equidyn.core.actions")


def test_place_does_not_matter(package, original):
    assert digests() == original[1]


def test_code_edit_counts(package):
    assert package.changed("run/loader", "math.ceil(len(self.sizes)", "math.floor(len(self.sizes)") == {"training"}


def test_comments_layout_and_docstrings_do_not(package, original):
    package.edit("run/training", "", "# Another comment.\n\n\n")
    package.edit("models/escaip/network", "", "# Another comment.\n\n\n")
    package.edit("run/training", '"""Train one network:', '"""Fit one network:')
    package.edit("run/loader", '    """The random numbers that', '    """Numbers that')
    package.edit("run/recipe", '    """Everything that decides a training run', '    """All that decides a run')
    package.edit("run/recipe", 'description="Peak learning rate."', 'description="Largest learning rate."')
    package.edit("models/escaip/network", '"""Standard deviations after', '"""How far until')  # of a constant
    assert package.known == original[1]


def test_other_strings_do(package):
    assert package.changed("run/training", '"initialisation"', '"initialization"') == {"training"}


@pytest.mark.parametrize(
    "module", ["core/seeding", "core/actions", "models/graph", "core/batch", "core/rotations", "run/checkpoints"]
)
def test_imports_of_imports_count(package, module):
    assert package.changed(module, "", "SOMETHING = 1\n") == {"training", "evaluation"}


@pytest.mark.parametrize("module", ["core/decomposition", "run/evaluation"])
def test_estimator_reruns_evaluation_and_not_training(package, module):
    assert package.changed(module, "", "SOMETHING = 1\n") == {"evaluation"}


@pytest.mark.parametrize(
    "module", ["cli", "figures/__init__", "models/molecule_control/network", "verification/__init__", "__init__"]
)
def test_other_code_does_not_count(package, module):
    assert package.changed(module, "", "SOMETHING = 1\n") == set()


def test_import_inside_a_function_counts(package):
    package.edit("extra", "", "VALUE = 1\n")
    package.edit("core/seeding", "    text =", "    from equidyn import extra\n\n    text =")
    assert package.changed("extra", "VALUE = 1", "VALUE = 2") == {"training", "evaluation"}


def test_plain_import_counts(package):
    package.edit("extra", "", "VALUE = 1\n")
    package.edit("core/seeding", "import hashlib", "import hashlib\n\nimport equidyn.extra as extra")
    assert package.changed("extra", "VALUE = 1", "VALUE = 2") == {"training", "evaluation"}


def test_circular_imports_end(package):
    package.edit("extra", "", "import equidyn.other\n")
    package.edit("other", "", "import equidyn.extra\n")
    assert code_digest("equidyn.extra") == code_digest("equidyn.other")


def test_a_script_counts_with_what_it_imports(package, tmp_path):
    script = tmp_path / "script.py"

    def found(text):
        script.write_text(text)
        clear()
        return code_digest("equidyn.core.seeding", script=script)

    first = found('"""A script."""\n\nfrom equidyn.core import process\n\nprocess.start(1)\n')
    assert found('"""The script."""\nfrom equidyn.core import process\n\nprocess.start(1)  # here\n') == first
    assert found("from equidyn.core import process\n\nprocess.start(2)\n") != first
    text = script.read_text()
    second = found(text)
    package.edit("core/process", "", "SOMETHING = 1\n")
    assert found(text) != second
    assert code_digest("equidyn.core.seeding") != first


def test_what_is_kept_by_content_is_as_good(package, tmp_path, monkeypatch):
    plain = digests()
    monkeypatch.setattr(provenance, "KEPT", tmp_path / "kept")
    for _ in range(2):
        clear()
        assert digests() == plain
    assert len(list((tmp_path / "kept").iterdir())) > 10
    assert package.changed("run/training", "", "SOMETHING = 1\n") == {"training"}


def test_what_is_kept_was_read_as_it_is_read_now(package, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "KEPT", tmp_path / "kept")
    clear()
    plain = digests()
    monkeypatch.setattr(provenance, "_reader", lambda: "later")
    monkeypatch.setattr(provenance, "_short", lambda text: hashlib.sha512(text.encode()).hexdigest()[:16])
    clear()
    assert not set(digests().values()) & set(plain.values())


@pytest.mark.parametrize("task", sorted(task_cards()))
def test_words_of_a_task_decide_no_result(package, task):
    before = code_digest(task_card(task).module)
    package.edit(f"tasks/{task}/card", "title=", 'title="Edited, " ')
    assert code_digest(task_card(task).module) == before


def test_words_of_a_group_decide_no_result(package, original):
    package.edit("core/groups/so3/card", 'text="all', 'text="really all')
    assert package.known == original[1]
    assert package.changed("core/groups/so3/card", "has_angles=True", "has_angles=False") == {"training"}


@pytest.mark.parametrize("group", ["cube", "so3"])
def test_floors_of_interpolation_know_their_groups(package, group):
    before = code_digest("equidyn.analysis.interpolation")
    package.edit(f"core/groups/{group}/symmetry", "", "SOMETHING = 1\n")
    assert code_digest("equidyn.analysis.interpolation") != before


def test_digest_of_values():
    assert digest({"a": 1, "b": (2, None)}, "x") == digest({"b": [2, None], "a": 1}, "x")
    assert digest({"a": 1}) != digest({"a": 1.5})
    assert digest("a", "b") != digest("ab")


@pytest.mark.parametrize("module", ["equidyn.nothing", "nopackage.module", "equidyn"])
def test_unknown_module(module):
    with pytest.raises(ValueError, match=f"there is no module '{module}': install"):
        code_digest(module)


def test_modules_of_other_packages_count_with_their_own_imports(tmp_path, monkeypatch):
    folder = tmp_path / "otherpackage"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "net": "from otherpackage import parts\nimport json",
        "parts": "SIZE = 3",
    }.items():
        (folder / f"{name}.py").write_text(text)
    (tmp_path / "othermodule.py").write_text("SIZE = 3")
    monkeypatch.syspath_prepend(tmp_path)

    def found():
        clear()
        return code_digest("otherpackage.net"), code_digest("othermodule")

    first = found()
    (folder / "parts.py").write_text("SIZE = 3  # voxels")
    assert found() == first
    (folder / "parts.py").write_text("SIZE = 4")
    (tmp_path / "othermodule.py").write_text("SIZE = 4")
    assert not set(found()) & set(first)
