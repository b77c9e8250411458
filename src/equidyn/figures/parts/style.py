"""How figures look, and how they are written.

Series differ by colour and by marker, so that they stay apart in grey and to colour-blind readers; line style is free
to carry meaning. Figures are made without pyplot: no global state, no figure left open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from equidyn.core.files import replacing

# Okabe and Ito's palette, which colour-blind readers tell apart; yellow last, as it is weak on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h")

INK = "#303030"
MUTED = "#7A7A7A"
GREY = "#D9D9D9"
"""Behind data: what chance alone gives, or what is overfitted."""
WORSE, SILENT = "#ECECEC", "#F8EBC4"
"""Behind steps at which a network predicts nothing useful: worse than the trivial prediction, or no better than it."""

ONE_COLUMN, TWO_COLUMNS = 3.35, 6.9
"""Widths of figures in inches: those of the columns of journals, at which type has the sizes below."""
LEAST_TYPE = 6.0
"""Points; nothing in a figure is smaller."""
LABELS, TITLES, NOTES = 7.0, 7.5, 6.2
"""Points, of the type of axes, of titles of panels, and of legends and remarks."""

WIDE, LINE, THIN = 2.6, 1.15, 0.65
"""Points, of a line that shows behind one that it nearly equals, of curves, and of further seeds."""
BIG, MARKER, DOT = 5.6, 3.4, 2.2
"""Points, of the markers of each."""

DPI = 220  # of PNG: sharp on a screen; for print there are PDF and SVG
_SALT = "equidyn"
_RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with Matplotlib
    "font.size": LABELS,
    "axes.titlesize": TITLES,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.titley": 1.0,  # where they are anyway: looking for a free place takes a tenth of the time of drawing
    "axes.labelsize": LABELS,
    "axes.labelpad": 2.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.size": 2.6,
    "ytick.major.size": 2.6,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.45,
    "ytick.minor.width": 0.45,
    "legend.fontsize": NOTES,
    "legend.title_fontsize": 6.5,
    "legend.frameon": False,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.0,
    "legend.handlelength": 2.2,
    "legend.handletextpad": 0.6,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.35,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names of models, units and titles are shown as they are, dollar signs too
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#B0B0B0",
    "grid.alpha": 0.35,
    "grid.linewidth": 0.45,
    "lines.linewidth": LINE,
    "lines.markersize": MARKER,
    "patch.linewidth": 0.45,
    "hatch.linewidth": 0.4,
    "savefig.dpi": DPI,
    "savefig.bbox": None,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "path",  # looks the same where the font is missing
    "svg.hashsalt": _SALT,
}
# How each format is written. Without a date, the same figure gives the same bytes.
_WRITING: dict[str, dict] = {
    "png": {},
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
}
FORMATS = tuple(_WRITING)
"""In which figures can be written."""

logging.getLogger("fontTools").setLevel(logging.WARNING)  # a hundred lines for each font that a PDF embeds


@contextmanager
def applied() -> Iterator[None]:
    """Draw in the project's style, whatever the user's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches, a column or two wide, whose panels make room for each other; call within `applied`."""
    return Figure(figsize=(width, height), layout="constrained")


def distinct(count: int) -> list[str]:
    """Colours for things without order; beyond eight they repeat, and markers tell them apart."""
    return [PALETTE[i % len(PALETTE)] for i in range(count)]


def graded(count: int) -> list[str]:
    """Colours for ordered things, dark for small: viridis without its pale end."""
    return _from_map("viridis", 0.05, 0.78, count)


def timed(count: int) -> list[str]:
    """Colours for flow times, dark for noise: inferno without its ends, whose colours stay apart to all readers."""
    return _from_map("inferno", 0.1, 0.85, count)


def _from_map(name: str, first: float, last: float, count: int) -> list[str]:
    colours = mpl.colormaps[name]
    return [to_hex(colours(position)) for position in np.linspace(first, last, count)] if count > 1 else [PALETTE[0]]


def save(figure: Figure, data: pd.DataFrame, stem: str | Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure, and what it shows as CSV.

    All files are complete under temporary names before the first gets its own, so a reader never meets half a file.
    The same figure gives the same bytes.

    Args:
        figure: The figure; its layout is fixed from here on.
        data: What it shows.
        stem: Path without suffix; folders are made.
        formats: Some of `FORMATS`.

    Returns:
        The paths of the files, in the order of `formats`, the CSV last.
    """
    stem = Path(stem)
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in (*formats, "csv")]
    with ExitStack() as files, applied():
        figure.set_dpi(DPI)
        if figure.axes and (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # savefig itself would draw all once in vain, and move panels with each format
            figure.set_layout_engine(None)
            for axes in figure.axes:  # the solver's last digits hang on addresses in memory
                axes.set_position(np.round(axes.get_position(original=True).bounds, 6))
        temporary = [files.enter_context(replacing(path)) for path in paths]
        for path, kind in zip(temporary, formats, strict=False):
            if kind == "png":
                _write_png(figure, path)
            else:
                figure.savefig(path, format=kind, **_WRITING[kind])
        data.to_csv(temporary[-1], index=False, lineterminator="\n")
    return paths


def _write_png(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG of 256 colours, which takes a quarter of the bytes, no more time, and looks the same."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    few = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.putpalette([255 if value > 251 else value for value in few.getpalette() or ()])  # white stays white
    few.save(path, "png", dpi=(DPI, DPI), compress_level=6)
