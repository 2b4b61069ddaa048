"""A value held against what chance alone would give: gaps between groups, equalised odds, calibration error (notebook 09)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.report.comparisons import notes, p_value, reason
from lib.report.forest import blocks, draw_point, fit_axis, say_not_estimable, write_beside
from lib.report.style import INK, QUIET, house_style, say_instead
from lib.report.words import capital, join, number

NULL = "#D9D9D9"


@house_style
def plot_against_chance(
    rows:   pd.DataFrame,               # arm, value, null_median, null_high (95th percentile), p_value, note; group: its block
    *,
    title:  str,
    label:  str,                        # of the axis: what the value is
    chance: str,                        # what the grey band stands for, in half a sentence
    arms:   Sequence[str],              # all arms of the study in order, for their colours
) -> Figure:
    """A row per arm: its value as a point over the band, from zero to the 95th percentile, of what chance alone gives; median marked."""
    if rows.empty:
        return say_instead(title, "There are no results.")
    rows = rows if "group" in rows else rows.assign(group="")
    note = (f"Grey band: 19 of 20 values {chance}; tick in it: the middle one. A point inside the band is what chance alone could give.")
    figure, axes, places = blocks(rows, title, note)
    fit_axis(axes, rows[["value", "null_high"]].to_numpy(dtype=float).ravel(), keep=(0.0, 0.02))
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_xlabel(label)
    for place, row in zip(places, rows.itertuples(), strict=True):
        if not has_null(row):
            say_not_estimable(axes, place, row)
            continue
        axes.add_patch(Rectangle((0, place - 0.36), row.null_high, 0.72, facecolor=NULL, edgecolor="none", zorder=1, gid="null"))
        axes.plot([row.null_median] * 2, [place - 0.36, place + 0.36], color=QUIET, linewidth=1.2, zorder=2, gid="null-median")
        draw_point(axes, place, row.arm, row.value, arms)
        chance_words = f"chance {number(row.null_median)}, up to {number(row.null_high)}"
        write_beside(axes, place, f"{number(row.value)}   {chance_words}   {p_value(row.p_value)}")
    return figure


def judge_chance(row, confidence: float = 0.95) -> str:
    """What the comparison with chance says, as a clause after the value."""
    answer = "more than chance alone explains" if row.p_value < 1 - confidence else "no more than chance alone could give"
    return f"{answer} ({p_value(row.p_value)})"


def has_null(row) -> bool:
    """Whether a row holds a value, its null and its p-value."""
    return not any(pd.isna(getattr(row, name)) for name in ("value", "null_median", "null_high", "p_value"))


def remarks(rows: pd.DataFrame, what: str) -> list[str]:
    """What is not estimable, each reason once with the arms it holds for; then the notes on the others."""
    arms: dict[str, list[str]] = {}
    for row in rows.itertuples():
        if not has_null(row):
            arms.setdefault(reason(row), []).append(str(row.arm))
    every = set(rows["arm"])
    return [*(capital(f"{what} is not estimable{'' if set(found) == every else f' for {join(dict.fromkeys(found), 6)}'} ({why}).")
              for why, found in arms.items()), *notes(rows.assign(group=""))]
