"""An encoder without weights: how much detail of each size a picture has, and its colours.

It sees blur, noise, ringing and a wrong tone, of which an encoder that was trained on blurred photographs may see little. It is blind
to content: where in the picture anything is, its shape, and so its diagnosis; a picture and its mirror image are the same to it.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from scipy import fft

from lib.encoders.encoder import Encoder, EncoderError

LEAST_SIDE = 32                                     # pixels; the lowest ring of a smaller picture would be empty
_BATCH     = 64                                     # pictures at once

# Rings of spatial frequency in sixteenths of the highest along an axis (the corners of the spectrum reach 16·√2).
_EDGES   = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 24)
# What 300 drawn phantoms of 64 px have on average, and how far one lies from the next; other pictures only need the same order of
# size, so the constants stay as they are whatever the data.
_POWER   = (0.05, -0.7, -1.6, -2.0, -2.4, -2.8, -3.2, -3.5, -3.8, -4.0, -4.3)        # of each ring, log10 of the spectral density
_COLOUR  = (0.5, 0.06)                              # mean and standard deviation of a channel, 0–1
_SPREAD  = (0.5, 0.12, 0.03)                        # of power, mean and standard deviation
_FLOOR   = (1 / 255) ** 2 / 12                      # the spectral density of rounding to 8 bits: nothing under it can be told


class Spectrum(Encoder):
    """[N, 39]: the log power of eleven rings, the mean and the standard deviation, of each channel; about 0 ± 1 for a photograph."""

    name = "spectrum"

    @property
    def identity(self) -> dict[str, str | None]:
        """As of every encoder; for weights stand the constants."""
        said = json.dumps(["hann", _EDGES, _POWER, _COLOUR, _SPREAD, _FLOOR])
        return {"model": self.name, "revision": None, "sha256": hashlib.sha256(said.encode()).hexdigest()}

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, 39], not of length 1: how far from usual is part of what is seen.

        EncoderError for pictures of less than 32 pixels a side.
        """
        if min(pixels.shape[1:3]) < LEAST_SIDE:
            raise EncoderError(f"spectrum: pictures of {pixels.shape[2]} × {pixels.shape[1]} pixels are too small to tell sizes of detail "
                               f"apart; it needs {LEAST_SIDE} a side")
        window, rings = _window(*pixels.shape[1:3]), _rings(*pixels.shape[1:3])
        parts = [_seen(np.asarray(pixels[start:start + _BATCH]), window, rings) for start in range(0, len(pixels), _BATCH)]
        return np.concatenate([np.empty((0, 3 * (len(_POWER) + 2)), np.float32), *parts])

    def scaled(self, vectors: np.ndarray) -> np.ndarray:
        """As they are: a coordinate is of order 1, so the x·y/D of the kernel is too."""
        return vectors


def _seen(pixels: np.ndarray, window: np.ndarray, rings: np.ndarray) -> np.ndarray:
    values = pixels.astype(np.float32).transpose(0, 3, 1, 2) / 255
    mean, spread = values.mean(axis=(2, 3), dtype=np.float64), values.std(axis=(2, 3), dtype=np.float64)
    around = (values - mean[..., None, None]).astype(np.float32)
    power = np.abs(fft.rfft2(around * window)) ** 2
    level = np.log10(power.reshape(*power.shape[:2], -1) @ rings + _FLOOR)
    return np.concatenate([((level - np.array(_POWER)) / _SPREAD[0]).reshape(len(pixels), -1), (mean - _COLOUR[0]) / _SPREAD[1],
                           (spread - _COLOUR[1]) / _SPREAD[2]], axis=1).astype(np.float32)


def _window(height: int, width: int) -> np.ndarray:
    """Hann's, so that the picture's edges are no detail; scaled so that white noise keeps its variance as its spectral density."""
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    return (window / np.sqrt((window ** 2).sum())).astype(np.float32)


def _rings(height: int, width: int) -> np.ndarray:
    """[frequencies, rings] whose product with a half spectrum is the mean over each ring of the whole one."""
    across = np.arange(width // 2 + 1)
    twice = np.where((across == 0) | (2 * across == width), 1, 2)                   # the columns that the half spectrum leaves out
    down = np.arange(height)
    down = np.minimum(down, height - down)[:, None]
    # Squared and in whole numbers: a frequency on an edge must not fall to either side by rounding, or a turned picture would differ.
    square = (32 * down * width) ** 2 + (32 * across * height) ** 2
    of = np.digitize(square, [(edge * height * width) ** 2 for edge in _EDGES[1:]])[..., None] == np.arange(len(_POWER))
    weights = (of * twice[None, :, None]).reshape(-1, len(_POWER)).astype(np.float32)
    return weights / weights.sum(axis=0)
