"""Fleiss' kappa against statsmodels; intraclass correlations against the published table and an analysis of variance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa as theirs

from lib.metrics.agreement import fleiss_kappa, icc

# Shrout & Fleiss 1979, table 2: six subjects, four raters; table 4: ICC(2,1) = .29, ICC(2,4) = .62
PUBLISHED = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(n=st.integers(2, 12), k=st.integers(2, 5), raters=st.integers(2, 6), seed=st.integers(0, 999))
def test_kappa_equals_statsmodels(n, k, raters, seed):
    counts = np.random.default_rng(seed).multinomial(raters, np.full(k, 1 / k), size=n)
    if (counts.sum(axis=0) > 0).sum() > 1:
        assert fleiss_kappa(counts) == pytest.approx(theirs(counts), abs=1e-12)


def test_kappa_at_its_ends():
    assert fleiss_kappa([[4, 0], [0, 4], [4, 0]]) == pytest.approx(1)
    assert np.isnan(fleiss_kappa([[4, 0], [4, 0]]))
    for wrong in ([[3, 1], [2, 1]], [[1, 0], [0, 1]]):
        with pytest.raises(ValueError, match="same number of ratings"):
            fleiss_kappa(wrong)
    with pytest.raises(ValueError, match="whole numbers"):
        fleiss_kappa([[0.5, 1.5]])


def test_icc_is_the_published_one():
    found = icc(PUBLISHED)
    assert (round(found["single"].value, 2), round(found["mean"].value, 2)) == (0.29, 0.62)
    assert (found["single"].low, found["single"].high) == pytest.approx((0.019, 0.761), abs=1e-3)       # as psych's ICC() in R prints
    assert (found["mean"].low, found["mean"].high) == pytest.approx((0.071, 0.927), abs=1e-3)
    assert found["single"].n == 6


def test_icc_interval_holds_the_truth():
    """Subjects, raters and errors of known variance: 1 / (1 + 0.25 + 0.5)."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        scores = rng.normal(0, 1, (30, 1)) + rng.normal(0, 0.5, (1, 4)) + rng.normal(0, np.sqrt(0.5), (30, 4))
        found = icc(scores)["single"]
        held += found.low <= 1 / 1.75 <= found.high
    assert 273 <= held <= 300


def test_icc_says_why_there_is_none():
    assert "equal" in icc(np.ones((5, 3)))["single"].reason
    assert "1 raters" in icc(np.ones((5, 1)))["mean"].reason
    assert icc([[1, 1], [2, 2], [5, 5]])["single"].value == pytest.approx(1)
    assert icc([[1, 2], [2, 3], [5, 6]])["mean"].low < icc([[1, 2], [2, 3], [5, 6]])["mean"].value < 1      # raters differ by a constant
    with pytest.raises(ValueError, match="1 missing"):
        icc([[1, np.nan], [2, 3]])
