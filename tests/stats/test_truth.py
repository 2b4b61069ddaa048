"""Truth test: in drawn studies whose answer is known, a 95 % interval must hold it 95 % of the time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lib.metrics.auroc import mann_whitney
from lib.metrics.estimate import Estimate
from lib.stats.bootstrap import image_weights, make_design, seed_weights

STUDIES, PATIENTS, SIGNAL, SHARED = 400, 100, 1.2, 0.6    # SHARED: part of an image's noise that is its patient's
TRUTH = norm.cdf(SIGNAL / np.sqrt(2))                     # AUROC of two normals of unit variance, SIGNAL apart


def draw_study(random):
    """One to six images a patient, two in five patients positive."""
    rng = np.random.default_rng([2024, random])
    patient = np.repeat(np.arange(PATIENTS), rng.integers(1, 7, PATIENTS))
    is_positive = (rng.random(PATIENTS) < 0.4)[patient]
    noise = np.sqrt(SHARED) * rng.normal(size=PATIENTS)[patient] + np.sqrt(1 - SHARED) * rng.normal(size=len(patient))
    score = SIGNAL * is_positive + noise
    return patient, is_positive, score


def interval(clusters, is_positive, score, random):
    design = make_design(clusters, is_positive)
    draws = [mann_whitney(is_positive, score, weights) for _, weights in image_weights(design, resamples=250, seed=random)]
    return Estimate.from_draws(np.concatenate(draws))


@pytest.fixture(scope="module")
def coverage():
    """Share of studies whose interval holds the truth, drawing patients and (wrongly) drawing images."""
    held = {"patients": 0, "images": 0}
    for random in range(STUDIES):
        patient, is_positive, score = draw_study(random)
        for unit, clusters in (("patients", patient), ("images", np.arange(len(patient)))):
            found = interval(clusters, is_positive, score, random)
            held[unit] += found.low <= TRUTH <= found.high
    return {unit: count / STUDIES for unit, count in held.items()}


def test_drawing_patients_covers(coverage):
    assert 0.91 <= coverage["patients"] <= 0.99, coverage


def test_drawing_images_undercovers(coverage):
    assert coverage["images"] < 0.85, coverage


def test_paired_difference_of_two_arms_covers():
    # both arms see the same patients; arm B separates better by a known amount
    truth = norm.cdf((SIGNAL + 0.4) / np.sqrt(2)) - TRUTH
    held = 0
    for random in range(STUDIES):
        patient, is_positive, score = draw_study(random)
        own = np.random.default_rng([7, random]).normal(size=(2, len(score)))
        a, b = (0.8 * (score - SIGNAL * is_positive) + 0.6 * own[arm] + (SIGNAL + 0.4 * arm) * is_positive for arm in (0, 1))
        design = make_design(patient, is_positive)
        draws = [
            mann_whitney(is_positive, b, weights) - mann_whitney(is_positive, a, weights)
            for _, weights in image_weights(design, resamples=250, seed=random)
        ]
        found = Estimate.from_draws(np.concatenate(draws))
        held += found.low <= truth <= found.high
    assert 0.91 <= held / STUDIES <= 0.99, held / STUDIES


@pytest.mark.parametrize(("seeds", "documented"), [(2, 0.50), (3, 0.75), (5, 0.87), (8, 0.91), (20, 0.94)])
def test_few_training_seeds_cover_as_little_as_documented(seeds, documented):
    values = np.random.default_rng(1).normal(size=(4000, seeds))                # truth 0, nothing varies but training
    low, high = np.quantile(values @ seed_weights(seeds, resamples=1000).T, [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(documented, abs=0.03)
