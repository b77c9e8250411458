"""Tables that people write: rows typed and checked by a class, mistakes named with file, row and column."""

import pytest
from pydantic import Field, ValidationError

from equidyn.core.settings import Settings, StudyError, problems
from equidyn.core.tables import read_rows


class Dish(Settings):
    """A row of the tables here."""

    name: str = Field(pattern="^[a-z]+$")
    portions: int = Field(ge=1)
    minutes: float | None = None


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "menu.tsv").write_text(text.replace(" ", "\t"))
        return read_rows(tmp_path / "menu.tsv", Dish, "menu")

    return read


def test_cells_become_what_their_columns_declare(read):
    rows = read("# comment\nname portions minutes\n\nsoup 4 12.5\nbread 2 \n")
    assert [row for _, row in rows] == [Dish(name="soup", portions=4, minutes=12.5), Dish(name="bread", portions=2)]
    assert [where.rpartition("/")[2] for where, _ in rows] == ["menu.tsv, row 1 (soup)", "menu.tsv, row 2 (bread)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name portions\nsoup few\n", r"row 1 \(soup\), portions: found 'few'; it should be a valid integer"),
        ("name portions\nsoup 0\n", r"portions: found '0'; it should be greater than or equal to 1"),
        ("name portions\nSoup 1\n", r"row 1 \(Soup\), name: found 'Soup'; it should match pattern"),
        ("name portions\n 1\n", r"row 1 \(unnamed\), name: found ''; it should match"),
        ("name portion\nsoup 1\n", r"portions: missing(.|\n)*portion: unknown key; did you mean 'portions'\?"),
        ("name portions colour\nsoup 1 red\n", "colour: unknown key; known keys: name, portions, minutes"),
        ("name portions\nsoup\n", r"row 1 \(soup\): the number of cells differs from that of the header"),
        ("name portions\nsoup 1 2\n", "the number of cells differs"),
        ("name portions\n", r"menu\.tsv: the menu has no rows"),
        ("name,portions\nsoup,1\n", r"menu\.tsv: the header of the menu has no tabs; separate cells by one tab"),
    ],
)
def test_mistakes_are_named(read, text, expected):
    with pytest.raises(StudyError, match=expected):
        read(text)


def test_problems_of_sections_within_sections_suggest_the_keys_that_are_there():
    class Meal(Settings):
        courses: dict[str, Dish]
        drink: Dish | None = None

    with pytest.raises(ValidationError) as caught:
        Meal.model_validate({"courses": {"first": {"nme": "soup", "portions": 1}}, "drink": {"colour": 1}, "drnk": 2})
    assert list(problems(caught.value, Meal)) == [
        "courses.first.name: missing",
        "courses.first.nme: unknown key; did you mean 'name'?",
        "drink.name: missing",
        "drink.portions: missing",
        "drink.colour: unknown key; known keys: name, portions, minutes",
        "drnk: unknown key; did you mean 'drink'?",
    ]
