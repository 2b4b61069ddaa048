"""A made-up study of 120 generated and 90 held-out images, the review drawn from it, and raters who answer as they are told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.curation.review.key import Key, write_key
from lib.curation.review.sample import draw_sample
from lib.study.review import Review

LABELS, GROUPS = ["nevus", "melanoma", "dermatofibroma"], ["I–II", "V–VI"]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def curated() -> pd.DataFrame:
    """What a review needs of the table: dark skin is asked for three times as often as light; every fourth image was rejected."""
    rows = []
    for i in range(120):
        name = f"g{i:03d}"
        rows.append({"image_id": name, "path": f"images/{name}.png", "generator": "diffusion", "label": LABELS[i % 3],
                     "tone_key": "5" if i % 8 > 1 else "1", "group": GROUPS[i % 8 > 1], "sha256": sha(name),
                     "verdict": "blur" if i % 4 == 3 else "passed", "cluster": pd.NA if i % 4 == 3 else i % 5, "selected": i % 4 < 2,
                     "random_subset": i % 2 == 0})
    return pd.DataFrame(rows).astype({"cluster": "Int16"})


@pytest.fixture
def held_out() -> pd.DataFrame:
    """Rows of `samples`, two of each patient; light skin is four times as frequent as dark."""
    rows = [{"image_id": f"r{i:03d}", "label": LABELS[i // 2 % 3], "group": GROUPS[i // 2 % 5 == 4], "sha256": sha(f"r{i}"),
             "cluster_id": f"patient {i // 2}", "split": "validation"} for i in range(90)]
    return pd.DataFrame(rows)


@pytest.fixture
def make_key(curated, held_out) -> Callable[..., Key]:
    """A key as `make` writes it, of as many images as asked; with `folder` also on disk."""
    def made(folder: Path | None = None, **options) -> Key:
        review = Review(**{"images": 20, **options})
        items, notices = draw_sample(curated, held_out, review)
        key = Key("0123456789ab", review.scales, items, notices)
        if folder:
            write_key(folder, key)
        return key
    return made


@pytest.fixture
def save_ratings() -> Callable[..., Path]:
    """Write a file as the page does: `value` is one rating for everything, or a function of a row of the key and a scale."""
    def write(path: Path, key: Key, rater: str, value: int | Callable = 5, *, end: str = "\r\n", mark: str = ",") -> Path:
        names = [scale.name for scale in key.scales]
        lines = [["review", "rater", "item", *names]]
        for row in key.items.itertuples():
            lines.append([key.review, rater, row.item, *(str(value(row, name) if callable(value) else value) for name in names)])
        path.write_bytes((end.join(mark.join(line) for line in lines) + end).encode())
        return path
    return write


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Twenty small squares, no two alike."""
    return [np.random.default_rng(i).integers(0, 256, (16, 16, 3)).astype(np.uint8) for i in range(20)]
