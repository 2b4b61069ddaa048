"""The spectrum: known densities come out, and it sees detail and colour and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lib.encoders.encoder import EncoderError
from lib.encoders.spectrum import _COLOUR, _EDGES, _FLOOR, _POWER, _SPREAD, Spectrum

RINGS = len(_POWER)


def levels(pixels):
    """log10 of the spectral density, [N, 3, rings]."""
    return Spectrum().embed(pixels)[:, :3 * RINGS].reshape(len(pixels), 3, RINGS) * _SPREAD[0] + np.array(_POWER)


def test_white_noise_has_its_variance_in_every_ring():
    noise = np.random.default_rng(0).normal(128, 20, (30, 64, 64, 3)).round().clip(0, 255).astype(np.uint8)
    np.testing.assert_allclose(np.log10((10 ** levels(noise)).mean(axis=0)), np.log10((20 / 255) ** 2), atol=0.08)


@pytest.mark.parametrize("height, width", [(64, 64), (33, 48)])
def test_rings_by_their_definition(draw, height, width):
    """The whole spectrum in double precision, frequency by frequency."""
    picture = draw(1, 64)[0, :height, :width, 1] / 255
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    density = np.abs(np.fft.fft2((picture - picture.mean()) * window)) ** 2 / (window ** 2).sum()
    rings = [[] for _ in range(RINGS)]
    for row, down in enumerate(np.fft.fftfreq(height)):
        for column, across in enumerate(np.fft.fftfreq(width)):
            rings[np.searchsorted(_EDGES, 32 * np.hypot(down, across), side="right") - 1].append(density[row, column])
    wanted = [np.log10(np.mean(ring) + _FLOOR) for ring in rings]
    np.testing.assert_allclose(levels(draw(1, 64)[:, :height, :width])[0, 1], wanted, atol=2e-3)


def test_means_and_spreads_follow_the_rings(draw):
    pixels = draw(4)
    seen = Spectrum().embed(pixels)[:, 3 * RINGS:]
    np.testing.assert_allclose(seen[:, :3] * _SPREAD[1] + _COLOUR[0], pixels.mean(axis=(1, 2)) / 255, atol=1e-5)
    np.testing.assert_allclose(seen[:, 3:] * _SPREAD[2] + _COLOUR[1], pixels.std(axis=(1, 2)) / 255, atol=1e-5)


def test_blur_takes_from_high_rings_and_noise_adds_to_them(draw):
    pixels = draw(8, 64)
    soft = gaussian_filter(pixels.astype(float), (0, 1, 1, 0)).round().astype(np.uint8)
    noisy = (pixels + np.random.default_rng(1).normal(0, 15, pixels.shape)).clip(0, 255).astype(np.uint8)
    assert (levels(soft) <= levels(pixels) + 0.02).all() and (levels(soft)[..., 6:9] < levels(pixels)[..., 6:9] - 0.3).all()
    assert (levels(noisy)[..., 8:] > levels(pixels)[..., 8:] + 0.5).all()


@settings(max_examples=15, deadline=None)
@given(height=st.integers(32, 70), width=st.integers(32, 70), seed=st.integers(0, 9))
def test_mirrored_and_turned_pictures_are_the_same_to_it(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    seen = Spectrum().embed(pixels)
    for other in (pixels[:, ::-1], pixels[:, :, ::-1], pixels.transpose(0, 2, 1, 3)):
        np.testing.assert_allclose(Spectrum().embed(other), seen, atol=2e-3)
    assert seen.shape == (2, 39) and seen.dtype == np.float32


def test_pictures_one_by_one_or_together(draw):
    pixels = draw(70)
    np.testing.assert_allclose(np.concatenate([Spectrum().features(pixels[place:place + 1]) for place in range(70)]),
                               Spectrum().features(pixels), atol=1e-5)


def test_plain_and_no_pictures_and_small_ones():
    assert np.isfinite(Spectrum().embed(np.full((1, 32, 32, 3), 255, np.uint8))).all()
    assert Spectrum().embed(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, 39)
    with pytest.raises(EncoderError, match=r"spectrum: pictures of 40 × 31 pixels are too small .* needs 32 a side"):
        Spectrum().embed(np.zeros((1, 31, 40, 3), np.uint8))
    with pytest.raises(EncoderError, match="spectrum has no feature maps"):
        Spectrum().feature_maps(np.zeros((1, 32, 32, 3), np.uint8))
