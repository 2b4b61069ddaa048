"""The equalised-odds difference against fairlearn, and its null against the same function on shuffled groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import equalized_odds_difference

from lib.stats.equalized_odds import equalized_odds, odds_gaps
from lib.stats.evaluate import evaluate
from lib.stats.permutation import shuffle_groups

OPTIONS = {"classes": ["a", "b", "c"], "positive": ["a"], "resamples": 20}


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_one_training_equals_fairlearn(groups):
    for random in range(8):
        rng = np.random.default_rng(random)
        truth, called, group = rng.random(120) < 0.4, rng.random(120) < 0.5, rng.integers(0, groups, 120)
        sensitivity, false_positive = odds_gaps(truth, called[:, None], group[None], count=groups)
        expected = equalized_odds_difference(truth, called, sensitive_features=group)
        assert max(sensitivity[0, 0], false_positive[0, 0]) == pytest.approx(expected)


def test_rates_are_means_over_trainings():
    rng = np.random.default_rng(1)
    truth, called, group = rng.random(90) < 0.4, rng.random((3, 90)) < 0.5, rng.integers(0, 2, 90)
    rates = np.mean([[[row[kind & (group == g)].mean() for kind in (truth, ~truth)] for g in (0, 1)] for row in called], axis=0)
    found = odds_gaps(truth, called.mean(axis=0)[:, None], group[None], count=2)
    np.testing.assert_allclose([part[0, 0] for part in found], np.abs(rates[0] - rates[1]))


def test_groups_of_one_kind_do_not_count():
    truth, called = np.array([True, True, False, False, True]), np.array([1.0, 0, 1, 0, 1])[:, None]
    sensitivity, false_positive = odds_gaps(truth, called, np.array([[0, 1, 0, 0, 2]]), count=3)
    assert sensitivity[0, 0] == 1
    assert np.isnan(false_positive[0, 0])                                            # one group with negatives: nothing to compare


def test_table(make):
    evaluation = evaluate(make(architectures=("one", "two"), seeds=(0, 1)), ["auroc"], **OPTIONS)
    found = equalized_odds(evaluation, 40, seed=5)
    assert list(found["architecture"]) == ["all", "one", "two"] * 2
    table = evaluation.predictions
    truth, code = table.y_true == 0, np.array([evaluation.groups.index(group) for group in table.groups])
    shuffled = shuffle_groups(table.cluster_ids, table.y_true, code, permutations=40, seed=5)

    def difference(groups, runs):
        called = np.mean([table.probabilities[run][:, 0] >= table.thresholds[run] for run in runs], axis=0)
        rates = np.array([[called[kind & (groups == g)].mean() for g in range(3)] for kind in (truth, ~truth)])
        return np.ptp(rates, axis=1)

    for row in found.itertuples():
        runs = [run for run in table.probabilities if run[0] == row.arm and row.architecture in ("all", run[1])]
        np.testing.assert_allclose([row.sensitivity_gap, row.false_positive_gap], difference(code, runs))
        assert row.value == max(row.sensitivity_gap, row.false_positive_gap)
        null = np.array([difference(groups, runs).max() for groups in shuffled])
        assert row.null_median == pytest.approx(np.median(null))
        assert row.null_high == pytest.approx(np.quantile(null, 0.95))
        assert row.p_value == pytest.approx((1 + (null >= row.value - 1e-12).sum()) / 41)
    assert (found["p_adjusted"] >= found["p_value"]).all()
    pd.testing.assert_frame_equal(found, equalized_odds(evaluation, 40, seed=5))


def test_groups_without_enough_of_either_kind_are_left_out(make):
    table = make()
    dark, ill = table["group"] == "V–VI", table["y_true"] == 0
    few = table[~(dark & ill)]
    found = equalized_odds(evaluate(few, ["auroc"], **OPTIONS), 20)
    assert set(found["groups"]) == {"III–IV, I–II"}
    assert found["note"].str.match(r"group V–VI left out \(0 positives, needs 20\)").all()
    found = equalized_odds(evaluate(table[~(dark & ~ill)], ["auroc"], **OPTIONS), 20)
    assert found["note"].str.contains("0 negatives, needs 20").all()
    lone = equalized_odds(evaluate(table[table["group"] == "I–II"], ["auroc"], **OPTIONS), 20)
    assert lone["note"].str.startswith("not estimable: 1 of 1 groups estimable, needs 2").all()
    assert lone[["value", "p_value"]].isna().all(axis=None)


def test_without_thresholds_or_positive_classes(predictions):
    found = equalized_odds(evaluate(predictions.assign(threshold=np.nan), ["auroc"], **OPTIONS), 20)
    assert found["note"].str.startswith("not estimable: the table holds no decision threshold").all()
    found = equalized_odds(evaluate(predictions, ["auroc"], classes=OPTIONS["classes"], resamples=20), 20)
    assert found["note"].str.contains("names no positive classes").all()
    assert found["value"].isna().all()
