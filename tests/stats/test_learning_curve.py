"""Learning curves with a planted answer: where an arm stands, how often the interval holds that, and every reason to say nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from lib.stats.interval import make_uncertainty
from lib.stats.learning_curve import LearningCurve, few_draws, fit_shape, height, invert, slope_weights, stretch

BELOW = (0.25, 0.5, 0.75)


def exact(heights, gain, *, fractions=BELOW, limit=4.0, noise=1e-6, seeds=3, draws=200):
    """A curve through these heights and an arm with this gain, all but free of noise."""
    rng = np.random.default_rng(0)
    curve = LearningCurve(
        fractions, np.array(heights) + noise * rng.normal(size=(seeds, len(fractions))),
        np.array(heights)[None, :, None] + noise * rng.normal(size=(seeds, len(fractions), draws)), 100.0, 0.95, limit,
    )
    return curve, curve.worth(gain + noise * rng.normal(size=seeds), gain + noise * rng.normal(size=(seeds, draws)))


def study(rng, *, true=1.6, shape=0.0, slope=0.03, seeds=5, patients=150, spread=0.25, own=0.1, training=0.004, draws=300):
    """Values of the curve's points and of an arm that is worth `true`, as means over patients who err alike and networks that err apart."""
    means = slope * np.array([*stretch(np.log(BELOW), shape), 0, stretch(math.log(true), shape)])
    person = spread * (rng.normal(size=(patients, 1)) + 0.5 * rng.normal(size=(patients, 5)))
    values = means + person + own * rng.normal(size=(seeds, patients, 5)) + training * rng.normal(size=(seeds, 1, 5))
    weights = rng.multinomial(patients - 1, np.full(patients, 1 / patients), size=draws) / (patients - 1)
    drawn, whole = np.einsum("bp,spa->sab", weights, values), values.mean(axis=1)
    curve = LearningCurve(BELOW, whole[:, :3] - whole[:, 3:4], drawn[:, :3] - drawn[:, 3:4], patients - 1.0, 0.95, 4.0)
    return curve.worth(whole[:, 4] - whole[:, 3], drawn[:, 4] - drawn[:, 3])


@given(st.just(0.0) | st.floats(0.01, 1), st.floats(0.005, 0.2), st.floats(1.05, 3.5))
@settings(deadline=None, max_examples=6)
def test_a_planted_curve_gives_back_the_fraction(shape, slope, true):
    heights = slope * stretch(np.log(BELOW), shape)
    curve, worth = exact(heights, slope * stretch(math.log(true), shape))
    assert curve.height(1.0) == 0 and curve.shape == pytest.approx(shape, abs=0.02)
    assert worth.value == pytest.approx(true, rel=0.05) and worth.low <= true * 1.001 and worth.high >= true * 0.999


def test_the_fit_is_scipys():
    points = np.array([-0.09, -0.032, -0.011])
    shape = fit_shape(BELOW, points)
    (slope, other), _ = curve_fit(lambda log, slope, shape: slope * stretch(log, shape), np.log(BELOW), points, p0=(0.05, 0.3))
    assert 0 < other < 1 and shape == pytest.approx(other, abs=1e-3)
    assert slope_weights(BELOW, shape) @ points == pytest.approx(slope, rel=1e-3)


@given(st.just(0.0) | st.floats(0.01, 1), st.floats(-3, 3))
@settings(deadline=None)
def test_invert_undoes_stretch(shape, log_fraction):
    assert invert(float(stretch(log_fraction, shape)), shape) == pytest.approx(log_fraction, abs=1e-6)


def test_few_draws_give_the_same_interval():
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(6, 400)) @ np.diag(rng.uniform(0.5, 2, 400)) + rng.normal(size=400)
    draws[0, 7] = math.nan
    known, few = np.delete(draws, 7, axis=1), few_draws(draws)
    assert few.shape == (6, 12)
    for g in (-0.7, 0.4):
        whole, short = (make_uncertainty(np.array([0.1, 0.3, 0.2]), one[:3] - g * one[3:], degrees=40.0) for one in (known, few))
        assert short.interval(0.95) == pytest.approx(whole.interval(0.95), rel=1e-9)


