"""Verdicts where the truth is known: how often *better* comes up where nothing helps, and where something does (notebook 13)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib.report.comparisons import title_of
from lib.report.style import ALARM, ARMS, QUIET, house_style, light_grid, new_figure
from lib.report.words import capital, count, join, percent, signed
from lib.stats.evaluation import ALL
from lib.stats.null_truth import KINDS, NULL
from lib.study import NullTruth

COLOURS = {"better": ARMS[3], "equivalent": ARMS[1], "worse": ALARM, "cannot tell": QUIET}
_MEANING = {
    "shuffled": "generated images with shuffled labels against real ones alone",
    "copies":   "copies of training images against oversampling",
    "honest":   "more phantoms of the scarce group against real ones alone",
}


@house_style
def plot_repeats(rows: pd.DataFrame, options: NullTruth) -> Figure:
    """A row of panels per generator, a column per group: every repeat's difference with its interval, sorted, coloured by verdict."""
    generators, groups = (list(dict.fromkeys(rows[column])) for column in ("generator", "group"))
    figure, axes = new_figure(len(generators), len(groups), title="What do the verdicts say where the truth is known?",
                              height=1.9 * len(generators) + 0.6, sharex=True, sharey="row",
                              note=f"Each line is one repeat: difference in {title_of(options.metric)} with its interval, sorted. Dotted: "
                                   f"the margin of {options.margin:g}. \"Better\" is wrong in all rows but that of the honest generator.")
    for i, generator in enumerate(generators):
        for j, group in enumerate(groups):
            part = rows[(rows["generator"] == generator) & (rows["group"] == group)].dropna(subset="value").sort_values("value")
            _draw(axes[i, j], part, options)
            axes[i, j].set_title(f"{generator}, {_whom(group)}")
        axes[i, 0].set_ylabel("difference")
    for axis in axes[-1]:
        axis.set_xlabel("repeats, sorted")
    handles = [axes[0, 0].plot([], [], color=colour, linewidth=2, label=kind)[0] for kind, colour in COLOURS.items()]
    axes[0, -1].legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def verdict_table(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts as texts for people: a row per generator and group."""
    return pd.DataFrame([{
        "generator": row["generator"], "against": row["baseline"], "for": _whom(row["group"]),
        "true": "nothing helps" if row["generator"] in NULL else "it helps",
        **{kind: str(row[kind]) for kind in KINDS},
        "share of better": f"{percent(row['share'], 1)} ({percent(row['low'], 1)}–{percent(row['high'], 1)})",
        "mean difference": signed(row["mean"]), "intervals that hold zero": percent(row["zero_inside"]),
    } for _, row in counts.iterrows()])


def describe_null_truth(counts: pd.DataFrame, options: NullTruth) -> list[str]:
    """First whether *better* keeps under its limit where nothing helps, then each comparison in words."""
    null = counts[counts["generator"].isin(NULL) & (counts["repeats"] > 0)]
    if null.empty:
        return ["No repeat could be judged, so nothing is known about wrong verdicts."]
    worst = null.loc[null["share"].idxmax()]
    opening = (f"Where nothing helps, \"better\" came up in at most {percent(worst['share'], 1)} of the repeats of a comparison "
               f"(limit {percent(options.limit)}): {_held(null, options.limit)}. That was {_MEANING[worst['generator']]}, for "
               f"{_whom(worst['group'])}, {worst['better']} of {count(worst['repeats'], 'repeat')}.")
    return [opening, *(_sentence(row) for _, row in counts.iterrows() if row["repeats"])]


def _held(null: pd.DataFrame, limit: float) -> str:
    """The limit is held only where every interval ends below it: a few repeats without a wrong verdict show little."""
    if (null["share"] > limit).any():
        return "more than the limit" + ("" if (null["low"] > limit).any() else ", which so few repeats can also show by chance")
    highest = null["high"].max()
    return "the limit is kept" if highest <= limit else \
        f"within the limit, though a rate of up to {percent(highest, 1)} would agree with so few repeats"


def _sentence(row: pd.Series) -> str:
    others = [f"{kind} {row[kind]} times" if row[kind] > 1 else f"{kind} once" for kind in KINDS[1:] if row[kind]]
    rest = f"; otherwise {join(others)}" if others else ""
    return capital(f"{_MEANING[row['generator']]}, for {_whom(row['group'])}: \"better\" in {row['better']} of "
                   f"{count(row['repeats'], 'repeat')} ({percent(row['share'], 1)}, 95% interval {percent(row['low'], 1)} to "
                   f"{percent(row['high'], 1)}){rest}.")


def _draw(axis, part: pd.DataFrame, options: NullTruth) -> None:
    places = np.arange(1, len(part) + 1)
    for kind, colour in COLOURS.items():
        mine = (part["kind"] == kind).to_numpy()
        axis.vlines(places[mine], part["low"][mine], part["high"][mine], color=colour, linewidth=1.2)
        axis.plot(places[mine], part["value"][mine], "o", color=colour, markersize=2.5)
    axis.axhline(0, color=QUIET, linewidth=0.8)
    for side in (-1, 1):
        axis.axhline(side * options.margin, color=QUIET, linestyle=":", linewidth=0.8)
    light_grid(axis, "y")


def _whom(group: str) -> str:
    return "everybody" if group == ALL else f"group {group}"
