"""SSIM against scikit-image; the pruned search against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from lib.metrics import structural_similarity as ours


def pictures(n, seed, size=24, alike=0.7):
    """Blots that share something, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    shapes = [np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.3, 0.7)) < rng.uniform(0.1, 0.4) for _ in range(n)]
    light = 200 - 110 * np.array(shapes)[..., None] * rng.uniform(0.2, 1, (n, 1, 1, 3))
    light += rng.normal(0, 20 * (1 - alike), light.shape)
    return light.clip(0, 255).astype(np.uint8)


def grey(pixels):
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def all_pairs(first, second):
    return np.array([[structural_similarity(one, other) for other in grey(second)] for one in grey(first)])


@settings(deadline=None, max_examples=12, derandomize=True)
@given(seed=st.integers(0, 99), size=st.integers(7, 41), block=st.sampled_from([2, 5, 128]), alike=st.sampled_from([0.0, 0.7, 1.0]),
       threads=st.sampled_from([1, 3]))
def test_the_search_finds_the_most_similar(seed, size, block, alike, threads):
    generated, real = pictures(5, seed, size, alike), pictures(11, 500 + seed, size, alike)
    wanted = all_pairs(generated, real)
    best, place = ours.nearest_similar(generated, real, block=block, threads=threads)
    np.testing.assert_allclose(best, wanted.max(axis=1), atol=1e-9)
    np.testing.assert_allclose(wanted[np.arange(5), place], wanted.max(axis=1), atol=1e-12)


def test_noise_and_inverted_images_too():
    """Similarities below zero, where the bound is at its weakest."""
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (20, 30, 30, 3), dtype=np.uint8)
    generated = np.concatenate([255 - real[:4], rng.integers(0, 256, (4, 30, 30, 3), dtype=np.uint8)])
    wanted = all_pairs(generated, real)
    best, place = ours.nearest_similar(generated, real, block=8)
    np.testing.assert_allclose(best, wanted.max(axis=1), atol=1e-9)
    np.testing.assert_array_equal(place, wanted.argmax(axis=1))


def test_pairs_equal_scikit_image():
    first, second = pictures(6, 1, 33), pictures(6, 2, 33)
    np.testing.assert_allclose(ours.similarities(first, second), np.diag(all_pairs(first, second)), atol=1e-9)
    np.testing.assert_allclose(ours.similarities(grey(first), grey(second)), np.diag(all_pairs(first, second)), atol=1e-9)


def test_copies_constants_and_first_of_equals():
    real = pictures(8, 3)
    best, place = ours.nearest_similar(real[[5, 2]], np.concatenate([real, real]), block=3)
    assert best == pytest.approx([1, 1]) and place.tolist() == [5, 2]
    black, white = np.zeros((1, 9, 9), np.uint8), np.full((1, 9, 9), 255, np.uint8)
    assert ours.nearest_similar(black, np.concatenate([white, black]))[1].tolist() == [1]
    assert ours.similarities(black, white)[0] == pytest.approx(structural_similarity(black[0], white[0]))


def test_the_bound_lies_above():
    generated, real = pictures(6, 4, 37, 0.5), pictures(7, 5, 37, 0.5)
    bounds = ours._bounds(*(ours._Windows(ours._grey(pixels)) for pixels in (generated, real))).sum(axis=0) / 31 ** 2
    wanted = all_pairs(generated, real)
    assert (bounds >= wanted - 1e-5).all() and (bounds < wanted + 0.5).all()


def test_mean_over_pairs():
    pixels = pictures(7, 6)
    wanted = all_pairs(pixels, pixels)[np.triu_indices(7, 1)].mean()
    assert ours.mean_similarity(pixels) == pytest.approx(wanted, abs=1e-9)
    assert ours.mean_similarity(pixels, pairs=15) == pytest.approx(wanted, abs=0.1)
    assert ours.mean_similarity(np.repeat(pixels[:1], 3, axis=0)) == pytest.approx(1)


def test_what_does_not_fit_is_refused():
    pixels = pictures(3, 7)
    for first, second, words in ((pixels, pixels[:, :20, :20], "one size"), (pixels[:, :5, :5], pixels[:, :5, :5], "smaller than a window"),
                                 (pixels, pixels[:0], "no image"), (pixels.astype(float), pixels, "uint8")):
        with pytest.raises(ValueError, match=words):
            ours.nearest_similar(first, second)
    with pytest.raises(ValueError, match="two images"):
        ours.mean_similarity(pixels[:1])
    with pytest.raises(ValueError, match="3 and 2"):
        ours.similarities(pixels, pixels[:2])
    assert ours.nearest_similar(pixels[:0], pixels)[0].shape == (0,)
