"""Every measure of every run, on the test images and under every resample; tables and verdicts are read off from this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.metrics.registry import MEASURES, Measure, get_measure
from lib.stats.bootstrap import Design, degrees_of_freedom, image_weights, make_design
from lib.stats.inputs import Predictions, Run, read_predictions
from lib.stats.interval import Pin, Uncertainty, make_uncertainty
from lib.stats.support import Support, classes_reason, count_support, kinds_of

ALL = "all"    # the group of all images; the mean over architectures


class Key(NamedTuple):
    """What was measured: a measure in a group; for means over classes, over which."""

    metric:  str
    group:   str
    classes: tuple[int, ...] = ()


class Basis(NamedTuple):
    """What the interval of a measure in a group rests on."""

    degrees:  float    # of freedom of the patients' part
    clusters: int      # patients of the scarcest kind of image that it contrasts


class Term(NamedTuple):
    """One part of a difference."""

    sign: int          # 1 or −1
    arm:  str
    key:  Key


@dataclass(frozen=True)
class Evaluation:
    """Values and resampled values of all runs.

    `values[arm, architecture, key]` is [S], one per training seed; `draws[...]` is [S, B], under the same resampled patients
    for all. `uncertainty` puts both together for a value or for a difference of any two.
    """

    predictions: Predictions
    metrics:     list[str]
    groups:      list[str]                                           # without "all"
    support:     dict[tuple[str, str], Support]                      # (metric, group) → what it rests on
    confidence:  float                                               # of intervals
    minimum:     int                                                 # positives that a number must rest on
    positive:    tuple[int, ...]                                     # indices of the classes that count as "act now"
    minimum_sensitivity: float                                       # of the partial AUROC
    basis:       dict[Key, Basis]                       = field(default_factory=dict, repr=False)
    values:      dict[tuple[str, str, Key], np.ndarray] = field(default_factory=dict, repr=False)
    draws:       dict[tuple[str, str, Key], np.ndarray] = field(default_factory=dict, repr=False)

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
        """The values of the single trainings under each resample of patients, [S, B]."""
        return np.mean([self.draws[arm, one, key] for one in self._members(architecture)], axis=0)

    def limits(self, metric: str) -> tuple[float, float]:
        """The ends of a measure's scale."""
        return {"cohen_kappa": (-1.0, 1.0), "partial_auroc": (0.0, 1 - self.minimum_sensitivity)}.get(metric, (0.0, 1.0))

    def uncertainty(self, architecture: str, terms: Sequence[Term]) -> Uncertainty:
        """The signed sum of the terms, all of one measure, paired over patients and seeds, with what its interval needs."""
        by_seed = sum(sign * self.by_seed(arm, architecture, key) for sign, arm, key in terms)
        parts = {key: sum(sign * self.draws_of(arm, architecture, key) for sign, arm, at in terms if at == key)
                 for key in dict.fromkeys(term.key for term in terms)}
        low, high = self.limits(terms[0].key.metric)
        limits = (low, high) if len(terms) == 1 else (low - high, high - low)
        return make_uncertainty(
            by_seed, sum(parts.values()), degrees=self._degrees(parts), limits=limits, bounded=len(terms) == 1,
            pins=self._pins(architecture, terms),
        )

    def _degrees(self, parts: dict[Key, np.ndarray]) -> float:
        """Degrees of freedom of a difference: those of its one key, or of several by their shares in the variance (Satterthwaite)."""
        degrees = np.array([self.basis[key].degrees for key in parts])
        variance = np.array([np.nanvar(draws.mean(axis=0)) for draws in parts.values()]) if len(parts) > 1 else np.ones(1)
        return float(variance.sum() ** 2 / (variance**2 / degrees).sum()) if variance.sum() > 0 else float(degrees.min())

    def _pins(self, architecture: str, terms: Sequence[Term]) -> tuple[Pin, ...]:
        """The terms that lie at an end of their scale in every training; none for arms that answered the same."""
        if len({term.key for term in terms}) == 1 and len(terms) == 2 and self._same_answers(architecture, *(term.arm for term in terms)):
            return ()
        pins = []
        for sign, arm, key in terms:
            low, high = self.limits(key.metric)
            values = [self.values[arm, one, key] for one in self._members(architecture)]
            for end, inwards in ((low, 1), (high, -1)):
                if np.all(np.equal(values, end)):
                    pins.append(Pin(sign * inwards, high - low, self.basis[key].clusters))
        return tuple(pins)

    def _same_answers(self, architecture: str, arm: str, other: str) -> bool:
        table = self.predictions
        return all(
            table.thresholds[arm, one, seed] == table.thresholds[other, one, seed]
            and np.array_equal(table.probabilities[arm, one, seed], table.probabilities[other, one, seed])
            for one in self._members(architecture) for seed in table.seeds
        )

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
    design, keys = make_design(table.cluster_ids, table.y_true, table.groups), _keys(out)
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


def _support(measure: Measure, table: Predictions, at: np.ndarray, positive: tuple[int, ...], minimum_positives: int) -> Support:
    support = count_support(
        measure, table.y_true[at], table.cluster_ids[at],
        classes=list(table.classes), positive=list(positive), minimum_positives=minimum_positives,
    )
    if not support.reason and measure.needs_threshold and None in table.thresholds.values():
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
        weights=weights, threshold=table.thresholds[run], classes=key.classes or None, **options,
    )
