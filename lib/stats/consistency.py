"""Outcomes drawn from predicted probabilities, as if these were exactly right (Bröcker & Smith 2007, Weather Forecast. 22:651).

Drawn image by image, patients would be less alike than they are, and too many arms would be called badly calibrated. So an image
takes its luck from its patient with a probability that makes pairs of images of one patient agree as much as in the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

LOT = 50    # simulations at a time


def shared_luck(
    outcomes:  np.ndarray,    # [R, n] 0 or 1, of R trainings
    predicted: np.ndarray,    # [R, n] 0–1
    clusters:  np.ndarray,    # [n] names of patients
) -> float:
    """ρ, 0–1: the share of pairs of a patient's images that draw the same luck; 0 where no patient has two images.

    By moments: the sum of products of two residuals (outcome − probability), over what it would be if all pairs shared their luck.
    """
    order = np.argsort(clusters, kind="stable")
    cluster, p, residual = np.asarray(clusters)[order], predicted[:, order], (outcomes - predicted)[:, order]
    found = expected = 0.0
    for step in range(1, len(cluster)):                              # every pair of a patient is some number of places apart
        same = np.flatnonzero(cluster[step:] == cluster[:-step])
        if not len(same):
            break
        a, b = p[:, same], p[:, same + step]
        found += (residual[:, same] * residual[:, same + step]).sum()
        expected += (np.minimum(a, b) - a * b).sum()                 # covariance of two outcomes of the same luck
    return float(np.clip(found / expected, 0, 1)) if expected > 0 else 0.0


def draw_luck(
    clusters:    np.ndarray,         # [n] names of patients
    rho:         Sequence[float],    # ρ of each arm
    *,
    simulations: int,                # B
    seed:        int = 0,
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Blocks of simulations: which of the B, and for each ρ uniform numbers [b, n]; what has a larger probability happens."""
    _, code = np.unique(clusters, return_inverse=True)
    rng = np.random.default_rng(seed)
    for start in range(0, simulations, LOT):
        size = (min(LOT, simulations - start), len(code))
        own, joins = rng.random(size), rng.random(size)
        common = rng.random((size[0], code.max() + 1))[:, code]
        yield slice(start, start + size[0]), [np.where(joins < np.sqrt(one), common, own) for one in rho]
