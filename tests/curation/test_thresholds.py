"""Limits: as asked, fitted so that real images fall as seldom as was asked, and wider where there are too few."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.curation.thresholds import fit_limits, no_limits
from lib.study import Check

A, B, C = ("a", "1"), ("a", "2"), ("b", "1")


def test_numbers_are_taken_as_they_are():
    limits = fit_limits(Check(check="ssim", least=0.3, most=0.9), np.array([0.5]), [A], [A, C])
    assert limits.passes(np.array([0.3, 0.9, 0.29, 0.91, np.nan]), [A] * 5).tolist() == [True, True, False, False, False]
    assert limits.of[C].over == "given"


@given(st.integers(1, 400), st.sampled_from([0.5, 1, 2, 5, 25]))
def test_a_further_real_image_is_rejected_as_seldom_as_asked(n, percentile):
    """Under exchangeability the rank of a further image is uniform over n + 1 places, and those strictly beyond the limit reject it."""
    scores = np.arange(n, dtype=float)
    low = fit_limits(Check(check="realism", least={"percentile": percentile}), scores, [A] * n, [A]).of[A]
    high = fit_limits(Check(check="tone", most={"percentile": 100 - percentile}), -scores, [A] * n, [A]).of[A]
    chance = (np.sum(scores < low.least) + 1) / (n + 1)
    assert high.most == -low.least
    assert chance <= max(percentile / 100, 1 / (n + 1)) + 1e-12
    assert bool(low.note) == (percentile / 100 * (n + 1) < 1 - 1e-9)


@given(st.integers(1, 150), st.sampled_from([0.5, 1, 2]))
def test_two_sides_reject_twice_as_many_and_say_so(n, percentile):
    check = Check(check="blur", least={"percentile": percentile}, most={"percentile": 100 - percentile})
    limit = fit_limits(check, np.arange(n, dtype=float), [A] * n, [A]).of[A]
    if n == 1:
        assert math.isinf(limit.least) and math.isinf(limit.most) and "nothing is rejected" in limit.note
        return
    beyond = sum(not limit.least <= place <= limit.most for place in np.arange(-0.5, n))            # places of a further image
    assert bool(limit.note) == (percentile / 100 * (n + 1) < 1 - 1e-9)
    if limit.note:
        assert f"rejects {beyond / (n + 1):.1%}" in limit.note


def test_a_fitted_side_that_leaves_nothing_is_left_out():
    limit = fit_limits(Check(check="ssim", least=0.5, most={"percentile": 99}), np.full(200, 0.3), [A] * 200, [A]).of[A]
    assert limit.least == 0.5 and math.isinf(limit.most) and "nothing is rejected by a fitted limit" in limit.note


def test_drawn_studies_reject_one_real_image_in_a_hundred():
    rng, rejected = np.random.default_rng(0), []
    for _ in range(300):
        limits = fit_limits(Check(check="realism", least={"percentile": 1}), rng.normal(size=250), [A] * 250, [A])
        rejected.append(1 - limits.passes(rng.normal(size=200), [A] * 200).mean())
    assert np.mean(rejected) == pytest.approx(2 / 251, abs=0.0015)           # k = ⌊251 · 0.01⌋ = 2


def test_too_few_images_of_a_cell_widen_to_the_label_then_to_all():
    cells = [A] * 60 + [B] * 60 + [C] * 30
    scores = np.concatenate([np.full(60, 1.0), np.full(60, 2.0), np.full(30, 3.0)])
    check = Check(check="realism", least={"percentile": 1}, per="cell")
    limits = fit_limits(check, scores, cells, [A, B, C])
    assert [limits.of[cell].over for cell in (A, B, C)] == ["label", "label", "all"]
    assert limits.of[A].least == 1.0
    assert "60 held-out images of this cell, 99 are needed" in limits.of[A].note
    own = fit_limits(check.model_copy(update={"per": "label"}), scores, cells, [A]).of[A]
    assert own.over == "label" and not own.note


def test_what_cannot_be_measured_on_real_images_rejects_nothing_and_says_so():
    for scores in (np.array([np.nan, np.nan]), np.empty(0)):
        limits = fit_limits(Check(check="tone", most={"percentile": 99}), scores, [A] * len(scores), [A])
        assert not limits.fitted and "cannot be measured" in limits.of[A].note
    assert not no_limits(Check(check="tone", most=3), [A], "why").fitted


def test_a_copy_scores_infinite_realism_and_counts():
    limit = fit_limits(Check(check="realism", least={"percentile": 50}), np.array([1.0, np.inf, np.nan]), [A] * 3, [A]).of[A]
    assert limit.n == 2 and limit.least == 1.0 and math.isinf(limit.most)


def test_a_percentile_at_the_end_is_no_limit():
    limit = fit_limits(Check(check="ssim", least={"percentile": 0}, most=0.9), np.arange(10.0), [A] * 10, [A]).of[A]
    assert limit.least == -math.inf and limit.most == 0.9
