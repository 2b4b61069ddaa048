"""Rows with points, intervals and the numbers beside them: what the figures of notebooks 08 and 09 are drawn with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.metrics.registry import MEASURES
from lib.report.comparisons import is_estimable, reason
from lib.report.style import ALARM, INK, QUIET, arm_colours, arm_markers, new_figure, wrap
from lib.report.words import NOTHING, estimate, number

ROW = 0.27                              # inches
BAND = "#E9E9E9"                        # what does not count: differences too small to matter, what chance alone gives


def place_rows(
    headers: Sequence[str],             # [R] the block each row belongs to; "" for none
) -> tuple[np.ndarray, list[tuple[float, str]], float]:
    """Heights of the rows on the axis [R], where each block's header stands, and the height of the whole."""
    headers = np.asarray(headers, dtype=object)
    places, titles, at = np.zeros(len(headers)), [], 0.0
    for header in dict.fromkeys(headers):
        if header:
            titles.append((at, str(header)))
            at += 0.95
        for i in np.flatnonzero(headers == header):
            places[i], at = at, at + 1
        at += 0.35
    return places, titles, at


def label_rows(
    axes:   Axes,
    places: np.ndarray,
    labels: Sequence[str],
    titles: Sequence[tuple[float, str]],
    height: float,
    width:  int = 26,                   # characters
) -> None:
    """Names at the left, the blocks' headers in bold, first row on top."""
    axes.set_ylim(height - 0.6, -0.7)
    ticks = sorted([*zip(places.tolist(), labels, strict=True), *titles], key=lambda tick: tick[0])
    axes.set_yticks([place for place, _ in ticks], [wrap(text, width, 2) for _, text in ticks], linespacing=0.95)
    starts = {place for place, _ in titles}
    for (place, _), text in zip(ticks, axes.get_yticklabels(), strict=True):
        text.set_fontweight("bold" if place in starts else "normal")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(True, axis="x")


def blocks(rows: pd.DataFrame, title: str, note: str) -> tuple[Figure, Axes, np.ndarray]:
    """A figure with a line for every row (column `arm`), a block for every `group`; returns the rows' heights on the axis."""
    places, titles, height = place_rows(rows["group"])
    figure, axes = new_figure(title=title, height=ROW * height + 1.1, note=note)
    label_rows(axes[0, 0], places, list(rows["arm"]), titles, height)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(6))
    return figure, axes[0, 0], places


def fit_axis(axes: Axes, numbers: Sequence[float], keep: tuple[float, ...] = ()) -> None:
    """Make all `numbers` that are known, and `keep`, lie inside the axis."""
    known = [float(x) for x in numbers if pd.notna(x)]
    low, high = min([*known, *keep], default=0.0), max([*known, *keep], default=1.0)
    room = 0.06 * ((high - low) or 0.1)
    axes.set_xlim(low - room, high + room)


def draw_rows(
    axes:   Axes,
    rows:   pd.DataFrame,               # arm, value, low, high, note, counts; words: more to say beside a row; numbers: instead of value
    places: np.ndarray,
    arms:   Sequence[str],              # all arms of the study in order, for their colours; empty: those of the rows
    metric: str | None = None,          # default: each row's own
    keep:   tuple[float, ...] = (),     # what must lie inside the axis
) -> None:
    """Points, intervals and the numbers beside them; rows that are not estimable say why."""
    arms = arms or list(dict.fromkeys(rows["arm"]))
    fit_axis(axes, rows[["value", "low", "high"]].to_numpy(dtype=float).ravel(), keep)
    for place, row in zip(places, rows.itertuples(), strict=True):
        beside = basis(row, metric or getattr(row, "metric", ""))
        if not is_estimable(row):
            say_not_estimable(axes, place, row)
            write_beside(axes, place, beside, QUIET)
            continue
        draw_point(axes, place, row.arm, row.value, arms, ends=(row.low, row.high))
        extra, numbers = getattr(row, "words", ""), getattr(row, "numbers", "") or estimate(row.value, row.low, row.high)
        write_beside(axes, place, f"{numbers}   {beside}" + (f"\n{wrap(extra, 40, 1)}" if extra else ""))


def draw_point(
    axes:  Axes,
    place: float,
    arm:   str,
    value: float,
    arms:  Sequence[str],
    ends:  tuple[float, float] | None = None,
) -> None:
    """An arm's point in its colour and shape, with its interval."""
    colour, marker = arm_colours(arms).get(arm, QUIET), arm_markers(arms).get(arm, "o")
    if ends:
        axes.plot(ends, [place, place], color=colour, linewidth=2, solid_capstyle="butt", gid="interval")
    axes.plot(value, place, marker, color=colour, markersize=7, markeredgecolor="white", markeredgewidth=0.8, gid="point")


def say_not_estimable(axes: Axes, place: float, row) -> None:
    """The reason in place of a point."""
    why = reason(row)
    words = wrap("not estimable" + (f": {why}" if why != "no reason given" else ""), 68, 2)
    axes.text(0.01, place, words, transform=axes.get_yaxis_transform(), color=ALARM, fontstyle="italic", gid="not-estimable",
              va="center", ha="left", fontsize=7.5 if "\n" in words else 8.5,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85})


def write_beside(axes: Axes, place: float, text: str, colour: str = INK) -> None:
    """A row's numbers, right of the axis."""
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), color=colour, gid="numbers", va="center", ha="left", fontsize=8.5)


def basis(row, metric: str) -> str:
    """How many images a row rests on, and how many positives (for means over classes: how many of the smallest class)."""
    counts = [getattr(row, name, None) for name in ("n_images", "n_positives")]
    images, positives = (NOTHING if n is None or pd.isna(n) else number(int(n)) for n in counts)
    if positives == NOTHING or images == NOTHING:
        return "" if images == NOTHING else f"n = {images}"
    over_classes = metric in MEASURES and MEASURES[metric].rests_on == "classes"
    return f"n = {images}, {f'smallest class {positives}' if over_classes else f'{positives} positive'}"
