"""Documents with parts that are made."""

import pytest

from equidyn.core.marked import renewed, table

DOCUMENT = """# Title
<!-- Made by `make reference`: first. -->
old
<!-- Until here. -->
text
<!-- Made by `make reference`: the second one. -->
<!-- Until here. -->
"""


def test_parts_are_made_by_name_and_the_rest_stays():
    once = renewed(DOCUMENT, lambda name: f"new {name}")
    assert once.splitlines() == [
        "# Title", "<!-- Made by `make reference`: first. -->", "", "new first", "", "<!-- Until here. -->", "text",
        "<!-- Made by `make reference`: the second one. -->", "", "new the second one", "", "<!-- Until here. -->",
    ]  # fmt: skip
    assert renewed(once, lambda name: f"new {name}") == once


@pytest.mark.parametrize("text", ["# Title\n", DOCUMENT.replace("<!-- Until here. -->\ntext", "text")])
def test_marks_that_are_missing(text):
    with pytest.raises(ValueError, match="expected a line"):
        renewed(text, str)


def test_a_cell_may_hold_the_sign_of_columns():
    assert table(["a", "b"], [["1|2", "3"]]).splitlines() == ["| a | b |", "| --- | --- |", "| 1\\|2 | 3 |"]
