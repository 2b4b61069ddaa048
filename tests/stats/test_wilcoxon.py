"""Wilcoxon's signed-rank test against SciPy and against every choice of signs, with ties, with zeros, with next to no pairs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.stats.evaluate import evaluate
from lib.stats.wilcoxon import wilcoxon, wilcoxon_table

OPTIONS = {"classes": ["a", "b", "c"], "positive": ["a"], "resamples": 20}


def every_choice(differences):
    ranks = scipy.stats.rankdata(np.abs(differences)) * (differences != 0)
    found = abs((np.sign(differences) * ranks).sum())
    return np.mean([abs((np.array(signs) * ranks).sum()) >= found - 1e-9 for signs in product((-1, 1), repeat=len(differences))])


@settings(deadline=None, max_examples=50, derandomize=True)
@given(differences=st.lists(st.sampled_from([-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.25, 0.3]), min_size=1, max_size=9))
def test_equals_every_choice_of_signs_with_ties_and_zeros(differences):
    assert wilcoxon(np.array(differences)) == pytest.approx(every_choice(np.array(differences)))


@pytest.mark.parametrize("pairs", [1, 2, 3, 5, 8, 20])
def test_equals_scipy_without_ties(pairs):
    for random in range(5):
        d = np.random.default_rng(random).normal(0.4, 1, pairs)
        assert wilcoxon(d) == pytest.approx(scipy.stats.wilcoxon(d, method="exact").pvalue)


def test_equals_scipy_with_ties_and_zeros():
    for random in range(10):
        d = np.random.default_rng(random).integers(-2, 4, 9) / 10
        if d.any():
            every = scipy.stats.wilcoxon(d, zero_method="pratt", method=scipy.stats.PermutationMethod(n_resamples=np.inf))
            assert wilcoxon(d) == pytest.approx(every.pvalue)


def test_rounding_is_no_difference():
    assert wilcoxon(np.array([0.3 - 0.2, 0.1, 0.1, -(0.7 - 0.6)])) == wilcoxon(np.array([1, 1, 1, -1]))
    assert wilcoxon(np.array([1e-15, -1e-15])) == 1


@pytest.mark.parametrize("pairs", range(1, 9))
def test_smallest_possible(pairs):
    assert wilcoxon(np.arange(1.0, pairs + 1)) == 2 / 2**pairs


@pytest.mark.parametrize("wrong", [[], [np.nan, 1.0], [np.inf]])
def test_no_pairs_and_no_numbers_are_named(wrong):
    with pytest.raises(ValueError, match="every difference a number"):
        wilcoxon(np.array(wrong))


def test_table(make):
    seeds = tuple(range(8))
    table = make(arms=("real", "better"), seeds=seeds, lift=0.8, seed_noise=0.01)
    twin = table[table["arm"] == "real"].assign(arm="twin")
    evaluation = evaluate(pd.concat([table, twin]), ["auroc", "accuracy"], **OPTIONS)
    found = wilcoxon_table(evaluation, "real").set_index(["arm", "metric", "group"])
    assert len(found) == 2 * 2 * 4
    assert (found.loc["twin"]["p_value"] == 1).all() and (found.loc["twin"]["value"] == 0).all()
    better = found.loc["better", "auroc", "all"]
    by_seed = [evaluation.by_seed(arm, "small_cnn", evaluation.key("auroc", "all")) for arm in ("better", "real")]
    assert better["p_value"] == 2 / 2**8 == better["smallest_possible"]
    assert better["value"] == pytest.approx(np.median(by_seed[0] - by_seed[1]))
    assert (better["pairs"], better["note"]) == (8, "")
    assert (found["p_adjusted"] >= found["p_value"]).all()


@pytest.mark.parametrize(("seeds", "note"), [
    (1, "1 pair: 1 at best, never under 0.05; use 8"),
    (3, "3 pairs: 0.25 at best, never under 0.05; use 8"),
    (5, "5 pairs: 0.0625 at best, never under 0.05; use 8"),
    (6, ""),
])
def test_table_says_when_nothing_could_be_found(make, seeds, note):
    evaluation = evaluate(make(seeds=tuple(range(seeds))), ["auroc"], **OPTIONS)
    found = wilcoxon_table(evaluation, "real")
    assert set(found["note"]) == {note}
    assert set(found["smallest_possible"]) == {2 / 2**seeds}


def test_stricter_confidence_needs_more_pairs(make):
    found = wilcoxon_table(evaluate(make(seeds=tuple(range(6))), ["auroc"], confidence=0.999, **OPTIONS), "real")
    assert found["note"].iloc[0] == "6 pairs: 0.03125 at best, never under 0.001; use 11"


def test_small_groups_have_no_answer(make):
    found = wilcoxon_table(evaluate(make(patients=30), ["sensitivity"], **OPTIONS), "real").set_index("group")
    assert found.drop("all")["note"].str.startswith("not estimable:").all()
    assert found.drop("all")[["value", "p_value", "p_adjusted"]].isna().all(axis=None)
    assert found.loc["all", "p_value"] > 0
