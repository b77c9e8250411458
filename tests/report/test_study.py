"""A report holds every figure, claim and run, links only to itself, and escapes what it shows."""

import base64
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from equidyn.figures.planned import titles
from equidyn.report.study import Picture, write_report
from equidyn.tasks.registry import task_cards

VOID = {"br", "img", "meta"}


class Page(HTMLParser):
    """What a page holds: attributes of elements by tag, ids, and texts by tag and by the id they stand in."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.texts, self.open = {}, {}, []
        self.feed(html)
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.setdefault(tag, []).append(dict(attributes))
        if tag not in VOID:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for key in {name for element in self.open for name in element} - {None}:
            self.texts[key] = self.texts.get(key, "") + data

    def text(self, key: str) -> str:
        return " ".join(self.texts.get(key, "").split())

    def attributes(self, name: str) -> list[str]:
        return [element[name] for found in self.elements.values() for element in found if name in element]


def claim(name="falls", task="force_field", verdict=REPRODUCED, **values):
    return {
        "claim": name, "by": "paper", "task": task, "weights": "raw", "statement": f"The error {name}.",
        "statistic": "first step",
        "expected_low": 0.0, "expected_high": 10000.0, "value": 56.0, "low": 31.6, "high": 100.0,
        "ends": "interval", "published_value": 1680.0, "published_verdict": REPRODUCED, "published_reason": "as read",
        "verdict": verdict, "reason": "interval within the expected range", "sensitivity": "",
        "figure": "force_field/percent_loglog",
    } | values  # fmt: skip


@pytest.fixture
def parts(tmp_path):
    """A report's input, figures out of order."""
    pictures = []
    for shade, (task, name, category) in enumerate(
        [
            ("voxel_denoising", "losses", "Training dynamics"),
            ("force_field", "percent_loglog", "Training dynamics"),
            ("force_field", "hessian", "Why it is easy"),
            ("force_field", "losses", "Training dynamics"),
            ("all", "summary", "All tasks"),
        ]
    ):
        png = tmp_path / f"{task}-{name}.png"
        Image.new("RGB", (320, 160), (shade, 90, 160)).save(png, dpi=(160, 160))
        pictures.append(Picture(task, name, f"Title of {name}", category, png, f"Caption of {name} in {task}."))
    runs = pd.DataFrame(
        {
            "run": ["default", "control"],
            "task": "force_field",
            "parameters": [58913, 60000],
            "lr": [0.001, 3e-4],
            "train_subset": ["all", "500"],
            "training_flops": [1_200_000_000_000, 7],
            "skill": [-0.5, None],
        }
    )
    worst = pd.DataFrame(
        {
            "task": ["force_field", "flow_matching"],
            "run": ["default", "chains"],
            "t": [None, 0.5],
            "step": 100,
            "worst": ["10 of 1,000 examples", "1 of 51 clusters"],
            "total_in_worst": [61.25, 2.0],
            "equivariance_in_worst": [93.1, 4.0],
        }
    )
    return {
        "study": "tiny",
        "tasks": titles(task_cards()),
        "pictures": pictures,
        "claims": pd.DataFrame([claim(), claim(task="flow_matching", verdict=NOT_REPRODUCED)]),
        "worst": worst,
        "runs": runs,
        "manifest": {"machine": {"cores": 2}, "seeds": {"runs": {"default": 2025}}, "seconds": 61.53, "steps": [0, 10]},
        "config": "study: tiny\n",
    }


def written(tmp_path, parts, **changed):
    write_report(tmp_path / "report.html", **(parts | changed))
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_every_figure_is_there_once_and_whole(tmp_path, parts):
    page = Page(written(tmp_path, parts))
    ids = [element["id"] for element in page.elements["figure"]]
    assert ids == [
        "figure-all-summary", "figure-force_field-percent_loglog", "figure-force_field-losses",
        "figure-force_field-hessian", "figure-voxel_denoising-losses",
    ]  # fmt: skip
    by_id = {figure.anchor: figure for figure in parts["pictures"]}
    for id, image in zip(ids, page.elements["img"], strict=True):
        figure = by_id[id]
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True) == figure.png.read_bytes()
        assert image["alt"] == figure.title
        assert (image["width"], image["height"], image["loading"]) == ("192", "96", "lazy"), "the size drawn for"
        assert figure.caption in page.text(id)
    assert page.text("h2").startswith("ClaimsAll tasksForce fieldVoxel denoisingWorst examplesRuns")


def test_writing_it_needs_no_plotting():
    code = "import sys, equidyn.report.study; assert not {'torch', 'matplotlib', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_needs_nothing_but_itself(tmp_path, parts):
    html = written(tmp_path, parts)
    page = Page(html)
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = page.attributes("href")
    assert {f"#{figure.anchor}" for figure in parts["pictures"]} <= set(links)
    for link in links:
        assert link.startswith("#")
        assert link[1:] in ids
    assert all(source.startswith("data:") for source in page.attributes("src"))
    assert not {"script", "link", "iframe", "object", "base"} & set(page.elements)
    for outside in ("url(", "@import", "http:", "https:"):
        assert outside not in html


