"""Groups held against chance, equalised odds, the worst-served group, and what an arm changes in them (notebook 09)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from lib.report.chance import has_null, judge_chance, remarks
from lib.report.comparisons import better_side, higher_is_better, is_estimable, notes, pick, reason, title_of
from lib.report.forest import blocks, draw_rows
from lib.report.style import INK, house_style, say_instead
from lib.report.words import capital, estimate, join, number
from lib.stats.fairness import WORST
from lib.stats.verdict import lies_beyond

FAIRER, LESS_FAIR, CANNOT_TELL = "fairer", "less fair", "cannot tell"

def describe_gap_nulls(
    nulls:        pd.DataFrame,         # of lib.stats.permutation.gap_nulls
    *,
    metric:       str | None = None,
    architecture: str | None = None,    # default: the mean over architectures, or the only one
    confidence:   float = 0.95,
) -> list[str]:
    """A sentence per arm: its largest gap between groups, what chance alone gives, and whether the gap is more than that."""
    rows, metric = pick(nulls, metric, architecture)
    sentences = [f"{capital(str(row.arm))}: the groups {row.groups} are up to {number(row.value)} apart in {title_of(metric)}; if patients "
                 f"of the same diagnosis had been put into groups at random, it would be {_usual(row)}. The gap is "
                 f"{judge_chance(row, confidence)}."
                 for row in rows.itertuples() if has_null(row)]
    return [*sentences, *remarks(rows, "the gap between groups")] or ["There are no results."]


def describe_equalized_odds(
    odds:         pd.DataFrame,         # of lib.stats.equalized_odds.equalized_odds
    *,
    architecture: str | None = None,
    confidence:   float = 0.95,
) -> list[str]:
    """A sentence per arm: the gaps in sensitivity and in false alarms, the larger of them against chance."""
    rows, _ = pick(odds, None, architecture)
    sentences = [f"{capital(str(row.arm))}: between the groups {row.groups} the share of positives that is found differs by up to "
                 f"{number(row.sensitivity_gap)}, the share of the others that is called positive by up to "
                 f"{number(row.false_positive_gap)}. The larger of the two, the equalised-odds difference, would by chance alone be "
                 f"{_usual(row)}; it is {judge_chance(row, confidence)}."
                 for row in rows.itertuples() if has_null(row)]
    return [*sentences, *remarks(rows, "the equalised-odds difference")] or ["There are no results."]


@house_style
def plot_worst(
    worst:        pd.DataFrame,         # of lib.stats.worst.worst_groups
    *,
    metric:       str | None = None,
    architecture: str | None = None,
    arms:         Sequence[str] = (),   # all arms of the study in order, for their colours
    confidence:   float = 0.95,
    title:        str | None = None,
) -> Figure:
    """A row per arm: the value of the group that it serves worst, with the interval and the group's name."""
    title = title or "How well does each arm do in the group that it serves worst?"
    if worst.empty:
        return say_instead(title, "There are no results.")
    rows, metric = pick(worst, metric, architecture)
    rows = rows.assign(words=[f"in {row.group}" if is_estimable(row) else "" for row in rows.itertuples()], group="")
    figure, axes, places = blocks(rows, title, f"Point and line: value in the worst group and its {confidence * 100:g}% interval, which "
                                 "allows for the group having been picked.")
    draw_rows(axes, rows, places, arms, metric)
    axes.set_xlabel(better_side(metric))
    return figure


def describe_worst(
    worst:        pd.DataFrame,         # of lib.stats.worst.worst_groups
    *,
    baseline:     str,
    metric:       str | None = None,
    architecture: str | None = None,
) -> list[str]:
    """A sentence per arm: its worst group, and whether that group does better or worse than the baseline's worst; then what was picked."""
    rows, metric = pick(worst, metric, architecture)
    sentences = []
    for row in rows.itertuples():
        if not is_estimable(row):
            sentences.append(f"{capital(str(row.arm))}: the worst group is not estimable ({reason(row)}).")
            continue
        sentence = f"{capital(str(row.arm))} serves {row.group} worst: {title_of(metric)} {estimate(row.value, row.low, row.high)}"
        if row.arm != baseline and pd.notna(row.difference):
            change = estimate(row.difference, row.difference_low, row.difference_high)
            sentence += f"; against the worst group of {baseline} {change}: {_change(row, metric)}"
        sentences.append(f"{sentence}.")
    if any(is_estimable(row) for row in rows.itertuples()):
        sentences.append(f"The {'upper' if higher_is_better(metric) else 'lower'} end of these intervals allows for the group having been "
                         "picked, so it may lie further out than that of the same group's interval elsewhere.")
    return [*sentences, *notes(rows.assign(group=""))] or ["There are no results."]


