"""The site of the documentation: `make docs`. Its root is the repository, so that links work there, too."""

from base64 import b64encode
from contextlib import suppress
from html import escape
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from docutils import nodes
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from sphinx.util.docutils import SphinxDirective

import equidyn
from equidyn.figures.planned import figures_for, known_figures

project = "equidyn"
author = copyright = "The equidyn developers"
version = release = equidyn.__version__

root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "config/README.md",
    "results/README.md",
]
exclude_patterns = [".*", "build", "downloads", "results/*/*", "src", "tests"]
html_additional_pages = {"index": "moved.html"}
templates_path = ["_templates"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_mock_imports = ["lightning", "torchmetrics", "transformers"]  # need not be installed to describe callbacks
default_role = "py:obj"  # single backticks in docstrings

html_theme = "furo"
html_title = f"equidyn {version}"
html_static_path = ["_static"]
html_css_files = ["formulas.css", "gallery.css"]
html_math_renderer = "pictures"

nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!equidyn\.).*")]
"""References that lead nowhere are errors, but those to other packages and names of arguments."""


def named(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """What is shown for a reference to something that is there, and on no page; None if there is no such thing."""
    parts = node["reftarget"].split(".")
    for count in range(len(parts), 0, -1):
        with suppress(ImportError, AttributeError):
            found = import_module(".".join(parts[:count]))
            for part in parts[count:]:
                found = getattr(found, part)
            return shown
    return None


def formula(text: str) -> str:
    """A formula as a picture within the page: MathJax would come from the network."""
    picture = BytesIO()
    depth = math_to_image(f"${text}$", picture, dpi=72, format="svg", prop=FontProperties(size=12))
    data = b64encode(picture.getvalue()).decode("ascii")
    style = f"vertical-align: {-depth:.1f}pt"
    return f'<img class="formula" style="{style}" alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'


def within(writer: Any, node: Any) -> None:
    """Write a formula within a line."""
    writer.body.append(formula(node.astext()))
    raise nodes.SkipNode


def apart(writer: Any, node: Any) -> None:
    """Write a formula in a line of its own."""
    writer.body.append(f'<div class="formula">{formula(node.astext())}</div>')
    raise nodes.SkipNode


class Gallery(SphinxDirective):
    """The figures of a task of the published study, small, in the order of its report."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A picture with its title for each figure that the study has."""
        folder = Path("results/cpu/figures", self.arguments[0])
        shown: list[nodes.Node] = []
        for name in figures_for(self.arguments[0]):
            if (Path(self.env.srcdir) / folder / f"{name}.png").exists():
                title = known_figures()[name].title
                image = nodes.image(uri=f"/{folder}/{name}.png", alt=title, width="320px")
                shown.append(nodes.figure("", image, nodes.caption("", title)))
        return [nodes.container("", *shown, classes=["gallery"])]


def setup(app: Any) -> None:
    """Let names of the package that have no page be, draw formulas, and show figures of the published study."""
    app.add_directive("gallery", Gallery)
    app.connect("missing-reference", named)
    app.add_html_math_renderer("pictures", (within, None), (apart, None))
