"""All runs in sentences (notebook 08): how far trainings of one arm spread, how far arms lie apart, and what the intervals carry."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.report.comparisons import ALL, higher_is_better, is_estimable, pick, reason, title_of
from lib.report.words import capital, count, join, number
from lib.stats.verdict import lies_beyond


def describe_grid(runs: pd.DataFrame) -> str:
    """How many trainings there are, and of what."""
    cells = runs[["arm", "architecture", "seed"]].drop_duplicates()
    if cells.empty:
        return "Nothing was trained."
    arms, networks, seeds = (cells[name].nunique() for name in ("arm", "architecture", "seed"))
    return (f"{capital(count(len(cells), 'training'))}: {count(arms, 'arm')}, {count(networks, 'network')}, "
            f"{count(seeds, 'seed')} ({join(sorted(cells['seed'].unique()), 12)}) each.")


def describe_comparison(differences: pd.DataFrame) -> list[str]:
    """For each arm: in how many of the measures, for everybody, the interval of its difference from the baseline leaves zero out.

    Arms that no measure tells from the baseline share one sentence.
    """
    if differences.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    everybody, sentences, alike, silent = differences[differences["group"] == ALL], [], [], []
    baseline, measures = everybody["baseline"].iloc[0], everybody["metric"].nunique()
    shown = everybody[everybody["architecture"] == everybody["architecture"].iloc[0]]               # the mean, where there are several
    for arm, part in shown.groupby("arm", sort=False):
        known = [row for row in part.itertuples() if is_estimable(row)]
        apart = {better: [title_of(row.metric) for row in known if lies_beyond(row.low, row.high)
                          and ((row.value > 0) == higher_is_better(row.metric)) == better] for better in (True, False)}
        parts = [f"{word} in {join(apart[better])}" for better, word in ((True, "better"), (False, "worse")) if apart[better]]
        rest = len(known) - sum(map(len, apart.values()))
        if parts:
            parts += [f"not to be told apart in {count(rest, 'other measure')}"] if rest else []
            sentences.append(f"{arm} against {baseline}, everybody, by the intervals: {'; '.join(parts)}.")
        else:
            (alike if known else silent).append(str(arm))
    if alike:
        sentences.append(f"Not to be told from {baseline} for everybody in any of {count(measures, 'measure')}: {join(alike, 20)}.")
    return [*sentences, *([f"Not estimable against {baseline} in any measure: {join(silent, 20)}."] if silent else [])]


def describe_runs(
    runs:        pd.DataFrame,          # of lib.stats.runs.per_run
    estimates:   pd.DataFrame,          # of lib.stats.compare.per_arm
    differences: pd.DataFrame,          # of lib.stats.compare.differences
    *,
    metric:      str,
) -> list[str]:
    """Spread between trainings against the distance between arms, then per group which arms the intervals tell from the baseline.

    It names no best arm: that would take more than the intervals carry.
    """
    shown, _ = pick(estimates, metric)
    if shown.empty:
        return ["There are no results."]
    return [*_spread(runs, shown, metric), *_told_apart(differences, metric)]


def describe_mixing(
    changes: pd.DataFrame,              # of lib.stats.pairs, one measure: arms with switches against arms without
    alone:   Sequence[str] = (),        # arms with switches that nothing can be held against
) -> list[str]:
    """For each way of mixing: for whom it is better or worse than the arm without it; those that nothing tells apart share a sentence."""
    sentences, alike, silent = [], {}, []
    rows, metric = pick(changes) if len(changes) else (changes, "")
    for (arm, baseline), part in rows.groupby(["arm", "baseline"], sort=False):
        known = [row for row in part.itertuples() if is_estimable(row)]
        apart = [row for row in known if lies_beyond(row.low, row.high)]
        sides = {word: [row.group for row in apart if ((row.value > 0) == higher_is_better(metric)) == better]
                 for better, word in ((True, "better"), (False, "worse"))}
        rest = [row.group for row in known if row not in apart]
        parts = [f"{word} for {join(groups)}" for word, groups in sides.items() if groups]
        parts += [f"not to be told apart for {join(rest, 8)}"] if rest else []
        if apart:
            sentences.append(f"{arm} against {baseline}, by the intervals: {'; '.join(parts)}.")
        else:
            (alike.setdefault(str(baseline), []) if known else silent).append(str(arm))
    sentences += [f"Not to be told from {baseline}, for everybody or any group: {join(names, 20)}." for baseline, names in alike.items()]
    sentences += [f"Not estimable for anybody: {join(silent, 20)}."] if silent else []
    if alone:
        sentences.append(f"What the mixing of {join(alone, 6)} does cannot be seen: no arm without it was trained.")
    return sentences or ["No arm of this study mixes generated images in a way of its own."]


def _spread(runs: pd.DataFrame, shown: pd.DataFrame, metric: str) -> list[str]:
    """For everybody: the standard deviation between trainings, the distance between the arms' means, and their ratio."""
    name = title_of(metric)
    mine = runs[(runs["metric"] == metric) & (runs["group"] == ALL) & (runs["architecture"] != ALL)]
    spread = (mine.groupby(["arm", "architecture"])["value"].var(ddof=1).mean()) ** 0.5
    known = [row for row in shown.itertuples() if row.group == "everybody" and is_estimable(row)]
    if not known:
        row = next((row for row in shown.itertuples() if row.group == "everybody"), None)
        return [f"{capital(name)} for everybody is not estimable ({reason(row)})."] if row else []
    sentences = []
    if pd.isna(spread):
        sentences.append("With one training per arm and network nothing is known about how far another training would have landed.")
    else:
        sentences.append(f"Everybody: trainings that differ in nothing but their seed have a standard deviation of {number(spread)} "
                         f"in {name}.")
    if len(known) < 2:
        return sentences
    low, high = min(known, key=lambda row: row.value), max(known, key=lambda row: row.value)
    sentence = (f"The arms' means lie between {number(low.value)} ({low.arm}) and {number(high.value)} ({high.arm}), "
                f"{number(high.value - low.value)} apart")
    if not pd.isna(spread) and spread > 0:
        ratio = (high.value - low.value) / spread
        sentence += (f", {number(float(ratio), 1)} times the spread between trainings" if ratio >= 1 else
                     ", less than the spread between trainings")
    return [*sentences, f"{sentence}; these two were picked for being furthest apart, so the distance flatters."]


