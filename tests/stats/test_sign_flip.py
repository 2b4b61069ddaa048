"""The sign-flip test against every choice of signs written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lib.stats.sign_flip import sign_flip


def every_choice(differences):
    found = abs(sum(differences))
    sums = [abs(sum(s * abs(d) for s, d in zip(signs, differences, strict=True))) for signs in product((-1, 1), repeat=len(differences))]
    return np.mean([one >= found for one in sums])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(differences=st.lists(st.integers(-6, 6), max_size=9))
def test_equals_every_choice_of_signs(differences):
    assert sign_flip(np.array(differences, dtype=int)) == pytest.approx(every_choice(differences))


@pytest.mark.parametrize(("more", "fewer"), [(0, 0), (1, 0), (5, 5), (12, 3), (40, 19)])
def test_units_of_one_are_the_binomial_test(more, fewer):
    expected = binomtest(more, more + fewer).pvalue if more + fewer else 1.0
    assert sign_flip(np.array([1] * more + [-1] * fewer + [0] * 7)) == pytest.approx(expected)


def test_many_units_stay_within_bounds():
    p = sign_flip(np.full(400, 3))
    assert 0 < p < 1e-100
    assert sign_flip(np.array([2, -2] * 200)) == 1.0


def test_fractions_are_refused():
    with pytest.raises(ValueError, match="whole numbers"):
        sign_flip(np.array([0.5, 1.0]))
