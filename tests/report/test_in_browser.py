"""A browser shows the report without a network: nothing is wider than the window, and everything reacts."""

import re
import shutil

import pandas as pd
import pytest
from report_parts import claim, report_parts

from equidyn.report.study import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]
WIDTHS = {"a desk": (1366, 768), "a telephone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with long words where they can be, and a second study beside it whose verdicts differ."""
    folder = tmp_path_factory.mktemp("report")
    parts = report_parts(folder, width=3200)
    long = {"reason": "the interval straddles the limit of the expected range " * 4, "statement": "It falls. " * 30}
    parts["manifest"] |= {
        "digests": {"training": "0123456789abcdef" * 20},
        "seconds": {"training": 1, "evaluation": 7e3},
    }
    write_report(folder / "report.html", **parts)
    write_report(
        folder / "other.html", **parts | {"study": "second", "claims": parts["claims"].assign(verdict="reproduced")}
    )
    parts["claims"] = parts["claims"].assign(**long)
    parts["config"] = "key: " + "word" * 100
    write_report(folder / "long.html", **parts)
    return folder / "report.html"


class Shown:
    """A page in a window, with what the browser complains of."""

    def __init__(self, browser, file, size=WIDTHS["a desk"], fragment=""):
        self.page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: asked.url.startswith("http") and self.complaints.append(asked.url))
        self.page.goto(f"{file.as_uri()}{fragment}")
        self.page.wait_for_function("document.documentElement.dataset.drawn")

    def __enter__(self):
        return self.page

    def __exit__(self, *error):
        self.page.close()
        if error == (None, None, None):
            assert not self.complaints


@pytest.mark.parametrize("size", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", ["report.html", "long.html"])
def test_nothing_is_wider_than_the_window(browser, report, size, name):
    with Shown(browser, report.with_name(name), size) as page:
        for part in page.locator("main details").all():
            part.evaluate("part => { part.open = true; }")
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths == [size[0], size[0]]
        pictures = page.locator("main img").all()
        for picture in pictures:
            picture.scroll_into_view_if_needed()
        assert [picture.evaluate("image => image.naturalWidth") for picture in pictures] == [3200] * 6


def test_the_first_screen_holds_findings_summary_and_verdicts(browser, report):
    with Shown(browser, report) as page:
        for what in (".findings", ".overview img", ".matrix"):
            box = page.locator(what).first.bounding_box()
            assert box["y"] + box["height"] <= 768, what
        assert page.evaluate("performance.getEntriesByType('paint').length") > 0


def test_the_explorer_follows_its_controls_and_links(browser, report):
    with Shown(browser, report) as page:
        charts = page.locator("#explorer-charts")
        assert charts.locator("svg").count() == 2, "one for each task that was evaluated"
        assert "share of the loss (%)" in charts.inner_text()
        page.select_option("select[name=y]", "skill")
        page.select_option("select[name=x]", "seconds")
        page.get_by_text("Force field: 1 of 2 runs").click()
        page.locator("#explorer-choices").get_by_label("control").focus()
        page.keyboard.press("Space")
        assert page.evaluate("document.activeElement.value") == "control", "the focus stays"
        page.wait_for_function("document.querySelector('#explorer-charts').textContent.includes('control')")
        page.wait_for_function("document.querySelectorAll('#explorer-charts svg').length === 2")
        assert "training time (s)" in charts.inner_text()
        linked = page.evaluate("location.hash")
    with Shown(browser, report, fragment=linked) as page:
        assert page.input_value("select[name=y]") == "skill"
        assert page.get_by_text("Force field: 2 of 2 runs").count() == 1
        assert page.locator("#explorer-charts svg").first.is_visible()
        page.locator("#explorer-charts svg path[aria-roledescription=point]").first.hover(force=True)
        told = page.locator("#vg-tooltip-element")
        told.wait_for()
        assert {"run", "step", "interval", "skill"} <= set(re.findall(r"\w+", told.inner_text()))


def test_a_second_study_is_compared(browser, report):
    with Shown(browser, report) as page:
        page.set_input_files("#explorer-other", report.with_name("other.html"))
        page.wait_for_selector("#comparison table")
        assert page.locator("#comparison tbody tr").all_inner_texts() == [
            "Falls\tFlow matching raw\tnot reproduced\treproduced"
        ]
        page.wait_for_function("document.querySelector('#explorer-charts').textContent.includes('second: default')")
        page.set_input_files("#explorer-other", {"name": "x.html", "mimeType": "text/html", "buffer": b"<p>nothing"})
        page.get_by_text("x.html is no report of a study").wait_for()


def test_tables_are_sorted_and_filtered_by_keyboard(browser, report):
    with Shown(browser, report) as page:
        table = page.locator(".wide[aria-label=Runs]")
        heading = table.get_by_role("button", name="share at the end (%)")
        column = "th:has(button:focus)"
        heading.focus()
        page.keyboard.press("Enter")
        assert table.locator(column).get_attribute("aria-sort") == "ascending"
        assert [row.split("\t")[0] for row in table.locator("tbody tr").all_inner_texts()] == [
            "control", "default", "chains", "chains", "chains",
        ]  # fmt: skip
        page.get_by_label("Filter: Runs").fill("chains 0.6")
        assert table.locator("tbody tr:visible").count() == 1


def test_claims_are_filtered_and_unfold_for_links(browser, report):
    with Shown(browser, report, fragment="#claim-falls") as page:
        assert page.locator("#claim-falls table").is_visible()
        for verdict in ("reproduced", "not reproduced"):
            page.get_by_label(verdict, exact=True).uncheck()
        assert page.locator("#claim-falls").is_hidden()


def test_a_figure_is_enlarged_and_closed_by_keyboard(browser, report):
    with Shown(browser, report) as page:
        page.locator("#figure-all-summary img").focus()
        page.keyboard.press("Enter")
        page.locator("dialog img").wait_for()
        page.keyboard.press("Escape")
        assert page.locator("dialog").is_hidden()


def test_it_prints_with_claims_unfolded(browser, report, tmp_path):
    with Shown(browser, report) as page:
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert page.locator("#claim-falls table").is_visible()
        assert page.locator("nav").is_hidden()
        assert len(page.pdf()) > 10_000


def test_a_claim_of_one_task_leaves_the_others_blank(browser, tmp_path):
    parts = report_parts(tmp_path)
    parts["claims"] = pd.concat([parts["claims"], pd.DataFrame([claim("rises")])], ignore_index=True)
    write_report(tmp_path / "report.html", **parts)
    with Shown(browser, tmp_path / "report.html") as page:
        row = page.locator(".matrix tbody tr").nth(1)
        assert [cell.strip() for cell in row.locator("td").all_inner_texts()] == [
            "✓\nreproduced",
            "✓\nreproduced",
            "",
            "",
        ]
