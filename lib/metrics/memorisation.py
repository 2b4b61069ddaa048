"""Whether generated images are copies of training images: how near they come, against how near unseen real images come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.metrics.nearest import nearest


@dataclass(frozen=True)
class Memorisation:
    """Of N generated images, in the features of one encoder; a set that copies nothing scores like the held-out images."""

    distance:              np.ndarray       # [N] to the nearest training image
    place:                 np.ndarray       # [N] which one that is
    ratio:                 np.ndarray       # [N] distance / median of the held-out images' distance; low: a copy
    local_ratio:           np.ndarray       # [N] distance / that training image's distance to its nearest other one; under 1: not authentic
    rank:                  np.ndarray       # [N] share of held-out images that come as near, (1 + how many)/(1 + all): low: a copy
    authenticity:          float            # share with a local ratio over 1 (Alaa et al. 2022, arXiv 2102.08921, section 3.3)
    held_out_distance:     np.ndarray       # [H] of held-out real images to the nearest training image
    held_out_local_ratio:  np.ndarray       # [H]
    held_out_authenticity: float            # what to hold the authenticity against


def memorisation(
    generated: np.ndarray,          # [N, D] features
    held_out:  np.ndarray,          # [H, D] of real images that the generator never saw
    train:     np.ndarray,          # [T, D] of those it learnt from
) -> Memorisation:
    """Distances and what to compare them with. Ratios are ∞ where training images repeat and the image is not one of them, NaN at 0/0.

    Raises ValueError for fewer than two training images or none held out.
    """
    if len(train) < 2 or not len(held_out):
        raise ValueError(f"two training images and one held out are the least, got {len(train)} and {len(held_out)}")
    others = nearest(train, train, exclude_self=True)[0][:, 0]
    (distance, place), (reference, reference_place) = ((found[0][:, 0], found[1][:, 0])
                                                       for found in (nearest(generated, train), nearest(held_out, train)))
    local, held_local = _ratio(distance, others[place]), _ratio(reference, others[reference_place])
    nearer = np.searchsorted(np.sort(reference), distance, side="right")
    return Memorisation(
        distance              = distance,
        place                 = place,
        ratio                 = _ratio(distance, np.median(reference)),
        local_ratio           = local,
        rank                  = (1 + nearer) / (1 + len(reference)),
        authenticity          = float((local > 1).mean()) if len(local) else float("nan"),
        held_out_distance     = reference,
        held_out_local_ratio  = held_local,
        held_out_authenticity = float((held_local > 1).mean()),
    )


def _ratio(part: np.ndarray, whole: np.ndarray | float) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return part / whole
