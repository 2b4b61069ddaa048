"""How much of the real images' manifold generated images reach, and how much of theirs is real.

Precision and recall: Kynkäänniemi et al. 2019, arXiv 1904.06991, eq. 1–3. Density and coverage: Naeem et al. 2020, arXiv 2002.09797,
eq. 3–4. A manifold is the union of closed balls around its images that reach to the k-th nearest image of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from lib.metrics.features import check_features


@dataclass(frozen=True)
class Manifolds:
    """Four shares; all but density lie in 0…1, and all depend on the numbers of images, so compare only at equal numbers."""

    precision: float        # of the generated images that lie on the real manifold
    recall:    float        # of the real images that lie on the generated manifold
    density:   float        # mean number of real balls around a generated image, in units of k; 1 is expected of real images
    coverage:  float        # of the real images whose ball holds a generated image


def compare_manifolds(
    real:       np.ndarray,         # [N, D] features of real images
    generated:  np.ndarray,         # [M, D] features of generated images, same encoder
    *,
    neighbours: int = 5,            # k, under min(N, M)
    block:      int = 1_024,        # rows of distances in memory at once; changes nothing
) -> Manifolds:
    """Precision, recall, density and coverage. Raises ValueError when a set is too small for `neighbours`, naming the k that fits."""
    real, generated = check_features(real, generated)
    fits = min(len(real), len(generated)) - 1
    if not 1 <= neighbours <= fits:
        raise ValueError(f"neighbours={neighbours} does not fit {len(real)} real and {len(generated)} generated images; "
                         + (f"it may be 1 to {fits}" if fits >= 1 else "each set needs at least 2"))
    real_reach, generated_reach = _reach(real, neighbours, block), _reach(generated, neighbours, block)
    inside = np.zeros(len(generated), dtype=np.int64)               # real balls around each generated image
    recalled, covered = np.zeros(len(real), dtype=bool), np.zeros(len(real), dtype=bool)
    for start in range(0, len(real), block):
        rows = slice(start, start + block)
        distances = cdist(real[rows], generated)
        hit = distances <= real_reach[rows, None]
        inside += hit.sum(axis=0)
        covered[rows] = hit.any(axis=1)
        recalled[rows] = (distances <= generated_reach).any(axis=1)
    return Manifolds(
        precision = float((inside > 0).mean()),
        recall    = float(recalled.mean()),
        density   = float(inside.mean() / neighbours),
        coverage  = float(covered.mean()),
    )


def _reach(features: np.ndarray, neighbours: int, block: int) -> np.ndarray:
    """[N] distance of each image to its k-th nearest other one."""
    parts = [np.partition(cdist(features[start:start + block], features), neighbours, axis=1)[:, neighbours]     # the nearest is itself
             for start in range(0, len(features), block)]
    return np.concatenate(parts)
