"""Fréchet distance, CMMD, Inception Score and the distance with its floor against torch-fidelity, closed forms and planted truth."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric

from lib.metrics.frechet_distance import frechet_distance
from lib.metrics.gaussian_discrepancy import gaussian_discrepancy
from lib.metrics.inception_score import inception_score
from lib.metrics.kernel_distance import squared_discrepancy
from lib.metrics.set_distance import set_distance_with_floor


def features(n, seed, shift=0.0, size=16):
    return np.random.default_rng(seed).normal(shift, 1, (n, size))


# ── Fréchet ──────────────────────────────────────────────────────────────────────────────────────────────────────

def published(real, generated):
    one, other = (fid_features_to_statistics(torch.tensor(x)) for x in (real, generated))
    return fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]


@pytest.mark.parametrize(("n", "m", "shift"), [(300, 200, 0.0), (120, 400, 0.3), (40, 33, 2.0)])
def test_frechet_equals_torch_fidelity(n, m, shift):
    mix = np.random.default_rng(9).normal(size=(16, 16))
    real, generated = features(n, 0) @ mix, features(m, 1, shift)
    found = frechet_distance(real, generated)
    assert found.value == pytest.approx(published(real, generated), rel=1e-5)
    assert found.estimable and found.n == min(n, m)


def test_frechet_equals_pytorch_fid():
    fid_score = pytest.importorskip("pytorch_fid.fid_score", exc_type=ImportError)
    real, generated = features(200, 2), features(250, 3, 0.2)
    moments = [part for x in (real, generated) for part in (x.mean(axis=0), np.cov(x, rowvar=False))]
    try:
        theirs = fid_score.calculate_frechet_distance(*moments)
    except TypeError:                                   # its call of sqrtm is refused by newer releases of scipy
        pytest.skip("this scipy does not take pytorch-fid's call of sqrtm")
    assert frechet_distance(real, generated).value == pytest.approx(theirs, rel=1e-5)


def test_frechet_of_singular_sets_is_flagged():
    """Along one direction a closed form holds: (μ − ν)² + (σ − τ)²."""
    along = np.eye(16)[3]
    real, generated = features(12, 4, size=1) * along, 3 * features(9, 5, 1.0, size=1) * along
    x, y = real[:, 3], generated[:, 3]
    found = frechet_distance(real, generated)
    assert found.value == pytest.approx((x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2, rel=1e-9)
    assert "9 images for 16 features" in found.reason
    assert frechet_distance(real, real).value == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="two images"):
        frechet_distance(real[:1], generated)


# ── CMMD ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_gaussian_discrepancy_by_the_definition():
    real, generated = features(6, 6), features(7, 7, 0.5)
    unit = lambda s: s / np.linalg.norm(s, axis=1, keepdims=True)                                       # noqa: E731
    x, y = unit(real), unit(generated)
    k = lambda a, b: np.exp(-((a - b) ** 2).sum() / 200)                                                # noqa: E731
    within = lambda s: np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])      # noqa: E731
    wanted = 1_000 * (within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y]))
    assert gaussian_discrepancy(real, generated) == pytest.approx(wanted, rel=1e-9)
    assert gaussian_discrepancy(5 * real, generated) == pytest.approx(wanted, rel=1e-9)


def test_gaussian_discrepancy_is_unbiased_and_refuses_zeros():
    values = [gaussian_discrepancy(features(20, seed), features(30, 500 + seed)) for seed in range(60)]
    assert min(values) < 0 < max(values) and abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)
    with pytest.raises(ValueError, match="vector 2 has length zero"):
        gaussian_discrepancy(features(5, 0), features(5, 1) * np.array([1, 1, 0, 1, 1])[:, None])
    with pytest.raises(ValueError, match="two images"):
        gaussian_discrepancy(features(1, 0), features(5, 1))


# ── Inception Score ──────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("splits", [1, 4])
def test_inception_score_equals_torch_fidelity(splits):
    logits = 3 * features(90, 8, size=7)
    theirs = isc_features_to_metric(torch.tensor(logits), splits=splits, shuffle=False)
    found = inception_score(logits, splits=splits)
    assert found.value == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert found.low < found.value < found.high


def test_inception_score_at_its_ends():
    sure = 60 * np.eye(5)[np.arange(50) % 5]
    assert inception_score(sure).value == pytest.approx(5)
    assert inception_score(np.repeat(sure[:1], 20, axis=0)).value == pytest.approx(1)
    with pytest.raises(ValueError, match="may be 1 to 3"):
        inception_score(sure[:3], splits=4)
    with pytest.raises(ValueError, match="first bad row 1"):
        inception_score([[0.0, 1.0], [np.nan, 0.0]])


# ── value, interval, floor, test ─────────────────────────────────────────────────────────────────────────────────

def test_value_is_the_unbiased_distance():
    real, generated = features(30, 9), features(20, 10, 0.3)
    assert set_distance_with_floor(real, generated, draws=5).estimate.value == pytest.approx(squared_discrepancy(real, generated))
    gaussian = set_distance_with_floor(real, generated, kernel="gaussian", draws=5).estimate.value
    assert gaussian == pytest.approx(gaussian_discrepancy(real, generated))


def test_shifts_are_found_and_equal_sets_are_not():
    """Under the null the p-value is uniform, lesions staying whole; half of it at most may lie under one half and so on."""
    def lesions(seed, shift=0.0):                       # 15 lesions of three photographs that look alike
        rng = np.random.default_rng(seed)
        return np.repeat(rng.normal(shift, 1, (15, 8)), 3, axis=0) + 0.2 * rng.normal(size=(45, 8)), np.repeat(np.arange(15), 3)

    def of(seed, shift):
        (real, one), (other, two) = lesions(seed), lesions(1_000 + seed, shift)
        return set_distance_with_floor(real, other, real_clusters=one, generated_clusters=two, draws=60, seed=seed)

    same = [of(seed, 0.0) for seed in range(60)]
    p_values = np.array([found.p_value for found in same])
    assert 0.35 < p_values.mean() < 0.65 and (p_values <= 0.1).mean() <= 0.2
    inside = [found.floor_low <= found.estimate.value <= found.floor_high for found in same]
    assert np.mean(inside) > 0.8
    shifted = of(0, 1.0)
    assert shifted.p_value < 0.02 and shifted.estimate.value > shifted.floor_high and shifted.estimate.low > 0
    blind = [set_distance_with_floor(*(lesions(seed + add)[0] for add in (0, 1_000)), draws=60, seed=seed).p_value for seed in range(30)]
    assert np.mean(np.array(blind) <= 0.1) > 0.3        # what happens where lesions are torn apart


def test_interval_is_around_the_value():
    found = set_distance_with_floor(features(40, 11), features(40, 12, 0.5), draws=200)
    assert found.estimate.low < found.estimate.value < found.estimate.high
    again = set_distance_with_floor(features(40, 11), features(40, 12, 0.5), draws=200)
    assert found == again


def test_set_distance_says_why_there_is_none():
    assert "3 generated" in set_distance_with_floor(features(9, 0), features(3, 1)).estimate.reason
    found = set_distance_with_floor(features(9, 0), features(9, 1), real_clusters=[0] * 9)
    assert "1 independent real" in found.estimate.reason and np.isnan(found.p_value)
    assert "all images are equal" in set_distance_with_floor(np.ones((6, 3)), np.ones((6, 3))).estimate.reason
    with pytest.raises(ValueError, match="2 cluster ids"):
        set_distance_with_floor(features(9, 0), features(9, 1), real_clusters=[0, 1])
    with pytest.raises(ValueError, match="polynomial"):
        set_distance_with_floor(features(9, 0), features(9, 1), kernel="linear")
