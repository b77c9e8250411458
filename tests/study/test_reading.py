"""Configuration files are plain keys and values, whatever else YAML can say."""

from pathlib import Path

import pytest

from equidyn.core.settings import StudyError
from equidyn.study.reading import DEEPEST, MOST_VALUES, read_yaml


def aliased(first, following):
    """Nine levels, each of which repeats the one below nine times."""
    levels = (f"{'bcdefghij'[n]}: &{'bcdefghij'[n]} {following.format('abcdefghi'[n])}" for n in range(9))
    return "\n".join([f"a: &a {first}", *levels])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: tiny\nevaluation:\n  seed: 1\n  seed: 2\n", "line 4: key 'seed' twice: take one away"),
        ("a: !!python/object/apply:os.system ['touch pwned']\n", "could not determine a constructor for the tag"),
        ("a: !!python/name:os.system\n", "could not determine a constructor for the tag"),
        (aliased("[x, x]", f"[{', '.join(['*{0}'] * 9)}]"), "stands for more than 100,000 values"),
        (aliased("{k: 1}", "{{<<: [" + ", ".join(["*{0}"] * 9) + "]}}"), "stands for more than 100,000 values"),
        ("a: &a [*a]\n", "stands for more than 100,000 values"),
        ("a: " + 100_000 * "[" + 100_000 * "]", "nested more than 50 deep"),
        ("a: " + 100_000 * "{b: ", "nested more than 50 deep"),
        ("\n".join(" " * n + "a:" for n in range(1000)), "nested more than 50 deep"),
        ("a: " + 10_000 * "9", "Exceeds the limit"),
        ("a: 2026-13-45\n", "month must be in 1..12"),
        ("a: \0\n", "control characters are not allowed"),
        (b"a: \xff\n", "can't decode byte 0xff"),
        ("{[1, 2]: 3}\n", "unhashable key"),
        ("- 1\n", r"found \[1\], expected keys and values"),
    ],
)
def test_hostile_configurations_are_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyError, match=rf"(?s)^study\.yaml[:,] .*{message}"):
        read_yaml("study.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_what_is_allowed_is_read(tmp_path):
    deep = "".join(f"{' ' * n}a:\n" for n in range(DEEPEST - 1)) + " " * DEEPEST + "b: 1\n"
    long = "c: &c {k: 1}\nf: {g: {h: &h {<<: *c, k: 3}}}\nd: {<<: *h, m: 2}\ne: [" + "1, " * (MOST_VALUES - 200) + "]\n"
    (tmp_path / "study.yaml").write_text(deep + long)
    found = read_yaml(tmp_path / "study.yaml")
    assert found["d"] == {"k": 3, "m": 2}
    assert found["f"] == {"g": {"h": {"k": 3}}}
    assert len(found["e"]) == MOST_VALUES - 200
