"""The evidence in sentences (notebook 09). Each follows from an interval and says no more than it carries."""

from __future__ import annotations

import pandas as pd

from lib.report.comparisons import higher_is_better, is_estimable, notes, pick, reason, title_of
from lib.report.words import capital, count, estimate, join
from lib.stats.verdict import judge, lies_beyond


def describe_differences(
    differences:  pd.DataFrame,         # of lib.stats.compare.differences
    *,
    metric:       str | None = None,    # may be left out when the frame holds one
    architecture: str | None = None,    # default: the mean over architectures, or the only one
    margin:       float,                # a smaller difference does not matter
    confidence:   float = 0.95,
) -> list[str]:
    """A sentence per row: the verdict of `lib.stats.verdict.judge` in words, or not estimable and why.

    Then what holds for all rows: that the intervals are not corrected for their number, and the notes of the table.
    """
    if differences.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    rows, metric = pick(differences, metric, architecture)
    sentences = [_difference(row, metric, margin) for row in rows.itertuples()]
    shown = [row for row in rows.itertuples() if is_estimable(row)]
    if len(shown) > 1:
        sentences.append(f"{count(len(shown), 'comparison')} with {confidence * 100:g}% intervals are shown, "
                         "not corrected for their number.")
    return sentences + notes(rows)


def describe_arms(
    estimates:    pd.DataFrame,         # of lib.stats.compare.per_arm
    *,
    metric:       str | None = None,
    architecture: str | None = None,
) -> list[str]:
    """A sentence per group with every arm's value and interval, and which are not estimable. It ranks nothing."""
    if estimates.empty:
        return ["There are no results."]
    rows, metric = pick(estimates, metric, architecture)
    sentences = []
    for group, part in rows.groupby("group", sort=False):
        known = [f"{estimate(row.value, row.low, row.high)} with {row.arm}" for row in part.itertuples() if is_estimable(row)]
        silent = [f"{row.arm} ({reason(row)})" for row in part.itertuples() if not is_estimable(row)]
        if known:
            sentences.append(f"{capital(str(group))}: {title_of(metric)} {join(known)}.")
        if silent:
            reasons = {reason(row) for row in part.itertuples() if not is_estimable(row)}
            sentences.append(f"{capital(str(group))}: {title_of(metric)} is not estimable" +
                             (f": {reasons.pop()}." if not known and len(reasons) == 1 else f" for {join(silent)}."))
    return sentences + notes(rows)


def describe_gaps(
    gaps:         pd.DataFrame,         # of lib.stats.compare.gaps
    *,
    metric:       str | None = None,
    architecture: str | None = None,
) -> list[str]:
    """A sentence per arm: which groups are furthest apart, by how much, and whether the interval contains zero."""
    if gaps.empty:
        return ["There are no results."]
    rows, metric = pick(gaps, metric, architecture)
    sentences = []
    for row in rows.itertuples():
        if not is_estimable(row):
            sentences.append(f"{capital(str(row.arm))}: the gap between groups is not estimable ({reason(row)}).")
            continue
        verdict = "the interval does not contain zero" if row.low > 0 else "the interval contains zero, so the two cannot be told apart"
        sentences.append(f"{capital(str(row.arm))}: {row.best} does best and {row.worst} worst in {title_of(metric)}, "
                         f"{estimate(row.value, row.low, row.high)} apart; {verdict}.")
    if any(is_estimable(row) for row in rows.itertuples()):
        sentences.append("The two groups were picked for being far apart, so the gap and its interval are biased upwards.")
    return sentences + [note for note in notes(rows) if "biased upwards" not in note.lower()]


def _difference(row, metric: str, margin: float) -> str:
    pair, name, where = f"{row.arm} and {row.baseline}", title_of(metric), capital(str(row.group))
    if not is_estimable(row):
        return f"{where}: {pair} cannot be compared in {name} (not estimable: {reason(row)})."
    kind = judge(row.low, row.high, margin, higher_is_better=higher_is_better(metric))
    numbers = f"difference {estimate(row.value, row.low, row.high)}"
    if kind == "cannot tell":
        return f"{where}: {pair} cannot be told apart in {name}; {numbers}: the interval contains zero."
    if kind == "equivalent":
        real = ", though probably not zero" if lies_beyond(row.low, row.high) else ""
        return f"{where}: {pair} differ by less than the margin of {margin:g} in {name}, by this interval alone; {numbers}{real}."
    by = f"by more than the margin of {margin:g}"
    tail = by if lies_beyond(row.low, row.high, margin) else f"whether {by} cannot be told"
    return f"{where}: {row.arm} is {kind} than {row.baseline} in {name}, {tail}; {numbers}."
