"""How well the worst-served group does, and whether an arm changes that (the maximin view of fairness; Rawls 1971, §26).

The worst group is picked by its value, so noise makes it look worse than it is. The interval of the value allows for that: its bad end
is the worst of all groups' bad ends, at full confidence; its good end the worst of all groups' good ends, each at 1/G of the error. So
it holds the true value of the worst of G groups, whichever group that is, at least as often as it says.

The change against the baseline is that of the worst value, maybe of another group. Taking the two groups picked as given is wrong: where
arms err alike it finds a change up to 23 % of the time when there is none. Let a be an arm's true values and b the baseline's,
higher being better. For any one group h, min b ≤ b(h), so

    min a − min b  ≥  the smallest a(g) − b(h) over g,      and likewise      min a − min b  ≥  the smallest a(g) − b(g) over g.

The smallest lower end of these paired differences is therefore a lower bound, whichever g it belongs to. That makes G + 1 bounds, and the
highest of them counts, each at 1/(G + 1) of the error; the upper end likewise. It holds the truth at least as often as it says
(tests/stats/test_worst.py), mostly more often, and leaves zero out only where no picking explains the change.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.metrics.gap import extremes
from lib.metrics.registry import MEASURES
from lib.stats.compare import check_arm, comparable_groups
from lib.stats.evaluation import Evaluation, Key, Term
from lib.stats.interval import Uncertainty
from lib.stats.rows import ONE_SEED

PICKED = "the worst group is picked by its value, so chance makes it look worse than it is"

_NUMBERS = ["value", "low", "high", "difference", "difference_low", "difference_high"]


def worst_groups(
    evaluation: Evaluation,
    baseline:   str,            # the arm whose worst group the others' are held against
) -> pd.DataFrame:
    """A row per arm (the baseline too, without difference), architecture and measure.

    Columns: arm, architecture, metric, group (the worst), value, low, high, difference (worst value minus the baseline's worst
    value, maybe of another group), difference_low, difference_high, note.
    """
    check_arm(evaluation, baseline)
    rows = [
        {"arm": arm, "architecture": architecture, "metric": metric, **_row(evaluation, arm, baseline, architecture, metric)}
        for arm in evaluation.predictions.arms
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
    ]
    columns = ["arm", "architecture", "metric", "group", *_NUMBERS, "note"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(_NUMBERS, float))


def _row(evaluation: Evaluation, arm: str, baseline: str, architecture: str, metric: str) -> dict:
    keys, notes, reason = comparable_groups(evaluation, metric)
    worst = {one: _worst(evaluation, one, architecture, keys) for one in (arm, baseline)}
    single = {group: evaluation.uncertainty(architecture, [Term(1, arm, key)]) for group, key in keys.items()}
    undefined = [group for group, found in single.items() if found.reason]
    if not reason and (undefined or None in worst.values()):
        reason = f"group {undefined[0]} is {single[undefined[0]].reason}" if undefined else "undefined on this sample"
    if reason:
        return {"group": None, "note": "; ".join([f"not estimable: {reason}", *notes])}
    low, high = bounds(list(single.values()), evaluation.confidence, higher_is_better=MEASURES[metric].higher_is_better)
    row = {"group": worst[arm], "value": single[worst[arm]].value, "low": low, "high": high}
    notes = [PICKED, *notes, ONE_SEED if len(evaluation.predictions.seeds) == 1 else ""]
    if arm != baseline:
        found = [[evaluation.uncertainty(architecture, [Term(1, arm, keys[g]), Term(-1, baseline, keys[h])]) for h in keys] for g in keys]
        low, high = bounds_of_change(found, evaluation.confidence, higher_is_better=MEASURES[metric].higher_is_better)
        difference = row["value"] - evaluation.of(baseline, architecture, keys[worst[baseline]])
        row |= {"difference": difference, "difference_low": low, "difference_high": high}
        if worst[arm] != worst[baseline]:
            notes.insert(1, f"worst with {baseline}: {worst[baseline]}")
    return row | {"note": "; ".join(filter(None, notes))}


def _worst(evaluation: Evaluation, arm: str, architecture: str, keys: dict[str, Key]) -> str | None:
    """The group that an arm serves worst; None when a value is undefined or there are no groups to compare."""
    values = {group: evaluation.of(arm, architecture, key) for group, key in keys.items()}
    if not values or any(value != value for value in values.values()):
        return None
    metric = next(iter(keys.values())).metric
    return extremes(values, higher_is_better=MEASURES[metric].higher_is_better)[0]


def bounds(
    groups:           list[Uncertainty],
    confidence:       float,
    *,
    higher_is_better: bool = True,
) -> tuple[float, float]:
    """Interval of the worst of several groups' values: at full confidence on its bad side, each at 1/G of the error on its good side."""
    strict = 1 - (1 - confidence) / len(groups)
    plain, careful = ([found.interval(level) for found in groups] for level in (confidence, strict))
    if higher_is_better:
        return min(low for low, _ in plain), min(high for _, high in careful)
    return max(low for low, _ in careful), max(high for _, high in plain)


def bounds_of_change(
    differences:      list[list[Uncertainty]],    # [G][G] the arm's value in group g minus the baseline's in group h
    confidence:       float,
    *,
    higher_is_better: bool = True,
) -> tuple[float, float]:
    """Interval of the arm's worst value minus the baseline's worst; NaN where any of the differences is not estimable."""
    strict = 1 - (1 - confidence) / (len(differences) + 1)
    ends = np.array([[one.interval(strict) for one in row] for row in differences])
    low, high = np.moveaxis(ends if higher_is_better else -ends[..., ::-1], -1, 0)
    low = max(low.min(axis=0).max(), np.diagonal(low).min())
    high = min(high.max(axis=1).min(), np.diagonal(high).max())
    return (float(low), float(high)) if higher_is_better else (-float(high), -float(low))
