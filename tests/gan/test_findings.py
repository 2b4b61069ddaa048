"""Findings from histories whose fault is known, each figure worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.gan.findings import COLLAPSED_SPREAD, MEMORISED, find, sentences


def make_history(rows=100, **columns) -> pd.DataFrame:
    """A run that goes well, but for the columns given."""
    well = {"wasserstein": np.linspace(5, 1, rows), "gradient_norm": np.ones(rows),
            "quality": np.where(np.arange(rows) % 10 == 9, 0.05, np.nan)}
    return pd.DataFrame({"iteration": np.arange(1, rows + 1) * 10, **well, **columns})


def held(history, **given):
    given = {"spreads": {"disc": (0.2, 0.2)}, "drawn": np.ones(9), "held_out": np.ones(9)} | given
    return {finding.name: finding for finding in find(history, **given)}


def test_a_good_run_has_none_of_the_troubles():
    findings = held(make_history())
    assert [finding.holds for finding in findings.values()] == [False] * 4
    assert sentences(list(findings.values()))[0] == "None of the known troubles was found."


@pytest.mark.parametrize(("column", "values", "figure"), [
    ("gradient_norm", np.linspace(1, 4, 100), np.linspace(1, 4, 100)[-10:].mean()),
    ("wasserstein", -np.geomspace(1, 500, 100), 1.0),                          # its size counts, not its sign
])
def test_diverging(column, values, figure):
    found = held(make_history(**{column: values}))["diverging"]
    assert found.holds and found.figure == pytest.approx(figure)
    assert found.sentence.startswith("Diverging: ") and "lower gan.learning_rate" in found.sentence


def test_a_norm_that_is_high_and_falls_is_no_divergence():
    assert not held(make_history(gradient_norm=np.linspace(9, 3, 100)))["diverging"].holds


def test_collapsed_is_told_from_the_spread_of_real_images():
    found = held(make_history(), spreads={"disc": (0.03, 0.2)})["collapsed"]
    assert found.holds and found.figure == pytest.approx(0.15) and found.threshold == COLLAPSED_SPREAD
    assert found.sentence.startswith("Collapsed: what is drawn spreads 0.15 times as wide as real images")
    assert not held(make_history(), spreads={"disc": (0.03, 0.03)})["collapsed"].holds          # real images are as much alike
    for nothing in ({}, {"disc": (0.1, 0.0)}, {"disc": (float("nan"), 0.2)}):
        assert held(make_history(), spreads=nothing)["collapsed"].holds is None


def test_one_class_that_collapsed_is_not_hidden_by_the_others():
    found = held(make_history(), spreads={"a": (0.2, 0.2), "b": (0.0, 0.2), "c": (0.3, 0.2)})["collapsed"]
    assert found.holds and found.figure == 0 and "of b, the narrowest of 3 classes," in found.sentence


def test_memorising_is_told_from_held_out_images():
    found = held(make_history(), drawn=np.full(30, 0.2), held_out=np.full(9, 0.8))["memorising"]
    assert found.holds and found.figure == pytest.approx(0.25) and found.threshold == MEMORISED
    assert not held(make_history(), drawn=np.full(30, 0.6), held_out=np.full(9, 0.8))["memorising"].holds
    assert held(make_history(), held_out=np.empty(0))["memorising"].holds is None


def test_improving_is_a_share_of_the_range_so_that_scores_near_zero_mean_nothing():
    scores = np.full(100, np.nan)
    scores[9::10] = np.linspace(0.5, 0.1, 10)
    found = held(make_history(quality=scores))["improving"]
    parts = np.array_split(scores[9::10], 3)
    assert found.holds and found.figure == pytest.approx((parts[1].mean() - parts[2].mean()) / 0.4)
    scores[9::10] = [0.5, 0.2, 0.1, 0.003, -0.003, 0.001, -0.001, 0.002, 0.0, -0.002]
    assert not held(make_history(quality=scores))["improving"].holds
    assert held(make_history(quality=np.nan))["improving"].holds is None


def test_what_holds_comes_first_and_nothing_is_left_out():
    findings = find(make_history(), spreads={"a": (0.01, 0.2)}, drawn=np.ones(3), held_out=np.ones(3))
    said = sentences(findings)
    assert said[0].startswith("Collapsed: ") and len(said) == 4
    assert [finding.holds for finding in find(make_history().iloc[:0], spreads={})] == [None] * 4
    assert len(sentences(find(make_history().iloc[:0], spreads={}))) == 5
