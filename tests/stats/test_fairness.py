"""What an arm changes in the gap, the worst group and equalised odds: values against the tables of one arm, intervals against the truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.stats.compare import gaps
from lib.stats.equalized_odds import equalized_odds
from lib.stats.evaluate import evaluate
from lib.stats.fairness import GAP, ODDS, WORST, fairness_changes
from lib.stats.interval import Uncertainty
from lib.stats.worst import bounds_of_change, worst_groups

OPTIONS = {"classes": ["melanoma", "nevus", "other"], "positive": ["melanoma"], "arms": ["real", "oversampled"], "resamples": 100,
           "groups": ["I–II", "III–IV", "V–VI"], "minimum_positives": 10}
METRICS = ["auroc", "sensitivity", "specificity"]
STUDIES = 250
DEGREES = 1e6


@pytest.fixture(scope="module")
def evaluation(predictions):
    return evaluate(predictions, METRICS, **OPTIONS)


def test_before_and_after_are_the_values_of_the_single_tables(evaluation):
    found = fairness_changes(evaluation, "real", "auroc").set_index("quantity")
    assert list(found.index) == [GAP, WORST, ODDS] and set(found["arm"]) == {"oversampled"}
    gap = gaps(evaluation).query("metric == 'auroc'").set_index("arm")["value"]
    odds = equalized_odds(evaluation, permutations=100).set_index("arm")["value"]
    worst = worst_groups(evaluation, "real").query("metric == 'auroc'").set_index("arm")
    for quantity, values in ((GAP, gap), (WORST, worst["value"]), (ODDS, odds)):
        row = found.loc[quantity]
        assert row["before"] == pytest.approx(values["real"]) and row["after"] == pytest.approx(values["oversampled"])
        assert row["value"] == pytest.approx(row["after"] - row["before"]) and row["low"] <= row["value"] <= row["high"]
    assert found.loc[WORST, ["low", "high"]].tolist() == worst.loc["oversampled", ["difference_low", "difference_high"]].tolist()


def test_an_arm_that_fails_one_group_alone_is_found_less_fair(make):
    table = make(patients=240, signal=2.5, own_noise=0.1, seed_noise=0.0)
    at = (table["group"] == "V–VI") & (table["arm"] == "oversampled")
    columns = ["p_0", "p_1", "p_2"]
    table.loc[at, columns] = 0.1 / 3 + 0.9 * np.roll(table.loc[at, columns].to_numpy(), 1, axis=1)
    found = fairness_changes(evaluate(table, METRICS, **OPTIONS), "real", "auroc").set_index("quantity")
    assert found.loc[GAP, "low"] > 0 and found.loc[WORST, "high"] < 0 and found.loc[ODDS, "low"] > 0
    turned = fairness_changes(evaluate(table, METRICS, **OPTIONS), "oversampled", "auroc").set_index("quantity")
    for name, other in (("value", "value"), ("low", "high"), ("high", "low")):
        assert turned.loc[GAP, name] == pytest.approx(-found.loc[GAP, other])


def test_reasons(make):
    none = fairness_changes(evaluate(make(), METRICS, **(OPTIONS | {"groups": ["V–VI", "VII"]})), "real", "auroc")
    assert none["note"].str.startswith("not estimable: 1 of 2 groups estimable, needs 2").all() and none["value"].isna().all()
    only = fairness_changes(evaluate(make(), ["auroc"], **OPTIONS), "real", "auroc").set_index("quantity")
    assert only.loc[ODDS, "note"] == "not estimable: the study does not evaluate sensitivity (statistics.metrics)"
    assert math.isfinite(only.loc[GAP, "value"])
    with pytest.raises(ValueError, match="the metric brier was not evaluated"):
        fairness_changes(evaluate(make(), ["auroc"], **OPTIONS), "real", "brier")
    with pytest.raises(ValueError, match="no predictions of arm gone"):
        fairness_changes(evaluate(make(), ["auroc"], **OPTIONS), "gone", "auroc")
    alone = fairness_changes(evaluate(make(arms=("real",)), METRICS, **(OPTIONS | {"arms": ["real"]})), "real", "auroc")
    assert alone.empty and alone["value"].dtype == float


def _gap(values) -> float:
    return max(values) - min(values)


def _bounds(arm, baseline, *, alike: float) -> tuple[float, float]:
    """As fairness_changes does it: the largest difference between two groups, in either order; `alike` is the luck arms share."""
    pairs = list(itertools.permutations(range(len(arm)), 2))

    def contrast(one, other) -> Uncertainty:
        value = arm[one[0]] - arm[one[1]] - baseline[other[0]] + baseline[other[1]]
        weights = np.zeros((2, len(arm)))
        for row, sign, (first, second) in ((0, 1, one), (1, -1, other)):
            weights[row, first] += sign
            weights[row, second] -= sign
        variance = (1 - alike) * (weights**2).sum() + alike * (weights.sum(axis=0) ** 2).sum()
        return Uncertainty(value, 1, degrees=DEGREES, patients=float(variance), interaction=0.0)

    return bounds_of_change([[contrast(one, other) for other in pairs] for one in pairs], 0.95, higher_is_better=False)


@pytest.mark.parametrize("alike", [0.0, 0.9])
@pytest.mark.parametrize(("arm", "baseline"), [
    ((0, 0, 0), (0, 0, 0)), ((0, 0, 4), (0, 4, 4)), ((0, 1, 2), (0, 0, 6)), ((0, 0, 8), (0, 0, 3)),
])
def test_the_interval_holds_the_true_change_of_the_gap(report_truth, arm, baseline, alike):
    rng, truth, held = np.random.default_rng(0), _gap(arm) - _gap(baseline), 0
    for _ in range(STUDIES):
        shared = math.sqrt(alike) * rng.normal(size=3)
        one, other = (np.array(true, float) + shared + math.sqrt(1 - alike) * rng.normal(size=3) for true in (arm, baseline))
        low, high = _bounds(one, other, alike=alike)
        held += low <= truth <= high
    name = f"change of the gap of three groups, {arm} and {baseline}, {alike:.0%} alike".replace("(", "").replace(")", "")
    report_truth(name, "95 % interval holds", STUDIES, held / STUDIES, 0.95, 1.0, because="it holds whichever groups are furthest apart")
    assert held / STUDIES >= 0.95


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_without_any_luck_the_interval_is_the_change_itself(arm, baseline):
    pairs = list(itertools.permutations(range(3), 2))
    exact = [[Uncertainty(arm[a] - arm[b] - baseline[c] + baseline[d], 1, degrees=DEGREES, patients=0.0, interaction=0.0) for c, d in pairs]
             for a, b in pairs]
    truth = _gap(arm) - _gap(baseline)
    assert bounds_of_change(exact, 0.95, higher_is_better=False) == (pytest.approx(truth), pytest.approx(truth))


def test_the_order_of_groups_changes_nothing(predictions):
    found = [fairness_changes(evaluate(predictions, METRICS, **(OPTIONS | {"groups": names})), "real", "auroc")
             for names in (["I–II", "III–IV", "V–VI"], ["V–VI", "I–II", "III–IV"])]
    pd.testing.assert_frame_equal(*(table[["before", "after", "value", "low", "high"]] for table in found))
