"""Fairness before and after: what an arm does to the gap between groups, to its worst group, and to equalised odds.

"Before" is the baseline, "after" the arm. A gap is the largest of all differences between two groups, in either order, and the
equalised-odds difference the largest of those in sensitivity and in specificity together (Hardt, Price & Srebro 2016, def. 2.1). So each is
a maximum over differences P of the data, and the two arms may have theirs at different P. Taking the two that were found as given would be
wrong, for the reason given in lib/stats/worst.py. The bounds given there hold for any maximum, here over differences between groups instead
of groups: with a(P) the arm's and b(P) the baseline's differences,

    max a − max b  ≤  the largest a(P) − b(P) over P,   and for any one Q   max a − max b  ≤  the largest a(P) − b(Q) over P.

The interval holds the truth at least as often as it says (tests/stats/test_fairness.py), mostly more often. Noise alone makes a gap larger
than it is; it does so in both arms, and about alike.
"""

from __future__ import annotations

from itertools import permutations

import pandas as pd

from lib.stats.compare import check_arm, comparable_groups
from lib.stats.evaluation import Evaluation, Key, Term
from lib.stats.rows import ONE_SEED
from lib.stats.worst import bounds_of_change, worst_groups

GAP, WORST, ODDS = "gap between groups", "worst group", "equalised-odds difference"
RATES = ("sensitivity", "specificity")              # what equalised odds is about; 1 − specificity differs by as much as specificity

_COLUMNS = ["arm", "baseline", "architecture", "quantity", "metric", "before", "after", "value", "low", "high", "note"]
_NUMBERS = ("before", "after", "value", "low", "high")


def fairness_changes(
    evaluation: Evaluation,
    baseline:   str,            # the arm "before"
    metric:     str,            # of the gap and the worst group; one that was evaluated
) -> pd.DataFrame:
    """What each other arm changes, a row per arm, architecture and quantity (GAP, WORST, ODDS).

    Columns: arm, baseline, architecture, quantity, metric (none for ODDS), before, after, value (after − before), low, high, note. Less is
    better for GAP and ODDS, for WORST the metric says. Raises ValueError when the metric was not evaluated or the baseline has no
    predictions.
    """
    check_arm(evaluation, baseline)
    if metric not in evaluation.metrics:
        raise ValueError(f"the metric {metric} was not evaluated; evaluated are {', '.join(evaluation.metrics)}")
    worst, rows = _worst(evaluation, baseline, metric), []
    gap, odds = _between_groups(evaluation, [metric]), _between_groups(evaluation, RATES)
    for arm in evaluation.predictions.arms:
        for architecture in evaluation.architectures if arm != baseline else []:
            names = {"arm": arm, "baseline": baseline, "architecture": architecture}
            rows += [{**names, "quantity": GAP, "metric": metric, **_change(evaluation, arm, baseline, architecture, *gap)},
                     {**names, "quantity": WORST, "metric": metric, **worst[arm, architecture]},
                     {**names, "quantity": ODDS, "metric": None, **_change(evaluation, arm, baseline, architecture, *odds)}]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(_NUMBERS, float))


def _between_groups(evaluation: Evaluation, metrics) -> tuple[list[tuple[Key, Key]], list[str], str]:
    """All differences between two groups that are estimable in every metric, notes, and why there are none (empty: there are)."""
    lacking = [metric for metric in metrics if metric not in evaluation.metrics]
    if lacking:
        return [], [], f"the study does not evaluate {lacking[0]} (statistics.metrics)"
    keys, notes = [], []
    for metric in metrics:
        found, said, reason = comparable_groups(evaluation, metric)
        if reason:
            return [], said, reason
        keys.append(found)
        notes += [note for note in said if note not in notes]
    compared = [group for group in keys[0] if all(group in found for found in keys)]
    if len(compared) < 2:
        return [], notes, f"{len(compared)} of {len(evaluation.groups)} groups estimable, needs 2"
    return [(found[one], found[other]) for found in keys for one, other in permutations(compared, 2)], notes, ""


def _change(
    evaluation:   Evaluation,
    arm:          str,
    baseline:     str,
    architecture: str,
    pairs:        list[tuple[Key, Key]],
    notes:        list[str],
    reason:       str,
) -> dict:
    """before, after, value, low, high and note of the largest difference."""
    sizes = {one: [evaluation.of(one, architecture, high) - evaluation.of(one, architecture, low) for high, low in pairs]
             for one in (arm, baseline)}
    if not reason and any(size != size for found in sizes.values() for size in found):
        reason = "undefined on this sample"
    if reason:
        return {"note": "; ".join([f"not estimable: {reason}", *notes])}
    found = [[evaluation.uncertainty(architecture, _terms(arm, one, 1) + _terms(baseline, other, -1)) for other in pairs] for one in pairs]
    undefined = next((one.reason for row in found for one in row if one.reason), "")
    if undefined:
        return {"note": "; ".join([f"not estimable: {undefined}", *notes])}
    low, high = bounds_of_change(found, evaluation.confidence, higher_is_better=False)
    before, after = max(sizes[baseline]), max(sizes[arm])
    said = [*notes, ONE_SEED if len(evaluation.predictions.seeds) == 1 else ""]
    return {"before": before, "after": after, "value": after - before, "low": low, "high": high, "note": "; ".join(filter(None, said))}


def _terms(arm: str, pair: tuple[Key, Key], sign: int) -> list[Term]:
    return [Term(sign, arm, pair[0]), Term(-sign, arm, pair[1])]


def _worst(evaluation: Evaluation, baseline: str, metric: str) -> dict[tuple[str, str], dict]:
    """The same of the worst group, (arm, architecture) → columns."""
    table = worst_groups(evaluation, baseline)
    table = table[table["metric"] == metric]
    before = table[table["arm"] == baseline].set_index("architecture")["value"]
    return {(row.arm, row.architecture): {"before": before[row.architecture], "after": row.value, "value": row.difference,
                                          "low": row.difference_low, "high": row.difference_high, "note": row.note}
            for row in table.itertuples() if row.arm != baseline}
