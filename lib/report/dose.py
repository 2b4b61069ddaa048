"""Dose and response: the measure over how many generated images are drawn for each real one (notebook 08)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.report.comparisons import better_side, higher_is_better, is_estimable, names_of_groups, reason, title_of
from lib.report.style import (
    ALARM,
    BLANK,
    QUIET,
    arm_colours,
    arm_markers,
    house_style,
    legend_below,
    light_grid,
    new_figure,
    say_instead,
    wrap,
)
from lib.report.words import join, number, signed
from lib.stats.dose import halvings
from lib.stats.verdict import lies_beyond

ACROSS = 4                              # panels beside each other at most
SPREAD = 0.13                           # of the axis: how far series lie apart at most, so that their intervals do not cover each other


@house_style
def plot_dose(
    response: pd.DataFrame,             # of lib.stats.dose.dose_response, one measure
    *,
    metric: str,
    arms:   Sequence[str],              # all series and arms in order, for their colours
    title:  str | None = None,
) -> Figure:
    """A panel for everybody and each group: value and interval at every dose, a line per series; the grey band is the dose without any."""
    title = title or f"What does {title_of(metric)} do as more generated images are drawn?"
    rows = names_of_groups(response[response["metric"] == metric])
    if rows.empty:
        return say_instead(title, "No arm was trained at several ratios of generated to real images.")
    series, groups = (list(dict.fromkeys(rows[name])) for name in ("series", "group"))
    across = min(ACROSS, len(groups))
    down = -(-len(groups) // across)
    note = ("Generated images drawn for each real one; the steps of training are the same at every dose. Points and lines: mean over the "
            "trainings and its interval.")
    if (rows["ratio"] == 0).any():
        note += " Grey: the same of the arm without generated images."
    columns = min(len(series), 2)
    below = 0.21 * -(-len(series) // columns) + 0.1
    figure, axes = new_figure(down + 1, across, title=title, height=2.8 * down + below, note=note, sharey="row",
                              height_ratios=[2.8] * down + [below])
    colours, markers = arm_colours(arms), arm_markers(arms)
    handles = []
    for axis, group in zip(axes[:-1].ravel(), groups, strict=False):
        handles = _panel(axis, rows[rows["group"] == group], series, colours, markers)
        axis.set_title(wrap(group, 24 if across > 2 else 40, 1))
    for empty in axes[:-1].ravel()[len(groups):]:
        empty.set_axis_off()
    ends = rows[["value", "low", "high"]].to_numpy(dtype=float)
    for row in axes[:-1]:
        row[0].set_ylim(*_limits(ends))
        row[0].set_ylabel(wrap(better_side(metric), 30, 2))
    for axis in axes[-2]:
        axis.set_xlabel("generated per real image", color=QUIET)
    legend_below(figure, axes, handles, columns)
    return figure


def describe_dose(
    response: pd.DataFrame,             # of lib.stats.dose.dose_response
    trends:   pd.DataFrame,             # of lib.stats.dose.dose_trends
    *,
    metric: str,
) -> list[str]:
    """For each series and group: which doses differ from its lowest one, and whether there is a trend; it names no best dose."""
    rows = names_of_groups(response[response["metric"] == metric])
    if rows.empty:
        return ["No arm was trained at several ratios of generated to real images."]
    slopes = {(row.series, row.group): row for row in names_of_groups(trends[trends["metric"] == metric]).itertuples()}
    sentences = []
    for (series, group), part in rows.groupby(["series", "group"], sort=False):
        doses = [row for row in part.itertuples() if pd.notna(row.difference)]
        if not doses:
            why = reason(next(part.itertuples()))
            sentences.append(f"{series}, {group}: not estimable ({why}).")
            continue
        apart = {word: [dose(row.ratio) for row in doses if lies_beyond(row.difference_low, row.difference_high)
                        and ((row.difference > 0) == higher_is_better(metric)) == better]
                 for better, word in ((True, "better"), (False, "worse"))}
        lowest = float(part["ratio"].min())                             # differences are from it, and it is not none in every study
        than = "without any" if lowest == 0 else f"with {dose(lowest)}"
        said = [f"{word} than {than} at {join(ratios)}" for word, ratios in apart.items() if ratios]
        said = " and ".join(said) or f"no dose ({join(dose(row.ratio) for row in doses)}) is told from {dose(lowest)}"
        sentences.append(f"{series}, {group}: {said}{_trend(slopes.get((series, group)), metric)}.")
    return [*sentences, "The best of these doses is not picked: chance would have helped to pick it, and its value would flatter."]


def dose(ratio: float) -> str:
    """A ratio as a reader says it: "2:1", "0.5:1", "none"."""
    return "none" if ratio == 0 else f"{ratio:g}:1"


def _trend(row, metric: str) -> str:
    if row is None:
        return ""
    if not is_estimable(row):
        return f"; the trend is not estimable ({reason(row)})"
    said = f"each halving of the real share changes {title_of(metric)} by {signed(row.value)} ({signed(row.low)} to {signed(row.high)})"
    if not lies_beyond(row.low, row.high):
        return f"; {said}: no trend is shown"
    return f"; {said}: {'more is better' if (row.value > 0) == higher_is_better(metric) else 'more is worse'} over these doses"


def _panel(
    axes:    Axes,
    rows:    pd.DataFrame,                                 # of one group
    series:  Sequence[str],
    colours: Mapping[str, str],
    markers: Mapping[str, str],
) -> list:
    """One panel; its artists with labels."""
    light_grid(axes)
    ratios, handles = sorted(rows["ratio"].unique()), []
    width = halvings(ratios[-1]) or 1.0
    axes.set_xlim(-0.12 * width, 1.12 * width)
    axes.set_xticks([halvings(ratio) for ratio in ratios], [_tick(ratio) for ratio in ratios])
    if not any(is_estimable(row) for row in rows.itertuples()):
        axes.text(0.03, 0.5, f"not estimable:\n{wrap(reason(next(rows.itertuples())), 26, 4)}", transform=axes.transAxes, va="center",
                  fontsize=8, color=ALARM, fontstyle="italic", gid="not-estimable")
    for at, name in enumerate(series):
        mine = rows[(rows["series"] == name) & rows[["value", "low", "high"]].notna().all(axis=1)]
        none = mine[mine["ratio"] == 0]
        if at == 0 and len(none):
            axes.axhspan(none["low"].iloc[0], none["high"].iloc[0], color=BLANK, linewidth=0, zorder=0, gid="none")
            axes.axhline(none["value"].iloc[0], color=QUIET, linewidth=1, linestyle=":", zorder=1)
        shift = (at - (len(series) - 1) / 2) * min(0.045, SPREAD / len(series)) * width
        x = [halvings(ratio) + (shift if ratio else 0) for ratio in mine["ratio"]]
        axes.vlines(x, mine["low"], mine["high"], color=colours.get(name, QUIET), linewidth=1.8, gid="interval")
        handles += axes.plot(x, mine["value"], markers.get(name, "o"), linestyle="-", linewidth=1.2, markersize=6, markeredgecolor="white",
                             markeredgewidth=0.7, color=colours.get(name, QUIET), label=wrap(name, 40, 1), gid="response")
    return handles


def _tick(ratio: float) -> str:
    return number(ratio, 0 if ratio == int(ratio) else 1 if ratio * 10 == int(ratio * 10) else 2)


def _limits(ends) -> tuple[float, float]:
    known = ends[~pd.isna(ends)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    room = 0.06 * ((high - low) or 0.1)
    return low - room, high + room
