"""How the images that an arm adds are mixed with the real ones: shares, ramp, replacement, blending. Real images are never added to.

Draws start as those of the arm `real`. At each place an added image takes over with the chance that the arm's share gives at that step:
one of all of them (by weight), or with `replace` one of the label and group of the image whose place it takes. So a share of nothing is
the arm `real` itself, and every real image is shown as often as its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lib.classify.arms import Arm
from lib.classify.pool import Pool
from lib.diffusion.resample import keys_of
from lib.study import Mixing
from lib.training.seeds import numpy_generator


@dataclass(frozen=True)
class Mix:
    """What is put in the place of real images. Positions are places in the pool's table."""

    added:      np.ndarray                       # [A] positions
    chance:     np.ndarray                       # [A] of each at the draw of an added image; sums to 1
    real:       np.ndarray                       # [R] positions of real images
    labels:     np.ndarray                       # [rows of the pool] label, as a number
    share:      float                            # of draws that are added images, once the ramp is over
    steps:      int                              # of the whole budget
    ramp:       float               = 0.0        # steps over which the share grows from nothing
    alone:      int                 = 0          # first steps that draw added images alone (`pretrain`)
    bounds:     tuple | None        = None       # the share is drawn between these for each batch (`range`)
    candidates: tuple[np.ndarray, ...] | None = None     # [rows of the pool] places in `added` that may replace each (`replace`)
    blend:      float | None        = None       # α of the Beta distribution (`mixup`)

    def shares(self, steps: np.ndarray, seed: int) -> np.ndarray:
        """[n] share of added images at each step (counted from 0 over the whole run)."""
        share = np.full(len(steps), self.share)
        if self.bounds is not None:
            known = {step: numpy_generator(seed, "share", int(step)).uniform(*self.bounds) for step in np.unique(steps)}
            share = np.array([known[step] for step in steps])
        return self._over_time(share, steps)

    def _over_time(self, share: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """A full share as it is at each step: growing, or 1 while added images are alone."""
        grown = share * np.minimum(1.0, steps / self.ramp) if self.ramp else share
        return np.where(steps < self.alone, 1.0, grown)

    def put_in(self, drawn: np.ndarray, steps: np.ndarray, seed: int) -> np.ndarray:
        """[n] positions, some of them changed to added images."""
        rng = numpy_generator(seed, "mix", int(steps[0]))
        taken = np.flatnonzero(rng.random(len(drawn)) < self.shares(steps, seed))
        out = drawn.copy()
        if self.candidates is None:
            out[taken] = rng.choice(self.added, size=len(taken), p=self.chance)
            return out
        for place, lot in zip(taken, rng.random(len(taken)), strict=True):
            if len(fits := self.candidates[drawn[place]]):
                heaped = np.cumsum(self.chance[fits])
                out[place] = self.added[fits[min(np.searchsorted(heaped, lot * heaped[-1], side="right"), len(fits) - 1)]]
        return out

    def frequency(self) -> np.ndarray:
        """[rows of the pool] how often each is drawn, as a share of all draws of the whole budget."""
        full = np.mean(self.bounds) if self.bounds is not None else self.share
        share = self._over_time(np.full(self.steps, full), np.arange(self.steps)).mean()
        often = np.zeros(len(self.labels))
        often[self.real] = (1 - share) / len(self.real)
        if self.candidates is None:
            often[self.added] = share * self.chance
            return often
        for place in self.real:
            fits = self.candidates[place]
            if len(fits):
                often[self.added[fits]] += share / len(self.real) * self.chance[fits] / self.chance[fits].sum()
            else:
                often[place] = 1 / len(self.real)
        return often

    def partners(self, chosen: np.ndarray, step: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places [m] in a batch whose images are blended, positions [m] of the real images they are blended with, and weights [m] of these.

        Images of a class without real ones stay as they are.
        """
        rng = numpy_generator(seed, "blend", step)
        places, others = [], []
        for place in np.flatnonzero(np.isin(chosen, self.added)):
            alike = self.real[self.labels[self.real] == self.labels[chosen[place]]]
            if len(alike):
                places.append(place)
                others.append(alike[rng.integers(len(alike))])
        return np.array(places, dtype=int), np.array(others, dtype=int), rng.beta(self.blend, self.blend, len(places))


def shares_of(study: Any) -> Mapping[str, float]:
    """Tone or group → share of generated images among those drawn of it, as the study has it; empty: every image weighs the same."""
    return study.classifier.mixing.shares or (study.diffusion.resampling.classifier if study.diffusion else {})


def plan_mix(
    arm:    Arm,
    pool:   Pool,
    mixing: Mixing,
    shares: Mapping[str, float],    # tone or group → generated share; see `Mixing.shares`
    *,
    steps:     int,                 # of the whole budget
    per_epoch: int,                 # steps
) -> Mix | None:
    """How the arm mixes; None where it adds nothing, or nothing that the switches let in.

    ValueError where `minority` names what no image has.
    """
    added, real = np.flatnonzero(pool.added), np.flatnonzero(~pool.added)
    weights = image_weights(pool.table, pool.added, shares)
    if arm.has("minority"):
        weights = weights * scarce(pool.table, pool.added, mixing.minority)
    total = weights.sum()
    share = total / (total + len(real)) if total else 0.0
    if arm.has("ratio"):
        ratio = arm.value("ratio", 1.0)
        share = ratio / (1 + ratio)
    if not (total and share):
        return None
    return Mix(
        added      = added,
        chance     = weights / total,
        real       = real,
        labels     = pd.factorize(pool.table["label"])[0],
        share      = arm.value("replace", mixing.replace) if arm.has("replace") else share,
        steps      = steps,
        ramp       = arm.value("ramp", mixing.ramp) * steps if arm.has("ramp") else 0.0,
        alone      = pretraining(arm, mixing, steps // per_epoch) * per_epoch,
        bounds     = mixing.range if arm.has("range") else None,
        candidates = _candidates(pool.table, added, weights) if arm.has("replace") else None,
        blend      = arm.value("mixup", mixing.mixup) if arm.has("mixup") else None,
    )


def pretraining(arm: Arm, mixing: Mixing, epochs: int) -> int:
    """How many epochs are trained on generated images alone; at least one is left for the rest. 0 without the switch."""
    if not arm.has("pretrain"):
        return 0
    if epochs < 2:
        raise ValueError("pretrain needs an epoch before and one after it; set classifier.epochs to 2 or more")
    return min(max(1, round(arm.value("pretrain", mixing.pretrain) * epochs)), epochs - 1)


def image_weights(table: pd.DataFrame, added: np.ndarray, shares: Mapping[str, float]) -> np.ndarray:
    """[A] weight of each added image where every real one weighs 1.

    The images of a key weigh n·s/(1 − s) together, with its share s and its n real images. Those under no key weigh 1 each, and those of a
    key without real images as well: its share says nothing there.
    """
    weights = np.ones(int(added.sum()))
    if not shares:
        return weights
    keys = keys_of(pd.DataFrame({"tone": table["tone_key"], "group": table["group"]}), shares)
    for key, share in shares.items():
        mine, real = keys[added] == key, int((keys[~added] == key).sum())
        if mine.any() and real:
            if share >= 1:
                raise ValueError(f"the generated share of {key} is {share:g}, which leaves no real image; choose less than 1, or the arm "
                                 "synthetic_only")
            weights[mine] = real * share / (1 - share) / mine.sum()
    return weights


def scarce(table: pd.DataFrame, added: np.ndarray, named: list[str]) -> np.ndarray:
    """[A] whether an added image belongs to a cell that lacks real ones.

    That is a label, group or tone that is named, else a label × group with fewer real images than the mean one has. An image without a
    group is judged by its label. ValueError for a name that no image has.
    """
    images = table[added]
    if named:
        known = {*table["label"], *table["group"].dropna(), *table["tone_key"].dropna()}
        if unknown := [name for name in named if name not in known]:
            raise ValueError(f"classifier.mixing.minority names {', '.join(unknown)}; the training images have "
                             f"{', '.join(sorted(map(str, known)))}")
        return images[["label", "group", "tone_key"]].isin(named).any(axis=1).to_numpy()
    real = table[~added]
    cells, labels = real.groupby(["label", "group"], dropna=False).size(), real["label"].value_counts()
    counts = {(label, None if pd.isna(group) else group): count for (label, group), count in cells.items()}
    return np.array([labels.get(label, 0) < labels.mean() if pd.isna(group) else counts.get((label, group), 0) < cells.mean()
                     for label, group in zip(images["label"], images["group"], strict=True)], dtype=bool)


def overlap_weights(
    table:     pd.DataFrame,        # of the pool
    added:     np.ndarray,          # [N] bool
    frequency: np.ndarray,          # [N] how often each is drawn
) -> np.ndarray:
    """[N] weights under which real and added images of one label × group count alike (Li, Morgan & Zaslavsky 2018, JASA 113:390).

    With them a head that tells one from the other gains nothing from class or group, so its reversed gradient does not unlearn these.
    Cells that hold only one kind weigh nothing. By label alone where an added image has no group.
    """
    by_group = table.loc[added, "group"].notna().all()
    cell = table.groupby(["label", "group"] if by_group else ["label"], dropna=False).ngroup().to_numpy()
    theirs, whole = (np.bincount(cell, weights=often)[cell] for often in (np.where(added, frequency, 0.0), frequency))
    part = np.divide(theirs, whole, out=np.zeros(len(table)), where=whole > 0)
    return np.where(added, 1 - part, part)


def _candidates(table: pd.DataFrame, added: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of each row: places in `added` of the images of its label and group; those without a group stand in for any of their label."""
    groups = table["group"].astype(object).where(table["group"].notna(), None).to_numpy()
    labels = table["label"].to_numpy()
    usable = np.flatnonzero(weights > 0)
    found: dict[tuple, np.ndarray] = {}
    for key in set(zip(labels, groups, strict=True)):
        theirs = added[usable]
        found[key] = usable[(labels[theirs] == key[0]) & ((groups[theirs] == key[1]) | pd.isna(groups[theirs]))]
    return tuple(found[key] for key in zip(labels, groups, strict=True))
