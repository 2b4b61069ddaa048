"""Outcomes drawn from probabilities: right on average, and images of a patient as alike as the data say."""

from __future__ import annotations

import numpy as np
import pytest

from lib.stats.consistency import draw_luck, shared_luck


def draw(random, patients=12_000, per_patient=2, together=0.0):
    """Probabilities and outcomes of one training; a share of pairs has the same luck."""
    rng = np.random.default_rng(random)
    cluster = np.repeat(np.arange(patients), per_patient)
    p = rng.beta(1, 2, len(cluster))
    joins = rng.random(len(cluster)) < np.sqrt(together)
    luck = np.where(joins, rng.random(patients)[cluster], rng.random(len(cluster)))
    return (luck < p).astype(float)[None], p[None], cluster


@pytest.mark.parametrize("together", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("per_patient", [2, 4])
def test_shared_luck_is_found_again(together, per_patient):
    y, p, cluster = draw(1, per_patient=per_patient, together=together)
    assert shared_luck(y, p, cluster) == pytest.approx(together, abs=0.05)


def test_shared_luck_by_pairs_and_without_any():
    y, p, cluster = draw(2, patients=20, per_patient=3, together=0.5)
    y, p = (np.concatenate([one, two[:, ::-1]]) for one, two in ((y, y), (p, p)))          # two trainings
    found = expected = 0.0
    for r in range(2):
        for i in range(60):
            for j in range(i):
                if cluster[i] == cluster[j]:
                    found += (y[r, i] - p[r, i]) * (y[r, j] - p[r, j])
                    expected += min(p[r, i], p[r, j]) - p[r, i] * p[r, j]
    order = np.random.default_rng(0).permutation(60)
    for clusters, columns in ((cluster, slice(None)), (cluster[order], order)):
        assert shared_luck(y[:, columns], p[:, columns], clusters) == pytest.approx(np.clip(found / expected, 0, 1))
    assert shared_luck(y, p, np.arange(60)) == 0
    assert shared_luck(y[:, :1], p[:, :1], cluster[:1]) == 0
    assert shared_luck(np.ones((1, 4)), np.ones((1, 4)), np.zeros(4)) == 0                  # certain answers have no luck to share


def test_luck_is_uniform_and_shared_as_often_as_asked():
    cluster = np.repeat(np.arange(100), 2)
    apart, half, same = (np.concatenate(parts) for parts in zip(*[
        luck for _, luck in draw_luck(cluster, [0.0, 0.5, 1.0], simulations=400, seed=3)
    ], strict=True))
    for luck in (apart, half, same):
        assert luck.shape == (400, 200)
        np.testing.assert_allclose(np.quantile(luck, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    shared = [(luck[:, ::2] == luck[:, 1::2]).mean() for luck in (apart, half, same)]
    np.testing.assert_allclose(shared, [0, 0.5, 1], atol=0.01)


def test_more_simulations_start_with_the_same():
    few, many = (np.concatenate([luck[0] for _, luck in draw_luck(np.arange(7), [0.0], simulations=n, seed=5)]) for n in (50, 130))
    np.testing.assert_array_equal(few, many[:50])
    assert len(many) == 130
    blocks = [block for block, _ in draw_luck(np.arange(7), [0.0], simulations=130)]
    assert [(block.start, block.stop) for block in blocks] == [(0, 50), (50, 100), (100, 130)]
