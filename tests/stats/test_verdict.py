"""The word follows from the interval, the sentence from the numbers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.stats.compare import differences
from lib.stats.evaluate import evaluate
from lib.stats.verdict import give_verdict, judge, lies_beyond
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
    table = make(lift=1.0, patients=150)
    found = verdict(table)
    expected = differences(evaluate(table, ["auroc"], **OPTIONS), "real").iloc[0]
    assert found.kind == "better" and found.difference.value == pytest.approx(expected["value"])
    assert (found.difference.low, found.difference.high) == (expected["low"], expected["high"])
    assert found.sentence == (
        f"Better: AUROC (mean over classes) for everybody, arm oversampled against arm real, is {found.arm_value:.3f} against "
        f"{found.baseline_value:.3f}, a difference of +{found.difference.value:.3f} (95 % interval +{found.difference.low:.3f} to "
        f"+{found.difference.high:.3f}; 450 test images of 150 independent patients or lesions, 3 training runs per arm). "
        "The whole interval lies beyond the 0.02 declared as too small to matter. "
        "With only 3 training runs per arm, the interval is likely to be somewhat too narrow."
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
    many = verdict(make(seeds=range(6)))
    assert "training runs per arm)" in many.sentence and "too narrow" not in many.sentence


def test_too_few_positives_cannot_tell(make):
    found = verdict(make(patients=30, per_patient=1), group="V–VI", metric="sensitivity")
    assert found.kind == "cannot tell" and math.isnan(found.difference.value)
    assert "is not estimable (" in found.sentence and "needs 20" in found.sentence


def test_plain_values_for_json(make):
    plain = verdict(make(patients=30, per_patient=1), group="V–VI", metric="sensitivity").as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False))["difference"]["value"] is None


def test_wrong_comparisons_are_named(predictions):
    for change, message in (
        ({"metric": "f1"}, "primary metric f1 was not evaluated; evaluated are auroc, sensitivity"),
        ({"group": "VII"}, "primary group VII was not evaluated"),
        ({"arm": "curated"}, "no predictions of arm curated"),
        ({"baseline": "curated"}, "no predictions of arm curated"),
    ):
        with pytest.raises(ValueError, match=message):
            verdict(predictions, **change)
