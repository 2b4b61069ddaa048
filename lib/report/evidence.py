"""The evidence in pictures (notebook 09): differences between arms, each arm per group, gaps between groups; with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.metrics.registry import MEASURES
from lib.report.comparisons import higher_is_better, is_estimable, pick, title_of
from lib.report.style import ALARM, INK, QUIET, arm_colours, arm_markers, house_style, new_figure, say_instead, wrap
from lib.report.words import NOTHING, estimate, join, number

ROW = 0.27                              # inches


@house_style
def plot_differences(
    differences:  pd.DataFrame,         # of lib.stats.compare.differences
    *,
    metric:       str | None = None,    # may be left out when the frame holds one
    architecture: str | None = None,    # default: the mean over architectures, or the only one
    margin:       float,                # a smaller difference does not matter; the grey band
    arms:         Sequence[str] = (),   # all arms of the study in order, for their colours
    confidence:   float = 0.95,
    title:        str | None = None,
) -> Figure:
    """Forest plot: a row per group × arm with the paired difference from the baseline, the zero line and the band of ± `margin`.

    Rows that are not estimable say why.
    """
    title = title or "Does training with each arm change the result, against the baseline?"
    if differences.empty:
        return say_instead(title, "There is nothing to compare: only the baseline was trained.")
    rows, metric = pick(differences, metric, architecture)
    baseline = join(dict.fromkeys(rows["baseline"].astype(str)))
    better = "right" if higher_is_better(metric) else "left"
    note = (f"Point and line: paired difference and its {confidence * 100:g}% interval. Grey band: differences under {margin:g}, which do "
            "not matter. An interval that touches the zero line is compatible with no difference.")
    figure, axes, places = _blocks(rows, title, note, arms)
    axes.axvspan(-margin, margin, color="#E9E9E9", linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    _draw(axes, rows, places, arms or list(dict.fromkeys(rows["arm"])), metric, keep=(-1.25 * margin, 1.25 * margin))
    axes.set_xlabel(f"{title_of(metric)}: difference from {wrap(baseline, 30, 1)} ({better} is better)")
    return figure


@house_style
def plot_arms(
    estimates:    pd.DataFrame,         # of lib.stats.compare.per_arm
    *,
    metric:       str | None = None,
    architecture: str | None = None,
    arms:         Sequence[str] = (),   # all arms of the study in order, for their colours
    confidence:   float = 0.95,
    title:        str | None = None,
) -> Figure:
    """Dot plot: a row per group × arm with its value and interval; rows that are not estimable say why."""
    title = title or "How well does each arm do in each group?"
    if estimates.empty:
        return say_instead(title, "There are no results.")
    rows, metric = pick(estimates, metric, architecture)
    note = (f"Point and line: value on test images and its {confidence * 100:g}% interval. Intervals of two arms may overlap although the "
            "arms differ: the paired difference tells.")
    figure, axes, places = _blocks(rows, title, note, arms)
    _draw(axes, rows, places, arms or list(dict.fromkeys(rows["arm"])), metric)
    axes.set_xlabel(f"{title_of(metric)}: {'higher' if higher_is_better(metric) else 'lower'} is better")
    return figure


@house_style
def plot_gaps(
    gaps:         pd.DataFrame,         # of lib.stats.compare.gaps: worst, best (groups), value ≥ 0, low, high, note
    *,
    metric:       str | None = None,
    architecture: str | None = None,
    arms:         Sequence[str] = (),
    confidence:   float = 0.95,
    title:        str | None = None,
) -> Figure:
    """A row per arm: how far its best and its worst group are apart, with the interval and the two groups' names."""
    title = title or "How far are the groups apart?"
    if gaps.empty:
        return say_instead(title, "There are no results.")
    rows, metric = pick(gaps, metric, architecture)
    words = [f"{row.best} over {row.worst}" if is_estimable(row) and {"best", "worst"} <= set(gaps) else "" for row in rows.itertuples()]
    rows = rows.assign(group="", words=words)
    note = (f"Point and line: best group minus worst group with its {confidence * 100:g}% interval. The two groups were picked for being "
            "far apart, so value and interval are biased upwards.")
    figure, axes, places = _blocks(rows, title, note, arms)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    _draw(axes, rows, places, arms or list(dict.fromkeys(rows["arm"])), metric, keep=(0.0, 0.02))
    axes.set_xlabel(f"{title_of(metric)}: best group minus worst group (0 is no gap)")
    return figure


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def _blocks(rows: pd.DataFrame, title: str, note: str, arms: Sequence[str]) -> tuple[Figure, Axes, np.ndarray]:
    """A figure with a line for every row, a block for every group; returns the rows' heights on the axis."""
    groups = list(dict.fromkeys(rows["group"]))
    places, labels, headers, at = np.zeros(len(rows)), [], [], 0.0
    for group in groups:
        if group:
            headers.append((at, group))
            at += 0.95
        for i in np.flatnonzero(rows["group"] == group):
            places[i] = at
            labels.append((at, wrap(rows["arm"].iloc[i], 26, 1)))
            at += 1
        at += 0.35
    figure, axes = new_figure(title=title, height=ROW * at + 1.1, note=note)
    axes = axes[0, 0]
    axes.set_ylim(at - 0.6, -0.7)
    ticks = sorted([*labels, *((place, wrap(group, 26, 1)) for place, group in headers)])
    axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    starts = {place for place, _ in headers}
    for (place, _), text in zip(ticks, axes.get_yticklabels(), strict=True):
        text.set_fontweight("bold" if place in starts else "normal")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return figure, axes, places


