"""What scores are computed against, and how a check describes itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.classifier import LabelModel, fit_label_model
from lib.study import Check, Curation


@dataclass(frozen=True)
class Meta:
    """What a check measures."""

    unit:  str                                      # of the score
    range: tuple[float, float]                      # of the score
    bad:   Literal["low", "high", "both"]           # which side counts against an image
    sees:  str                                      # what is found by it, in a few words
    own_units: bool = False                         # a number means something else with another encoder


@dataclass
class Reference:
    """Real images and what was fitted to the training images, once for all checks. Nothing here has seen a test image."""

    train:    Candidates
    held_out: Candidates
    options:  Curation
    threads:  int = 1

    def __post_init__(self):
        self._kept: dict[Any, Any] = {}
        self._of_sets: WeakKeyDictionary[Candidates, dict[Any, Any]] = WeakKeyDictionary()

    def encoder_of(self, check: Check) -> str:
        """The check's own, else the study's."""
        return check.encoder or (self.options.perceptual if check.check == "perceptual" else self.options.encoder)

    def keep(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, computed once: checks keep here what they learn from the training images."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def keep_of(self, candidates: Candidates, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives for this set, computed once and kept as long as the set is."""
        kept = self._of_sets.setdefault(candidates, {})
        if key not in kept:
            kept[key] = make()
        return kept[key]

    def label_model(self, encoder: str) -> LabelModel | None:
        """A classifier of labels on the encoder's vectors, from training images alone; None where they show one label."""
        return self.keep(("labels", encoder), lambda: fit_label_model(
            self.train.vectors(encoder), self.train_labels, self.train.clusters, seed=self.options.seed))

    @cached_property
    def train_labels(self) -> np.ndarray:
        """[T]."""
        return self.train.table["label"].to_numpy()


def finite(vectors: np.ndarray) -> np.ndarray:
    """[N] which rows hold no NaN or infinity; the others cannot be measured."""
    return np.isfinite(vectors).all(axis=1)


def lacking(
    asked: np.ndarray,                  # [N]
    known: Collection,                  # what training images can be compared for
    words: str,                         # "there is no training image of {} to compare with"
) -> np.ndarray:
    """[N] what is missing to judge an image by, in words; None where nothing is."""
    out = np.empty(len(asked), dtype=object)
    out[:] = [None if one in known else words.format(one) for one in asked]
    return out


def by_label(
    labels:    np.ndarray,              # [N] of the candidates
    reference: Reference,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each label: places of its images among the candidates, and among the training images (both may be empty)."""
    return [(np.flatnonzero(labels == label), np.flatnonzero(reference.train_labels == label)) for label in dict.fromkeys(labels)]