def test_claims_tell_range_value_and_reason(tmp_path, parts):
    rows = [
        claim("a", reason="first reason", sensitivity="skill 0.6: not reproduced", by="ours"),
        claim("b", expected_low=1.0, expected_high=np.inf, value=np.inf, low=-2.5, high=np.inf),
        claim("c", expected_low=0.5, expected_high=1.0, value=np.nan, low=np.nan, high=np.nan, published_value=np.nan),
        claim("d", expected_low=-np.inf, expected_high=2.0, value=12345.0, low=1e-5, high=0.12345),
        claim("e", figure="force_field/not_drawn"),
    ]
    page = Page(written(tmp_path, parts, claims=pd.DataFrame(rows)))
    texts = {name: page.text(f"claim-{name}") for name in "abcde"}
    assert texts["a"] == (
        "The error a. (ours) a Measured: first step Force field (raw) first reason Sensitivity: skill 0.6: not "
        "reproduced Figure: Title of percent_loglog ≤ 10,000 56 31.6 to 100 (interval) 1,680 reproduced: as read "
        "✓ reproduced"
    )
    assert "> 1 ∞ −2.5 to ∞ (interval)" in texts["b"]
    assert "0.5 to 1 – – reproduced: as read ✓" in texts["c"]
    assert "≤ 2 12,345 1e-5 to 0.123" in texts["d"]
    assert "Figure" not in texts["e"]


def test_a_statement_is_said_once_for_its_tasks(tmp_path, parts):
    page = Page(written(tmp_path, parts))
    text = page.text("claim-falls")
    assert text.count("The error falls.") == text.count("Measured: first step") == 1
    assert text.index("Force field") < text.index("Flow matching")


def test_verdicts_are_badges_and_nobody_counts_them(tmp_path, parts):
    verdicts = [REPRODUCED] * 3 + [NOT_TESTABLE]
    claims = pd.DataFrame([claim(str(number), verdict=verdict) for number, verdict in enumerate(verdicts)])
    page = Page(written(tmp_path, parts, claims=claims))
    classes = Counter(element["class"] for element in page.elements["span"] if "verdict" in element.get("class", ""))
    assert classes == {"verdict verdict-1": 3, "verdict verdict-3": 1}


def test_a_study_without_claims(tmp_path, parts):
    page = Page(written(tmp_path, parts, claims=None))
    assert "claims" not in page.attributes("id")
    assert len(page.elements["figure"]) == 5


def test_runs_manifest_and_configuration(tmp_path, parts):
    page = Page(written(tmp_path, parts, config="study: tiny\nthreshold: <2>\n"))
    assert "run task parameters learning rate training data training compute (FLOP) skill at the end" in page.text(
        "main"
    )
    assert "default Force field 58,913 0.001 all 1.2e12 −0.5" in page.text("main")
    assert "control Force field 60,000 3e-4 500 7 –" in page.text("main")
    numbers = [element for element in page.elements["td"] if element.get("class") == "number"]
    assert len(numbers) == 2 * 4 + 2 * 2 + 2 * 4  # of runs, of claims and of worst examples
    assert page.text("dl") == "machine cores2 seeds runs default2025 seconds61.5 steps0, 10"
    assert len(page.elements["dl"]) == 4
    assert page.texts["pre"] == "study: tiny\nthreshold: <2>\n"


def test_what_the_worst_examples_carry(tmp_path, parts):
    page = Page(written(tmp_path, parts))
    assert (
        "task run flow time step worst 1 % their share of the loss (%) share of the equivariance error (%) "
        "Force field default – 100 10 of 1,000 examples 61.2 93.1 "
        "Flow matching chains 0.5 100 1 of 51 clusters 2 4"
    ) in page.text("main")


def test_text_is_escaped(tmp_path, parts):
    sly = '<b>bold</b> & "quoted"'
    plain = Page(written(tmp_path, parts))
    figures = [replace(parts["pictures"][0], title=sly, caption=sly), *parts["pictures"][1:]]
    page = Page(written(tmp_path, parts, pictures=figures, study=sly, claims=pd.DataFrame([claim(statement=sly)])))
    assert len(page.elements["b"]) == len(plain.elements["b"])
    assert page.elements["img"][-1]["alt"] == sly
    assert page.text("figure-voxel_denoising-losses") == f"{sly} {sly}"
    assert sly in page.text("title")
    assert sly in page.text("claim-falls")


def test_tables_manifest_and_configuration_are_escaped(tmp_path, parts):
    plain = Page(written(tmp_path, parts))
    sly = "</pre></td><script>alert(1)</script><img src=x onerror=alert(1)> ${7*7} {{ 7*7 }} {% raw %} ../../etc\n'\""
    tables = {name: parts[name].assign(**{sly: sly, "run": sly}) for name in ("runs", "worst")}
    page = Page(written(tmp_path, parts, **tables, manifest={sly: [sly, {"inner": sly}]}, config=sly))
    assert {tag: len(found) for tag, found in page.elements.items() if tag in ("script", "img", "pre")} == {
        tag: len(found) for tag, found in plain.elements.items() if tag in ("script", "img", "pre")
    }
    assert "script" not in page.elements
    assert page.texts["pre"] == sly
    assert page.texts["dl"].count(sly) == 3
    assert page.texts["td"].count(sly) == 4


def test_the_same_input_gives_the_same_bytes(tmp_path, parts):
    first = written(tmp_path, parts)
    assert written(tmp_path, parts) == first
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".html"}


def test_bad_input_says_what_is_wrong(tmp_path, parts):
    parts["pictures"][2].png.unlink()
    with pytest.raises(ValueError, match=r"before the report: .*force_field-hessian\.png"):
        written(tmp_path, parts)
    assert not (tmp_path / "report.html").exists()
    figures = parts["pictures"][:2]
    with pytest.raises(ValueError, match=r"unknown tasks \['weather'\]"):
        written(tmp_path, parts, pictures=[replace(figures[0], task="weather"), figures[1]])
    with pytest.raises(ValueError, match=r"unknown verdicts \['perhaps'\]"):
        written(tmp_path, parts, pictures=figures, claims=pd.DataFrame([claim(verdict="perhaps")]))
