"""Who did how well, who did better, and how far groups are apart: tidy tables with intervals.

All tables have the columns value, low, high (numbers, NaN when not estimable; lib/stats/interval.py), n_images, n_clusters
(patients or lesions, the independent units), n_positives (images of the positive classes; for means over classes those of the
smallest class kept; empty for accuracy), seeds (training repetitions), seed_spread (standard deviation between trainings of the
value in that row, NaN with one) and note (why not estimable, which classes were left out or have few images, that one seed says
nothing about training again). Differences have p_value and p_adjusted as well.
"""

from __future__ import annotations

import pandas as pd

from lib.metrics.gap import extremes
from lib.metrics.registry import MEASURES
from lib.stats.evaluation import ALL, Evaluation, Key, Term
from lib.stats.interval import Uncertainty
from lib.stats.multiplicity import benjamini_hochberg
from lib.stats.rows import COUNTS, make_row, make_table
from lib.stats.support import name_small_classes

BIASED = "biased upwards: noise alone makes the largest of several groups larger and the smallest smaller"


def per_arm(evaluation: Evaluation) -> pd.DataFrame:
    """How each arm did: arm, architecture, metric, group ("all" first), value … note (see the module's text)."""
    return make_table(["arm", "architecture", "metric", "group"], [
        {"arm": arm, "architecture": architecture, "metric": metric, "group": group,
         **numbers(evaluation, metric, group, contrast(evaluation, architecture, metric, group, {arm: 1}))}
        for arm in evaluation.predictions.arms
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
        for group in [ALL, *evaluation.groups]
    ])


def differences(
    evaluation: Evaluation,
    baseline:   str,            # the arm that the others are held against
) -> pd.DataFrame:
    """Each other arm minus the baseline, paired over patients and seeds: arm, baseline, architecture, metric, group, value … note.

    And p_value, two-sided, which inverts the interval (under 1 − confidence exactly where the interval leaves zero out), and
    p_adjusted (Benjamini & Hochberg over all rows of the table that have a p-value).
    """
    check_arm(evaluation, baseline)
    rows = []
    for arm in evaluation.predictions.arms:
        for architecture in evaluation.architectures if arm != baseline else []:
            for metric in evaluation.metrics:
                for group in [ALL, *evaluation.groups]:
                    found = contrast(evaluation, architecture, metric, group, {arm: 1, baseline: -1})
                    rows.append({"arm": arm, "baseline": baseline, "architecture": architecture, "metric": metric, "group": group,
                                 **numbers(evaluation, metric, group, found), "p_value": found.p_value()})
    frame = make_table(["arm", "baseline", "architecture", "metric", "group"], rows, ["p_value", "p_adjusted"])
    return frame.assign(p_adjusted=benjamini_hochberg(frame["p_value"].to_numpy()))


def gaps(evaluation: Evaluation) -> pd.DataFrame:
    """How far each arm's groups are apart: arm, architecture, metric, worst, best (groups), value … note.

    The value is the size of the largest gap (≥ 0) over the groups that are estimable, means over classes taken over the
    classes that these groups share. The interval is that of the difference between the two groups named, so it may include 0;
    because they were picked for being far apart, value and interval are biased upwards, and the note says so. n_images,
    n_clusters and n_positives are those of the smaller of the two.
    """
    return make_table(["arm", "architecture", "metric", "worst", "best"], [
        {"arm": arm, "architecture": architecture, "metric": metric, **_gap(evaluation, arm, architecture, metric)}
        for arm in evaluation.predictions.arms
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
    ])


def check_arm(evaluation: Evaluation, arm: str) -> None:
    """Raises ValueError when no run of this arm is in the table."""
    if arm not in evaluation.predictions.arms:
        raise ValueError(f"no predictions of arm {arm}; the table holds {', '.join(evaluation.predictions.arms)}")


def contrast(
    evaluation:   Evaluation,
    architecture: str,
    metric:       str,
    group:        str,
    signs:        dict[str, int],       # arm → 1 or −1
) -> Uncertainty:
    """A measure in a group, of one arm or as a difference of two; with the reason where it is not estimable."""
    support = evaluation.support[metric, group]
    if support.reason:
        return Uncertainty.missing(support.reason, trainings=len(evaluation.predictions.seeds))
    return evaluation.uncertainty(architecture, [Term(sign, arm, evaluation.key(metric, group)) for arm, sign in signs.items()])


def numbers(evaluation: Evaluation, metric: str, group: str, found: Uncertainty) -> dict:
    """The columns that say what was found, on how many images and patients."""
    support = evaluation.support[metric, group]
    return make_row(evaluation, found, {name: getattr(support, name) for name in COUNTS}, [] if found.reason else [support.note])


def _gap(evaluation: Evaluation, arm: str, architecture: str, metric: str) -> dict:
    keys, notes, reason = comparable_groups(evaluation, metric)
    values = {group: evaluation.of(arm, architecture, key) for group, key in keys.items()}
    if not reason and sum(value == value for value in values.values()) < 2:
        reason = "undefined on this sample"
    if reason:
        found = Uncertainty.missing(reason, trainings=len(evaluation.predictions.seeds))
        return {"worst": None, "best": None, **make_row(evaluation, found, dict.fromkeys(COUNTS), notes)}
    higher = MEASURES[metric].higher_is_better
    worst, best = extremes(values, higher_is_better=higher)
    low, high = (worst, best) if higher else (best, worst)
    found = evaluation.uncertainty(architecture, [Term(1, arm, keys[high]), Term(-1, arm, keys[low])])
    notes += [f"group {group}: {small}" for group in (worst, best) if (small := _small_classes(evaluation, keys[group]))]
    counts = _smallest(evaluation, metric, [worst, best])
    return {"worst": worst, "best": best, **make_row(evaluation, found, counts, [BIASED, *notes])}


def comparable_groups(evaluation: Evaluation, metric: str) -> tuple[dict[str, Key], list[str], str]:
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
