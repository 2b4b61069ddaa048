"""Discs on a plain ground, and options of a GAN that trains on them in a second."""

from __future__ import annotations

import numpy as np
import pytest
from one_thread import one_thread  # noqa: F401

from lib.study import Gan
from lib.training.seeds import numpy_generator


def draw_discs(count: int = 12, size: int = 32) -> np.ndarray:
    """uint8 [count, size, size, 3]."""
    y, x = np.mgrid[:size, :size] - size / 2
    rng = numpy_generator(0, "discs")
    discs = [(y**2 + x**2 < (size * rng.uniform(0.15, 0.35)) ** 2)[..., None] for _ in range(count)]
    pictures = [np.where(disc, [120, 60, 50], [220, 180, 160]) + rng.normal(0, 5, (size, size, 3)) for disc in discs]
    return np.stack(pictures).clip(0, 255).astype(np.uint8)


def small_options(**options) -> Gan:
    return Gan(**{"image_size": 32, "latent": 4, "features_g": 1, "features_d": 1, "batch_size": 4, "critic_steps": 2, "iterations": 24,
                  "checkpoint_every": 7, "grid_every": 8, **options})


@pytest.fixture(scope="session")
def discs() -> np.ndarray:
    return draw_discs()


@pytest.fixture
def small():
    """A function: Gan options, small ones where they are not given."""
    return small_options
