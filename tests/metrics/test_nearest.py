"""Nearest neighbours, realism and memorisation against distances written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lib.metrics.memorisation import memorisation
from lib.metrics.nearest import nearest
from lib.metrics.realism import realism


def features(n, seed, shift=0.0, size=6):
    return np.random.default_rng(seed).normal(shift, 1, (n, size))


def written_out(queries, base, k, exclude_self=False):
    apart = cdist(queries, base)
    if exclude_self:
        np.fill_diagonal(apart, np.inf)
    places = apart.argsort(axis=1, kind="stable")[:, :k]
    return np.take_along_axis(apart, places, axis=1), places


@settings(deadline=None, max_examples=40, derandomize=True)
@given(n=st.integers(1, 30), m=st.integers(2, 700), k=st.integers(1, 9), block=st.sampled_from([1, 7, 1024]), seed=st.integers(0, 99))
def test_equals_all_distances(n, m, k, block, seed):
    k = min(k, m)
    queries, base = features(n, seed, 50.0), features(m, 100 + seed, 50.0)          # far from zero, where float32 has few digits left
    distance, place = nearest(queries, base, k, block=block)
    wanted, places = written_out(queries, base, k)
    np.testing.assert_allclose(distance, wanted, rtol=1e-12)
    np.testing.assert_array_equal(place, places)


@pytest.mark.parametrize("k", [1, 3])
def test_copies_and_equal_distances(k):
    """Whole numbers on a small grid: nearly all distances are tied, and the first places count."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 3, (600, 3)).astype(float)
    distance, place = nearest(base, base, k, exclude_self=True, block=100)
    wanted, places = written_out(base, base, k, exclude_self=True)
    np.testing.assert_array_equal(place, places)
    np.testing.assert_allclose(distance, wanted, atol=1e-12)
    assert not (place == np.arange(600)[:, None]).any()
    assert (nearest(base, base)[0] == 0).all()


def test_differences_below_float32_are_told_apart():
    base = np.array([[1000.0, 0], [1000.0 + 2e-5, 0], [-1000.0, 0]])
    distance, place = nearest(np.array([[1000.0 + 1.9e-5, 0]]), base, 2)
    assert place.tolist() == [[1, 0]] and distance[0] == pytest.approx([1e-6, 1.9e-5], rel=1e-3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="may be 1 to 4"):
        nearest(features(5, 0), features(5, 0), 5, exclude_self=True)
    with pytest.raises(ValueError, match="queries as base"):
        nearest(features(4, 0), features(5, 0), exclude_self=True)
    with pytest.raises(ValueError, match="NaN"):
        nearest(np.full((1, 6), np.nan), features(5, 0))
    assert nearest(features(0, 0), features(5, 0))[0].shape == (0, 1)


# ── realism ──────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("block", [3, 1024])
def test_realism_by_the_papers_formula(block):
    real, generated = features(40, 1), features(15, 2, 0.5)
    reach = written_out(real, real, 3, exclude_self=True)[0][:, -1]
    kept = np.flatnonzero(reach <= np.median(reach))
    ratios = reach[kept] / cdist(generated, real[kept])
    score, place = realism(real, generated, block=block)
    np.testing.assert_allclose(score, ratios.max(axis=1), rtol=1e-9)
    np.testing.assert_array_equal(place, kept[ratios.argmax(axis=1)])


def test_realism_of_copies_of_far_ones_and_of_too_few():
    real = features(40, 3)
    near, far = realism(real, real)[0], realism(real, features(10, 4, 9.0))[0]
    assert np.isinf(near).sum() >= 20 and (far < 0.3).all()
    with pytest.raises(ValueError, match="may be 1 to 2"):
        realism(real[:3], real)
    with pytest.raises(ValueError, match="kept=0"):
        realism(real, real, kept=0)


# ── memorisation ─────────────────────────────────────────────────────────────────────────────────────────────────

def test_copies_are_told_from_new_images():
    train, held_out = features(200, 5), features(80, 6)
    copies, new = train[:20] + 0.01 * features(20, 7), features(300, 8)
    found = memorisation(np.concatenate([copies, new]), held_out, train)
    assert found.place[:20].tolist() == list(range(20))
    assert (found.rank[:20] == 1 / 81).all() and (found.ratio[:20] < 0.1).all() and (found.local_ratio[:20] < 0.1).all()
    assert np.median(found.ratio[20:]) == pytest.approx(1, abs=0.1) and np.mean(found.rank[20:] <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert memorisation(new, held_out, train).authenticity == pytest.approx(found.held_out_authenticity, abs=0.12)


def test_authenticity_by_the_papers_rule():
    train, held_out, generated = features(30, 9), features(10, 10), features(25, 11, 0.3)
    apart, others = cdist(generated, train), cdist(train, train)
    np.fill_diagonal(others, np.inf)
    rule = [others[row.argmin()].min() < row.min() for row in apart]
    found = memorisation(generated, held_out, train)
    assert found.authenticity == pytest.approx(np.mean(rule))
    np.testing.assert_allclose(found.ratio, apart.min(axis=1) / np.median(cdist(held_out, train).min(axis=1)))


def test_memorisation_of_nothing():
    assert np.isnan(memorisation(features(0, 0), features(3, 1), features(5, 2)).authenticity)
    with pytest.raises(ValueError, match="two training images"):
        memorisation(features(3, 0), features(0, 1), features(5, 2))