def _draw(
    axes:   Axes,
    rows:   pd.DataFrame,
    places: np.ndarray,
    arms:   Sequence[str],
    metric: str,
    keep:   tuple[float, float] | None = None,
) -> None:
    """Points, intervals and the numbers beside them; `keep` must lie inside the axis."""
    colours, markers = arm_colours(arms), arm_markers(arms)
    numbers = [x for row in rows.itertuples() for x in (row.value, row.low, row.high) if pd.notna(x)]
    low, high = min([*numbers, *(keep or ())], default=0.0), max([*numbers, *(keep or ())], default=1.0)
    room = 0.06 * ((high - low) or 0.1)
    axes.set_xlim(low - room, high + room)
    axes.grid(True, axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    inside, beside = axes.get_yaxis_transform(), {"va": "center", "ha": "left", "fontsize": 8.5}
    for place, row in zip(places, rows.itertuples(), strict=True):
        if not is_estimable(row):
            reason = str(row.note) if isinstance(row.note, str) and row.note else ""
            reason = reason.split(";")[0] if reason.startswith("not estimable") else f"not estimable{f': {reason}' if reason else ''}"
            words = wrap(reason, 68, 2)
            axes.text(0.01, place, words, transform=inside, color=ALARM, fontstyle="italic", gid="not-estimable",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
                      **{**beside, "fontsize": 7.5 if "\n" in words else 8.5})
            axes.text(1.02, place, _basis(row, metric), transform=inside, color=QUIET, gid="numbers", **beside)
            continue
        colour = colours.get(row.arm, QUIET)
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt", gid="interval")
        axes.plot(row.value, place, markers.get(row.arm, "o"), color=colour, markersize=7, markeredgecolor="white", markeredgewidth=0.8,
                  gid="point")
        extra = getattr(row, "words", "")
        text = f"{estimate(row.value, row.low, row.high)}   {_basis(row, metric)}" + (f"\n{wrap(extra, 40, 1)}" if extra else "")
        axes.text(1.02, place, text, transform=inside, gid="numbers", **beside)


def _basis(row, metric: str) -> str:
    """How many images a row rests on, and how many positives (for means over classes: how many of the smallest class)."""
    counts = [getattr(row, name, None) for name in ("n_images", "n_positives")]
    images, positives = (NOTHING if n is None or pd.isna(n) else number(int(n)) for n in counts)
    if positives == NOTHING or images == NOTHING:
        return "" if images == NOTHING else f"n = {images}"
    over_classes = metric in MEASURES and MEASURES[metric].rests_on == "classes"
    return f"n = {images}, {f'smallest class {positives}' if over_classes else f'{positives} positive'}"
