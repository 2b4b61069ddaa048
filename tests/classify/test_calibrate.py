"""Temperature against a logistic regression, thresholds against trying them all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from lib.classify.calibrate import TEMPERATURES, choose_threshold, fit_temperature
from lib.classify.images import softmax
from lib.study import Threshold


def test_two_classes_temperature_is_the_slope_of_a_logistic_regression():
    rng = np.random.default_rng(0)
    difference = rng.normal(0, 4, 500)
    y = (rng.random(500) < 1 / (1 + np.exp(-difference / 2.5))).astype(int)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(difference[:, None], y).coef_[0, 0]
    assert fit_temperature(np.stack([np.zeros(500), difference], axis=1), y) == pytest.approx(1 / slope, rel=1e-4)


def test_many_classes_temperature_is_the_one_scipy_finds_another_way():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (400, 5))
    y = np.array([rng.choice(5, p=row) for row in softmax(logits, 1.7)])
    cost = lambda beta: -np.log(softmax(logits * beta[0])[np.arange(400), y]).mean()      # noqa: E731
    found = minimize(cost, [1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    assert fit_temperature(logits, y) == pytest.approx(1 / found.x[0], rel=1e-4)
    assert fit_temperature(logits, y) == pytest.approx(1.7, rel=0.2)


def test_temperature_stays_within_its_limits():
    logits = np.array([[9.0, 0.0], [0.0, 9.0]])
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(TEMPERATURES[1], rel=1e-3)
    assert fit_temperature(logits / 100, np.array([0, 1])) == pytest.approx(TEMPERATURES[0], rel=1e-3)
    assert 0.4 < fit_temperature(logits, np.array([0, 1])) < 1         # no mistake: no certainty follows from that
    assert fit_temperature(10 * logits, np.array([0, 1])) == pytest.approx(1, abs=1e-3)
    with pytest.raises(ValueError, match="no validation image"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int))


def brute_force(score, positive, rule, value):
    """Level, sensitivity and specificity of the best of all cuts; of equals the lowest."""
    cuts = []
    for level in sorted(set(score)):
        called = [s >= level for s in score]
        tp = sum(c and p for c, p in zip(called, positive, strict=True))
        fp = sum(c and not p for c, p in zip(called, positive, strict=True))
        tpr, fpr = tp / sum(positive), fp / (len(positive) - sum(positive))
        if rule == "youden":
            cuts.append((round(tpr - fpr, 9), -level, tpr, 1 - fpr))
        elif rule == "f1":
            cuts.append((round(2 * tp / (2 * tp + fp + sum(positive) - tp), 9), -level, tpr, 1 - fpr))
        elif tpr >= value - 1e-9:
            cuts.append((round(-fpr, 9), -level, tpr, 1 - fpr))
    _, level, tpr, tnr = max(cuts)
    return -level, tpr, tnr


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40).filter(lambda rows: len({p for _, p in rows}) == 2),
    st.sampled_from(["youden", "f1", "sensitivity"]),
    st.floats(0.05, 0.99),
)
def test_the_threshold_is_the_best_of_all(rows, rule, value):
    score, positive = np.array([s / 12 for s, _ in rows]), np.array([p for _, p in rows])
    point = choose_threshold(score, positive, Threshold(rule=rule, value=value))
    level, sensitivity, specificity = brute_force(score.tolist(), positive.tolist(), rule, value)
    assert np.array_equal(score >= point.threshold, score >= level)
    assert (point.sensitivity, point.specificity) == pytest.approx((sensitivity, specificity))
    assert 0 <= point.threshold <= 1 and (not np.isin(point.threshold, score) or point.threshold == 0)


def test_one_kind_of_image_cannot_give_a_threshold():
    with pytest.raises(ValueError, match=r"0 positive and 3 negative images.*split\.validation.*labels\.positive"):
        choose_threshold(np.array([0.1, 0.2, 0.3]), np.zeros(3, dtype=bool), Threshold())
    with pytest.raises(ValueError, match="2 positive and 0 negative"):
        choose_threshold(np.array([0.1, 0.2]), np.ones(2, dtype=bool), Threshold())
