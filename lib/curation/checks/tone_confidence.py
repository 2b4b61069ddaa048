"""How sure is a classifier of tones, trained on real images alone, that the skin is of the asked tone?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.classifier import LabelModel, fit_label_model
from lib.curation.checks.reference import Meta, Reference, lacking
from lib.curation.checks.tone import applies, typology_angles
from lib.study import Check

__all__ = ["META", "applies", "lacks", "score"]

META = Meta("probability of the asked tone, 0–1", (0, 1), "low", "the wrong skin tone, where light and camera shift ITA")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] calibrated probability from the encoder's vector and ITA; NaN where training images show one tone or not this one."""
    model = _tone_model(reference, check)
    if model is None:
        return np.full(len(candidates), np.nan)
    return model.of_asked(_seen(candidates, reference, check), candidates.table["tone_key"].to_numpy())[0]


def lacks(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] why there is nothing to compare with."""
    model = _tone_model(reference, check)
    return lacking(candidates.table["tone_key"].to_numpy(), model.labels if model else (),
                   "there is no training image of tone {} to compare with"
                   if model else "training images show one tone alone, so it was never learnt")


def _tone_model(reference: Reference, check: Check) -> LabelModel | None:
    return reference.keep(("tones", reference.encoder_of(check)), lambda: fit_label_model(
        _seen(reference.train, reference, check), reference.train.table["tone_key"].to_numpy(), reference.train.clusters,
        seed=reference.options.seed))


def _seen(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    return np.concatenate([candidates.vectors(reference.encoder_of(check)), typology_angles(candidates, reference)[:, None]], axis=1)
