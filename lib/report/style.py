"""One house style for every figure: fonts, colours by role, sizes that read at 100 % on a page 900 px wide.

Figures are plain `matplotlib.figure.Figure` objects, made without pyplot, so nothing stays open and no global setting changes.
Names from the data are never read as mathematics: `$` in a label is a dollar sign.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text

DPI = 100                                           # one inch of figure is 100 px of page
WIDTH = 8.6                                         # inches; fits a page 900 px wide with its margins

INK, QUIET, GRID, ALARM = "#222222", "#6B6B6B", "#E4E4E4", "#B3261E"
BLANK = "#F4F4F4"                                   # a cell with nothing in it
UNKNOWN_COLOUR = "#9A9A9A"

# Okabe & Ito 2008, told apart with any common colour blindness; the first arm (the baseline) is the neutral one.
ARMS = ("#4D4D4D", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "h")
LINES = ("-", "--", ":", "-.")
SPLITS = {"train": "#0072B2", "validation": "#7FBEE0", "test": "#E69F00"}
_LIGHT_TO_DARK = LinearSegmentedColormap.from_list("groups", ["#E3A869", "#B97A45", "#834D2B", "#35190F"])
COUNTS = LinearSegmentedColormap.from_list("counts", ["#EEF5FA", "#9CC7E3", "#3A86BD", "#0B4F80"])

HOUSE = {
    "font.family": "DejaVu Sans", "font.size": 9.5, "text.color": INK, "text.usetex": False,
    "figure.dpi": DPI, "figure.facecolor": "white", "savefig.facecolor": "white", "savefig.dpi": "figure",
    "figure.titlesize": 12, "figure.titleweight": "bold",
    "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 8,
    "axes.labelsize": 9.5, "axes.labelcolor": INK, "axes.edgecolor": "#AAAAAA", "axes.linewidth": 0.8, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.formatter.useoffset": False, "axes.unicode_minus": True,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "xtick.color": "#AAAAAA", "ytick.color": "#AAAAAA",
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "xtick.major.size": 3, "ytick.major.size": 3,
    "grid.color": GRID, "grid.linewidth": 0.8, "legend.frameon": False, "legend.fontsize": 9,
    "lines.linewidth": 1.6, "lines.markersize": 5, "hatch.linewidth": 0.7,
}


class ReportFigure(Figure):
    """A figure that a notebook shows by itself, at twice the pixels for sharp text, with its title as the alternative text.

    Plain figures show only where pyplot's notebook backend was switched on; this one needs no pyplot.
    """

    def savefig(self, *args, **options):
        """As `Figure.savefig`, in the house style (ticks are made while drawing)."""
        with matplotlib.rc_context(HOUSE):
            return super().savefig(*args, **options)

    def _repr_png_(self):
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=2 * DPI)
        width, height = (round(float(inches) * DPI) for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height, "alt": (self.get_suptitle() or "figure").replace("\n", " ")}


def house_style(plot: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw `plot` in the house style and make every text of its figure literal."""

    @functools.wraps(plot)
    def styled(*args, **options):
        with matplotlib.rc_context(HOUSE):
            figure = plot(*args, **options)
            for text in figure.findobj(Text):
                text.set_parse_math(False)
        return figure

    return styled


def new_figure(
    rows:     int = 1,
    columns:  int = 1,
    *,
    title:    str,                      # the question that the figure answers
    height:   float,                    # inches
    width:    float = WIDTH,            # inches
    note:     str | None = None,        # small print under the figure
    **subplots,                         # handed to Figure.subplots: sharex, width_ratios, …
) -> tuple[Figure, np.ndarray]:
    """A figure with its title at the left and axes [rows, columns], laid out without overlap."""
    lines = wrap(title, int(width * 10.5), 3)
    small = wrap(note, int(width * 16.5), 4) if note else ""
    tall = height + 0.22 * lines.count("\n") + (0.16 * (small.count("\n") + 1) + 0.1 if small else 0)
    figure = ReportFigure(figsize=(width, tall), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.08, hspace=0.04, wspace=0.04)
    figure.suptitle(lines, x=0.01, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False, **subplots)
    if small:
        figure.supxlabel(small, x=0.01, ha="left", fontsize=8, color=QUIET)
    return figure, axes


@house_style
def say_instead(title: str, reason: str) -> Figure:
    """A flat figure that says in words why there is nothing to draw."""
    figure, axes = new_figure(title=title, height=1.1)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0, 0.5, wrap(reason, 100, 3), color=QUIET, va="center", transform=axes[0, 0].transAxes)
    return figure


def legend_below(
    figure:  Figure,
    axes:    np.ndarray,                # of new_figure; its last row is given up for the legend
    handles: Sequence,                  # artists with labels
    columns: int,
) -> None:
    """Put a legend over the whole width under the plots, where it meets neither the title nor the note."""
    place = axes[-1, 0].get_gridspec()[-1, :]
    for one in axes[-1]:
        one.remove()
    row = figure.add_subplot(place)
    row.set_axis_off()
    legend = row.legend(handles=handles, loc="upper left", ncols=columns, borderaxespad=0, borderpad=0, handlelength=2.2)
    legend.set_in_layout(False)         # its row has a height already, and a wide legend must not squeeze the plots


def light_grid(axes: Axes, along: str = "y") -> None:
    """Thin lines across one direction only; the other needs none."""
    axes.grid(True, axis=along)
    axes.tick_params(axis="both", length=0)


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """Arm → colour, by place in the list: the same arm has the same colour in every figure of a study."""
    return {arm: ARMS[i % len(ARMS)] for i, arm in enumerate(arms)}


def arm_markers(arms: Sequence[str]) -> dict[str, str]:
    """Arm → marker shape, so that the arms differ without colour too."""
    return {arm: MARKERS[i % len(MARKERS)] for i, arm in enumerate(arms)}


def group_colours(groups: Sequence[str], unknown: str = "unknown") -> dict[str, str]:
    """Group → colour, light to dark in the order given; the unknown group is grey."""
    named = [group for group in groups if group != unknown]
    steps = np.linspace(0, 1, len(named)) if len(named) > 1 else [0.5]
    colours = {group: matplotlib.colors.to_hex(_LIGHT_TO_DARK(step)) for group, step in zip(named, steps, strict=False)}
    return {group: colours.get(group, UNKNOWN_COLOUR) for group in groups}


def text_on(colour) -> str:
    """Black or white, whichever reads better on `colour` (relative luminance, WCAG 2.1)."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return INK if 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 else "white"


def wrap(text: object, width: int = 18, lines: int = 3) -> str:
    """Break a name into at most `lines` lines of `width` characters; the middle of a longer one is left out ("…").

    Names of one study often begin alike, so the end is kept.
    """
    whole, width = printable(" ".join(str(text).split())), max(width, 5)
    length = len(whole)
    while len(broken := textwrap.wrap(shorten(whole, length), width, break_on_hyphens=False)) > lines:
        length -= 1
    return "\n".join(broken)


def shorten(text: str, longest: int) -> str:
    """`text` with its middle left out when it has more than `longest` characters: three parts of the start, two of the end."""
    if len(text) <= longest:
        return text
    end = (longest - 1) * 2 // 5
    return text[:longest - 1 - end].rstrip() + "…" + (text[-end:].lstrip() if end > 0 else "")


def printable(text: str) -> str:
    """Replace characters that the font lacks, which would otherwise raise a warning while drawing."""
    if text.isascii():
        return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    known = _font_characters()
    return "".join(c if c == "\n" or (c.isprintable() and ord(c) in known) else "\ufffd" for c in text)


@functools.cache
def _font_characters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
