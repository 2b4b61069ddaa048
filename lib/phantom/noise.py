"""Periodic texture tiles, drawn once from fixed seeds and looked up by every scene at its own place, turn and scale.

A picture of any size reads the same tile, at the level of detail that fits its pixels, so 64 and 512 pixels show the same scene.
"""

from __future__ import annotations

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
    level = int(np.clip(np.rint(np.log2(max(texel * TILE, 1e-6))), 0, len(levels) - 1))
    image = levels[level]
    side = TILE >> level
    x, y = u * np.float32(side) - np.float32(0.5), v * np.float32(side) - np.float32(0.5)
    x0, y0 = np.floor(x), np.floor(y)
    x, y = x - x0, y - y0
    across, down = x0.astype(np.intp), y0.astype(np.intp) & (side - 1)
    left, right = across & (side - 1), (across + 1) & (side - 1)
    top, bottom = down * side, ((down + 1) & (side - 1)) * side
    upper = image.take(top + left)
    upper += (image.take(top + right) - upper) * x
    lower = image.take(bottom + left)
    lower += (image.take(bottom + right) - lower) * x
    return upper + (lower - upper) * y


@cache
def _pyramid(name: str) -> list[np.ndarray]:
    """The tile and its halvings, each flattened."""
    levels = [_draw(name)]
    while levels[-1].shape[0] > 2:
        image = levels[-1]
        levels.append((image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4)
    return [np.ascontiguousarray(level, dtype=np.float32).ravel() for level in levels]


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
