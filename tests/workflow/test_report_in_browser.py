"""A browser shows the report without a network: all its pictures, nothing wider than the window."""

import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from equidyn.report.rendering import SYMBOLS
from equidyn.report.study import Picture, write_report

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]

COLOURS = [(200, 30, 40), (20, 160, 60), (40, 60, 210)]
PROBE = """<script>addEventListener("load", () => {
  const page = document.documentElement, runs = document.querySelector('.wide[aria-label=Runs]');
  const found = {
    images: [...document.images].map(image => [image.naturalWidth, image.naturalHeight, image.width, image.height]),
    page: [page.scrollWidth, page.clientWidth],
    runs: [runs.scrollWidth, runs.clientWidth],
  };
  const probe = Object.assign(document.createElement("pre"), {id: "probe", textContent: JSON.stringify(found)});
  document.body.append(probe);
})</script>"""


@pytest.fixture
def report(tmp_path):
    """A report with three large figures, long unbroken text and more columns than fit."""
    pictures = []
    for number, colour in enumerate(COLOURS):
        png = tmp_path / f"{number}.png"
        Image.new("RGB", (3600, 900), colour).save(png, dpi=(160, 160))
        pictures.append(
            Picture("force_field", f"figure{number}", f"Figure {number}", "Dynamics", png, "Caption. " * 200)
        )
    claims = pd.DataFrame(
        {
            "claim": ["first", "second", "third"],
            "by": ["paper", "paper", "ours"],
            "weights": "raw",
            "task": "force_field",
            "statement": "A statement that is fairly long, as statements of claims are. " * 3,
            "statistic": "largest of all runs",
            "expected_low": 0.0,
            "expected_high": np.inf,
            "value": 1.0,
            "low": 0.5,
            "high": 2.0,
            "ends": "interval",
            "published_value": 9.5,
            "published_verdict": "reproduced",
            "published_reason": "the value, 9.5, lies within the expected range",
            "sensitivity": "the same under 14 other settings",
            "verdict": list(SYMBOLS),
            "reason": "interval straddles the limit of the expected range " * 4,
            "figure": "force_field/figure1",
        }
    )
    runs = pd.DataFrame({"run": ["default"], **{f"quite_a_long_column_{number}": [number] for number in range(30)}})
    worst = pd.DataFrame(
        {
            "run": ["a-run-with-a-rather-long-name"],
            "group": ["SO(3)"],
            "comparison": ["trilinear"],
            "step": [10_000],
            "worst": ["10 of 1,000 examples"],
            "total_in_worst": [61.25],
            "equivariance_in_worst": [93.1],
        }
    )
    path = tmp_path / "report.html"
    manifest = {"digests": {"training": {"code": "0123456789abcdef" * 20}}}
    write_report(
        path,
        study="tiny",
        tasks={"force_field": "Force field"},
        pictures=pictures,
        claims=claims,
        worst=worst,
        runs=runs,
        manifest=manifest,
        config="study: tiny\n" * 20,
    )
    return path


def browse(page, *options):
    """What Chromium prints of a page, in a window 1,280 pixels wide, with no name resolved."""
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
        "--window-size=1280,3200", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.parent / 'profile'}",
        "--disable-checker-imaging",  # paints no picture before it is decoded
    ]  # fmt: skip
    found = subprocess.run([CHROMIUM, *flags, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture
def probed(report):
    """A copy whose pictures are all loaded before it is looked at, with what a script found out at its end."""
    html = report.read_text(encoding="utf-8")
    assert html.count('loading="lazy"') == len(COLOURS)
    path = report.with_name("probed.html")
    path.write_text(html.replace('loading="lazy"', "").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return path


def test_pictures_decode_and_nothing_overflows(probed):
    dom = browse(probed, "--dump-dom")
    found = json.loads(re.search(r'<pre id="probe">(.*)</pre>', dom)[1])
    assert len(found["images"]) == len(COLOURS)
    for natural_width, natural_height, width, height in found["images"]:
        assert (natural_width, natural_height) == (3600, 900)
        assert 800 < width <= 1000
        assert height == pytest.approx(width / 4, abs=1)
    assert found["page"][0] <= found["page"][1] == 1280
    assert found["runs"][0] > found["runs"][1], "the table of runs scrolls in its own box"


def test_the_page_is_painted(probed, tmp_path):
    screenshot = tmp_path / "screenshot.png"
    browse(probed, f"--screenshot={screenshot}")
    pixels = np.asarray(Image.open(screenshot).convert("RGB")).reshape(-1, 3)
    for colour in COLOURS:
        assert (pixels == colour).all(axis=1).sum() > 100_000, "each figure is on the page"
    assert (pixels < 80).all(axis=1).sum() > 5_000, "so is its text"
