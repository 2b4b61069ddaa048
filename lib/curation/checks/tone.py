"""Is the skin as light or dark as was asked for?"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, lacking
from lib.data.skin import measure_skin
from lib.study import Check

META = Meta("degrees of ITA off the asked tone", (0, 360), "high", "the wrong skin tone")
_FEWEST = 3             # training images of a tone whose median counts


def applies(candidates: Candidates) -> np.ndarray:
    """[N] where a tone was asked for."""
    return candidates.table["tone_key"].notna().to_numpy()


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] distance of the picture's ITA from the median of the asked tone's training images; NaN where either cannot be measured."""
    middle = _middle(reference)
    asked = np.array([middle.get(tone, np.nan) for tone in candidates.table["tone_key"]], dtype=float)
    return np.abs(typology_angles(candidates, reference) - asked)


def lacks(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] why there is nothing to compare with."""
    return lacking(candidates.table["tone_key"].to_numpy(), _middle(reference),
                   f"there are fewer than {_FEWEST} training images of tone {{}} to compare with")


def typology_angles(candidates: Candidates, reference: Reference) -> np.ndarray:
    """[N] median ITA of the skin along the border, degrees; NaN where there is no skin (see `measure_skin`)."""
    return reference.keep_of(candidates, "ita", lambda: np.array(
        [measure_skin(Image.fromarray(np.asarray(picture))).ita for picture in candidates.pixels], dtype=float))


def _middle(reference: Reference) -> dict[str, float]:
    """Tone key → median ITA of its training images."""
    known, tones = typology_angles(reference.train, reference), reference.train.table["tone_key"].to_numpy()
    return {tone: float(np.median(known[(tones == tone) & np.isfinite(known)])) for tone in dict.fromkeys(tones)
            if ((tones == tone) & np.isfinite(known)).sum() >= _FEWEST}
