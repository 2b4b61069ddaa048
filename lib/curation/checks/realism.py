"""Does the picture lie on the manifold of the training images, as an encoder sees them?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, finite
from lib.metrics.realism import realism
from lib.study import Check

META = Meta("reach of the real manifold over the distance to it", (0, np.inf), "low", "pictures unlike any real one; with `spectrum`, "
            "wrong texture", own_units=True)


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] realism score (Kynkäänniemi et al. 2019, eq. 3) with k = `curation.neighbours`; NaN where a vector holds NaN.

    All NaN where there are too few training images for k.
    """
    encoder = reference.encoder_of(check)
    real, ours = reference.train.vectors(encoder), candidates.vectors(encoder)
    out, sound = np.full(len(candidates), np.nan), finite(ours)
    real = real[finite(real)]
    if len(real) > reference.options.neighbours and sound.any():
        out[sound] = realism(real, ours[sound], neighbours=reference.options.neighbours)[0]
    return out
