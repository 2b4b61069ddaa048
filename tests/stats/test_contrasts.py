"""Weighted sums of arms: a difference is what it always was, a slope the least-squares one, an interaction a difference of differences."""

from dataclasses import replace

import numpy as np
import pytest

from lib.stats.compare import contrast
from lib.stats.contrasts import CONSTANT, weighted_sum
from lib.stats.dose import dose_response, dose_trends, halvings, slope_weights
from lib.stats.evaluate import evaluate
from lib.stats.evaluation import ALL
from lib.stats.networks import network_effects
from lib.stats.pairs import paired_differences

CLASSES = ["a", "b", "c"]
ARMS = ("real", "one", "three", "seven")
DOSES = {"drawn": {0.0: "real", 1.0: "one", 3.0: "three", 7.0: "seven"}}


@pytest.fixture(scope="module")
def evaluation(make):
    """Four arms, each 0.3 better than the last, two networks."""
    table = make(arms=ARMS, architectures=("deep", "small"), lift=0.3)
    return evaluate(table, ["macro_f1"], classes=CLASSES, arms=ARMS, resamples=200, minimum_positives=5)


def test_a_difference_as_a_weighted_sum_is_the_difference(evaluation):
    for group in (ALL, "V–VI"):
        for one in evaluation.architectures:
            found = weighted_sum(evaluation, "macro_f1", group, {("one", one): 1, ("real", one): -1})
            known = contrast(evaluation, one, "macro_f1", group, {"one": 1, "real": -1})
            np.testing.assert_allclose([found.value, *found.interval(0.95)], [known.value, *known.interval(0.95)], rtol=1e-12)


def test_weights_must_sum_to_zero_and_something_must_vary(evaluation, make):
    with pytest.raises(ValueError, match="weights sum to 1; a contrast needs weights that sum to 0"):
        weighted_sum(evaluation, "macro_f1", ALL, {("one", ALL): 2, ("real", ALL): -1})
    perfect = evaluate(make(signal=60.0), ["macro_f1"], classes=CLASSES, resamples=100, minimum_positives=5)
    found = weighted_sum(perfect, "macro_f1", ALL, {("oversampled", "small_cnn"): 1, ("real", "small_cnn"): -1})
    assert found.reason == CONSTANT and np.isnan(found.interval(0.95)).all()


def test_too_few_positives_are_a_reason_everywhere(make):
    few = evaluate(make(arms=ARMS, architectures=("deep", "small")), ["macro_f1"], classes=CLASSES, arms=ARMS, resamples=100,
                   minimum_positives=900)
    tables = [dose_response(few, DOSES, "macro_f1"), dose_trends(few, DOSES, "macro_f1"), network_effects(few, "real", "macro_f1")]
    for table in tables:
        assert len(table) and table[["value", "low", "high"]].isna().all(axis=None)
        assert table["note"].str.startswith("not estimable: ").all() and table["note"].str.contains("needs 900").all()


# ── dose ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_dose_is_how_often_the_real_share_was_halved():
    assert [halvings(ratio) for ratio in (0, 1, 3, 7)] == [0, 1, 2, 3]
    for ratio in (0.5, 2, 10):
        assert 2 ** -halvings(ratio) == pytest.approx(1 / (1 + ratio))


def test_trend_is_the_slope_that_polyfit_finds(evaluation):
    trends = dose_trends(evaluation, DOSES, "macro_f1").set_index("group")
    response = dose_response(evaluation, DOSES, "macro_f1")
    for group, part in response.groupby("group"):
        slope = np.polyfit(np.log2(1 + part["ratio"]), part["value"], 1)[0]
        assert trends.loc[group, "value"] == pytest.approx(slope, abs=1e-12) and slope > 0
        assert trends.loc[group, "low"] < slope < trends.loc[group, "high"]
    assert slope_weights([0, 1, 3, 7]).sum() == pytest.approx(0) and (trends["doses"] == 4).all()


