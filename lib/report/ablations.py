"""All runs in one comparison (notebook 08): the table with a row per arm and network, that of the ways of mixing, and every training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib.report.comparisons import ALL, better_side, is_estimable, names_of_groups, pick, reason, title_of
from lib.report.forest import fit_axis, label_rows, place_rows
from lib.report.heat import MEAN
from lib.report.style import ALARM, BLANK, QUIET, arm_colours, arm_markers, house_style, new_figure, say_instead, wrap
from lib.report.words import NOTHING, estimate

ACROSS = 4                              # panels beside each other at most
ROW = 0.3                               # inches
LABEL = 30                              # characters of an arm's name with its switches


def comparison_table(
    estimates:   pd.DataFrame,          # of lib.stats.compare.per_arm
    differences: pd.DataFrame,          # of lib.stats.pairs: every arm against all that it is to be held against
    worst:       pd.DataFrame,          # of lib.stats.worst.worst_groups
    *,
    metric:      str,                   # the one that comes first
    metrics:     Sequence[str],         # a column each, for everybody
    arms:        Sequence[str],         # in the study's order
    against:     Mapping[str, Mapping[str, str]],       # of lib.report.baselines.columns_of
) -> pd.DataFrame:
    """A row per arm × network in the study's order, everything "value (low–high)".

    Columns: arm, network (where there are several), trainings, the first metric, its difference from each baseline and its worst group,
    then the other metrics. Only the first metric has differences: those of the others are exploratory and stand in notebook 09.
    """
    everybody = estimates[estimates["group"] == ALL]
    networks = list(dict.fromkeys(everybody["architecture"]))
    rows = []
    for arm in arms:
        for network in networks:
            mine = everybody[(everybody["arm"] == arm) & (everybody["architecture"] == network)].set_index("metric")
            if mine.empty:
                continue
            rows.append({
                "arm": arm, "network": MEAN if network == ALL else network, "trainings": int(mine["seeds"].iloc[0]),
                title_of(metric): _cell(mine.loc[metric]),
                **{f"difference from {title}": _difference(differences, arm, title, baselines, network, metric)
                   for title, baselines in against.items() if baselines},
                **_worst(worst, arm, network, metric),
                **{title_of(name): _cell(mine.loc[name]) for name in metrics if name != metric},
            })
    table = pd.DataFrame(rows)
    return table.drop(columns="network") if len(networks) == 1 else table


def mixing_table(
    changes: pd.DataFrame,              # of lib.stats.pairs, one measure: arms with switches against arms without
) -> pd.DataFrame:
    """A row per way of mixing: arm, against, a column for everybody and each group with "difference (low to high)"."""
    rows, _ = pick(changes)
    groups = list(dict.fromkeys(rows["group"]))
    cells = rows.assign(shown=[estimate(row.value, row.low, row.high) for row in rows.itertuples()])
    wide = cells.pivot(index=["arm", "baseline"], columns="group", values="shown")
    order = list(dict.fromkeys(zip(rows["arm"], rows["baseline"], strict=True)))
    return wide.loc[order, groups].rename_axis(columns=None).reset_index().rename(columns={"baseline": "against"})


def worth_by_class(
    shown: pd.DataFrame,                # of lib.report.exchange.exchange_table
) -> pd.DataFrame:
    """What each arm is worth in collected images: a row per arm × class, a column for everybody and each group, in the table's order."""
    pairs, groups = list(dict.fromkeys(zip(shown["arm"], shown["class"], strict=True))), list(dict.fromkeys(shown["group"]))
    wide = shown.pivot(index=["arm", "class"], columns="group", values="worth, in collected images")
    return wide.loc[pairs, groups].rename_axis(columns=None).reset_index()