def fairness_table(
    changes:      pd.DataFrame,         # of lib.stats.fairness.fairness_changes
    *,
    architecture: str | None = None,
) -> pd.DataFrame:
    """A row per quantity and arm: before (the baseline), after, the change with its interval, and what it means."""
    rows, _ = pick(changes.rename(columns={"metric": "measure"}), None, architecture)
    rows = rows.sort_values("quantity", key=lambda names: names.map({name: i for i, name in enumerate(names.unique())}), kind="stable")
    return pd.DataFrame({
        "quantity": [_quantity(row) for row in rows.itertuples()],
        "arm":      rows["arm"],
        "before":   [number(row.before) if is_estimable(row) else "" for row in rows.itertuples()],
        "after":    [number(row.after) if is_estimable(row) else "" for row in rows.itertuples()],
        "change":   [estimate(row.value, row.low, row.high) for row in rows.itertuples()],
        "answer":   [answer_of(row) for row in rows.itertuples()],
    }).reset_index(drop=True)


@house_style
def plot_fairness(
    changes:      pd.DataFrame,         # of lib.stats.fairness.fairness_changes
    *,
    architecture: str | None = None,
    arms:         Sequence[str] = (),   # all arms of the study in order, for their colours
    confidence:   float = 0.95,
    title:        str   = "Does an arm make it fairer?",
) -> Figure:
    """Forest plot: a block per quantity, a row per arm with the change against the baseline; right of zero is fairer in every block."""
    if changes.empty:
        return say_instead(title, "There is no arm but the baseline.")
    rows, _ = pick(changes.rename(columns={"metric": "measure"}), None, architecture)
    turned = [_less_is_better(row) for row in rows.itertuples()]
    rows = rows.assign(
        group=rows["quantity"].map(capital),
        numbers=[estimate(row.value, row.low, row.high) if is_estimable(row) else "" for row in rows.itertuples()],
        words=[f"{number(row.before)} → {number(row.after)}" if is_estimable(row) else "" for row in rows.itertuples()],
        value=rows["value"].where(~pd.Series(turned), -rows["value"]),
        low=rows["low"].where(~pd.Series(turned), -rows["high"]),
        high=rows["high"].where(~pd.Series(turned), -rows["low"]),
    )
    figure, axes, places = blocks(rows, title, f"Point and line: change against the baseline and its {confidence * 100:g}% interval. Where "
                                 "less is fairer the point is mirrored, so right of the line is fairer everywhere; the numbers are not.")
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    draw_rows(axes, rows, places, arms, keep=(-0.01, 0.01))
    axes.set_xlabel("fairer →")
    return figure


def describe_fairness(
    changes:      pd.DataFrame,         # of lib.stats.fairness.fairness_changes
    *,
    architecture: str | None = None,
) -> list[str]:
    """A sentence per quantity: the arms that change it for the better or the worse, and those of which it cannot be told; then notes."""
    rows, _ = pick(changes.rename(columns={"metric": "measure"}), None, architecture)
    rows = rows.assign(answer=[answer_of(row) for row in rows.itertuples()])
    sentences = []
    for _, part in rows.groupby("quantity", sort=False):
        said = []
        for answer, one in part.groupby("answer", sort=False):
            told = [f"{row.arm} ({number(row.before)} → {number(row.after)}, change {estimate(row.value, row.low, row.high)})"
                    for row in one.itertuples()] if answer in (FAIRER, LESS_FAIR) else list(one["arm"])
            said.append(f"{answer} with {join(told, 8)}")
        first = next(part.itertuples())
        sentences.append(f"{capital(_quantity(first))}, against {first.baseline}: {'; '.join(said)}.")
    if (rows["answer"] == CANNOT_TELL).any():
        sentences.append("Cannot tell: the interval holds no change as well. It is wide because groups are small, and because it allows "
                         "for the groups having been picked for being far apart.")
    return [*sentences, *notes(rows.assign(group=""))] or ["There is no arm but the baseline."]


def _quantity(row) -> str:
    return f"{row.quantity}, {title_of(row.measure)}" if isinstance(row.measure, str) else str(row.quantity)


def _less_is_better(row) -> bool:
    return row.quantity != WORST or not higher_is_better(row.measure)


def answer_of(row) -> str:
    """What the interval of a change says."""
    if not is_estimable(row):
        return f"not estimable ({reason(row)})"
    if not lies_beyond(row.low, row.high):
        return CANNOT_TELL
    return FAIRER if (row.value < 0) == _less_is_better(row) else LESS_FAIR


def _usual(row) -> str:
    return f"around {number(row.null_median)}, and over {number(row.null_high)} once in 20 times"


def _change(row, metric: str) -> str:
    if not lies_beyond(row.difference_low, row.difference_high):
        return "the two cannot be told apart"
    return "better" if (row.difference > 0) == higher_is_better(metric) else "worse"
