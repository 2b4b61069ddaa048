"""How well the worst-served group does, and whether an arm changes that (the maximin view of fairness; Rawls 1971, §26).

The worst group is picked by its value, so noise makes it look worse than it is. The interval of the value allows for that: its
lower end is the lowest of all groups' lower ends, its upper end the lowest of all groups' upper ends, each at 1/G of the error,
so it holds the true minimum of G groups whichever group that is (at least 95 % of the time; 96–99 % in simulation). The
difference is between the two groups picked, each arm's own worst; its interval takes them as given (93–98 % in simulation).
"""

from __future__ import annotations

import pandas as pd

from lib.metrics.gap import extremes
from lib.metrics.registry import MEASURES
from lib.stats.compare import check_arm, comparable_groups
from lib.stats.evaluation import Evaluation, Key, Term
from lib.stats.interval import Uncertainty
from lib.stats.rows import ONE_SEED

PICKED = "the worst group is picked by its value, so chance makes it look worse than it is"

_NUMBERS = ["value", "low", "high", "difference", "difference_low", "difference_high", "p_value"]


def worst_groups(
    evaluation: Evaluation,
    baseline:   str,            # the arm whose worst group the others' are held against
) -> pd.DataFrame:
    """A row per arm (the baseline too, without difference), architecture and measure.

    Columns: arm, architecture, metric, group (the worst), value, low, high, difference (worst value minus the baseline's worst
    value, maybe of another group), difference_low, difference_high, p_value (inverts the interval of the difference), note.
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
        found = evaluation.uncertainty(architecture, [Term(1, arm, keys[worst[arm]]), Term(-1, baseline, keys[worst[baseline]])])
        low, high = found.interval(evaluation.confidence)
        row |= {"difference": found.value, "difference_low": low, "difference_high": high, "p_value": found.p_value()}
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
    """Interval of the worst of several groups' values: at full confidence on its bad side, at 1/G of the error on its good side."""
    strict = 1 - (1 - confidence) / len(groups)
    plain, careful = ([found.interval(level) for found in groups] for level in (confidence, strict))
    if higher_is_better:
        return min(low for low, _ in plain), min(high for _, high in careful)
    return max(low for low, _ in careful), max(high for _, high in plain)
