"""Would a classifier, trained on real images alone, have given the picture another label?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.confidence import asked_and_most, lacks
from lib.curation.checks.reference import Meta, Reference
from lib.study import Check

__all__ = ["META", "lacks", "score"]

META = Meta("probability of the asked label over that of the likeliest, 0–1", (0, 1), "low", "the wrong class, also where nothing is sure")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] 1 where the asked label is the likeliest; NaN where training images show one label or not this one."""
    asked, most = asked_and_most(candidates, reference, check)
    return asked / most
