"""Periodic texture tiles, drawn once from fixed seeds and looked up by every scene at its own place, turn and scale.

A picture of any size reads the same tile, at the level of detail that fits its pixels, so 64 and 512 pixels show the same scene.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.spatial import cKDTree

TILE = 256                          # texels per side
CELLS = 16                          # cells of the mesh tiles per side

_SEEDS = {"cloud": 11, "grain": 12, "mesh": 13, "broken_mesh": 14, "furrows": 15, "dots": 16, "ridges": 17}


def texture(
    name:   str,                    # cloud, grain, ridges (zero mean, unit variance); mesh, broken_mesh, furrows, dots (0–1)
    u:      np.ndarray,             # [...] float32, across; one tile is 1 wide
    v:      np.ndarray,             # [...] float32, down
    texel:  float,                  # distance of neighbouring samples in tiles; sets the level of detail
) -> np.ndarray:
    """Value of a tile at (u, v), repeated without a seam and interpolated linearly."""
    levels = _pyramid(name)
    level = min(max(round(math.log2(max(texel * TILE, 1e-6))), 0), len(levels) - 1)
    image, step = levels[level]
    side = TILE >> level
    x, y = u * np.float32(side), v * np.float32(side)
    x -= np.float32(0.5)
    y -= np.float32(0.5)
    left, top = np.floor(x), np.floor(y)
    x -= left
    y -= top
    column, row = left.astype(np.intp), top.astype(np.intp)
    column &= side - 1
    row &= side - 1
    row *= side
    cell = row + column
    value = _along_row(image, step, cell, x)
    below = _along_row(image[side:], step[side:], cell, x)          # the same cells, one row down
    below -= value
    below *= y
    value += below
    return value


def _along_row(image: np.ndarray, step: np.ndarray, cell: np.ndarray, x: np.ndarray) -> np.ndarray:
    value, more = image.take(cell, mode="clip"), step.take(cell, mode="clip")   # "clip": no cell is outside, and numpy need not look first
    more *= x
    value += more
    return value


@cache
def _pyramid(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The tile and its halvings, each with its steps to the right neighbour; flattened, the first row again after the last."""
    levels = [_draw(name)]
    while levels[-1].shape[0] > 2:
        image = levels[-1]
        levels.append((image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4)
    images = [np.concatenate([level, level[:1]]).astype(np.float32) for level in levels]
    return [(image.ravel(), (np.roll(image, -1, axis=1) - image).ravel()) for image in images]


def _draw(name: str) -> np.ndarray:
    rng = np.random.default_rng(_SEEDS[name])
    if name == "cloud":
        return _fractal(rng, 1.7, 1.0)
    if name == "grain":
        return _fractal(rng, 0.4, 8.0)
    if name == "ridges":
        ridges = -np.abs(_fractal(rng, 1.5, 4.0))
        return (ridges - ridges.mean()) / ridges.std()
    if name == "dots":
        nearest, _ = _cells(rng, 0.8)
        return np.clip(1.6 - nearest * CELLS * 4.0, 0, 1)
    jitter, width = {"mesh": (0.45, 0.24), "broken_mesh": (0.95, 0.24), "furrows": (0.7, 0.12)}[name]
    nearest, second = _cells(rng, jitter)
    lines = np.exp(-(((second - nearest) * CELLS / width) ** 2))
    if name != "furrows":                                           # lines of a network come and go, in an atypical one abruptly
        level, swing = (0.55, 0.55) if name == "broken_mesh" else (0.85, 0.25)
        lines = lines * np.clip(level + swing * _fractal(rng, 1.2, 5.0), 0, 1.4)
    return lines


def _fractal(rng: np.random.Generator, slope: float, low: float) -> np.ndarray:
    """Noise with power falling as frequency^(−2·slope) above `low` cycles per tile; zero mean, unit variance, periodic."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE, 1 / TILE), np.fft.rfftfreq(TILE, 1 / TILE), indexing="ij"))
    shape = np.where(frequency > 0, np.maximum(frequency, low) ** -slope, 0.0)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) * shape, s=(TILE, TILE))
    return (field - field.mean()) / field.std()


def _cells(rng: np.random.Generator, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest and second nearest cell centre, in tiles."""
    row, column = np.divmod(np.arange(CELLS * CELLS), CELLS)
    centres = np.stack([column + 0.5 * (row % 2), row], axis=1) + rng.uniform(-jitter / 2, jitter / 2, (CELLS * CELLS, 2))
    at = (np.stack(np.meshgrid(np.arange(TILE), np.arange(TILE)), axis=-1).reshape(-1, 2) + 0.5) / TILE
    distance, _ = cKDTree((centres / CELLS) % 1.0, boxsize=1.0).query(at, k=2)
    return distance[:, 0].reshape(TILE, TILE), distance[:, 1].reshape(TILE, TILE)
