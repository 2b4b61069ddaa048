"""Every measure of every run, on the test images and under every resample; tables and verdicts are read off from this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.metrics.registry import MEASURES, Measure, get_measure
from lib.stats.bootstrap import image_weights, make_design, seed_weights
from lib.stats.inputs import Predictions, Run, read_predictions
from lib.stats.support import Support, classes_reason, count_support

ALL = "all"    # the group of all images; the mean over architectures


class Key(NamedTuple):
    """What was measured: a measure in a group; for means over classes, over which."""

    metric:  str
    group:   str
    classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """Values and resampled values of all runs.

    `values[arm, architecture, key]` is [S], one per training seed; `draws[...]` is [S, B]. `of` and `draws_of` average
    over seeds (and over architectures for "all"); differences of two arms' draws are paired.
    """

    predictions:  Predictions
    metrics:      list[str]
    groups:       list[str]                                          # without "all"
    support:      dict[tuple[str, str], Support]                     # (metric, group) → what it rests on
    seed_weights: np.ndarray                                         # [B, S]
    confidence:   float                                              # of intervals
    minimum:      int                                                # positives that a number must rest on
    values:       dict[tuple[str, str, Key], np.ndarray] = field(default_factory=dict, repr=False)
    draws:        dict[tuple[str, str, Key], np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def architectures(self) -> list[str]:
        """Architectures of the table; with several, "all" (their mean, each counting the same) comes first."""
        found = self.predictions.architectures
        return [ALL, *found] if len(found) > 1 else found

    def key(self, metric: str, group: str) -> Key:
        """The measure in a group over the classes that the group can support."""
        return Key(metric, group, self.support[metric, group].classes)

    def by_seed(self, arm: str, architecture: str, key: Key) -> np.ndarray:
        """Values of the single trainings, [S]."""
        return np.mean([self.values[arm, one, key] for one in self._members(architecture)], axis=0)

    def of(self, arm: str, architecture: str, key: Key) -> float:
        """The value on the test images: the mean over seeds."""
        return float(self.by_seed(arm, architecture, key).mean())

    def draws_of(self, arm: str, architecture: str, key: Key) -> np.ndarray:
        """The value in each resample of patients and seeds, [B]."""
        per_seed = np.mean([self.draws[arm, one, key] for one in self._members(architecture)], axis=0)    # [S, B]
        # a seed that a resample leaves out must not make it undefined
        return np.where(self.seed_weights.T > 0, self.seed_weights.T * per_seed, 0.0).sum(axis=0)

    def shared_classes(self, metric: str) -> tuple[tuple[int, ...], dict[str, str]]:
        """Classes over which all estimable groups can be compared, and the groups that cannot be, with the reason."""
        excluded = {group: self.support[metric, group].reason for group in self.groups if self.support[metric, group].reason}
        kept = [set(self.support[metric, group].classes) for group in self.groups if group not in excluded]
        shared = tuple(sorted(set.intersection(*kept))) if kept else ()
        if MEASURES[metric].rests_on == "classes":
            for group in self.groups:
                if group not in excluded:
                    y = self.predictions.y_true[self.predictions.groups == group]
                    reason = classes_reason(
                        y, list(shared), classes=list(self.predictions.classes), minimum_positives=self.minimum,
                    )
                    if reason:
                        excluded[group] = f"over the classes that all groups share: {reason}"
        return shared, excluded

    def _members(self, architecture: str) -> list[str]:
        return self.predictions.architectures if architecture == ALL else [architecture]


def evaluate(
    predictions:       pd.DataFrame,                              # the `predictions` table
    metrics:           Sequence[str],                             # names of lib/metrics/registry.py
    *,
    classes:           Sequence[str],                             # class order, from the file's metadata
    positive:          Sequence[str]                   = (),      # labels that count as "act now"
    arms:              Sequence[str] | None            = None,    # these only, in this order; default: all, by name
    groups:            Sequence[str] | None            = None,    # groups to look at, in this order; default: all found
    resamples:         int                             = 2_000,
    confidence:        float                           = 0.95,
    seed:              int                             = 0,
    minimum_positives: int                             = 20,
    split:             str                             = "test",
    condition:         str                             = "clean",
    progress:          Callable[[float], None] | None  = None,    # told the share done, 0–1
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
    chosen = [list(classes).index(label) for label in dict.fromkeys(positive)]
    names = [str(g) for g in np.unique(table.groups) if g] if groups is None else list(dict.fromkeys(groups))
    if ALL in names:
        raise ValueError(f"a group is called {ALL!r}, which stands for everybody in the tables; give it another name (groups.values)")
    rows = {ALL: np.arange(len(table.y_true))} | {group: np.flatnonzero(table.groups == group) for group in names}
    support = {(m.name, group): _support(m, table, at, chosen, minimum_positives) for m in measures for group, at in rows.items()}
    seeds = table.seeds
    out = Evaluation(
        table, [m.name for m in measures], names, support,
        seed_weights(len(seeds), resamples=resamples, seed=seed), confidence, minimum_positives,
    )
    keys = _keys(out)
    for arm in table.arms:
        for architecture in table.architectures:
            for key in keys:
                at = rows[key.group]
                by_seed = [_measure(key, table, (arm, architecture, s), at, chosen, None) for s in seeds]
                out.values[arm, architecture, key] = np.array(by_seed)
                out.draws[arm, architecture, key] = np.empty((len(seeds), resamples))
    design = make_design(table.cluster_ids, table.y_true, table.groups)
    for block, weights in image_weights(design, resamples=resamples, seed=seed):
        within = {group: weights if group == ALL else weights[:, at] for group, at in rows.items()}
        for (arm, architecture, key), draws in out.draws.items():
            for i, s in enumerate(seeds):
                draws[i, block] = _measure(key, table, (arm, architecture, s), rows[key.group], chosen, within[key.group])
        if progress:
            progress(block.stop / resamples)
    return out


def _keys(evaluation: Evaluation) -> list[Key]:
    """Everything estimable: each measure in each group, and again over the classes that all groups share."""
    keys = {evaluation.key(metric, group): None for (metric, group), s in evaluation.support.items() if not s.reason}
    for metric in evaluation.metrics:
        shared, excluded = evaluation.shared_classes(metric)
        if len(evaluation.groups) - len(excluded) >= 2:
            keys |= {Key(metric, group, shared): None for group in evaluation.groups if group not in excluded}
    return list(keys)


def _support(measure: Measure, table: Predictions, at: np.ndarray, positive: list[int], minimum_positives: int) -> Support:
    support = count_support(
        measure, table.y_true[at], table.cluster_ids[at],
        classes=list(table.classes), positive=positive, minimum_positives=minimum_positives,
    )
    if not support.reason and measure.needs_threshold and None in table.thresholds.values():
        return Support(support.n_images, support.n_clusters, support.n_positives, reason="the table holds no decision threshold")
    return support


def _measure(
    key:      Key,
    table:    Predictions,
    run:      Run,
    at:       np.ndarray,              # [n] rows of the group
    positive: list[int],
    weights:  np.ndarray | None,       # [b, n]
) -> float | np.ndarray:
    return MEASURES[key.metric](
        table.y_true[at], table.probabilities[run][at],
        weights=weights, positive=positive, threshold=table.thresholds[run], classes=key.classes or None,
    )
