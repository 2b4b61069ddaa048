"""Is the picture large enough?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference
from lib.study import Check

META = Meta("pixels of the shorter side", (1, np.inf), "low", "pictures too small to train on")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] pixels."""
    return candidates.table[["width", "height"]].min(axis=1).to_numpy(dtype=float)
