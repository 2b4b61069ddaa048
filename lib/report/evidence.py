"""The evidence in pictures (notebook 09): differences between arms, each arm per group, gaps between groups; with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from lib.report.comparisons import better_side, higher_is_better, is_estimable, pick, title_of
from lib.report.forest import BAND, blocks, draw_rows
from lib.report.style import INK, house_style, say_instead, wrap
from lib.report.words import join


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
    figure, axes, places = blocks(rows, title, note)
    axes.axvspan(-margin, margin, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    draw_rows(axes, rows, places, arms, metric, keep=(-1.25 * margin, 1.25 * margin))
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
    figure, axes, places = blocks(rows, title, note)
    draw_rows(axes, rows, places, arms, metric)
    axes.set_xlabel(better_side(metric))
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
    figure, axes, places = blocks(rows, title, note)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    draw_rows(axes, rows, places, arms, metric, keep=(0.0, 0.02))
    axes.set_xlabel(f"{title_of(metric)}: best group minus worst group (0 is no gap)")
    return figure
