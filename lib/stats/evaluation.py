"""What was measured, of every run and under every resample, and how certain any value or difference of values is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from lib.metrics.registry import MEASURES
from lib.stats.inputs import Predictions
from lib.stats.interval import AT_THE_END, Pin, Uncertainty, make_uncertainty
from lib.stats.support import Support, classes_reason

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
        return MEASURES[metric].limits(self.minimum_sensitivity)

    def uncertainty(self, architecture: str, terms: Sequence[Term]) -> Uncertainty:
        """The signed sum of the terms, all of one measure, paired over patients and seeds, with what its interval needs."""
        by_seed = sum(sign * self.by_seed(arm, architecture, key) for sign, arm, key in terms)
        parts = {key: sum(sign * self.draws_of(arm, architecture, key) for sign, arm, at in terms if at == key)
                 for key in dict.fromkeys(term.key for term in terms)}
        low, high = self.limits(terms[0].key.metric)
        limits = (low, high) if len(terms) == 1 else (low - high, high - low)
        alike = len(terms) == 2 and len(parts) == 1 and self._same_answers(architecture, *(term.arm for term in terms))
        found = make_uncertainty(
            by_seed, sum(parts.values()), degrees=self._degrees(parts), limits=limits, bounded=len(terms) == 1,
            pins=() if alike else self._pins(architecture, terms),
        )
        if len(terms) == 1 or alike or found.varies((AT_THE_END * (high - low)) ** 2):
            return found
        return replace(found, pins=found.pins + self._pins_of_constant(found, [term.key for term in terms]))

    def _degrees(self, parts: dict[Key, np.ndarray]) -> float:
        """Degrees of freedom of a difference: those of its one key, or of several by their shares in the variance (Satterthwaite)."""
        degrees = np.array([self.basis[key].degrees for key in parts])
        variance = np.array([np.nanvar(draws.mean(axis=0)) for draws in parts.values()]) if len(parts) > 1 else np.ones(1)
        return float(variance.sum() ** 2 / (variance**2 / degrees).sum()) if variance.sum() > 0 else float(degrees.min())

    def _pins(self, architecture: str, terms: Sequence[Term]) -> tuple[Pin, ...]:
        """The terms that lie at an end of their scale in every training."""
        pins = []
        for sign, arm, key in terms:
            low, high = self.limits(key.metric)
            values = [self.values[arm, one, key] for one in self._members(architecture)]
            for end, inwards in ((low, 1), (high, -1)):
                if np.all(np.abs(np.subtract(values, end)) <= AT_THE_END * (high - low)):
                    pins.append(Pin(sign * inwards, high - low, self.basis[key].clusters))
        return tuple(pins)

    def _pins_of_constant(self, found: Uncertainty, keys: Sequence[Key]) -> tuple[Pin, ...]:
        """A difference that no resample and no training changes, by arms that do not answer the same: on each side without a pin, one.

        Two arms that never disagree on n patients show only that disagreement is rare, as 0 of n does of any event.
        """
        (low, high), clusters = self.limits(keys[0].metric), min(self.basis[key].clusters for key in keys)
        return tuple(Pin(side, high - low, clusters) for side in (-1, 1) if side not in {pin.side for pin in found.pins})

    def _same_answers(self, architecture: str, arm: str, other: str) -> bool:
        table = self.predictions
        return all(
            np.array_equal(table.thresholds[arm, one, seed], table.thresholds[other, one, seed])
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
