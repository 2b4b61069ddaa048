"""Fréchet distance between Gaussians fitted to two sets of features (FID on Inception's; Heusel et al. 2017, arXiv 1706.08500, eq. 6)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import svdvals

from lib.metrics.estimate import Estimate
from lib.metrics.features import check_features


def frechet_distance(
    real:      np.ndarray,          # [N, D] features of real images
    generated: np.ndarray,          # [M, D] features of generated images, same encoder
) -> Estimate:
    """|μ − ν|² + tr(Σ + T − 2(ΣT)^½), without interval: it is biased upwards, by less the more images there are.

    Where a set has no more images than features its covariance is singular and the value says little: it is given, but flagged by a
    `reason`. Raises ValueError for fewer than two images. The trace of the root is the sum of singular values of A·Bᵀ, where AᵀA = Σ
    and BᵀB = T: no root of a nearly singular product is taken, which is where sqrtm loses digits.
    """
    real, generated = check_features(real, generated)
    size, width = min(len(real), len(generated)), real.shape[1]
    if size < 2:
        raise ValueError(f"a covariance needs two images of each kind, got {len(real)} real and {len(generated)} generated")
    (middle, one), (other_middle, other) = _moments(real), _moments(generated)
    apart = ((middle - other_middle) ** 2).sum()
    value = apart + (one ** 2).sum() + (other ** 2).sum() - 2 * svdvals(one @ other.T).sum()
    reason = f"{size} images for {width} features: the covariance is singular" if size <= width else ""
    return Estimate(float(max(value, 0.0)), float("nan"), float("nan"), n=size, reason=reason)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and a factor A [min(N, D), D] with AᵀA the covariance."""
    middle = features.mean(axis=0)
    spread = (features - middle) / np.sqrt(len(features) - 1)
    return middle, np.linalg.qr(spread, mode="r") if len(features) > features.shape[1] else spread
