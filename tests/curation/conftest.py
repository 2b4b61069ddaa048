"""A small world of phantoms for curation: training images, held-out ones that limits are fitted on, and others to judge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from colours import Colours
from one_thread import one_thread  # noqa: F401

from lib.curation.candidates import Candidates, Encoders
from lib.diffusion.base.captions import DIAGNOSIS_WORDS, caption
from lib.diffusion.base.pool import Pool, draw_pool
from lib.phantom.lesions import USUAL

LABELS = [DIAGNOSIS_WORDS[name] for name in USUAL]
GROUPS = {1: "I–II", 2: "I–II", 3: "III–IV", 4: "III–IV", 5: "V–VI", 6: "V–VI"}


def describe(pool: Pool, rows: np.ndarray, *, generated: bool = False) -> pd.DataFrame:
    """Rows of a pool as a table of candidates, each image a patient of its own."""
    scenes = pool.scenes.iloc[rows].reset_index(drop=True)
    size = pool.pixels.shape[1]
    return pd.DataFrame({
        "image_id": scenes["image_id"], "path": scenes["image_id"] + ".png", "generator": "diffusion" if generated else None,
        "label": scenes["diagnosis"].map(DIAGNOSIS_WORDS), "tone_key": scenes["tone"].astype(str), "group": scenes["tone"].map(GROUPS),
        "domain": scenes["domain"], "cluster_id": None if generated else scenes["patient_id"],
        "sha256": [f"{place:064x}" for place in rows], "width": size, "height": size,
    })


def candidates(pool: Pool, rows: np.ndarray, encoders: Encoders, *, generated: bool = False) -> Candidates:
    """With prompts as phantom-siglip has learnt them."""
    scenes = pool.scenes.iloc[rows]
    prompts = np.array([[caption({**scene, "diagnosis": name}) for name in USUAL] for scene in scenes.to_dict("records")], dtype=object)
    return Candidates(describe(pool, rows, generated=generated), np.asarray(pool.pixels[rows]), encoders, prompts=prompts, labels=LABELS)


@pytest.fixture(scope="session")
def make_candidates():
    """The function `candidates`."""
    return candidates


@pytest.fixture(scope="session")
def small_pool() -> Pool:
    return draw_pool("curation-small", 180, seed=1_910_000, size=32, workers=1, cache=None, difficulty=0.0)


@pytest.fixture(scope="session")
def cheap() -> Encoders:
    """No network: block means, and the spectrum."""
    return Encoders(loaded={"colours": Colours()}, fallback=None)
