"""How far is the picture from the nearest training picture of its label, as the layers of a network see them?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates, maps_of
from lib.curation.checks.reference import Meta, Reference, by_label, lacking
from lib.metrics.perceptual_distance import nearest_perceptual
from lib.study import Check

META = Meta("perceptual distance to the nearest training image of its label, ≥ 0", (0, np.inf), "both",
            "copies (low) and pictures unlike any (high)", own_units=True)


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] LPIPS where the encoder is one of LPIPS' own (lpips-alex, …), else the same distance in another network's layers.

    NaN where no training image shows the label. Feature maps of the training images are too large to keep, so the held-out images, which
    every check scores as well, are measured in the same pass.
    """
    key = ("perceptual", check.title)
    if candidates is reference.held_out:
        return reference.keep(key, lambda: _nearest([candidates], reference, check))
    both = _nearest([candidates, reference.held_out], reference, check)
    reference.keep(key, lambda: both[len(candidates):])
    return both[:len(candidates)]


def lacks(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] why there is nothing to compare with."""
    return lacking(candidates.table["label"].to_numpy(), set(reference.train_labels), "there is no training image of {} to compare with")


def _nearest(sets: list[Candidates], reference: Reference, check: Check) -> np.ndarray:
    encoder = reference.encoder_of(check)
    unit = not reference.train.encoders(encoder, "curation.perceptual").weighted_maps
    labels = np.concatenate([one.table["label"].to_numpy() for one in sets])
    out = np.full(len(labels), np.nan)
    for ours, theirs in by_label(labels, reference):
        if len(theirs):
            out[ours] = nearest_perceptual(
                lambda part, places=ours: maps_of(sets, encoder, places[part]),
                lambda part, places=theirs: reference.train.maps(encoder, places[part]), counts=(len(ours), len(theirs)), unit=unit)[0]
    return out
