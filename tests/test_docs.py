"""The site of the documentation is built, and a link or a name that leads nowhere ends the build."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


def build(source, output, *options):
    """Build the pages of a folder, warnings being errors."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", ROOT / "docs", *options]
    return subprocess.run([*command, source, output], capture_output=True, text=True)


def test_site_is_built(tmp_path):
    result = build(ROOT, tmp_path)
    assert result.returncode == 0, result.stderr
    fetched = r'<(script|link|img)[^>]* (src|href)="(https?:)?//[^"]*"'
    assert not [file for file in tmp_path.rglob("*.html") if re.search(fetched, file.read_text("utf-8"))]
    assert 'class="formula"' in (tmp_path / "README.html").read_text("utf-8")
    page = (tmp_path / "docs/api/measuring.html").read_text("utf-8")
    for name in ("measure", "Measurement.percent", "Monitor"):
        assert f'id="equidyn.{name}"' in page
    gallery = (tmp_path / "docs/gallery.html").read_text("utf-8")
    assert gallery.count("<img") >= len(list((ROOT / "results/cpu/figures").glob("*/*.png")))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("page.md", "# A\n\n[fine](#a)\n", ""),
        ("page.md", "# A\n\n[b](nowhere.md)\n", "nowhere.md"),
        ("page.rst", "A\n=\n\n`equidyn.core.decomposition.decompose` of `x`, `torch.nn.Module`\n", ""),
        ("page.rst", "A\n=\n\n`equidyn.core.decomposition.compose`\n", "equidyn.core.decomposition.compose"),
    ],
)
def test_what_leads_nowhere_is_found(tmp_path, name, text, message):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / name).write_text(text)
    options = ["-D", "root_doc=page", "-D", "include_patterns=*", "-D", "html_additional_pages.index="]
    result = build(tmp_path / "pages", tmp_path / "site", "-b", "dummy", *options)
    assert bool(result.returncode) == bool(message), result.stderr
    assert message in result.stderr
