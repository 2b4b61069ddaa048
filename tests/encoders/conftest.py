"""Pictures of different colours and detail, and a guard against the network."""

from __future__ import annotations

import urllib.error

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter


def draw_pictures(count: int = 9, size: int = 32, seed: int = 0) -> np.ndarray:
    """uint8 [count, size, size, 3]: smooth noise around a colour of its own."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(0, 1, (count, size, size, 3)), sigma=(0, 2, 2, 0)) * 120
    return (smooth + rng.uniform(70, 190, (count, 1, 1, 3)) + rng.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw():
    """The function, for other sizes and seeds."""
    return draw_pictures


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    return draw_pictures()


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    """Nothing is fetched, whatever network the tests run on, and torch's cache is empty."""
    def refuse(*_, **__):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
