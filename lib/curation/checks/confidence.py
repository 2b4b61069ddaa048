"""How sure is a classifier, trained on real images alone, that the picture shows what was asked for?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, lacking
from lib.study import Check

META = Meta("probability of the asked label, 0–1", (0, 1), "low", "the wrong class")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] calibrated probability; NaN where training images show one label or not this one."""
    return asked_and_most(candidates, reference, check)[0]


def asked_and_most(candidates: Candidates, reference: Reference, check: Check) -> tuple[np.ndarray, np.ndarray]:
    """Probability of the asked label [N] and of the likeliest [N]; NaN as of `score`."""
    encoder = reference.encoder_of(check)
    model = reference.label_model(encoder)
    if model is None:
        return np.full(len(candidates), np.nan), np.full(len(candidates), np.nan)
    return model.of_asked(candidates.vectors(encoder), candidates.table["label"].to_numpy())


def lacks(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] why there is nothing to compare with."""
    model = reference.label_model(reference.encoder_of(check))
    return lacking(candidates.table["label"].to_numpy(), model.labels if model else (), "there is no training image of {} to compare with"
                   if model else "training images show one label alone, so it was never learnt")