def test_a_power_law_has_an_end():
    assert invert(1.0, 1.0) == math.inf and invert(0.99, 1.0) == pytest.approx(math.log(100))
    assert height(BELOW, np.array([-3.0, -1.0, -1 / 3]), 1.0, math.log(1e9)) == pytest.approx(1.0, rel=1e-6)
    _, worth = exact([-0.3, -0.1, -1 / 30], 0.2)                              # the curve ends at + 0.1
    assert worth.value == worth.low == worth.high == math.inf and not worth.reason


def test_beyond_the_limit_and_under_the_first_fraction():
    line = 0.05 * np.log(BELOW)
    assert exact(line, 0.05 * math.log(5))[1].value == math.inf
    assert exact(line, 0.05 * math.log(3.9))[1].value == pytest.approx(3.9, rel=0.01)
    worse = exact(line, 0.05 * math.log(0.1))[1]
    assert worse.value == worse.low == worse.high == -math.inf
    measured = exact([0.03, 0.05], 0.06, fractions=(1.5, 2.0), limit=2.0)[1]
    assert measured.value == math.inf                                         # no extrapolation where more images were trained on
    assert exact([0.03, 0.05], -0.01, fractions=(1.5, 2.0), limit=2.0)[1].value == -math.inf


def test_an_arm_like_the_real_one_is_worth_nothing_however_bad_the_fit():
    crooked = [-0.10, -0.02, -0.04]                                           # no curve of the family goes through these
    assert exact(crooked, 0.0)[1].value == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("heights", "gain", "reason"), [
    ((0.02, 0.01, 0.0), 0.03, "flat curve: more real images did not help here"),
    ((math.nan, -0.02, -0.01), 0.03, "undefined on this sample"),
    ((-0.05, -0.02, -0.01), math.nan, "undefined on this sample"),
])
def test_reasons(heights, gain, reason):
    worth = exact(heights, gain)[1]
    assert worth.reason == reason and math.isnan(worth.value) and math.isnan(worth.low) and math.isnan(worth.high)


def test_a_curve_lost_in_noise_is_flat():
    found = [study(np.random.default_rng(seed), true=1.0, slope=0.004, seeds=3, patients=60).reason for seed in range(12)]
    assert {"flat curve: whether more real images help cannot be told here", "flat curve: more real images did not help here"} <= set(found)


def test_a_clear_gain_over_an_uncertain_curve_has_a_lower_end_and_no_upper():
    rng = np.random.default_rng(3)
    found = [study(rng, true=2.5, slope=0.04, seeds=3) for _ in range(20)]
    clear = [one for one in found if not one.reason and one.low > 1]
    assert len(clear) >= 10 and any(one.high == math.inf for one in clear) and all(1 < one.low <= one.value for one in clear)


@pytest.mark.parametrize(("what", "options"), [
    ("linear in log f",            {}),
    ("worth nothing",              {"true": 1.0}),
    ("1/n, few know its shape",    {"shape": 1.0, "slope": 0.05}),
    ("1/√n, worth twice, 3 seeds", {"shape": 0.5, "slope": 0.1, "true": 2.0, "seeds": 3}),
])
def test_the_interval_holds_the_truth(report_truth, what, options):
    """At least as often as it says: shapes that the points leave open make it wider, never narrower."""
    rng, studies, held = np.random.default_rng(11), 60, 0
    for _ in range(studies):
        worth = study(rng, draws=150, patients=60, **options)
        held += bool(worth.reason) or worth.low <= options.get("true", 1.6) <= worth.high
    report_truth(f"exchange rate: {what}", "95 % interval holds", studies, held / studies, 0.90, 1.0,
                 because="the widest over all shapes of the curve that fit, and no rate counts as held")
    assert held / studies >= 0.90
