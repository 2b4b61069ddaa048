"""How alike is the picture to the most similar training picture of its label, pixel by pixel?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, by_label, lacking
from lib.metrics.structural_similarity import nearest_similar
from lib.study import Check

META = Meta("SSIM to the nearest training image of its label, −1 to 1", (-1, 1), "both", "copies (high) and pictures unlike any (low)")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] highest SSIM of the grey pictures; NaN where no training image shows the label. To be kept in a band, never maximised."""
    out = np.full(len(candidates), np.nan)
    for ours, theirs in by_label(candidates.table["label"].to_numpy(), reference):
        if len(theirs):
            out[ours] = nearest_similar(np.asarray(candidates.pixels[ours]), np.asarray(reference.train.pixels[theirs]),
                                        threads=reference.threads)[0]
    return out


def lacks(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] why there is nothing to compare with."""
    return lacking(candidates.table["label"].to_numpy(), set(reference.train_labels), "there is no training image of {} to compare with")
