"""Estimates, gaps and the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lib.metrics.estimate import Estimate, number
from lib.metrics.gap import extremes
from lib.metrics.registry import MEASURES, get_measure


def test_interval_is_the_central_share_of_the_draws():
    draws = np.arange(101) / 100
    estimate = Estimate.from_draws(draws, confidence=0.9)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == pytest.approx((0.5, 0.05, 0.95, 101))
    assert Estimate.from_draws(list(draws), value=0.4, n=7).value == 0.4
    assert Estimate.from_draws(iter([1.0, 2.0])).value == 1.5


def test_reads_well():
    assert str(Estimate(0.8742, 0.8507, 0.8961)) == "0.874 (0.851–0.896)"
    assert Estimate(-0.012, -0.03, 0.006).format() == "−0.012 (−0.030 to 0.006)"
    assert Estimate(0.012, 0.001, 0.03).format(signed=True, digits=2) == "+0.01 (0.00 to +0.03)"
    assert str(Estimate.missing("7 positives, needs 20", n=40)) == "not estimable: 7 positives, needs 20"
    assert number(-0.0001) == "0.000" and number(math.nan) == "–"
    assert number(-2.5, digits=1) == "−2.5" and number(0.05, signed=True) == "+0.050"
    assert number(None) == "–" and number(-1234) == "−1,234" and number(12345.678, 1, signed=True) == "+12,345.7"
    assert number(math.inf) == "∞" and number(-math.inf) == "−∞" and number(0, signed=True) == "0"
    assert number(np.float32(0.25), 2) == "0.25" and number(np.int64(1000)) == "1,000"


def test_undefined_draws():
    some = np.r_[np.full(4, np.nan), np.linspace(0, 1, 96)]
    assert Estimate.from_draws(some).estimable and Estimate.from_draws(some).value == pytest.approx(0.5)
    many = np.r_[np.full(6, np.nan), np.linspace(0, 1, 94)]
    assert Estimate.from_draws(many, value=0.5).reason == "undefined in 6% of the resamples"
    none = Estimate.from_draws([math.nan, math.nan])
    assert not none.estimable and math.isnan(none.low) and none.reason == "undefined on this sample"
    with pytest.raises(ValueError, match="at least one draw"):
        Estimate.from_draws([])
    with pytest.raises(ValueError, match="confidence=95"):
        Estimate.from_draws([1.0], confidence=95)


def test_extremes():
    assert extremes({"a": 0.5, "b": 0.7, "c": 0.6, "d": math.nan}) == ("a", "b")
    assert extremes({"a": 0.5, "b": 0.7, "c": 0.6}, higher_is_better=False) == ("b", "a")
    with pytest.raises(ValueError, match="got 1 of 2"):
        extremes({"a": 0.5, "b": math.nan})


def test_registry_knows_the_names_of_study_files():
    wanted = ["auroc", "auroc_positive", "average_precision", "macro_f1", "balanced_accuracy", "accuracy",
              "sensitivity", "specificity", "precision", "f1"]
    assert set(wanted) <= set(MEASURES)
    assert get_measure("f1").needs_threshold and get_measure("auroc_positive").needs_positive and not get_measure("auroc").needs_positive
    assert all(name == measure.name and measure.title for name, measure in MEASURES.items())


@pytest.mark.parametrize(("given", "close"), [("aurocc", "auroc"), ("Macro-F1", "macro_f1"), ("sensitivty", "sensitivity")])
def test_unknown_measure_names_the_closest(given, close):
    with pytest.raises(ValueError, match=f"did you mean {close}.*known: auroc, "):
        get_measure(given)
    with pytest.raises(ValueError, match=r"no metric is called 'zzz'; known:"):
        get_measure("zzz")
