"""Every measure of every run, on the test images and under every resample; tables and verdicts are read off from this."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lib.metrics.registry import MEASURES, Measure, get_measure
from lib.stats.bootstrap import Design, degrees_of_freedom, image_weights, make_design
from lib.stats.evaluation import ALL, Basis, Evaluation, Key
from lib.stats.inputs import Predictions, Run, read_predictions
from lib.stats.support import Support, count_class_support, count_support, kinds_of


def evaluate(
    predictions:         pd.DataFrame,                              # the `predictions` table
    metrics:             Sequence[str],                             # names of lib/metrics/registry.py
    *,
    classes:             Sequence[str],                             # class order, from the file's metadata
    positive:            Sequence[str]                   = (),      # labels that count as "act now"
    arms:                Sequence[str] | None            = None,    # these only, in this order; default: all, by name
    groups:              Sequence[str] | None            = None,    # groups to look at, in this order; default: all found
    resamples:           int                             = 2_000,
    confidence:          float                           = 0.95,
    seed:                int                             = 0,
    minimum_positives:   int                             = 20,
    minimum_sensitivity: float                           = 0.8,     # for partial_auroc: the area above this sensitivity
    split:               str                             = "test",
    condition:           str                             = "clean",
    by_class:            bool                            = False,   # also each class alone against the others, where there is enough of it
    progress:            Callable[[float], None] | None  = None,    # told the share done, 0–1
) -> Evaluation:
    """Measure every run in every group, on the test images and under `resamples` resamples shared by all arms.

    Groups too small for a measure are not computed at all (lib/stats/support.py). Raises ValueError for an unknown
    metric, a positive label that is no class, or a table that cannot be compared (lib/stats/inputs.py).
    """
    unknown = [label for label in positive if label not in classes]
    if unknown:
        raise ValueError(f"positive names {unknown[0]}, which is not a class; classes are {', '.join(classes)}")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence={confidence:g}, resamples={resamples}; expected a share between 0 and 1 and at least 1 resample")
    measures = [get_measure(name) for name in dict.fromkeys(metrics)]
    table = read_predictions(predictions, classes, arms=arms, split=split, condition=condition)
    chosen = tuple(list(classes).index(label) for label in dict.fromkeys(positive))
    names = [str(g) for g in np.unique(table.groups) if g] if groups is None else list(dict.fromkeys(groups))
    if ALL in names:
        raise ValueError(f"a group is called {ALL!r}, which stands for everybody in the tables; give it another name (groups.values)")
    rows = {ALL: np.arange(len(table.y_true))} | {group: np.flatnonzero(table.groups == group) for group in names}
    support = {(m.name, group): _support(m, table, at, chosen, minimum_positives) for m in measures for group, at in rows.items()}
    out = Evaluation(
        table, [m.name for m in measures], names, support, confidence, minimum_positives, chosen, minimum_sensitivity,
    )
    design, keys = make_design(table.cluster_ids, table.y_true, table.groups), _keys(out) + (_single_classes(out, rows) if by_class else [])
    options = {"positive": chosen, "minimum_sensitivity": minimum_sensitivity}
    runs = [(arm, architecture) for arm in table.arms for architecture in table.architectures]
    for key in keys:
        out.basis[key] = _basis(key, table, design, rows[key.group], chosen)
        for arm, architecture in runs:
            by_seed = [_measure(key, table, (arm, architecture, s), rows[key.group], None, options) for s in table.seeds]
            out.values[arm, architecture, key] = np.array(by_seed)
            out.draws[arm, architecture, key] = np.empty((len(by_seed), resamples))
    for block, weights in image_weights(design, resamples=resamples, seed=seed):
        for group, at in rows.items():
            within = weights if group == ALL else weights[:, at]
            for key in [key for key in keys if key.group == group]:
                for arm, architecture in runs:
                    draws = out.draws[arm, architecture, key]
                    for i, s in enumerate(table.seeds):
                        draws[i, block] = _measure(key, table, (arm, architecture, s), at, within, options)
        if progress:
            progress(block.stop / resamples)
    return out


def _basis(key: Key, table: Predictions, design: Design, at: np.ndarray, positive: tuple[int, ...]) -> Basis:
    inside = kinds_of(MEASURES[key.metric], table.y_true[at], classes=key.classes, positive=positive)
    kinds = [at[mask] for mask in inside]
    return Basis(degrees_of_freedom(design, kinds), min(len(np.unique(design.cluster[rows])) for rows in kinds))


def _keys(evaluation: Evaluation) -> list[Key]:
    """Everything estimable: each measure in each group, and again over the classes that all groups share."""
    keys = {evaluation.key(metric, group): None for (metric, group), s in evaluation.support.items() if not s.reason}
    for metric in evaluation.metrics:
        shared, excluded = evaluation.shared_classes(metric)
        if len(evaluation.groups) - len(excluded) >= 2:
            keys |= {Key(metric, group, shared): None for group in evaluation.groups if group not in excluded}
    return list(keys)


def _single_classes(evaluation: Evaluation, rows: dict[str, np.ndarray]) -> list[Key]:
    table, classes = evaluation.predictions, list(evaluation.predictions.classes)
    found = {
        Key(metric, group, (k,)): count_class_support(MEASURES[metric], table.y_true[at], table.cluster_ids[at], k, classes=classes,
                                                      minimum_positives=evaluation.minimum)
        for metric in evaluation.metrics if MEASURES[metric].rests_on == "classes"
        for group, at in rows.items() for k in range(len(classes))
    }
    return [key for key, support in found.items() if not support.reason]


def _support(measure: Measure, table: Predictions, at: np.ndarray, positive: tuple[int, ...], minimum_positives: int) -> Support:
    support = count_support(
        measure, table.y_true[at], table.cluster_ids[at],
        classes=list(table.classes), positive=list(positive), minimum_positives=minimum_positives,
    )
    if not support.reason and measure.needs_threshold and not table.has_thresholds:
        return Support(support.n_images, support.n_clusters, support.n_positives, reason="the table holds no decision threshold")
    return support


def _measure(
    key:     Key,
    table:   Predictions,
    run:     Run,
    at:      np.ndarray,              # [n] rows of the group
    weights: np.ndarray | None,       # [b, n]
    options: dict,                    # of the study, for every measure
) -> float | np.ndarray:
    return MEASURES[key.metric](
        table.y_true[at], table.probabilities[run][at],
        weights=weights, threshold=table.threshold_at(run, at), classes=key.classes or None, **options,
    )