def _told_apart(differences: pd.DataFrame, metric: str) -> list[str]:
    """Per group, which arms' intervals leave zero out."""
    if differences.empty:
        return ["There is nothing to compare: only the baseline was trained."]
    rows, metric = pick(differences, metric)
    sentences = []
    for group, part in rows.groupby("group", sort=False):
        known = [row for row in part.itertuples() if is_estimable(row)]
        baseline = part["baseline"].iloc[0]
        above = [row.arm for row in known if lies_beyond(row.low, row.high) and (row.value > 0) == higher_is_better(metric)]
        below = [row.arm for row in known if lies_beyond(row.low, row.high) and row.arm not in above]
        open_ = [row.arm for row in known if row.arm not in (*above, *below)]
        parts = [*_part(above, f"better than {baseline}"), *_part(below, f"worse than {baseline}"),
                 *_part(open_, f"not to be told from {baseline}")]
        if parts:
            sentences.append(f"{capital(str(group))}, by the intervals: {'; '.join(parts)}.")
        else:
            sentences.append(f"{capital(str(group))}: not estimable ({reason(next(part.itertuples()))}).")
    if len(rows) > 1:
        sentences.append("These intervals are not corrected for their number; notebook 09 does that, and names what was declared before.")
    return sentences


def _part(arms: Sequence[str], what: str) -> list[str]:
    return [f"{join(arms, 6)} {'is' if len(arms) == 1 else 'are'} {what}"] if arms else []
