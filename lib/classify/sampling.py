"""From an arm to a plan: which images are drawn how often, in how many steps, and what each class then weighs in the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lib.classify.arms import find_arm
from lib.classify.mixing import Mix, plan_mix
from lib.classify.pool import Pool
from lib.study import Classifier
from lib.training.seeds import numpy_generator


@dataclass(frozen=True)
class Plan:
    """What one arm feeds to the optimiser."""

    rows:          np.ndarray            # [N] int64, positions in the pool's pixels
    labels:        np.ndarray            # [N] int64, index into the classes
    order:         np.ndarray            # positions in `rows` of what is drawn first, before anything takes its place
    probabilities: np.ndarray | None     # of these: chance at each draw, with replacement; None: each once per epoch
    augmented:     np.ndarray            # [N] bool
    class_weights: np.ndarray            # [K] float, for the loss; mean over what is drawn is 1, 0 for a class that is never drawn
    batch_sizes:   tuple[int, ...]       # of one epoch; the same for every arm of a study
    mix:           Mix | None = None     # how images that the arm adds take the place of those of `order`

    @property
    def steps_per_epoch(self) -> int:
        return len(self.batch_sizes)

    def frequency(self) -> np.ndarray:
        """[N] how often each row is drawn, as a share of all draws of the whole budget."""
        if self.mix is not None:
            return self.mix.frequency()
        often = np.zeros(len(self.rows))
        often[self.order] = 1 / len(self.order) if self.probabilities is None else self.probabilities
        return often

    def batches(self, seed: int, epoch: int) -> list[np.ndarray]:
        """Positions in `rows` for each step of one epoch (counted from 0), decided by these two alone."""
        rng, draws = numpy_generator(seed, "order", epoch), sum(self.batch_sizes)
        if self.probabilities is None:
            rounds = -(-draws // len(self.order))
            drawn = np.concatenate([rng.permutation(self.order) for _ in range(rounds)])[:draws]
        else:
            drawn = rng.choice(self.order, size=draws, p=self.probabilities)
        if self.mix is not None:
            steps = np.repeat(np.arange(self.steps_per_epoch) + epoch * self.steps_per_epoch, self.batch_sizes)
            drawn = self.mix.put_in(drawn, steps, seed)
        return np.split(drawn, np.cumsum(self.batch_sizes)[:-1])


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
    name:    str,                   # of the arm, with its switches
    pool:    Pool,
    classes: Sequence[str],         # class order
    options: Classifier,
    shares:  Mapping[str, float],   # tone or group → generated share; see `Mixing.shares`
) -> Plan:
    """How the arm draws from its pool.

    Every arm takes ceil(n / batch_size) steps per epoch, n being the study's real training images, on batches whose sizes differ by at most
    one. Real images come in the order that the arm `real` draws, and what the arm adds takes the place of some of them. Class k weighs
    (draws / classes drawn) / (expected draws of k over the whole budget): weights come from the arm's own expected counts.
    ValueError when there is nothing to train on, or a class has no real training image; generated images alone may lack one, which is then
    never learnt.
    """
    arm, table = find_arm(name), pool.table
    if pool.added.any() and not arm.adds:
        raise ValueError(f"{name} adds no image, and its pool holds {int(pool.added.sum()):,} that were added; open one of its own")
    labels = label_indices(table, classes)
    missing = [label for k, label in enumerate(classes) if not (labels == k).any()]
    if missing and arm.real:
        raise ValueError(f"{name}: no training image of {', '.join(missing)}; drop the class from labels.classes, add images or change "
                         "split.seed")
    if not len(table):
        raise ValueError(f"{name}: no generated image was selected, so there is nothing to train on; look at 06_curation, or take the arm "
                         "out")
    sizes = batch_sizes(pool.count, options.batch_size)
    first = np.flatnonzero(~pool.added) if arm.real else np.arange(len(table))
    weights = RULES[arm.rule](table.iloc[first])
    probabilities = None if weights is None else weights / weights.sum()
    mix = plan_mix(arm, pool, options.mixing, shares, steps=len(sizes) * options.epochs, per_epoch=len(sizes)) if arm.real else None
    augmented = arm.augmented & table["label"].isin(options.augmentation.classes or classes).to_numpy()
    plan = Plan(pool.rows, labels, first, probabilities, augmented, np.ones(len(classes)), sizes, mix)
    expected = np.bincount(labels, weights=plan.frequency(), minlength=len(classes))
    return replace(plan, class_weights=_loss_weights(expected, options))


def label_indices(rows: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """[N] int64: place of each row's label among `classes`. ValueError names labels that are none."""
    places = rows["label"].map({name: k for k, name in enumerate(classes)})
    if places.isna().any():
        unknown = sorted(rows.loc[places.isna(), "label"].astype(str).unique())
        raise ValueError(f"samples hold the label {', '.join(unknown)}; classes are {', '.join(classes)}")
    return places.to_numpy(dtype=np.int64)


def batch_sizes(rows: int, batch_size: int) -> tuple[int, ...]:
    """ceil(rows / batch_size) sizes that differ by at most one; no batch of one image, which batch normalisation cannot use."""
    steps = -(-rows // batch_size)
    return tuple(len(part) for part in np.array_split(np.arange(max(rows, 2 * steps)), steps))


def _loss_weights(expected: np.ndarray, options: Classifier) -> np.ndarray:
    """[K] for the loss, out of the share of each class in what is drawn."""
    drawn = expected > 0
    balanced = np.divide(1 / drawn.sum(), expected, out=np.zeros(len(expected)), where=drawn)
    return balanced if options.class_weights else drawn.astype(float)
