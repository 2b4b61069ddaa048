"""How sure is a classifier of tones, trained on real images alone, that the skin is of the asked tone?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.classifier import fit_label_model
from lib.curation.checks.reference import Meta, Reference
from lib.curation.checks.tone import applies, typology_angles
from lib.study import Check

__all__ = ["META", "applies", "score"]

META = Meta("probability of the asked tone, 0–1", (0, 1), "low", "the wrong skin tone, where light and camera shift ITA")


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] calibrated probability from the encoder's vector and ITA; NaN where training images show one tone or not this one."""
    encoder = reference.encoder_of(check)
    model = reference.keep(("tones", encoder), lambda: fit_label_model(
        _seen(reference.train, encoder), reference.train.table["tone_key"].to_numpy(), reference.train.clusters,
        seed=reference.options.seed))
    if model is None:
        return np.full(len(candidates), np.nan)
    return model.of_asked(_seen(candidates, encoder), candidates.table["tone_key"].to_numpy())[0]


def _seen(candidates: Candidates, encoder: str) -> np.ndarray:
    return np.concatenate([candidates.vectors(encoder), typology_angles(candidates)[:, None]], axis=1)
