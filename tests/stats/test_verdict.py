"""The word follows from the interval, the sentence from the numbers."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from lib.stats.compare import differences
from lib.stats.evaluate import evaluate
from lib.stats.power import power_of
from lib.stats.verdict import declared, give_verdict, give_verdicts, judge, lies_beyond
from lib.study import Primary

CLASSES = ["melanoma", "nevus", "other"]
OPTIONS = {"classes": CLASSES, "positive": ["melanoma"], "resamples": 300}


@pytest.mark.parametrize(("low", "high", "word", "if_lower_is_better"), [
    (0.01, 0.05,   "better",      "worse"),
    (0.03, 0.05,   "better",      "worse"),
    (-0.05, -0.01, "worse",       "better"),
    (-0.01, 0.01,  "equivalent",  "equivalent"),
    (-0.015, -0.005, "equivalent", "equivalent"),
    (0.005, 0.015, "equivalent",  "equivalent"),       # surely above zero, surely too small to matter
    (-0.019, 0.0,  "equivalent",  "equivalent"),
    (-0.01, 0.03,  "cannot tell", "cannot tell"),
    (-0.05, 0.05,  "cannot tell", "cannot tell"),
    (-0.01, 0.02,  "cannot tell", "cannot tell"),      # touching the margin is not inside it
    (0.02, 0.05,   "better",      "worse"),
    (-0.03, 0.01,  "cannot tell", "cannot tell"),
    (0.0, 0.01,    "equivalent",  "equivalent"),
    (0.0, 0.05,    "cannot tell", "cannot tell"),      # touching zero does not leave it out
    (math.nan, math.nan, "cannot tell", "cannot tell"),
])
def test_word(low, high, word, if_lower_is_better):
    assert judge(low, high, 0.02) == word
    assert judge(low, high, 0.02, higher_is_better=False) == if_lower_is_better


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.001, 0.5))
def test_nothing_is_better_unless_zero_is_outside(a, b, margin):
    low, high = sorted((a, b))
    word, inside = judge(low, high, margin), max(abs(low), abs(high)) < margin
    assert (word == "equivalent") == inside
    assert (word == "better") == (low > 0 and not inside) and (word == "worse") == (high < 0 and not inside)
    assert lies_beyond(low, high) == (not low <= 0 <= high)
    assert lies_beyond(low, high, margin) == (low * high > 0 and min(abs(low), abs(high)) > margin)


def test_word_refuses_nonsense():
    for low, high, margin in ((0.1, 0.0, 0.02), (0.0, 0.1, 0.0), (0.0, 0.1, math.nan)):
        with pytest.raises(ValueError, match="expected margin > 0 and low ≤ high"):
            judge(low, high, margin)


def verdict(table, **changes):
    return give_verdict(evaluate(table, ["auroc", "sensitivity"], **OPTIONS), Primary(**changes))


def test_better_reads_aloud(make):
    table = make(lift=1.0, patients=150, seeds=range(5))
    found = verdict(table)
    expected = differences(evaluate(table, ["auroc"], **OPTIONS), "real").iloc[0]
    assert found.kind == "better" and found.difference.value == pytest.approx(expected["value"])
    assert (found.difference.low, found.difference.high) == (expected["low"], expected["high"])
    assert found.sentence == (
        f"Better: AUROC (mean over classes) for everybody, arm oversampled against arm real, is {found.arm_value:.3f} against "
        f"{found.baseline_value:.3f}, a difference of +{found.difference.value:.3f} (95 % interval +{found.difference.low:.3f} to "
        f"+{found.difference.high:.3f}; 450 test images of 150 independent patients or lesions, 5 training runs per arm). "
        "The whole interval lies beyond the 0.02 declared as too small to matter."
    )


def test_worse_equivalent_and_undecided(make):
    assert verdict(make(lift=1.0, patients=150), arm="real", baseline="oversampled").kind == "worse"
    same = verdict(make(own_noise=0.01, seed_noise=0.0), margin=0.05)
    assert same.kind == "equivalent" and "The whole interval is within the 0.05" in same.sentence
    open_question = verdict(make(patients=30, own_noise=1.0), margin=0.001)
    assert open_question.kind == "cannot tell" and "these data cannot decide" in open_question.sentence


def test_small_but_real_is_equivalent_and_says_so(make):
    found = verdict(make(lift=0.1, own_noise=0.02, seed_noise=0.0), margin=0.2)
    assert found.kind == "equivalent" and found.difference.low > 0 and "probably not zero" in found.sentence


def test_group_one_seed_and_several_architectures(make):
    found = verdict(make(seeds=(0,), architectures=("a", "b"), patients=180), group="V–VI", metric="sensitivity")
    assert "sensitivity for group V–VI" in found.sentence and "1 training run per arm" in found.sentence
    assert "leaves out how much training again would change" in found.sentence and found.architecture == "all"
    for few in (2, 4):
        found = verdict(make(seeds=range(few)))
        assert f"With only {few} training runs per arm, the interval may be too narrow: so few show only roughly" in found.sentence


def test_one_training_is_about_these_networks(make):
    for seeds, opening in (((0,), "Better for these trained networks: "), ((0, 1), "Better: ")):
        assert verdict(make(lift=2.0, patients=150, seed_noise=0.01, seeds=seeds)).sentence.startswith(opening)
    alike = verdict(make(own_noise=0.01, seed_noise=0.0, seeds=(0,)), margin=0.1)
    assert alike.sentence.startswith("Equivalent for these trained networks: ")
    assert verdict(make(patients=30, own_noise=1.0, seeds=(0,)), margin=0.001).sentence.startswith("Cannot tell: ")


def calls_alike(seeds=range(3), positives=20, found=15):
    """Two arms that call every image alike, each with probabilities of its own: all is found, or some is missed."""
    rng, n = np.random.default_rng(0), 2 * positives
    y, called = np.repeat([1, 0], positives), np.tile(np.arange(positives) < found, 2) & (np.repeat([1, 0], positives) == 1)
    called |= (np.arange(n) >= positives) & (np.arange(n) < positives + 5)
    tables = []
    for arm in ("real", "oversampled"):
        for seed in seeds:
            p = 0.49 * rng.random(n) + 0.5 * called
            tables.append(pd.DataFrame({
                "image_id": [f"i{i:03d}" for i in range(n)], "cluster_id": [f"i{i:03d}" for i in range(n)], "split": "test", "arm": arm,
                "architecture": "a", "seed": seed, "y_true": y, "p_0": 1 - p, "p_1": p, "threshold": 0.5, "group": None}))
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("seeds", [range(3), range(1)])
@pytest.mark.parametrize(("metric", "width", "clusters"), [("sensitivity", 1, 20), ("accuracy", 1, 40), ("cohen_kappa", 2, 40)])
def test_arms_that_never_disagree_are_not_thereby_equivalent(seeds, metric, width, clusters):
    evaluation = evaluate(calls_alike(seeds), [metric], classes=["b", "m"], positive=["m"], groups=[], resamples=100)
    primary = Primary(metric=metric, margin=0.02)
    found, power = give_verdict(evaluation, primary), power_of(evaluation, [primary]).iloc[0]
    reach = width * (1 - 0.025 ** (1 / clusters))                            # 0 of n patients judged differently
    assert found.kind == "cannot tell" and found.p_value == 1 and found.p_equivalence > 0.025
    assert (found.difference.low, found.difference.high) == pytest.approx((-reach, reach))
    assert power["note"].startswith("not estimable: ") and math.isnan(power["detectable"])
    assert give_verdict(evaluation, Primary(metric=metric, margin=1.1 * reach)).kind == "equivalent"


def test_only_the_same_answers_leave_no_doubt():
    table = calls_alike()
    copies = pd.concat([table[table["arm"] == "real"], table[table["arm"] == "real"].assign(arm="oversampled")])
    found = give_verdict(evaluate(copies, ["sensitivity"], classes=["b", "m"], positive=["m"], groups=[], resamples=100),
                         Primary(metric="sensitivity", margin=0.02))
    assert (found.difference.low, found.difference.high) == (0, 0) and found.kind == "equivalent"


def test_too_few_positives_cannot_tell(make):
    found = verdict(make(patients=30, per_patient=1), group="V–VI", metric="sensitivity")
    assert found.kind == "cannot tell" and math.isnan(found.difference.value)
    assert "is not estimable (" in found.sentence and "needs 20" in found.sentence


SEVERAL = [Primary(), Primary(metric="sensitivity"), Primary(group="V–VI")]


def test_holm_over_the_declared_comparisons(make):
    evaluation = evaluate(make(lift=0.2), ["auroc", "sensitivity"], **OPTIONS)
    table, verdicts = declared(evaluation, SEVERAL), give_verdicts(evaluation, SEVERAL)
    np.testing.assert_allclose(table["p_adjusted"], multipletests(table["p_value"], method="holm")[1])
    np.testing.assert_allclose(table["p_equivalence_adjusted"], multipletests(table["p_equivalence"], method="holm")[1])
    assert list(table["kind"]) == [one.kind for one in verdicts] and list(table["group"]) == ["all", "all", "V–VI"]
    for found, primary in zip(verdicts, SEVERAL, strict=True):
        alone = give_verdict(evaluation, primary)
        assert alone.p_value == found.p_value == alone.p_adjusted <= found.p_adjusted and alone.difference == found.difference
        assert found.kind in (alone.kind, "cannot tell")
    shown = table.iloc[0]
    other = differences(evaluation, "real").iloc[0]
    for column in ("value", "low", "high", "p_value"):
        assert shown[column] == other[column]
    assert (shown["n_images"], shown["seeds"], shown["note"]) == (270, 3, "")


@pytest.mark.parametrize(("changes", "margin", "word"), [
    ({"lift": 0.35}, 0.001, "better"), ({"own_noise": 0.1, "seed_noise": 0.02}, 0.02, "equivalent"),
])
def test_what_holm_takes_back_is_said(make, changes, margin, word):
    evaluation, primary = evaluate(make(**changes), ["auroc"], **OPTIONS), Primary(margin=margin)
    # a confidence with which the comparison alone just makes it; beside it another, of which nothing can be said
    alone = give_verdict(evaluation, primary)
    evaluation = dataclasses.replace(evaluation, confidence=1 - 1.5 * (alone.p_value if word == "better" else 2 * alone.p_equivalence))
    others = [Primary(group=group, margin=1e-6) for group in evaluation.groups]
    other = max(others, key=lambda one: give_verdict(evaluation, one).p_value)
    alone, (first, second) = give_verdict(evaluation, primary), give_verdicts(evaluation, [primary, other])
    assert second.p_value > alone.p_value and second.p_equivalence >= alone.p_equivalence
    assert alone.kind == word and "declared, and corrected" not in alone.sentence
    assert first.kind == "cannot tell" and f"Alone it would count as {word}, but 2 comparisons were declared" in first.sentence
    assert f"adjusted p = {first.p_adjusted if word == 'better' else first.p_equivalence_adjusted:.3f}" in first.sentence


def test_word_and_p_values_never_contradict(make):
    for lift in (0.0, 0.1, 0.3, 0.6):
        evaluation = evaluate(make(lift=lift, random=int(10 * lift)), ["auroc", "brier"], **OPTIONS)
        for primary in (Primary(), Primary(metric="brier"), Primary(metric="brier", arm="real", baseline="oversampled")):
            found = give_verdict(evaluation, primary)
            assert (found.kind == "equivalent") == (found.p_equivalence < 0.025)
            assert (found.kind in ("better", "worse")) == (found.p_value < 0.05 and found.p_equivalence >= 0.025)
            assert lies_beyond(found.difference.low, found.difference.high) == (found.p_value < 0.05) == found.lies_beyond()


def test_lower_is_better_for_the_brier_score(make):
    evaluation = evaluate(make(lift=1.0, patients=150), ["brier"], **OPTIONS)
    assert give_verdict(evaluation, Primary(metric="brier")).kind == "better"
    assert give_verdict(evaluation, Primary(metric="brier", arm="real", baseline="oversampled")).kind == "worse"


def test_not_estimable_rows_do_not_count_for_holm(make):
    evaluation = evaluate(make(patients=30, per_patient=3), ["auroc", "sensitivity"], **OPTIONS)
    table = declared(evaluation, [Primary(), Primary(metric="sensitivity", group="V–VI")])
    assert table["p_adjusted"][0] == table["p_value"][0] and table["kind"][1] == "cannot tell"
    assert table["note"][1].startswith("not estimable: ") and table.loc[1, ["value", "low", "p_value", "p_adjusted"]].isna().all()


def test_plain_values_for_json(make):
    plain = verdict(make(patients=30, per_patient=1), group="V–VI", metric="sensitivity").as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False))["difference"]["value"] is None


def test_wrong_comparisons_are_named(predictions):
    for change, message in (
        ({"metric": "f1"}, "primary metric f1 was not evaluated; evaluated are auroc, sensitivity"),
        ({"group": "VII"}, "primary group VII was not evaluated"),
        ({"arm": "curated"}, "no predictions of arm curated"),
        ({"baseline": "curated"}, "no predictions of arm curated"),
        ({"arm": "real"}, "arm real is compared with itself"),
    ):
        with pytest.raises(ValueError, match=message):
            verdict(predictions, **change)
