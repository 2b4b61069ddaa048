"""The nearest image by perceptual distance, against all distances and against the lpips package."""

import lpips
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.metrics.perceptual_distance import mean_distance, nearest_perceptual, perceptual_distances


def maps(n, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 9, 4)), rng.normal(size=(n, 4, 8)).astype(np.float32)]


@settings(deadline=None, max_examples=15, derandomize=True)
@given(n=st.integers(0, 9), m=st.integers(1, 12), block=st.sampled_from([1, 4, 64]), unit=st.booleans(), parts=st.booleans(),
       seed=st.integers(0, 99))
def test_equals_all_distances(n, m, block, unit, parts, seed):
    first, second = maps(n, seed), maps(m, 100 + seed)
    wanted = perceptual_distances(first, second, unit=unit)
    given = [(lambda rows, whole=whole: [layer[rows] for layer in whole]) if parts else whole for whole in (first, second)]
    distance, place = nearest_perceptual(*given, counts=(n, m), block=block, unit=unit)
    np.testing.assert_allclose(distance, wanted.min(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(place, wanted.argmin(axis=1))


def test_a_copy_is_at_zero_and_the_first_of_equals():
    second = [np.concatenate([layer, layer]) for layer in maps(6, 0)]
    distance, place = nearest_perceptual([layer[[4, 1]] for layer in second], second, block=5)
    assert distance.tolist() == [0, 0] and place.tolist() == [4, 1]


def test_equals_lpips_with_its_weights():
    """The weights w of LPIPS come inside the maps, as √w on unit vectors; random backbone and weights, nothing fetched."""
    torch.manual_seed(0)
    metric = lpips.LPIPS(net="squeeze", pretrained=False, pnet_rand=True, verbose=False)
    for linear in metric.lins:
        linear.model[-1].weight.data.abs_()
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        theirs = np.array([[float(metric(images[i:i + 1], images[j:j + 1])) for j in range(2, 5)] for i in range(2)])
        layers = metric.net.forward(metric.scaling_layer(images))
        unit = [layer / (layer.norm(dim=1, keepdim=True) + 1e-10) for layer in layers]
        weighted = [(layer * linear.model[-1].weight.sqrt()).flatten(2).transpose(1, 2).numpy()
                    for layer, linear in zip(unit, metric.lins, strict=True)]
    first, second = [layer[:2] for layer in weighted], [layer[2:] for layer in weighted]
    np.testing.assert_allclose(perceptual_distances(first, second, unit=False), theirs, rtol=1e-4)
    distance, place = nearest_perceptual(first, second, unit=False, block=2)
    np.testing.assert_allclose(distance, theirs.min(axis=1), rtol=1e-4)
    np.testing.assert_array_equal(place, theirs.argmin(axis=1))
    assert mean_distance(first, unit=False) == pytest.approx(perceptual_distances(first, first, unit=False)[0, 1])


def test_parts_are_asked_for_once_where_they_fit():
    asked = []
    whole = maps(10, 1)

    def give(rows):
        asked.append((rows.start, rows.stop))
        return [layer[rows] for layer in whole]

    nearest_perceptual(maps(4, 2), give, counts=(4, 10), block=4)
    assert asked == [(0, 4), (4, 8), (8, 10)]
    asked.clear()
    nearest_perceptual(give, maps(9, 2), counts=(10, 9), block=4)
    assert asked == [(0, 4), (4, 8), (8, 10)]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="counts"):
        nearest_perceptual(lambda rows: maps(3, 0), maps(3, 0))
    with pytest.raises(ValueError, match="no image"):
        nearest_perceptual(maps(3, 0), maps(0, 0))
    with pytest.raises(ValueError, match="one encoder"):
        nearest_perceptual(maps(3, 0), maps(3, 0)[:1])
    with pytest.raises(ValueError, match="NaN"):
        nearest_perceptual([np.full((2, 3, 4), np.nan)], [np.ones((2, 3, 4))])
