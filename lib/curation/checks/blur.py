"""Has the picture as much fine detail as real ones? Too little is blur, too much is noise."""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference
from lib.gan.sharpness import sharpness
from lib.study import Check

META = Meta("variance of the Laplacian of the grey picture, 0–255 scale", (0, np.inf), "both", "blur (low) and noise (high)")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] see `lib.gan.sharpness.sharpness`; it depends on the picture's size, so limits are fitted or scaled."""
    return sharpness(candidates.pixels)
