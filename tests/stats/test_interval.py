"""Intervals and p-values from their parts: textbook cases, and what must hold whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from lib.stats.interval import Pin, Uncertainty, make_uncertainty


def drawn(by_seed, spread, own=0.0, resamples=400, random=0):
    """Draws around the values: `spread` common to all trainings, `own` to each."""
    rng = np.random.default_rng(random)
    by_seed = np.asarray(by_seed, dtype=float)
    return by_seed[:, None] + spread * rng.normal(size=resamples) + own * rng.normal(size=(len(by_seed), resamples))


parts = st.fixed_dictionaries({
    "value": st.floats(-0.3, 0.3), "trainings": st.integers(1, 10), "degrees": st.floats(1, 500),
    "patients": st.floats(0, 0.05), "interaction": st.floats(0, 0.02), "seeds": st.floats(0, 0.05),
})


def make(values, **more):
    return Uncertainty(**(values | ({"seeds": math.nan, "interaction": 0.0} if values["trainings"] == 1 else {})), **more)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(parts, st.floats(0.6, 0.999), st.floats(0.001, 0.4))
def test_whatever_the_parts(values, confidence, margin):
    found = make(values, limits=(-1.0, 1.0))
    low, high = found.interval(confidence)
    assert -1 <= low <= found.value <= high <= 1
    wider = found.interval((1 + confidence) / 2)
    assert wider[0] <= low and high <= wider[1]
    # p inverts the interval, and so does the p of equivalence; a hair's breadth around either is not decided
    p, within = found.p_value(), found.p_within(margin)
    assert 0 < p <= 1 and 0 < within <= 1
    assume(abs(p - (1 - confidence)) > 1e-9 and abs(within - (1 - confidence) / 2) > 1e-9)
    assert (p < 1 - confidence) == (low > 0 or high < 0)
    assert (within < (1 - confidence) / 2) == (-margin < low and high < margin)
    mirrored = make(values | {"value": -found.value}, limits=(-1.0, 1.0))
    np.testing.assert_allclose(mirrored.interval(confidence), (-high, -low), atol=1e-12)
    assert mirrored.p_value() == pytest.approx(p) and mirrored.p_within(margin) == pytest.approx(within)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(parts, st.floats(0.6, 0.999), st.floats(0.01, 0.99))
def test_single_values_stay_on_their_scale(values, confidence, value):
    found = make(values | {"value": value}, limits=(0.0, 1.0), slope=1 / (value * (1 - value)))
    low, high = found.interval(confidence)
    assert 0 <= low <= value + 1e-12 and value - 1e-12 <= high <= 1
    if value > 0.5 and high - low > 1e-6 and high < 1 - 1e-9:
        assert value - low >= high - value                                        # reaches further towards the middle
    upside_down = make(values | {"value": 1 - value}, limits=(0.0, 1.0), slope=1 / (value * (1 - value)))
    np.testing.assert_allclose(upside_down.interval(confidence), (1 - high, 1 - low), atol=1e-9)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_order_of_seeds_and_resamples_changes_nothing(random, seeds):
    rng = np.random.default_rng(random)
    by_seed = rng.uniform(0.4, 0.9, seeds)
    draws = drawn(by_seed, 0.03, 0.02, random=random)
    one = make_uncertainty(by_seed, draws, degrees=20, limits=(0, 1), bounded=True)
    order, other = rng.permutation(seeds), rng.permutation(draws.shape[1])
    again = make_uncertainty(by_seed[order], draws[order][:, other], degrees=20, limits=(0, 1), bounded=True)
    np.testing.assert_allclose(one.interval(0.95), again.interval(0.95), rtol=1e-9)


def test_where_only_training_varies_it_is_the_t_interval():
    values = np.array([0.11, 0.14, 0.08, 0.15])
    found = make_uncertainty(values, np.repeat(values[:, None], 50, axis=1), degrees=30)
    assert found.interval(0.9) == pytest.approx(stats.t.interval(0.9, 3, values.mean(), stats.sem(values)))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6)
    assert found.seed_spread == pytest.approx(values.std(ddof=1)) and found.freedom == pytest.approx(3)


def test_where_only_patients_vary_it_is_theirs():
    draws = drawn([0.1], 0.04)
    found = make_uncertainty([0.1], draws, degrees=17)
    assert found.interval(0.95) == pytest.approx(stats.t.interval(0.95, 17, 0.1, draws.std()))
    assert math.isnan(found.seed_spread) and found.trainings == 1
    assert found.p_value() == pytest.approx(2 * stats.t.sf(0.1 / draws.std(), 17), rel=1e-6)


def test_two_sources_combine_as_in_welch():
    # two samples of unlike variance: the same sum of two estimated variances with the same approximate degrees of freedom
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 1, 12), rng.normal(1, 3, 5)
    welch = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    found = Uncertainty(a.mean() - b.mean(), 5, degrees=11, patients=a.var(ddof=1) / 12, interaction=0.0, seeds=b.var(ddof=1) / 5)
    assert found.interval(0.95) == pytest.approx(welch.tconfint_diff(usevar="unequal"))
    assert found.p_value() == pytest.approx(welch.ttest_ind(usevar="unequal")[1], rel=1e-6)


def test_equivalence_is_two_one_sided_tests():
    rng = np.random.default_rng(5)
    x = rng.normal(0.1, 1, 40)
    found = Uncertainty(x.mean(), 1, degrees=39, patients=x.var(ddof=1) / 40, interaction=0.0)
    assert found.p_within(0.6) == pytest.approx(DescrStatsW(x).ttost_mean(-0.6, 0.6)[0], rel=1e-6)
    assert found.p_within(abs(x.mean())) == 1.0


def test_nothing_counts_twice():
    # three networks that err on patients of their own but were trained alike: their spread is the interaction, which the draws hold too
    rng = np.random.default_rng(0)
    patients, own, trainings = 0.03, 0.05, 3
    total = []
    for random in range(300):
        by_seed = 0.7 + own * rng.normal(size=trainings)
        found = make_uncertainty(by_seed, drawn(by_seed, patients, own, random=random), degrees=50)
        total.append(found.patients + found.seeds)
        assert found.patients + found.interaction == pytest.approx(patients**2 + own**2 / 3, rel=0.4)
    assert np.mean(total) == pytest.approx(patients**2 + own**2 / 3, rel=0.1)            # not patients² + 2 · own²/3


def test_never_narrower_than_for_these_networks():
    by_seed = [0.7, 0.7, 0.7]                                                            # by luck all alike on this test set
    draws = drawn(by_seed, 0.02, 0.05)
    found = make_uncertainty(by_seed, draws, degrees=25)
    assert np.ptp(found.interval(0.95)) == pytest.approx(2 * stats.t.ppf(0.975, 25) * draws.mean(axis=0).std())


def test_a_number_at_the_end_of_its_scale():
    found = make_uncertainty([1.0], np.ones((1, 50)), degrees=28, limits=(0.0, 1.0), bounded=True, pins=(Pin(-1, 1.0, 29),))
    assert found.interval(0.95) == pytest.approx(proportion_confint(29, 29, method="beta"))
    alike = make_uncertainty([0.0], np.zeros((1, 50)), degrees=28, limits=(-1.0, 1.0), pins=(Pin(-1, 1.0, 29), Pin(1, 1.0, 29)))
    low, high = alike.interval(0.95)
    assert high == -low == pytest.approx(1 - proportion_confint(29, 29, method="beta")[0])
    assert alike.p_value() == 1 and alike.p_within(0.02) > 0.5 > 0.025 > alike.p_within(0.2)
    almost = make_uncertainty([1 - 1e-12], np.ones((1, 50)), degrees=28, limits=(0.0, 1.0), bounded=True, pins=(Pin(-1, 1.0, 29),))
    assert almost.interval(0.95) == pytest.approx(found.interval(0.95))


def test_no_difference_and_no_doubt():
    found = make_uncertainty([0.0, 0.0], np.zeros((2, 30)), degrees=10)
    assert found.interval(0.95) == (0, 0) and found.p_value() == 1 and found.p_within(0.01) < 1e-9
    sure = make_uncertainty([0.1, 0.1], np.full((2, 30), 0.1), degrees=10)
    assert sure.interval(0.95) == pytest.approx((0.1, 0.1)) and 0 < sure.p_value() < 1e-9


def test_wide_logits_widen_the_interval_and_ends_do_not_explode():
    draws = np.r_[np.ones(100), np.full(200, 0.95), np.full(80, 0.9), np.full(20, 0.85)][None]
    found = make_uncertainty([0.95], draws, degrees=19, limits=(0.0, 1.0), bounded=True)
    low, high = found.interval(0.95)
    assert 0.6 < low < 0.85 and 0.985 < high < 1
    plain = make_uncertainty([0.5], drawn([0.5], 0.01), degrees=19, limits=(0.0, 1.0), bounded=True)
    assert plain.interval(0.95) == pytest.approx(stats.t.interval(0.95, 19, 0.5, 0.01), abs=2e-3)


def test_undefined_draws():
    draws = drawn([0.5, 0.6], 0.05, resamples=100)
    some = draws.copy()
    some[0, :4] = np.nan                                                                  # left undefined for one run
    assert make_uncertainty([0.5, 0.6], some, degrees=9).interval(0.95) == pytest.approx(
        make_uncertainty([0.5, 0.6], draws[:, 4:], degrees=9).interval(0.95))
    some[0, :6] = np.nan
    found = make_uncertainty([0.5, 0.6], some, degrees=9)
    assert found.reason == "undefined in 6% of the resamples" and math.isnan(found.p_value()) and math.isnan(found.p_within(0.1))
    assert np.isnan(found.interval(0.95)).all() and not found.estimate(0.95, n=7).estimable
    assert make_uncertainty([0.5, math.nan], draws, degrees=9).reason == "undefined on this sample"


def test_wrong_inputs():
    with pytest.raises(ValueError, match=r"expected values \[S\] and draws \[S, B\], got shapes \(2,\) and \(3, 5\)"):
        make_uncertainty([1, 2], np.zeros((3, 5)), degrees=3)
    with pytest.raises(ValueError, match="expected values"):
        make_uncertainty([1], np.zeros((1, 0)), degrees=3)
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match=f"confidence={confidence}; expected a share"):
            make_uncertainty([0.1], drawn([0.1], 1), degrees=3).interval(confidence)
