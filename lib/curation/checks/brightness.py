"""Is the picture nearly black or nearly white?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference
from lib.study import Check

META = Meta("mean of the picture, 0–1", (0, 1), "both", "empty, black and washed-out pictures")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] mean over pixels and channels, 0–1."""
    return np.array([picture.mean() / 255 for picture in candidates.pixels])
