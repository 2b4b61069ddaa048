"""Who did how well, who did better, and how far groups are apart: tidy tables with intervals.

All tables have the columns value, low, high (numbers, NaN when not estimable), n_images, n_clusters (patients or lesions,
the independent units), n_positives (images of the positive classes; for means over classes those of the smallest class
kept; empty for accuracy), seeds (training repetitions), seed_spread (standard deviation between trainings of the
value in that row, NaN with one) and note (why not estimable, which classes were left out or have few images, that one seed says
nothing about training again).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.metrics.estimate import Estimate
from lib.metrics.gap import extremes
from lib.metrics.registry import MEASURES
from lib.stats.evaluate import ALL, Evaluation, Key
from lib.stats.support import name_small_classes

ONE_SEED = "one training seed: how much training again would change is not in the interval"
BIASED = "biased upwards: noise alone makes the largest of several groups larger and the smallest smaller"

COUNTS = ("n_images", "n_clusters", "n_positives")
_NUMBERS = ["value", "low", "high", *COUNTS, "seeds", "seed_spread", "note"]


def per_arm(evaluation: Evaluation) -> pd.DataFrame:
    """How each arm did: arm, architecture, metric, group ("all" first), value … note (see the module's text)."""
    return _table(["arm", "architecture", "metric", "group"], [
        {"arm": arm, "architecture": architecture, "metric": metric, "group": group,
         **_numbers(evaluation, metric, group, lambda key, arm=arm, architecture=architecture: (
             evaluation.by_seed(arm, architecture, key), evaluation.draws_of(arm, architecture, key)))}
        for arm in evaluation.predictions.arms
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
        for group in [ALL, *evaluation.groups]
    ])


def differences(
    evaluation: Evaluation,
    baseline:   str,            # the arm that the others are held against
) -> pd.DataFrame:
    """Each other arm minus the baseline, paired over patients and seeds: arm, baseline, architecture, metric, group, value … note."""
    check_arm(evaluation, baseline)
    return _table(["arm", "baseline", "architecture", "metric", "group"], [
        {"arm": arm, "baseline": baseline, "architecture": architecture, "metric": metric, "group": group,
         **_numbers(evaluation, metric, group, lambda key, arm=arm, architecture=architecture: (
             evaluation.by_seed(arm, architecture, key) - evaluation.by_seed(baseline, architecture, key),
             evaluation.draws_of(arm, architecture, key) - evaluation.draws_of(baseline, architecture, key)))}
        for arm in evaluation.predictions.arms if arm != baseline
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
        for group in [ALL, *evaluation.groups]
    ])


def gaps(evaluation: Evaluation) -> pd.DataFrame:
    """How far each arm's groups are apart: arm, architecture, metric, worst, best (groups), value … note.

    The value is the size of the largest gap (≥ 0) over the groups that are estimable, means over classes taken over the
    classes that these groups share. The interval is that of the difference between the two groups named, so it may include 0;
    because they were picked for being far apart, value and interval are biased upwards, and the note says so. n_images,
    n_clusters and n_positives are those of the smaller of the two.
    """
    return _table(["arm", "architecture", "metric", "worst", "best"], [
        {"arm": arm, "architecture": architecture, "metric": metric, **_gap(evaluation, arm, architecture, metric)}
        for arm in evaluation.predictions.arms
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
    ])


def check_arm(evaluation: Evaluation, arm: str) -> None:
    """Raises ValueError when no run of this arm is in the table."""
    if arm not in evaluation.predictions.arms:
        raise ValueError(f"no predictions of arm {arm}; the table holds {', '.join(evaluation.predictions.arms)}")


def _numbers(evaluation: Evaluation, metric: str, group: str, compute) -> dict:
    """The shared columns of one row; `compute(key)` gives values by seed [S] and draws [B]."""
    support = evaluation.support[metric, group]
    seeds = len(evaluation.predictions.seeds)
    if support.reason:
        estimate, by_seed = Estimate.missing(support.reason, n=support.n_images, confidence=evaluation.confidence), np.full(seeds, np.nan)
    else:
        by_seed, draws = compute(evaluation.key(metric, group))
        estimate = Estimate.from_draws(draws, value=by_seed.mean(), confidence=evaluation.confidence, n=support.n_images)
    counts = {name: getattr(support, name) for name in COUNTS}
    return _row(estimate, by_seed, counts, [support.note] if estimate.estimable else [])


def _gap(evaluation: Evaluation, arm: str, architecture: str, metric: str) -> dict:
    keys, notes, reason = _compared(evaluation, metric)
    values = {group: evaluation.of(arm, architecture, key) for group, key in keys.items()}
    defined = [group for group in keys if values[group] == values[group]]
    if not reason and len(defined) < 2:
        reason = "undefined on this sample"
    if reason:
        return {"worst": None, "best": None, **_missing(evaluation, reason, notes)}
    higher = MEASURES[metric].higher_is_better
    worst, best = extremes(values, higher_is_better=higher)
    low, high = (worst, best) if higher else (best, worst)
    by_seed = evaluation.by_seed(arm, architecture, keys[high]) - evaluation.by_seed(arm, architecture, keys[low])
    draws = evaluation.draws_of(arm, architecture, keys[high]) - evaluation.draws_of(arm, architecture, keys[low])
    counts = _smallest(evaluation, metric, [worst, best])
    estimate = Estimate.from_draws(draws, value=by_seed.mean(), confidence=evaluation.confidence, n=counts["n_images"])
    notes += [f"group {group}: {small}" for group in (worst, best) if (small := _small_classes(evaluation, keys[group]))]
    return {"worst": worst, "best": best, **_row(estimate, by_seed, counts, [BIASED, *notes])}


def _compared(evaluation: Evaluation, metric: str) -> tuple[dict[str, Key], list[str], str]:
    """The groups a gap runs over and what is measured in each, notes, and why there is no gap (empty when there is)."""
    shared, excluded = evaluation.shared_classes(metric)
    keys = {group: Key(metric, group, shared) for group in evaluation.groups if group not in excluded}
    classes = evaluation.predictions.classes
    notes = [f"over {', '.join(classes[k] for k in shared)}"] if keys and 0 < len(shared) < len(classes) else []
    notes += [f"group {group} left out ({reason})" for group, reason in excluded.items()]
    reason = f"{len(keys)} of {len(evaluation.groups)} groups estimable, needs 2" if len(keys) < 2 else ""
    return ({}, notes, reason) if reason else (keys, notes, "")


def _small_classes(evaluation: Evaluation, key: Key) -> str:
    """The classes of a mean over classes that have few images in the group, in words; empty for other measures."""
    table = evaluation.predictions
    return name_small_classes(table.y_true[table.groups == key.group], key.classes, classes=table.classes,
                              minimum_positives=evaluation.minimum)


def _smallest(evaluation: Evaluation, metric: str, groups: list[str]) -> dict:
    """Counts of the smallest of these groups."""
    counted = {name: [getattr(evaluation.support[metric, group], name) for group in groups] for name in COUNTS}
    return {name: None if None in numbers else min(numbers) for name, numbers in counted.items()}


def _missing(evaluation: Evaluation, reason: str, notes: list[str]) -> dict:
    estimate = Estimate.missing(reason, confidence=evaluation.confidence)
    return _row(estimate, np.full(len(evaluation.predictions.seeds), np.nan), dict.fromkeys(COUNTS), notes)


def _row(estimate: Estimate, by_seed: np.ndarray, counts: dict, notes: list[str]) -> dict:
    if not estimate.estimable:
        notes = [f"not estimable: {estimate.reason}", *notes]
    if len(by_seed) == 1:
        notes = [*notes, ONE_SEED]
    spread = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else float("nan")
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, **counts,
            "seeds": len(by_seed), "seed_spread": spread, "note": "; ".join(filter(None, notes))}


def _table(names: list[str], rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*names, *_NUMBERS])
    return frame.astype({"value": float, "low": float, "high": float, "seed_spread": float, "n_images": "Int64",
                         "n_clusters": "Int64", "n_positives": "Int64", "seeds": "Int64"})
