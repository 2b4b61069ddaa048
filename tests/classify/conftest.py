"""A toy problem every classifier should solve: the label is the colour of the picture."""

import numpy as np
import pandas as pd
import pytest

from lib.classify.pool import Block, Pool, real_pool

CLASSES = ["red", "green", "blue"]


class Toy:
    """Pixels and samples of a toy problem; what `train_cell` takes."""

    classes = CLASSES

    def __init__(self, pixels, samples):
        self.pixels, self.samples = pixels, samples


def make_toy(count: int = 160, size: int = 32, seed: int = 0) -> Toy:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=[0.6, 0.25, 0.15])
    pixels = rng.integers(0, 160, (count, size, size, 3), dtype=np.uint8)
    for k in range(3):
        pixels[labels == k, :, :, k] += 60
    names = [f"image{i:04d}" for i in range(count)]
    samples = pd.DataFrame({
        "image_id": names,
        "label": np.array(CLASSES)[labels],
        "group": rng.choice(["light", "dark", None], count, p=[0.6, 0.2, 0.2]),
        "split": rng.choice(["train", "validation", "test"], count, p=[0.6, 0.2, 0.2]),
        "diagnosis": "colour",
        "tone": pd.array(rng.choice([1, 6, None], count), dtype="Int8"),
        "patient_id": names, "lesion_id": names, "cluster_id": names,
        "sha256": "0" * 64,
    })
    return Toy(pixels, samples)


@pytest.fixture
def toy() -> Toy:
    return make_toy()


@pytest.fixture(scope="session")
def toys():
    """Toys of any size: `toys(count=…, size=…, seed=…)`."""
    return make_toy


def add_generated(pool: Pool, count: int = 40, *, seed: int = 1, group: str | None = "dark", key: str | None = "6", labels=CLASSES) -> Pool:
    """The pool with drawn pictures of the toy problem added, as a curated set would be."""
    rng = np.random.default_rng(seed)
    labels, size = rng.choice(labels, count), pool.real.shape[1]
    pixels = rng.integers(0, 160, (count, size, size, 3), dtype=np.uint8)
    for k, name in enumerate(CLASSES):
        pixels[labels == name, :, :, k] += 60
    block = Block(pixels, labels.tolist(), [key] * count, [group] * count)
    return pool.with_block(block)


@pytest.fixture(scope="session")
def generated():
    """Adds drawn pictures to a pool: `generated(pool, count=…, group=…)`."""
    return add_generated


@pytest.fixture
def small() -> Toy:
    """Fewer and smaller pictures, for what has to be trained often."""
    return make_toy(count=80, size=16)


@pytest.fixture
def mixed(small) -> Pool:
    """Real training images of the small toy and 40 drawn ones, all of them dark."""
    return add_generated(real_pool(small.samples, small.pixels))
