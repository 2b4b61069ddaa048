"""Texture tiles: no seams, and coarse levels are means of fine ones."""

from __future__ import annotations

import numpy as np
import pytest

from lib.phantom.noise import TILE, texture

NAMES = ("cloud", "grain", "ridges", "mesh", "broken_mesh", "furrows", "dots")


def grid(side):
    axis = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return np.broadcast_arrays(axis[None, :], axis[:, None])


@pytest.mark.parametrize("name", NAMES)
def test_a_coarse_level_is_the_mean_of_a_fine_one(name):
    fine, coarse = (texture(name, *grid(side), 1 / side) for side in (TILE, TILE // 8))
    assert np.allclose(fine.reshape(TILE // 8, 8, TILE // 8, 8).mean(axis=(1, 3)), coarse, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_repeat_without_a_seam(name):
    u, v = (side + np.float32(0.00123) for side in grid(64))
    assert np.allclose(texture(name, u, v, 1 / TILE), texture(name, u + 2, v - 3, 1 / TILE), atol=1e-3)
    across = texture(name, np.linspace(-0.5, 0.5, 4 * TILE, dtype=np.float32), np.full(4 * TILE, 0.3, dtype=np.float32), 1 / TILE)
    steps = np.abs(np.diff(across))
    assert steps[2 * TILE - 4:2 * TILE + 4].max() <= steps.max()
    assert np.isfinite(across).all()


@pytest.mark.parametrize("name", ("cloud", "grain", "ridges"))
def test_noise_has_zero_mean_and_unit_variance(name):
    values = texture(name, *grid(TILE), 1 / TILE)
    assert abs(values.mean()) < 1e-4 and abs(values.std() - 1) < 1e-3
