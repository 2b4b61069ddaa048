"""The calibration error against scikit-learn's quantile bins and by hand, with ties and next to no images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from lib.metrics.calibration_error import calibration_error, equal_mass_bins


@pytest.mark.parametrize("bins", [1, 2, 5, 10])
def test_equals_quantile_bins_without_ties(bins):
    rng = np.random.default_rng(bins)
    p = rng.random(200)
    y = (rng.random(200) < p**2).astype(float)
    observed, predicted = calibration_curve(y, p, n_bins=bins, strategy="quantile")
    assert calibration_error(y, p, bins) == pytest.approx(np.abs(observed - predicted).mean())       # bins of equal number


def test_by_hand():
    p, y = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 1, 1, 1])
    assert calibration_error(y, p, 2) == pytest.approx((abs(0.5 - 0.15) + abs(1 - 0.85)) / 2)
    assert calibration_error(y, p, 1) == pytest.approx(0.25)
    assert calibration_error(y, p, 4) == pytest.approx(np.abs(y - p).mean())
    assert calibration_error(y, p, 100) == pytest.approx(np.abs(y - p).mean())                       # more bins than images


def test_equal_scores_share_the_lowest_bin_they_touch():
    np.testing.assert_array_equal(equal_mass_bins(np.array([0.5, 0.1, 0.5, 0.5, 0.9, 0.2]), 3), [1, 0, 1, 1, 2, 0])
    np.testing.assert_array_equal(equal_mass_bins(np.array([0.1, 0.3, 0.3, 0.3, 0.3, 0.9]), 3), [0, 0, 0, 0, 0, 2])
    np.testing.assert_array_equal(equal_mass_bins(np.full(7, 0.3), 5), np.zeros(7))
    y = np.array([1, 0, 0, 1])
    assert calibration_error(y, np.full(4, 0.5), 4) == 0                                              # right on average: in one bin


@settings(deadline=None, max_examples=50, derandomize=True)
@given(seed=st.integers(0, 1000), n=st.integers(1, 40), bins=st.integers(1, 12), digits=st.sampled_from([1, 8]))
def test_order_bounds_and_batches(seed, n, bins, digits):
    rng = np.random.default_rng(seed)
    p, y, order = rng.random(n).round(digits), rng.integers(0, 2, (3, n)), rng.permutation(n)
    found = calibration_error(y, p, bins)
    np.testing.assert_allclose(calibration_error(y[:, order], p[order], bins), found)
    np.testing.assert_allclose(found, [calibration_error(row, p, bins) for row in y])
    assert (np.abs(y.mean(axis=1) - p.mean()) - 1e-12 <= found).all() and (found <= 1).all()
    bin_of = equal_mass_bins(p, bins)
    assert bin_of.min() >= 0 and bin_of.max() < bins
    assert all(len(set(bin_of[p == one])) == 1 for one in p)
    assert (np.diff(bin_of[np.argsort(p)]) >= 0).all()


def test_one_image_none_and_one_kind():
    assert calibration_error(np.array([1]), np.array([0.8])) == pytest.approx(0.2)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0)))
    assert calibration_error(np.zeros((4, 0)), np.zeros(0)).shape == (4,)
    assert calibration_error(np.zeros(5), np.full(5, 0.3)) == pytest.approx(0.3)
    with pytest.raises(ValueError, match="bins=0"):
        calibration_error(np.array([1]), np.array([0.5]), 0)
