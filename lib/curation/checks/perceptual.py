"""How far is the picture from the nearest training picture of its label, as the layers of a network see them?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, by_label
from lib.metrics.perceptual_distance import nearest_perceptual
from lib.study import Check

META = Meta("perceptual distance to the nearest training image of its label, ≥ 0", (0, np.inf), "both",
            "copies (low) and pictures unlike any (high)")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] LPIPS where the encoder is one of LPIPS' own (lpips-alex, …), else the same distance in another network's layers.

    NaN where no training image shows the label.
    """
    encoder, out = reference.encoder_of(check), np.full(len(candidates), np.nan)
    for ours, theirs in by_label(candidates, reference):
        if len(theirs):
            out[ours] = nearest_perceptual(
                lambda part, places=ours: candidates.maps(encoder, places[part]),
                lambda part, places=theirs: reference.train.maps(encoder, places[part]),
                counts=(len(ours), len(theirs)), unit=not candidates.encoders(encoder, "curation.perceptual").name.startswith("lpips-"))[0]
    return out
