"""Sharpness against a stencil written out, and blurring to a given one."""

from __future__ import annotations

import numpy as np
import pytest

from lib.gan.sharpness import blur, blur_to, sharpness


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)


def test_sharpness_is_the_variance_of_the_five_point_stencil(pixels):
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    stencil = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:] - 4 * grey
    np.testing.assert_allclose(sharpness(pixels), stencil.reshape(4, -1).var(axis=1))
    assert sharpness(np.full((1, 8, 8, 3), 90, np.uint8))[0] == pytest.approx(0, abs=1e-18)


def test_blurring_reaches_the_sharpness_asked_for(pixels):
    before = sharpness(pixels).mean()
    for share in (0.5, 0.1, 0.01):
        soft, sigma = blur_to(pixels, before * share)
        assert sigma > 0 and sharpness(soft).mean() == pytest.approx(before * share, rel=0.05)
        np.testing.assert_array_equal(soft, blur(pixels, sigma))
    same, sigma = blur_to(pixels, before + 1)
    assert sigma == 0 and same is pixels


def test_a_blur_mixes_neither_images_nor_channels(pixels):
    alone = np.concatenate([blur(pixels[i:i + 1], 1.5) for i in range(4)])
    np.testing.assert_array_equal(blur(pixels, 1.5), alone)
    red = pixels * np.array([1, 0, 0], np.uint8)
    assert (blur(red, 1.5)[..., 1:] == 0).all()
