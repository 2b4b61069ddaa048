"""Kernel distance, coverage and perceptual distance against torch-fidelity, lpips and definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_kid import kernel_mmd, kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from lib.metrics.coverage import compare_manifolds
from lib.metrics.kernel_distance import kernel_distance, squared_discrepancy
from lib.metrics.perceptual_distance import mean_distance, perceptual_distances


def features(n, seed, shift=0.0, size=16):
    return np.random.default_rng(seed).normal(shift, 1, (n, size))


# ── kernel distance ──────────────────────────────────────────────────────────────────────────────────────────────

def test_equals_torch_fidelity_on_all_images():
    real, generated = features(40, 0), features(40, 1, 0.3)
    theirs = kernel_mmd(real, generated, kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)
    assert squared_discrepancy(real, generated) == pytest.approx(theirs, abs=1e-12)


def test_agrees_with_torch_fidelity_over_subsets():
    real, generated = features(120, 2), features(130, 3, 0.2)
    ours = kernel_distance(real, generated, subset_size=60, subsets=400)
    theirs = kid_features_to_metric(torch.tensor(real), torch.tensor(generated), kid_subset_size=60, kid_subsets=400, verbose=False,
                                    rng_seed=5)
    spread = theirs["kernel_inception_distance_std"] / np.sqrt(400)                 # other subsets, so to their noise
    assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], abs=5 * spread)
    assert ours.low < ours.value < ours.high
    assert ours.n == 120


def test_same_distribution_is_near_zero_and_may_be_negative():
    values = [squared_discrepancy(features(30, seed), features(50, 1_000 + seed)) for seed in range(60)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)
    assert squared_discrepancy(features(30, 0), features(50, 1, 1.0)) > 10 * np.std(values)


def test_unequal_sets_by_the_definition():
    real, generated = features(5, 4), features(7, 5)
    k = lambda x, y: (x @ y / 16 + 1) ** 3                                          # noqa: E731
    within = lambda s: np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])      # noqa: E731
    between = np.mean([k(x, y) for x in real for y in generated])
    assert squared_discrepancy(real, generated) == pytest.approx(within(real) + within(generated) - 2 * between)


def test_too_small_sets_say_what_fits():
    with pytest.raises(ValueError, match="may be 2 to 9"):
        kernel_distance(features(10, 0), features(20, 1), subset_size=10)
    with pytest.raises(ValueError, match="at least 3"):
        kernel_distance(features(2, 0), features(20, 1), subset_size=2)
    with pytest.raises(ValueError, match="two images"):
        squared_discrepancy(features(1, 0), features(20, 1))


# ── coverage ─────────────────────────────────────────────────────────────────────────────────────────────────────

def naeem(real, generated, k):
    """The formulas of the paper, one image at a time."""
    def reach(points, i):
        return sorted(np.linalg.norm(points[i] - other) for j, other in enumerate(points) if j != i)[k - 1]

    real_reach, generated_reach = [reach(real, i) for i in range(len(real))], [reach(generated, j) for j in range(len(generated))]
    inside = [[np.linalg.norm(x - y) <= r for y in generated] for x, r in zip(real, real_reach, strict=True)]
    precision = np.mean([any(row[j] for row in inside) for j in range(len(generated))])
    recall = np.mean([any(np.linalg.norm(x - y) <= r for y, r in zip(generated, generated_reach, strict=True)) for x in real])
    return precision, recall, np.sum(inside) / (k * len(generated)), np.mean([any(row) for row in inside])


@settings(deadline=None, max_examples=30, derandomize=True)
@given(n=st.integers(4, 14), m=st.integers(4, 14), k=st.integers(1, 3), seed=st.integers(0, 99), shift=st.sampled_from([0.0, 1.0, 4.0]))
def test_equals_the_papers_formulas(n, m, k, seed, shift):
    real, generated = features(n, seed, size=3), features(m, 100 + seed, shift, size=3)
    ours = compare_manifolds(real, generated, neighbours=k, block=5)
    assert (ours.precision, ours.recall, ours.density, ours.coverage) == pytest.approx(naeem(real, generated, k))


def test_precision_and_recall_equal_torch_fidelity():
    real, generated = features(80, 6), features(70, 7, 0.4)
    theirs = prc_features_to_metric(torch.tensor(generated), torch.tensor(real), prc_neighborhood=3, verbose=False)
    ours = compare_manifolds(real, generated, neighbours=3)
    assert (ours.precision, ours.recall) == pytest.approx((theirs["precision"], theirs["recall"]))


def test_block_and_order_change_nothing():
    real, generated = features(60, 8), features(50, 9, 0.3)
    whole = compare_manifolds(real, generated)
    assert compare_manifolds(real, generated, block=7) == whole
    shuffled = np.random.default_rng(0)
    assert compare_manifolds(shuffled.permutation(real), shuffled.permutation(generated)) == whole


def test_a_collapsed_generator_has_precision_and_no_coverage():
    real = features(200, 10, size=2)
    collapsed = np.repeat(real[:1], 200, axis=0) + 1e-6 * features(200, 11, size=2)
    found = compare_manifolds(real, collapsed)
    assert found.precision == 1
    assert found.coverage < 0.1
    healthy = compare_manifolds(real, features(200, 12, size=2))
    assert healthy.coverage > 0.9
    assert healthy.density == pytest.approx(1, abs=0.15)


def test_too_few_images_for_the_neighbours():
    with pytest.raises(ValueError, match="may be 1 to 3"):
        compare_manifolds(features(4, 0), features(9, 1), neighbours=4)
    with pytest.raises(ValueError, match="at least 2"):
        compare_manifolds(features(1, 0), features(9, 1))


# ── perceptual distance ──────────────────────────────────────────────────────────────────────────────────────────

def test_equals_lpips_with_equal_weights():
    import lpips

    torch.manual_seed(0)
    metric = lpips.LPIPS(net="alex", lpips=False, pretrained=False, pnet_rand=True, verbose=False)      # random network, nothing fetched
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        layers = metric.net.forward(metric.scaling_layer(images))
        theirs = [[float(metric(images[i:i + 1], images[j:j + 1])) for j in range(4)] for i in range(4)]
    maps = [layer.flatten(2).transpose(1, 2).numpy() for layer in layers]
    ours = perceptual_distances(maps, maps)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert mean_distance(maps) == pytest.approx(ours.sum() / 12, rel=1e-9)          # twelve ordered pairs


def test_scale_of_features_and_order_change_nothing():
    maps = [np.random.default_rng(0).normal(size=(6, 9, 4)), np.random.default_rng(1).normal(size=(6, 4, 8))]
    scaled = [3.0 * layer for layer in maps]
    turned = [layer[::-1] for layer in maps]
    assert mean_distance(scaled) == pytest.approx(mean_distance(maps))
    assert mean_distance(turned) == pytest.approx(mean_distance(maps))
    np.testing.assert_allclose(perceptual_distances(turned, maps), perceptual_distances(maps, maps)[::-1], atol=1e-12)
    assert mean_distance([np.repeat(layer[:1], 5, axis=0) for layer in maps]) == pytest.approx(0, abs=1e-12)


def test_maps_that_do_not_fit_are_refused():
    maps = [np.ones((3, 4, 5))]
    with pytest.raises(ValueError, match="one encoder"):
        perceptual_distances(maps, [np.ones((3, 4, 6))])
    with pytest.raises(ValueError, match="one encoder"):
        perceptual_distances(maps, maps * 2)
    with pytest.raises(ValueError, match="same N"):
        mean_distance([np.ones((3, 4, 5)), np.ones((2, 4, 5))])
    with pytest.raises(ValueError, match="two images"):
        mean_distance([np.ones((1, 4, 5))])
    with pytest.raises(ValueError, match="NaN"):
        mean_distance([np.full((3, 4, 5), np.nan)])


@pytest.mark.parametrize("measure", [squared_discrepancy, compare_manifolds])
def test_features_that_do_not_fit_are_refused(measure):
    with pytest.raises(ValueError, match="one encoder"):
        measure(features(9, 0, size=3), features(9, 1, size=4))
    broken = features(9, 0)
    broken[4, 2] = np.nan
    with pytest.raises(ValueError, match=r"generated images.*first: 4"):
        measure(features(9, 1), broken)