def test_trend_does_not_change_when_all_doses_move_alike(evaluation):
    key = evaluation.key("macro_f1", ALL)
    moved = replace(evaluation, values={name: values + 0.05 * (name[2] == key) for name, values in evaluation.values.items()})
    assert moved.of("one", ALL, key) == pytest.approx(evaluation.of("one", ALL, key) + 0.05)
    before, after = (dose_trends(found, DOSES, "macro_f1")["value"].to_numpy() for found in (evaluation, moved))
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_response_holds_each_arm_and_its_difference_from_the_lowest_dose(evaluation):
    response = dose_response(evaluation, {"drawn": {7.0: "seven", 0.0: "real", 1.0: "one"}}, "macro_f1")
    assert list(dict.fromkeys(response["arm"])) == ["real", "one", "seven"] and response["group"].nunique() == 4
    known = paired_differences(evaluation, [("seven", "real")]).set_index(["architecture", "group"])
    for row in response[response["arm"] == "seven"].itertuples():
        expected = known.loc[(ALL, row.group), ["value", "low", "high"]].tolist()
        assert [row.difference, row.difference_low, row.difference_high] == expected
    assert response.loc[response["arm"] == "real", "difference"].isna().all()


def test_two_doses_have_no_trend(evaluation):
    assert dose_trends(evaluation, {"drawn": {0.0: "real", 1.0: "one"}}, "macro_f1").empty
    assert dose_response(evaluation, {}, "macro_f1").empty


# ── networks and pairs ───────────────────────────────────────────────────────────────────────────────────────────

def test_effect_of_a_network_is_its_difference_from_their_mean(evaluation):
    effects = network_effects(evaluation, "real", "macro_f1").set_index(["arm", "architecture"])
    single = paired_differences(evaluation, [(arm, "real") for arm in ARMS[1:]], groups=[ALL]).set_index(["arm", "architecture"])["value"]
    assert len(effects) == 6
    for arm, network in effects.index:
        assert effects.loc[(arm, network), "value"] == pytest.approx(single[arm, network] - single[arm, ALL], abs=1e-12)
    mirrored = effects.loc[("one", "deep"), ["value", "low", "high"]].to_numpy(dtype=float)
    np.testing.assert_allclose(effects.loc[("one", "small"), ["value", "high", "low"]].to_numpy(dtype=float), -mirrored, atol=1e-12)


def test_three_networks_widen_the_intervals_and_one_has_no_effect(make):
    table = make(arms=("real", "more"), architectures=("deep", "small", "wide"))
    found = evaluate(table, ["macro_f1"], classes=CLASSES, arms=["real", "more"], resamples=200, minimum_positives=5)
    row = network_effects(found, "real", "macro_f1").iloc[0]
    weights = {("more", "deep"): 2 / 3, ("more", "small"): -1 / 3, ("more", "wide"): -1 / 3,
               ("real", "deep"): -2 / 3, ("real", "small"): 1 / 3, ("real", "wide"): 1 / 3}
    alone = weighted_sum(found, "macro_f1", ALL, weights)
    np.testing.assert_allclose(row[["low", "high"]].astype(float), alone.interval(1 - 0.05 / 3))
    assert row["low"] < alone.interval(0.95)[0]
    single = evaluate(table[table["architecture"] == "deep"], ["macro_f1"], classes=CLASSES, resamples=100, minimum_positives=5)
    assert network_effects(single, "real", "macro_f1").empty


def test_pairs_are_the_differences_from_each_arms_own_baseline(evaluation):
    pairs = paired_differences(evaluation, [("seven", "three"), ("one", "real"), ("seven", "three")])
    assert len(pairs) == 2 * 3 * 4 and list(dict.fromkeys(pairs["arm"])) == ["seven", "one"]
    for row in pairs.itertuples():
        known = contrast(evaluation, row.architecture, "macro_f1", row.group, {row.arm: 1, row.baseline: -1})
        assert [row.value, row.low, row.high] == [known.value, *known.interval(0.95)]
    only = paired_differences(evaluation, [("one", "real")], groups=[ALL], metrics=["macro_f1"])
    assert only["group"].unique().tolist() == [ALL]
    with pytest.raises(ValueError, match="no predictions of arm two"):
        paired_differences(evaluation, [("one", "two")])
