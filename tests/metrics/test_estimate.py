"""Estimates, gaps and the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lib.metrics.estimate import Estimate, number
from lib.metrics.gap import extremes
from lib.metrics.registry import MEASURES, get_measure


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


def test_extremes():
    assert extremes({"a": 0.5, "b": 0.7, "c": 0.6, "d": math.nan}) == ("a", "b")
    assert extremes({"a": 0.5, "b": 0.7, "c": 0.6}, higher_is_better=False) == ("b", "a")
    assert extremes({"a": 1.0, "b": 1.0, "c": 1.0}) == ("a", "b") and extremes({"b": 0.5, "a": 0.5}, higher_is_better=False) == ("a", "b")
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
