"""Holm and Benjamini–Hochberg against statsmodels, by hand, and where p-values are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from lib.stats.multiplicity import benjamini_hochberg, holm

METHODS = {"holm": holm, "fdr_bh": benjamini_hochberg}
p_values = st.lists(st.sampled_from([0.0, 1e-5, 0.004, 0.01, 0.01, 0.03, 0.05, 0.2, 0.5, 1.0]) | st.floats(0, 1), min_size=1, max_size=30)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=60, derandomize=True)
@given(p=p_values)
def test_equals_statsmodels(method, p):
    np.testing.assert_allclose(METHODS[method](np.array(p)), multipletests(p, method=method)[1], atol=1e-12)


def test_by_hand():
    p = [0.01, 0.04, 0.03, 0.005]                                       # sorted: .005 .01 .03 .04
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.02, 0.04, 0.04, 0.02])


@pytest.mark.parametrize("adjust", METHODS.values())
def test_missing_p_values_do_not_count(adjust):
    p = np.array([np.nan, 0.02, 0.3, np.nan, 0.04])
    found = adjust(p)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(p))
    np.testing.assert_allclose(found[[1, 2, 4]], adjust(p[[1, 2, 4]]))
    assert np.isnan(adjust([np.nan])).all()
    assert adjust([]).shape == (0,)
    assert adjust([0.03]).tolist() == [0.03]
    assert adjust(p.reshape(5, 1)).shape == (5, 1)
    np.testing.assert_array_equal(p, [np.nan, 0.02, 0.3, np.nan, 0.04])  # the input is left alone


@pytest.mark.parametrize("adjust", METHODS.values())
@pytest.mark.parametrize("wrong", [-0.1, 1.2])
def test_no_p_value_at_all_is_named(adjust, wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjust([0.2, wrong])
