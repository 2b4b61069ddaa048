"""How realistic a single generated image is (realism score; Kynkäänniemi et al. 2019, arXiv 1904.06991, eq. 3)."""

from __future__ import annotations

import numpy as np

from lib.metrics.features import check_features
from lib.metrics.nearest import nearest

BLOCK = 1_024           # generated images at once


def realism(
    real:       np.ndarray,         # [N, D] features of real images
    generated:  np.ndarray,         # [M, D] features of generated images, same encoder
    *,
    neighbours: int   = 3,          # k, under N
    kept:       float = 0.5,        # share of the real images, those with the smallest reach: outliers would call anything real
    block:      int   = BLOCK,      # generated images at once; changes nothing
) -> tuple[np.ndarray, np.ndarray]:
    """[M] the largest over real images of reach / distance, where reach is the distance to the k-th nearest other real image, and whose
    place it is [M]. From 1 on the image lies on the real manifold; a copy scores ∞.

    Raises ValueError when there are too few real images for `neighbours`, naming the k that fits, or `kept` is not in (0, 1].
    """
    real, generated = check_features(real, generated)
    if not 1 <= neighbours <= len(real) - 1:
        raise ValueError(f"neighbours={neighbours} does not fit {len(real)} real images; "
                         + (f"it may be 1 to {len(real) - 1}" if len(real) > 1 else "2 are the least"))
    if not 0 < kept <= 1:
        raise ValueError(f"kept={kept:g}; expected a share over 0 and up to 1, e.g. 0.5")
    reach = nearest(real, real, neighbours, exclude_self=True)[0][:, -1]
    places = np.flatnonzero(reach <= np.quantile(reach, kept))
    middle = real.mean(axis=0)
    centred, reach = real[places] - middle, reach[places]
    squares = (centred ** 2).sum(axis=1)
    scores, found = np.empty(len(generated)), np.empty(len(generated), dtype=np.int64)
    for start in range(0, len(generated), block):
        rows = generated[start:start + block] - middle
        lengths = (rows ** 2).sum(axis=1)[:, None]
        apart = lengths + squares - 2 * rows @ centred.T
        apart[apart <= 1e-12 * (lengths + squares)] = 0         # rounding of the product
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(apart > 0, reach / np.sqrt(apart), np.inf)
        best = ratio.argmax(axis=1)
        scores[start:start + block], found[start:start + block] = ratio[np.arange(len(rows)), best], places[best]
    return scores, found