@house_style
def plot_runs(
    runs:      pd.DataFrame,            # of lib.stats.runs.per_run
    estimates: pd.DataFrame,            # of lib.stats.compare.per_arm
    *,
    metric:    str,
    arms:      Sequence[str],           # in the study's order
    baseline:  str,
    title:     str | None = None,
) -> Figure:
    """A panel for everybody and each group; in it a row per arm × network: a dot for every training, the mean and its interval."""
    title = title or "How did every single training do?"
    estimates = names_of_groups(estimates[(estimates["metric"] == metric) & (estimates["architecture"] != ALL)])
    runs = names_of_groups(runs[(runs["metric"] == metric) & (runs["architecture"] != ALL)])
    if estimates.empty:
        return say_instead(title, "There are no results.")
    networks, groups = (list(dict.fromkeys(estimates[name])) for name in ("architecture", "group"))
    pairs = [(arm, network) for arm in arms for network in networks]
    several = len(networks) > 1
    places, titles, height = place_rows([arm if several else "" for arm, _ in pairs])
    across = min(ACROSS, len(groups))
    down = -(-len(groups) // across)
    note = ("Small dot: one training. Large point and line: mean over the trainings and its interval, which also allows for other "
            f"patients. Dotted tick: the mean of {wrap(baseline, 30, 1)} with the same network.")
    figure, axes = new_figure(down, across, title=title, height=down * (ROW * height + 0.9), note=note, sharex=True, sharey=True)
    for axis, group in zip(axes.ravel(), groups, strict=False):
        shown = estimates[estimates["group"] == group].set_index(["arm", "architecture"])
        single = {pair: part["value"].dropna() for pair, part in runs[runs["group"] == group].groupby(["arm", "architecture"])}
        _panel(axis, shown, single, pairs, places, arms, baseline)
        axis.set_title(wrap(group, 24 if across > 2 else 40, 1))
    for empty in range(len(groups), down * across):
        axes.ravel()[empty].set_axis_off()
        axes.ravel()[empty - across].tick_params(labelbottom=True)
    labels = [network if several else arm for arm, network in pairs]
    label_rows(axes[0, 0], places, labels, titles, height, LABEL)
    fit_axis(axes[0, 0], [*estimates[["value", "low", "high"]].to_numpy(dtype=float).ravel(), *runs["value"]])
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(4))
    figure.align_xlabels()
    axes[-1, 0].set_xlabel(better_side(metric), loc="left")
    return figure


def _panel(
    axes:     Axes,
    shown:    pd.DataFrame,                                # rows of one group by (arm, architecture)
    single:   dict[tuple[str, str], pd.Series],            # values of the single trainings
    pairs:    Sequence[tuple[str, str]],
    places:   np.ndarray,
    arms:     Sequence[str],
    baseline: str,
) -> None:
    colours, markers = arm_colours(arms), arm_markers(arms)
    axes.grid(True, axis="x")
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    silent = [reason(row) for _, row in shown.iterrows() if not is_estimable(row)]
    once = len(silent) == len(shown) and len(set(silent)) == 1
    if once:
        axes.text(0.03, 0.5, f"not estimable:\n{wrap(silent[0], 28, 3)}", transform=axes.transAxes, va="center", fontsize=8, color=ALARM,
                  fontstyle="italic", gid="not-estimable")
    for place, (arm, network) in zip(places, pairs, strict=True):
        if arm in list(arms)[1::2]:
            axes.axhspan(place - 0.5, place + 0.5, color=BLANK, linewidth=0, zorder=0)
        if once or (arm, network) not in shown.index:
            continue
        row = shown.loc[(arm, network)]
        if not is_estimable(row):
            axes.text(0.02, place, wrap(reason(row), 30, 1), transform=axes.get_yaxis_transform(), va="center", fontsize=7, color=ALARM,
                      fontstyle="italic", gid="not-estimable")
            continue
        if (baseline, network) in shown.index:
            axes.plot([shown.loc[(baseline, network), "value"]] * 2, [place - 0.5, place + 0.5], ":", color=QUIET, linewidth=1.2, zorder=1)
        values = single.get((arm, network), pd.Series(dtype=float))
        axes.plot(values, np.full(len(values), place - 0.22), "o", markersize=4.5, markerfacecolor="none", markeredgecolor=colours[arm],
                  markeredgewidth=1, gid="run")
        axes.plot([row["low"], row["high"]], [place + 0.22] * 2, color=colours[arm], linewidth=2, solid_capstyle="butt", gid="interval")
        axes.plot(row["value"], place + 0.22, markers[arm], markersize=6.5, color=colours[arm], markeredgecolor="white",
                  markeredgewidth=0.8, gid="point")


def _cell(row) -> str:
    return estimate(row["value"], row["low"], row["high"])


def _find(frame: pd.DataFrame, arm: str, network: str, metric: str) -> pd.DataFrame:
    return frame[(frame["arm"] == arm) & (frame["architecture"] == network) & (frame["metric"] == metric)]


def _worst(worst: pd.DataFrame, arm: str, network: str, metric: str) -> dict[str, str]:
    """The worst group's column; none where the study has no groups to compare."""
    found = _find(worst, arm, network, metric)
    if found.empty:
        return {}
    row = found.iloc[0]
    return {"worst group": f"{row['group']}: {_cell(row)}" if pd.notna(row["value"]) else "not estimable"}


def _difference(differences: pd.DataFrame, arm: str, title: str, baselines: Mapping[str, str], network: str, metric: str) -> str:
    """A cell of a column of differences: the baseline says so, an arm without one in that column has a dash."""
    if arm not in baselines:
        return "baseline" if arm == title else NOTHING
    found = _find(differences, arm, network, metric)
    found = found[(found["group"] == ALL) & (found["baseline"] == baselines[arm])]
    return _cell(found.iloc[0]) if len(found) else NOTHING
