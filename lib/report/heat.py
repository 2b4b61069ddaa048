"""What each arm changes, and for whom: differences from the baseline as a map of arms × groups, or arms × networks (notebook 08)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lib.report.comparisons import ALL, higher_is_better, is_estimable, names_of_groups, reason, title_of
from lib.report.style import ALARM, BLANK, INK, house_style, new_figure, say_instead, text_on, wrap
from lib.report.words import capital, count, join, number, signed
from lib.stats.verdict import lies_beyond

MEAN = "mean of the networks"           # what stands where the tables say architecture "all"
CELL = 0.46                             # inches, height of a row
# orange worse, blue better
BETTER = LinearSegmentedColormap.from_list("better", ["#C4561A", "#F2B48C", "#F7F7F7", "#8FC1DE", "#0B5C93"])


@house_style
def plot_heat(
    changes: pd.DataFrame,              # of lib.stats.compare.differences or lib.stats.pairs: rows of one metric, one per arm and column
    *,
    metric:  str,
    arms:    Sequence[str],             # in the study's order; the baseline is left out
    columns: str = "group",             # or "architecture"
    margin:  float = 0.02,              # a difference that matters: it or the largest of the map has the full colour
    confidence: float = 0.95,
    title:   str | None = None,
) -> Figure:
    """A row per arm, a column per group (or network): the difference on a colour scale about zero, with its interval.

    Differences whose interval leaves zero out stand in bold in a frame; cells that are not estimable are hatched.
    """
    title = title or f"What does each arm change in {title_of(metric)}, and for whom?"
    rows = _named(changes[changes["metric"] == metric])
    if rows.empty:
        return say_instead(title, "There is nothing to compare: only the baseline was trained.")
    heads = list(dict.fromkeys(rows[columns]))
    shown_arms = [arm for arm in arms if arm in set(rows["arm"])]
    sign = 1 if higher_is_better(metric) else -1
    full = max([margin, *rows["value"].abs().dropna()])
    baselines = list(dict.fromkeys(rows["baseline"]))
    against = f"the baseline ({wrap(baselines[0], 40, 1)})" if len(baselines) == 1 else "its own baseline"
    note = (f"Each cell: difference from {against} and its {100 * confidence:g}% interval, not corrected for the number of cells. "
            f"Blue: better, orange: worse, darkest at {number(float(full))}. Framed and bold: the interval leaves zero out. Hatched: not "
            "estimable.")
    figure, axes = new_figure(title=title, height=CELL * len(shown_arms) + 0.75, note=note)
    axis, found = axes[0, 0], rows.set_index(["arm", columns])
    for i, arm in enumerate(shown_arms):
        for j, head in enumerate(heads):
            row = found.loc[(arm, head)] if (arm, head) in found.index else None
            _cell(axis, i, j, row, sign, full)
    axis.set(xlim=(-0.5, len(heads) - 0.5), ylim=(len(shown_arms) - 0.5, -0.5))
    axis.set_xticks(range(len(heads)), [wrap(head, max(64 // len(heads), 8), 3) for head in heads])
    axis.set_yticks(range(len(shown_arms)), [wrap(arm, 32, 2) for arm in shown_arms])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure


def describe_heat(
    changes: pd.DataFrame,              # as for plot_heat
    *,
    metric:  str,
    confidence: float = 0.95,
) -> list[str]:
    """How many cells leave zero out against how many would by chance, which they are, and why others are not estimable."""
    rows = _named(changes[changes["metric"] == metric])
    known = [row for row in rows.itertuples() if is_estimable(row)]
    if rows.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    apart = [row for row in known if lies_beyond(row.low, row.high)]
    expected = number(len(known) * (1 - confidence), 1)
    sentences = [f"Of {count(len(known), 'difference')} in {title_of(metric)}, {number(len(apart))} {'has' if len(apart) == 1 else 'have'} "
                 f"an interval that leaves zero out; were there none at all, about {expected} would."] if known else []
    for better, word in ((True, "Better"), (False, "Worse")):
        cells = [f"{row.arm} for {row.group} ({signed(row.value)})" for row in apart
                 if ((row.value > 0) == higher_is_better(metric)) == better]
        sentences += [f"{word}: {join(cells, 8)}."] if cells else []
    silent: dict[str, list[str]] = {}
    for row in rows.itertuples():
        if not is_estimable(row):
            silent.setdefault(reason(row), []).append(str(row.group))
    return sentences + [f"{capital(join(dict.fromkeys(groups), 6))}: not estimable ({why})." for why, groups in silent.items()]


def describe_networks(
    changes: pd.DataFrame,              # of lib.stats.compare.differences: one metric and group
    effects: pd.DataFrame,              # of lib.stats.networks.network_effects
) -> list[str]:
    """A sentence per arm: what it changes with each network, and whether the networks differ in that by more than chance."""
    if effects.empty:
        return ["One network was trained, so nothing is known about others."]
    sentences = []
    for arm, part in effects.groupby("arm", sort=False):
        single = changes[(changes["arm"] == arm) & (changes["architecture"] != ALL)]
        shown = join(f"{signed(row.value)} with {row.architecture}" for row in single.itertuples() if is_estimable(row))
        known = [row for row in part.itertuples() if is_estimable(row)]
        if not known:
            sentences.append(f"{arm}: not estimable ({reason(next(part.itertuples()))}).")
            continue
        apart = [row for row in known if lies_beyond(row.low, row.high)]
        more = [f"{row.architecture} by {signed(row.value)} ({signed(row.low)} to {signed(row.high)})"
                for row in apart[:1 if len(part) == 2 else None]]                           # the second is the first's mirror image
        verdict = (f"that depends on the network; apart from their mean: {join(more)}" if more else
                   "that it depends on the network is not shown")
        sentences.append(f"{arm} changes {single['metric'].map(title_of).iloc[0]} by {shown}; {verdict}.")
    return sentences


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Names in words: groups, and the mean over networks."""
    return names_of_groups(rows).assign(architecture=[MEAN if name == ALL else name for name in rows["architecture"]])


def _cell(axes: Axes, i: int, j: int, row, sign: int, full: float) -> None:
    if row is None or not is_estimable(row):
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=BLANK, hatch="///", edgecolor="#D0D0D0", gid="not-estimable"))
        axes.text(j, i, "no such training" if row is None else "not estimable", ha="center", va="center", fontsize=7.5, color=ALARM,
                  fontstyle="italic")
        return
    colour = BETTER(0.5 + 0.5 * float(np.clip(sign * row["value"] / full, -1, 1)))
    apart = lies_beyond(row["low"], row["high"])
    axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5, gid="cell"))
    if apart:
        axes.add_patch(Rectangle((j - 0.47, i - 0.46), 0.94, 0.92, fill=False, edgecolor=INK, linewidth=1.3, gid="apart"))
    centred = {"ha": "center", "va": "center", "color": text_on(colour)}
    axes.text(j, i - 0.15, signed(row["value"]), fontsize=9, fontweight="bold" if apart else "normal", gid="difference", **centred)
    axes.text(j, i + 0.22, f"{signed(row['low'])} to {signed(row['high'])}", fontsize=7, gid="interval", **centred)
