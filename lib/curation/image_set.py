"""Real or generated images as set scores see them: features, pixels, feature maps, logits and what the checks said, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd

from lib.curation.candidates import Candidates, maps_of

UNKNOWN = "unknown"                 # group of images whose group is null


@dataclass(frozen=True)
class ImageSet:
    """Real or generated images as the scores see them; everything but labels and groups may be left out."""

    image_id: Sequence[str]                                                 # [N] for messages
    labels:   Sequence[str]                                                 # [N]
    groups:   Sequence[str | None]                                          # [N] null where not known
    features: Mapping[str, np.ndarray]              = field(default_factory=dict)   # encoder → [N, D] of `Encoder.features`
    pixels:   np.ndarray | None                     = None                  # uint8 [N, S, S, 3]
    maps:     Callable[[np.ndarray], Sequence[np.ndarray]] | None = None    # ascending rows → their feature maps, per layer
    maps_of:  str                                   = ""                    # the encoder of the maps
    weighted: bool                                  = False                 # they are compared as they are (`Encoder.weighted_maps`)
    logits:   np.ndarray | None                     = None                  # [N, K] Inception's, before the softmax
    clusters: Sequence[str] | None                  = None                  # [N] patients or lesions: their images stay in one half
    scores:   pd.DataFrame | None                   = None                  # [N] score_*, pass_* and verdict of the checks

    def __len__(self) -> int:
        return len(self.image_id)


def image_set(
    *sets:      Candidates,                         # of one size, one after the other: train and held out, or generated
    encoders:   Sequence[str],                      # whose features are compared; none: nothing but the scores, not the pixels either
    perceptual: str | None          = None,         # encoder of the feature maps; None: no perceptual distance
    scores:     pd.DataFrame | None = None,         # of the checks, in the same order
) -> ImageSet:
    """What `set_scores` compares, out of the images that curation has opened, under the names of the encoders that really saw them.

    Logits are taken of the first encoder that has some: Inception.
    """
    table, pixels = pd.concat([part.table for part in sets], ignore_index=True), np.concatenate([part.pixels for part in sets])
    first = sets[0]

    loaded = [first.encoders(name) for name in encoders]
    seer = first.encoders(perceptual, "curation.perceptual") if perceptual else None
    logits = next((encoder.logits for encoder in loaded if hasattr(encoder, "logits")), None)
    return ImageSet(
        image_id = table["image_id"].tolist(),
        labels   = table["label"].tolist(),
        groups   = table["group"].tolist(),
        features = {encoder.name: np.concatenate([part.features(name) for part in sets])
                    for name, encoder in zip(encoders, loaded, strict=True)},
        pixels   = pixels if encoders else None,
        maps     = partial(maps_of, sets, perceptual) if perceptual else None,
        maps_of  = seer.name if seer else "",
        weighted = bool(seer) and seer.weighted_maps,
        logits   = logits(pixels) if logits else None,
        clusters = np.concatenate([part.clusters for part in sets]),
        scores   = scores,
    )


def without_groups(real: ImageSet, generated: ImageSet) -> ImageSet:
    """The real images, their groups merged where the generator was asked for none, as a GAN is; in its own mix they are the reference."""
    if len(generated) and pd.isna(pd.Series(list(generated.groups), dtype=object)).all():
        return replace(real, groups=[None] * len(real))
    return real


def strata(images: ImageSet) -> dict[tuple[str, str], np.ndarray]:
    """(label, group) → its rows."""
    groups = [UNKNOWN if pd.isna(name) else str(name) for name in images.groups]
    rows = pd.Series(np.arange(len(images)))
    return {key: part.to_numpy() for key, part in rows.groupby([list(images.labels), groups])} if len(images) else {}
