"""Drawn studies whose true answer is known: patients with several images, arms, trainings; and what our intervals say about them.

The score of an image for a class is  signal of the arm + luck of the training (on its true class) + noise. A share of the noise is
common to all runs, a share belongs to the arm, the rest to the single training; within each share, `CORRELATION` of the variance
is the patient's and the rest the image's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from lib.metrics.registry import MEASURES
from lib.stats.bootstrap import degrees_of_freedom, image_weights, make_design
from lib.stats.interval import Uncertainty, make_uncertainty
from lib.stats.support import kinds_of

CORRELATION = 0.6
RESAMPLES   = 100      # enough for a standard error; studies average what it lacks in precision


@dataclass(frozen=True)
class World:
    """How studies are drawn."""

    patients: tuple[int, ...]                      # of each class; the last is the positive one
    images:   tuple[int, int]     = (1, 6)         # per patient, from – to
    signals:  tuple[float, ...]   = (1.2,)         # of each arm: how far the true class stands out
    seeds:    int                 = 1
    luck:     float               = 0.0            # standard deviation of the signal between trainings
    arm:      float               = 0.0            # share of noise that is the arm's
    own:      float               = 0.0            # share of noise that is the single training's
    groups:   tuple[float, ...]   = (0.0,)         # what is added to the signal in each group of patients


@dataclass(frozen=True)
class Study:
    """One draw of it."""

    patient: np.ndarray      # [N]
    label:   np.ndarray      # [N]
    group:   np.ndarray      # [N] int
    p:       np.ndarray      # [A, S, N, K]
    known:   dict = field(default_factory=dict)      # what was measured before, for the next question


def draw_study(world: World, random: int) -> Study:
    rng = np.random.default_rng([world.seeds, sum(world.patients), random])
    total, classes, arms = sum(world.patients), len(world.patients), len(world.signals)
    columns = 1 if classes == 2 else classes                              # with two classes one score says it all
    patient = np.repeat(np.arange(total), rng.integers(world.images[0], world.images[1] + 1, total))
    label = np.repeat(np.arange(classes), world.patients)[patient]
    group = rng.permutation(np.arange(total) % len(world.groups))[patient]

    def noise(*runs: int) -> np.ndarray:
        of_patient = np.sqrt(CORRELATION) * rng.normal(size=(*runs, total, columns))
        return of_patient[..., patient, :] + np.sqrt(1 - CORRELATION) * rng.normal(size=(*runs, len(patient), columns))

    score = (np.sqrt(1 - world.arm - world.own) * noise(1, 1) + np.sqrt(world.arm) * noise(arms, 1)
             + np.sqrt(world.own) * noise(arms, world.seeds))                                          # [A, S, N, columns]
    signal = np.array(world.signals)[:, None] + world.luck * rng.normal(size=(arms, world.seeds))      # [A, S]
    lift = signal[..., None] + np.array(world.groups)[group]                                           # [A, S, N]
    if classes == 2:
        score = score + (lift * label)[..., None]
        return Study(patient, label, group, np.concatenate([norm.cdf(-score), norm.cdf(score)], axis=-1))
    return Study(patient, label, group, softmax(score + lift[..., None] * (label[:, None] == np.arange(classes)), axis=-1))


def auroc_of(signal: float, luck: float = 0.0) -> float:
    """The true AUROC of two classes, over all trainings: unit-variance normals, `signal` ± `luck` apart."""
    return float(norm.cdf(signal / np.sqrt(2 + luck**2)))


def count_pairs(label: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC of all trainings [S, N] under all weights [B, N] by counting pairs of images: quicker than the measure for few, [S, B]."""
    positive, negative = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    wins = (scores[:, positive, None] > scores[:, None, negative]).astype(np.float32)                     # no two scores are equal here
    w, v = weights[:, positive].astype(np.float32), weights[:, negative].astype(np.float32)
    return np.einsum("sbn,bn->sb", w @ wins, v).astype(float) / (w.sum(axis=1, dtype=float) * v.sum(axis=1, dtype=float))


def ask(
    study:     Study,
    metric:    str,
    terms:     Sequence[tuple[int, int, int | None]],    # sign, arm, group (None: everybody)
    *,
    random:    int,                                      # of the resamples
    images:    bool = False,                             # draw images as if they were patients
    threshold: float | None = None,
) -> Uncertainty:
    """What lib.stats makes of the signed sum of terms, by the same parts as `evaluate`."""
    if images not in study.known:
        design = make_design(np.arange(len(study.label)) if images else study.patient, study.label, study.group)
        blocks = image_weights(design, resamples=RESAMPLES, seed=random)
        as_it_is = np.ones((1, len(study.label)))
        study.known[images] = design, np.concatenate([as_it_is, *(weights for _, weights in blocks)])
    design, weights = study.known[images]

    def measure(arm: int, group: int | None) -> tuple[np.ndarray, np.ndarray]:
        key = metric, arm, group, images
        if key not in study.known:
            at = rows(group)
            w = weights if group is None else weights[:, at]
            if metric == "auroc_positive":
                found = count_pairs(study.label[at], study.p[arm][:, at, 1], w)
            else:
                options = {"positive": [1], "threshold": threshold}
                found = np.array([MEASURES[metric](study.label[at], p[at], weights=w, **options) for p in study.p[arm]])
            study.known[key] = found[:, 0], found[:, 1:]
        return study.known[key]

    def rows(group: int | None) -> np.ndarray:
        return np.arange(len(study.label)) if group is None else np.flatnonzero(study.group == group)

    by_seed = sum(sign * measure(arm, group)[0] for sign, arm, group in terms)
    variance, degrees = [], []
    for group in dict.fromkeys(term[2] for term in terms):
        variance.append(sum(sign * measure(arm, of)[1] for sign, arm, of in terms if of == group).mean(axis=0).var())
        kinds = kinds_of(MEASURES[metric], study.label[rows(group)], classes=range(study.p.shape[-1]), positive=[1])
        degrees.append(degrees_of_freedom(design, [rows(group)[mask] for mask in kinds]))
    variance, degrees = np.array(variance), np.array(degrees)
    return make_uncertainty(
        by_seed, sum(sign * measure(arm, group)[1] for sign, arm, group in terms),
        degrees=float(variance.sum() ** 2 / (variance**2 / degrees).sum()),
        limits=(0.0, 1.0) if len(terms) == 1 else (-1.0, 1.0), bounded=len(terms) == 1,
    )
