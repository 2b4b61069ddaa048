"""Figures of the exchange rate: the real arm's learning curve with the other arms on it, and what each arm is worth (notebook 08)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.report.comparisons import ALL, better_side, higher_is_better, names_of_groups, title_of
from lib.report.exchange import collected
from lib.report.forest import blocks, say_not_estimable, write_beside
from lib.report.style import QUIET, arm_colours, arm_markers, house_style, legend_below, light_grid, new_figure, say_instead, wrap
from lib.report.words import percent
from lib.stats.evaluation import Evaluation
from lib.stats.exchange import REAL, Place, arms_of, curve_of, curve_points
from lib.stats.learning_curve import LearningCurve

ACROSS = 2         # panels beside each other


@house_style
def plot_learning_curves(
    evaluation: Evaluation,             # of lib.stats.exchange.evaluate_with_curve
    rates:      pd.DataFrame,           # of lib.stats.exchange.exchange_rates
    *,
    arms:       Sequence[str],          # all arms of the study in order, for their colours
    title:      str | None = None,
) -> Figure:
    """A panel for everybody and each group: what the real arm does with fewer and more images, and where the other arms stand on that."""
    metric = evaluation.metrics[0]
    title = title or f"How many real images would do as well, in {title_of(metric)}?"
    points = curve_points(evaluation)
    points = points[points["label"] == ALL]
    if points["fraction"].nunique() < 2:
        return say_instead(title, "The real arm was trained on all patients only (classifier.learning_curve is empty).")
    groups, shown = list(dict.fromkeys(points["group"])), arms_of(evaluation)
    down, below = -(-len(groups) // ACROSS), 0.21 * -(-(len(shown) + 1) // 3) + 0.1
    note = ("Black: the real arm on a share of the training patients (over 100%: with real images from the reserve), mean over the "
            "trainings with its interval; the line is the curve through 100%, dotted where it is not fitted. An arm stands where the curve "
            "is as high as the arm.")
    figure, axes = new_figure(down + 1, ACROSS, title=title, height=2.7 * down + below, note=note, height_ratios=[2.7] * down + [below])
    colours, markers = arm_colours(arms), arm_markers(arms)
    for axis, group in zip(axes[:-1].ravel(), groups, strict=False):
        mine = points[points["group"] == group]
        _draw_curve(axis, mine, curve_of(evaluation, Place(ALL, group)), sign=1 if higher_is_better(metric) else -1)
        base = mine.loc[mine["fraction"] == 1, "value"].iloc[0]
        for row in rates[rates["label"].eq(ALL) & rates["group"].eq(group) & rates["reason"].eq("")].itertuples():
            axis.plot(float(np.clip(row.fraction, mine["fraction"].min(), row.limit)), base + row.gain, markers.get(row.arm, "o"),
                      color=colours.get(row.arm, QUIET), markersize=7, markeredgecolor="white", gid="arm")
        axis.set_title(wrap(names_of_groups(mine)["group"].iloc[0], 40, 1))
    for empty in axes[:-1].ravel()[len(groups):]:
        empty.set_axis_off()
    for axis in axes[:-1, 0]:
        axis.set_ylabel(wrap(better_side(metric), 30, 2))
    handles = [Line2D([], [], color="black", marker="o", label=REAL)]
    handles += [Line2D([], [], color=colours.get(arm, QUIET), marker=markers.get(arm, "o"), linestyle="", label=wrap(arm, 40, 1))
                for arm in shown]
    legend_below(figure, axes, handles, 3)
    return figure


@house_style
def plot_exchange(
    rates: pd.DataFrame,                # of lib.stats.exchange.exchange_rates
    *,
    arms:  Sequence[str],               # all arms of the study in order, for their colours
    confidence: float = 0.95,
    title: str | None = None,
) -> Figure:
    """A row per arm, a block for everybody and each group: its place on the real arm's curve, in collected images beside."""
    title = title or "How many times the real images would do as well as each arm?"
    rows = names_of_groups(rates[rates["label"] == ALL])
    rows = rows.assign(order=rows["group"].map({name: i for i, name in enumerate(dict.fromkeys(rows["group"]))}))
    rows = rows.sort_values("order", kind="stable").assign(note=["not estimable: " + why if why else "" for why in rows["reason"]])
    if rows["reason"].ne("").all():
        return say_instead(title, f"Not estimable: {rows['reason'].iloc[0]}." if len(rows) else "No arm adds anything to the real images.")
    note = (f"{100 * confidence:g}% intervals; at 1 an arm is worth nothing. An arrow: the interval goes on beyond what the curve may be "
            "asked. Beside: how many more collected images that is, every class growing alike.")
    figure, axes, places = blocks(rows, title, note)
    limit, colours, markers = float(rows["limit"].max()), arm_colours(arms), arm_markers(arms)
    left, right = 2 ** math.floor(math.log2(min(0.5, rows["low"].replace(-math.inf, 0.25).min()))), limit * 1.15
    axes.set_xscale("log", base=2)
    axes.axvline(1, color=QUIET, linewidth=1)
    for place, row in zip(places, rows.itertuples(), strict=True):
        if row.reason:
            say_not_estimable(axes, place, row)
            continue
        colour = colours.get(row.arm, QUIET)
        low, value, high = (float(np.clip(x, left, right)) for x in (row.low, row.fraction, row.high))
        axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="butt", gid="interval")
        for end, mark, at in ((row.low == -math.inf, "<", low), (row.high == math.inf, ">", high)):
            if end:
                axes.plot(at, place, mark, color=colour, markersize=6, clip_on=False, gid="open")
        if math.isfinite(row.fraction):
            axes.plot(value, place, markers.get(row.arm, "o"), color=colour, markersize=7, markeredgecolor="white", gid="point")
        write_beside(axes, place, collected(row))
    ticks = [2.0**k for k in range(round(math.log2(left)), math.floor(math.log2(limit)) + 1)]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(left, right)
    axes.set_xlabel("as good as the real arm with so many times its images")
    return figure


def _draw_curve(axes: Axes, points: pd.DataFrame, curve: LearningCurve | str, *, sign: int) -> None:
    known = points[points["reason"] == ""]
    axes.vlines(known["fraction"], known["low"], known["high"], color="black", linewidth=1, alpha=0.5)
    axes.plot(known["fraction"], known["value"], "o", color="black", markersize=5, gid="point")
    axes.set_xscale("log", base=2)
    ticks = points["fraction"].tolist()
    axes.set_xticks(ticks, [percent(tick) for tick in ticks], rotation=45 if len(ticks) > 4 else 0)       # side by side they would touch
    axes.minorticks_off()
    light_grid(axes)
    if isinstance(curve, str) or known.empty:
        axes.text(0.02, 0.04, wrap("no curve" + (f": {curve}" if isinstance(curve, str) else ""), 46, 2), transform=axes.transAxes,
                  color=QUIET, fontstyle="italic", fontsize=8)
        return
    base = float(known.loc[known["fraction"] == 1, "value"].iloc[0])
    for low, high, line in ((curve.fractions[0], 1.0, "-"), (1.0, curve.limit, ":")):
        at = np.geomspace(low, high, 40)
        axes.plot(at, base + sign * curve.height(at), line, color="black", linewidth=1.2)
