"""A report holds every figure, claim and run, links only to itself, and escapes what it shows."""

import base64
import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_parts import claim, report_parts

from equidyn.claims.verdicts import NOT_TESTABLE, REPRODUCED
from equidyn.report.rendering import vega
from equidyn.report.study import webp, write_report

VOID = {"br", "img", "input", "meta"}


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


@pytest.fixture
def parts(tmp_path):
    return report_parts(tmp_path)


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
    first, *images = page.elements["img"]
    assert first == images[0], "the summary is on the first screen, too"
    for id, image in zip(ids, images, strict=True):
        figure = by_id[id]
        kind, data = image["src"].split(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as shown, Image.open(figure.png) as drawn:
            assert np.abs(np.asarray(shown.convert("RGB"), int) - np.asarray(drawn, int)).max() <= 7
        assert image["alt"] == figure.title
        assert (image["width"], image["height"], image["loading"]) == ("240", "60", "lazy")
        assert figure.caption.split(". ")[0] in page.text(id)
    assert page.text("h2").startswith("Explore the curvesRuns and resultsClaimsAll tasksForce fieldVoxel denoising")


def test_a_caption_says_first_what_is_drawn_and_folds_the_rest(tmp_path, parts):
    caption = "Share of the loss (variance over g). Step 0 is untrained: 2.5 % at t = 0.2. Seeds differ."
    pictures = [replace(parts["pictures"][0], caption=caption)]
    page = Page(written(tmp_path, parts, pictures=pictures))
    assert pictures[0].said == (
        "Share of the loss (variance over g).",
        "Step 0 is untrained: 2.5 % at t = 0.2. Seeds differ.",
    )
    assert "Method, and how to read itStep 0 is untrained" in page.text("details")
    assert replace(pictures[0], caption="All.").said == ("All.", "")
    assert replace(pictures[0], caption="This. And that.\n\nHow.").said == ("This. And that.", "How.")


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
    beside = {file for figure in parts["pictures"] for file in figure.files.values()}
    for link in set(links) - beside:
        assert link.startswith("#")
        assert link[1:] in ids
    assert all(source.startswith("data:") for source in page.attributes("src"))
    assert not {"link", "iframe", "object", "base"} & set(page.elements)
    own = html.replace(vega(), "").replace("url(#arrow)", "")
    assert len(own) < len(html)
    for outside in ("url(", "@import", "http:", "https:"):
        assert outside not in own
    assert len(html) < 2e6, "the library draws little of its 8 MB"


def test_claims_tell_range_value_and_reason(tmp_path, parts):
    rows = [
        claim("a", reason="first reason", sensitivity="skill 0.6: not reproduced", by="ours"),
        claim("b", expected_low=1.0, expected_high=np.inf, closed="right", value=np.inf, low=-2.5, high=np.inf),
        claim("c", expected_low=0.5, expected_high=1.0, value=np.nan, low=np.nan, high=np.nan, published_value=np.nan),
        claim("d", expected_low=-np.inf, expected_high=2.0, value=12345.0, low=1e-5, high=0.12345),
        claim("e", figure="force_field/not_drawn"),
        claim("f", expected_high=0.05, closed="left"),
        claim("g", expected_low=2.0, expected_high=np.inf),
    ]
    page = Page(written(tmp_path, parts, claims=pd.DataFrame(rows)))
    texts = {name: page.text(f"claim-{name}") for name in "abcdefg"}
    assert texts["a"] == (
        "✓reproduced: Force field, raw A (ours) The error a. Measured: first step. Named a. VerdictTaskFound "
        "ExpectedWhy the verdictAuthors’ data ✓ reproduced Force field (raw) 56 31.6 to 100 (interval) ≤ 10,000 first "
        "reason Sensitivity: skill 0.6: not reproduced Figure: Title of percent_loglog 1,680 reproduced: as read"
    )
    assert "∞ −2.5 to ∞ (interval) > 1" in texts["b"]
    assert "(raw) – 0.5 to 1 interval" in texts["c"]
    assert "12,345 1e-5 to 0.123 (interval) ≤ 2" in texts["d"]
    assert "Figure" not in texts["e"]
    assert "(interval) < 0.05 interval" in texts["f"]
    assert "(interval) ≥ 2 interval" in texts["g"]


def test_a_statement_is_said_once_for_its_tasks(tmp_path, parts):
    page = Page(written(tmp_path, parts))
    text = page.text("claim-falls")
    assert text.count("The error falls.") == text.count("Measured: first step") == 1
    assert text.index("Force field") < text.index("Flow matching")


def test_verdicts_are_badges_and_signs(tmp_path, parts):
    verdicts = [REPRODUCED] * 3 + [NOT_TESTABLE]
    claims = pd.DataFrame([claim(str(number), verdict=verdict) for number, verdict in enumerate(verdicts)])
    page = Page(written(tmp_path, parts, claims=claims))
    classes = Counter(element["class"] for element in page.elements["span"] if "verdict" in element.get("class", ""))
    own, legend = {"verdict verdict-1": 2 * 3, "verdict verdict-3": 2 * 1}, 1  # on each claim, and in its table
    authors = 4  # all reproduced
    in_matrix = {"sign verdict-1": 3 + authors + legend, "sign verdict-2": legend, "sign verdict-3": 1 + legend}
    assert classes == own | in_matrix


def test_a_study_without_claims(tmp_path, parts):
    page = Page(written(tmp_path, parts, claims=None))
    assert "claims" not in page.attributes("id")
    assert len(page.elements["figure"]) == 5


def test_costs_manifest_and_configuration(tmp_path, parts):
    page = Page(written(tmp_path, parts, config="study: tiny\nthreshold: <2>\n"))
    assert "run task parameters learning rate training data training time (s) time per step (s)" in page.text("main")
    assert "default Force field 58,913 0.001 all 50 0.5 1e9" in page.text("main")
    assert "machine cores2 seeds runs default2025 lasted61.5 steps0, 10" in page.text("dl")
    assert "commit0123abcd, of the code" in page.text("dl")
    assert page.texts["pre"] == "study: tiny\nthreshold: <2>\n"


def test_stages_tell_their_times(tmp_path, parts):
    plain = Page(written(tmp_path, parts)).text("svg")
    assert "Data 2 tasks Training 3 runs Evaluation checkpoints Tables of all runs Authors’ data" in plain
    manifest = {
        "version": "0.1",
        "packages": {"torch": "2.6", "numpy": "2.0"},
        "seconds": {"training": 21869.9, "evaluation": 42.0},
    }
    more = {"manifest": manifest, "commit": "", "analyses": ["head"], "downloads": ["spice", "pdb"]}
    page = Page(written(tmp_path, parts, **more))
    assert page.text("svg").startswith("Downloads spice, pdb Data 2 tasks Training 3 runs, 6 h 4 min Evaluation")
    assert "Evaluation checkpoints, 42 s Tables of all runs Analyses 1 kind" in page.text("svg")
    assert "commitunknown" in page.text("dl")
    assert "versionsequidyn 0.1, PyTorch 2.6 timestraining 6 h 4 min, evaluation 42 s" in page.text("dl")
    assert "Trainingtrain_network, time_steps" in page.text("dl")


def test_what_the_worst_examples_carry(tmp_path, parts):
    page = Page(written(tmp_path, parts))
    assert (
        "task run flow time step worst 1 % their share of the loss (%) share of the equivariance error (%) "
        "Force field default – 100 10 of 1,000 examples 61.2 93.1 "
        "Flow matching chains 0.5 100 1 of 51 clusters 2 4"
    ) in page.text("main")


def test_text_is_escaped(tmp_path, parts):
    sly = '<b>bold</b> & "quoted"'
    figures = [replace(parts["pictures"][0], title=sly, caption=sly), *parts["pictures"][1:]]
    page = Page(written(tmp_path, parts, pictures=figures, study=sly, claims=pd.DataFrame([claim(statement=sly)])))
    assert "b" not in page.elements
    assert page.elements["img"][-1]["alt"] == sly
    assert page.text("figure-voxel_denoising-losses").startswith(f"{sly} {sly} ")
    assert sly in page.text("title")
    assert sly in page.text("claim-falls")


def test_tables_manifest_and_configuration_are_escaped(tmp_path, parts):
    plain = Page(written(tmp_path, parts))
    sly = "</pre></td><script>alert(1)</script><img src=x onerror=alert(1)> ${7*7} {{ 7*7 }} {% raw %} ../../etc\n'\""
    tables = {name: parts[name].assign(**{sly: sly}) for name in ("costs", "worst")}
    tables["evaluation"] = parts["evaluation"].replace({"escaip-tiny": sly, "chains": sly, "vectors": sly})
    choices = [parts["choices"][0], replace(parts["choices"][1], baseline=sly)]
    page = Page(written(tmp_path, parts, **tables, choices=choices, manifest={sly: [sly, {"inner": sly}]}, config=sly))
    assert {tag: len(found) for tag, found in page.elements.items() if tag in ("script", "img", "pre")} == {
        tag: len(found) for tag, found in plain.elements.items() if tag in ("script", "img", "pre")
    }
    assert page.texts["pre"] == sly
    assert page.texts["dl"].count(sly) == 3
    assert page.texts["td"].count(sly) == 3 + 2 + 5  # costs, worst examples, and models of runs
    assert json.loads(page.texts["study-data"])["tasks"]["flow_matching"]["baseline"] == sly


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


def test_pictures_keep_white_and_light_shades_apart(tmp_path):
    shades = [(255, 255, 255), (240, 240, 240), (217, 217, 217)]
    image = Image.new("RGB", (30, 10))
    for place, shade in enumerate(shades):
        image.paste(shade, (10 * place, 0, 10 * place + 10, 10))
    image.save(tmp_path / "grey.png", dpi=(160, 160))
    with Image.open(io.BytesIO(base64.b64decode(webp(tmp_path / "grey.png")))) as shown:
        assert [shown.getpixel((10 * place, 0)) for place in range(3)] == [(255,) * 3, (242,) * 3, (217,) * 3]
