"""The glossary of reports is that of the documentation, and each word is explained once."""

from pathlib import Path

from equidyn.core.marked import renewed
from equidyn.report.glossary import TERMS, listed

ROOT = Path(__file__).parents[2]


def test_the_documentation_has_it():
    text = (ROOT / "docs/glossary.md").read_text("utf-8")
    assert renewed(text, {"glossary": listed()}.__getitem__) == text, "run make reference"


def test_words_of_the_documentation_are_those_of_the_glossary():
    """The paper, and code, have a second word for some things."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "config/README.md", ROOT / "results/README.md"]
    assert len(files) > 10
    for other, term in (("twirled error", "twirled loss"), ("lowest percent", "share"), ("the percent", "share")):
        assert term in TERMS
        said = [file.name for file in files if file.name != "glossary.md" and other in file.read_text("utf-8").lower()]
        assert not said, f"{other!r} is called {term!r}"
