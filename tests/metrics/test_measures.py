"""Every measure against scikit-learn, under weights, ties, missing classes and next to no images."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.metrics.confusion import confusion
from lib.metrics.registry import MEASURES

POSITIVE, THRESHOLD = [0, 2], 0.5
OPTIONS = {"positive": POSITIVE, "threshold": THRESHOLD}
LOWEST = {"cohen_kappa": -1}                            # every other measure runs from 0


def reference(name, y, p, w):
    """The same number from scikit-learn; NaN where the question has no answer."""
    keep = w > 0
    y, p, w = y[keep], p[keep], w[keep]
    if not len(y):
        return np.nan
    present = np.unique(y)
    answer, truth, score = p.argmax(axis=1), np.isin(y, POSITIVE), p[:, POSITIVE].sum(axis=1)
    called = score >= THRESHOLD
    both = 0 < truth.sum() < len(truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match name:
            case "auroc":
                one_against_rest = [sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in present if len(present) > 1]
                return np.mean(one_against_rest) if one_against_rest else np.nan
            case "average_precision":
                return np.mean([sk.average_precision_score(y == c, p[:, c], sample_weight=w) for c in present])
            case "auroc_positive":
                return sk.roc_auc_score(truth, score, sample_weight=w) if both else np.nan
            case "average_precision_positive":
                return sk.average_precision_score(truth, score, sample_weight=w) if truth.any() else np.nan
            case "macro_f1":
                return sk.f1_score(y, answer, labels=present, average="macro", sample_weight=w, zero_division=0)
            case "balanced_accuracy":
                return sk.balanced_accuracy_score(y, answer, sample_weight=w)
            case "accuracy":
                return sk.accuracy_score(y, answer, sample_weight=w)
            case "sensitivity":
                return sk.recall_score(truth, called, sample_weight=w, zero_division=np.nan)
            case "specificity":
                return sk.recall_score(~truth, ~called, sample_weight=w, zero_division=np.nan)
            case "precision":
                return sk.precision_score(truth, called, sample_weight=w, zero_division=np.nan)
            case "f1":
                return sk.f1_score(truth, called, sample_weight=w, zero_division=np.nan)
            case "partial_auroc":
                return isic_2024(truth, score, w, 0.8) if both else np.nan
            case "cohen_kappa":
                return sk.cohen_kappa_score(y, answer, sample_weight=w)
            case "brier":
                return sk.brier_score_loss(truth, score.clip(0, 1), sample_weight=w, pos_label=True)
    raise AssertionError(f"no reference for {name}")


def isic_2024(truth, score, w, minimum):
    """The challenge's published computation: labels and scores turned round, scikit-learn's standardised area, scaled back."""
    width = 1 - minimum
    standardised = sk.roc_auc_score(~truth, 1 - score, max_fpr=width, sample_weight=w)
    return 0.5 * width**2 + (width - 0.5 * width**2) / 0.5 * (standardised - 0.5)


def draw_case(seed, n, classes=4, ties=True, present=None):
    """Labels and probabilities; with ties, most scores repeat."""
    rng = np.random.default_rng(seed)
    y = rng.choice(present if present is not None else np.arange(classes), size=n)
    p = rng.dirichlet(np.ones(classes), n)
    if ties:
        p = rng.multinomial(4, p) / 4 if n else p
    return y, p


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(("n", "present"), [(200, None), (12, None), (30, [0, 3]), (25, [1]), (25, [2]), (1, None), (0, None)])
def test_equals_scikit_learn(name, n, present):
    for seed in range(3):
        y, p = draw_case(seed, n, ties=seed % 2 == 0, present=present)
        counts = np.random.default_rng(seed + 99).multinomial(n, np.full(n, 1 / n) if n else [], size=5) if n else np.zeros((5, 0))
        fractional = counts * np.random.default_rng(seed).uniform(0.1, 3, size=n)
        for w in (counts, fractional):
            np.testing.assert_allclose(MEASURES[name](y, p, weights=w, **OPTIONS), [reference(name, y, p, row) for row in w], atol=1e-12)
        plain = MEASURES[name](y, p, **OPTIONS)
        assert isinstance(plain, float)
        np.testing.assert_allclose(plain, reference(name, y, p, np.ones(n)), atol=1e-12)


cases = st.builds(
    lambda seed, n, ties: (*draw_case(seed, n, ties=ties), np.random.default_rng(seed + 1)),
    st.integers(0, 10_000), st.integers(1, 60), st.booleans(),
)


@settings(deadline=None, max_examples=40)
@given(case=cases, name=st.sampled_from(sorted(MEASURES)))
def test_properties_of_weights_and_order(case, name):
    y, p, rng = case
    measure = MEASURES[name]
    plain = measure(y, p, **OPTIONS)
    counts = rng.integers(0, 4, len(y))
    order = rng.permutation(len(y))
    same = {
        "order of rows":        measure(y[order], p[order], **OPTIONS),
        "weights of one":       measure(y, p, weights=np.ones(len(y)), **OPTIONS),
        "scale of the weights": measure(y, p, weights=np.full(len(y), 2.5), **OPTIONS),
    }
    for what, value in same.items():
        np.testing.assert_allclose(value, plain, atol=1e-12, err_msg=what)
    repeated = np.repeat(np.arange(len(y)), counts)
    weighted = measure(y, p, weights=np.stack([counts, np.ones_like(counts)]), **OPTIONS)
    np.testing.assert_allclose(weighted, [measure(y[repeated], p[repeated], **OPTIONS), plain], atol=1e-12)
    assert np.isnan(plain) or LOWEST.get(name, 0) - 1e-12 <= plain <= 1 + 1e-12


@settings(deadline=None, max_examples=30)
@given(case=cases)
def test_monotone_transform_of_the_scores_leaves_ranking_measures(case):
    y, p, _ = case
    bent = np.exp(3 * p) + p**3
    for name in ("auroc", "average_precision"):
        np.testing.assert_allclose(MEASURES[name](y, bent), MEASURES[name](y, p), atol=1e-12)
    if len(set(y)) == 2:                                            # turned round: 1 − AUROC
        np.testing.assert_allclose(MEASURES["auroc"](y, -p), 1 - MEASURES["auroc"](y, p), atol=1e-12)


def test_auroc_by_hand_counts_ties_half():
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.2, 0.8]])
    y = np.array([0, 0, 1, 1])                                      # pairs of class 1 against 0: win, win, win, tie → 3.5 of 4
    assert MEASURES["auroc"](y, p) == 3.5 / 4
    assert MEASURES["auroc"](y, np.full((4, 2), 0.5)) == 0.5


def test_macro_average_over_named_classes():
    y, p = draw_case(3, 80)
    singles = [MEASURES["auroc"](y, p, classes=[c]) for c in range(4)]
    np.testing.assert_allclose(MEASURES["auroc"](y, p, classes=[1, 3]), np.mean([singles[1], singles[3]]))
    np.testing.assert_allclose(MEASURES["auroc"](y, p), np.mean(singles))
    for name in ("macro_f1", "balanced_accuracy", "average_precision"):
        parts = [MEASURES[name](y, p, classes=[c]) for c in (0, 2)]
        np.testing.assert_allclose(MEASURES[name](y, p, classes=[0, 2]), np.mean(parts), err_msg=name)


def test_confusion_matrix():
    y, p = draw_case(5, 60)
    w = np.random.default_rng(0).integers(0, 3, (2, 60))
    expected = [sk.confusion_matrix(y, p.argmax(axis=1), labels=range(4), sample_weight=row) for row in w]
    np.testing.assert_array_equal(confusion(y, p, weights=w), expected)
    np.testing.assert_array_equal(confusion(y, p, weights=w[0]), expected[0])
    assert confusion(y, p).sum() == 60
    assert confusion(y[:0], p[:0]).shape == (4, 4)


@pytest.mark.parametrize("minimum", [0.0, 0.25, 0.6, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("ties", [True, False])
def test_partial_auroc_is_the_isic_score_at_any_minimum(minimum, ties):
    for seed in range(10):
        y, p = draw_case(seed, 70, ties=ties)
        w = np.random.default_rng(seed).integers(0, 4, (3, 70))
        expected = [isic_2024(np.isin(y, POSITIVE)[row > 0], p[row > 0][:, POSITIVE].sum(axis=1), row[row > 0], minimum) for row in w]
        found = MEASURES["partial_auroc"](y, p, weights=w, positive=POSITIVE, minimum_sensitivity=minimum)
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_partial_auroc_by_hand():
    def area(y, score, **options):
        return MEASURES["partial_auroc"](np.array(y), np.stack([1 - np.array(score), score], axis=1), positive=[1], **options)

    assert area([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == pytest.approx(0.2)                    # perfect: the whole strip
    assert area([0, 0, 1, 1], [0.8, 0.9, 0.1, 0.2]) == pytest.approx(0.0)
    assert area([0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]) == pytest.approx(0.02)                   # guessing: a triangle
    # one positive in two lies under every negative: no sensitivity above 0.5 without calling all negatives
    assert area([0, 0, 1, 1], [0.4, 0.5, 0.1, 0.9], minimum_sensitivity=0.5) == pytest.approx(0.0)
    assert area([0, 0, 1, 1], [0.4, 0.5, 0.1, 0.9], minimum_sensitivity=0.25) == pytest.approx(0.25)
    y, p = draw_case(4, 90)
    np.testing.assert_allclose(
        MEASURES["partial_auroc"](y, p, positive=POSITIVE, minimum_sensitivity=0), MEASURES["auroc_positive"](y, p, positive=POSITIVE),
    )


@pytest.mark.parametrize("minimum", [-0.1, 1.0, np.nan])
def test_impossible_minimum_sensitivity_is_named(minimum):
    with pytest.raises(ValueError, match="at least 0 and under 1"):
        MEASURES["partial_auroc"](*draw_case(0, 9), positive=POSITIVE, minimum_sensitivity=minimum)


def test_brier_over_all_classes_and_over_two():
    y, p = draw_case(6, 50)
    w = np.random.default_rng(0).integers(0, 3, 50)
    assert MEASURES["brier"](y, p, weights=w) == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w, labels=range(4)) / 2)
    two = np.stack([p[:, 0], 1 - p[:, 0]], axis=1)
    assert MEASURES["brier"](y % 2, two) == pytest.approx(MEASURES["brier"](y % 2, two, positive=[1]))
    assert not MEASURES["brier"].higher_is_better
    assert not MEASURES["brier"].needs_positive


def test_kappa_of_guessing_and_of_one_class():
    always_first = np.tile([0.7, 0.3], (6, 1))
    assert MEASURES["cohen_kappa"](np.array([0, 0, 1, 1, 0, 1]), always_first) == 0
    assert np.isnan(MEASURES["cohen_kappa"](np.zeros(6, dtype=int), always_first))
    assert MEASURES["cohen_kappa"](np.array([0, 1]), np.array([[0.1, 0.9], [0.9, 0.1]])) == -1


def test_threshold_itself_is_called_positive():
    p = np.array([[0.25, 0.5, 0.25, 0.0], [0.2, 0.6, 0.2, 0.0]])     # summed probability of the positives: .5 and .4
    assert MEASURES["sensitivity"](np.array([0, 0]), p, **OPTIONS) == 0.5


@pytest.mark.parametrize(("change", "message"), [
    ({"probabilities": np.array([[np.nan, 1.0], [0.5, 0.5]])}, "NaN or infinity in 1 rows"),
    ({"probabilities": np.array([0.5, 0.5])}, r"expected y_true \[N\] and probabilities \[N, K\]"),
    ({"y_true": np.array([0, 2])}, "mean classes 0 to 1"),
    ({"y_true": np.array([-1, 0])}, "y_true holds -1 to 0"),
    ({"weights": np.ones(3)}, r"expected weights \[2\] or \[B, 2\]"),
    ({"weights": np.array([1.0, -1.0])}, "weights must be ≥ 0"),
    ({"weights": np.array([1.0, np.nan])}, "weights must be ≥ 0"),
    ({"classes": [5]}, "class 5 is not among"),
    ({"classes": []}, "no class is named"),
])
def test_wrong_inputs_are_named(change, message):
    good = {"y_true": np.array([0, 1]), "probabilities": np.array([[0.7, 0.3], [0.4, 0.6]])}
    with pytest.raises(ValueError, match=message):
        MEASURES["auroc"](**(good | change))


@pytest.mark.parametrize(("change", "message"), [
    ({"positive": []}, "name at least one positive class"),
    ({"positive": [0, 1]}, "leave one negative"),
    ({"threshold": None}, "chosen on validation"),
    ({"threshold": float("nan")}, "chosen on validation"),
])
def test_wrong_operating_points_are_named(change, message):
    y, p = np.array([0, 1]), np.array([[0.7, 0.3], [0.4, 0.6]])
    with pytest.raises(ValueError, match=message):
        MEASURES["sensitivity"](y, p, **({"positive": [1], "threshold": 0.5} | change))
