"""From an arm to a plan: which rows are drawn how often, in how many steps, and what each class then weighs in the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.classify.arms import find_arm
from lib.training.seeds import numpy_generator


@dataclass(frozen=True)
class Plan:
    """What one arm feeds to the optimiser."""

    rows:          np.ndarray            # [N] int64, positions in the samples table (and in the pixels)
    labels:        np.ndarray            # [N] int64, index into the classes
    probabilities: np.ndarray | None     # [N] chance of each row at each draw, with replacement; None: each row once per epoch
    augmented:     np.ndarray            # [N] bool
    class_weights: np.ndarray            # [K] float, for the loss; mean over what is drawn is 1, 0 for a class that is never drawn
    batch_sizes:   tuple[int, ...]       # of one epoch; the same for every arm of a study

    @property
    def steps_per_epoch(self) -> int:
        return len(self.batch_sizes)

    def batches(self, *seed_parts: int | str) -> list[np.ndarray]:
        """Positions in `rows` for each step of one epoch, decided by the seed parts alone (give the epoch among them)."""
        rng, draws = numpy_generator(*seed_parts), sum(self.batch_sizes)
        if self.probabilities is None:
            rounds = -(-draws // len(self.rows))
            order = np.concatenate([rng.permutation(len(self.rows)) for _ in range(rounds)])[:draws]
        else:
            order = rng.choice(len(self.rows), size=draws, p=self.probabilities)
        return np.split(order, np.cumsum(self.batch_sizes)[:-1])


# ── rules: training rows → how often each is drawn, relative to the others; None: each once per epoch ────────────────

def each_once(training: pd.DataFrame) -> np.ndarray | None:
    """Every row once per epoch, in random order (drawn without replacement)."""
    return None


def equal_cells(training: pd.DataFrame) -> np.ndarray | None:
    """Every non-empty label × group cell equally likely at each draw, every row of a cell as likely as its neighbours (with replacement).

    Rows without a group form cells of their own, one per label; they are neither dropped nor mixed into a known group.
    """
    size = training.groupby(["label", "group"], dropna=False)["label"].transform("size")
    return 1.0 / size.to_numpy(dtype=float)


RULES: dict[str, Callable[[pd.DataFrame], np.ndarray | None]] = {"each_once": each_once, "equal_cells": equal_cells}


# ── the plan ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def plan_arm(
    arm:     str,
    samples: pd.DataFrame,          # the samples table; only its training rows are looked at
    classes: Sequence[str],         # class order
    *,
    batch_size:        int,
    class_weights:     bool          = True,    # False: every class weighs 1
    augmented_classes: Sequence[str] = (),      # for augmented arms; empty: all
) -> Plan:
    """How `arm` draws from the training rows.

    Every arm takes ceil(n / batch_size) steps per epoch, n being the number of real training rows, on batches whose sizes differ by at
    most one. Class k weighs (draws / classes drawn) / (expected draws of k): weights come from the arm's own expected counts.
    ValueError when there is nothing to train on, or a class has no training row.
    """
    recipe = find_arm(arm)
    rows = np.flatnonzero((samples["split"] == "train").to_numpy())
    if not len(rows):
        raise ValueError("samples hold no training rows; look at `split` in the study and at the counts in 01_eda")
    training = samples.iloc[rows]
    labels = label_indices(training, classes)
    missing = [name for k, name in enumerate(classes) if not (labels == k).any()]
    if missing:
        raise ValueError(f"no training image of {', '.join(missing)}; drop the class from labels.classes, add images or change split.seed")
    weights = RULES[recipe.rule](training)
    probabilities = None if weights is None else weights / weights.sum()
    chance = np.full(len(rows), 1 / len(rows)) if probabilities is None else probabilities
    expected = np.bincount(labels, weights=chance, minlength=len(classes))
    drawn = expected > 0
    balanced = np.divide(1 / drawn.sum(), expected, out=np.zeros(len(classes)), where=drawn)
    augmented = recipe.augmented & (training["label"].isin(list(augmented_classes or classes)).to_numpy())
    loss_weights = balanced if class_weights else drawn.astype(float)
    return Plan(rows, labels, probabilities, augmented, loss_weights, _batch_sizes(len(rows), batch_size))


def label_indices(rows: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """[N] int64: place of each row's label among `classes`. ValueError names labels that are none."""
    places = rows["label"].map({name: k for k, name in enumerate(classes)})
    if places.isna().any():
        unknown = sorted(rows.loc[places.isna(), "label"].astype(str).unique())
        raise ValueError(f"samples hold the label {', '.join(unknown)}; classes are {', '.join(classes)}")
    return places.to_numpy(dtype=np.int64)


def _batch_sizes(rows: int, batch_size: int) -> tuple[int, ...]:
    """ceil(rows / batch_size) sizes that differ by at most one; no batch of one image, which batch normalisation cannot use."""
    steps = -(-rows // batch_size)
    return tuple(len(part) for part in np.array_split(np.arange(max(rows, 2 * steps)), steps))
