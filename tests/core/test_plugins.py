"""Objects by name."""

import pytest

from equidyn.core.plugins import load
from equidyn.core.seeding import seed_for


def test_loads_what_is_named():
    assert load("equidyn.core.seeding:seed_for") is seed_for


def test_loads_a_users_module(tmp_path, monkeypatch):
    (tmp_path / "my_task_for_a_test.py").write_text("class Mine:\n    unit = 'm'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("my_task_for_a_test:Mine").unit == "m"


@pytest.mark.parametrize("path", ["equidyn.core.seeding", "equidyn.core.seeding:", ":seed_for", ""])
def test_other_forms_are_refused(path):
    with pytest.raises(ValueError, match=r"does not have the form 'package\.module:name'"):
        load(path)


@pytest.mark.parametrize("path", ["equidyn.nothing:seed_for", "no_such_package.x:y", "equidyn.core.seeding:nothing"])
def test_what_names_nothing_is_refused(path):
    with pytest.raises(ValueError, match=rf"'{path}' cannot be imported: .*(nothing|no_such_package)"):
        load(path)
