"""Kernel distance between two sets of features (KID; Bińkowski et al. 2018, arXiv 1801.01401, eq. 4)."""

from __future__ import annotations

import numpy as np

from lib.metrics.estimate import Estimate
from lib.metrics.features import check_features


def kernel_distance(
    real:        np.ndarray,        # [N, D] features of real images
    generated:   np.ndarray,        # [M, D] features of generated images, same encoder
    *,
    subset_size: int   = 50,        # images per subset, under min(N, M)
    subsets:     int   = 100,       # how many subsets the estimate averages
    confidence:  float = 0.95,      # share of the subsets' values between low and high
    seed:        int   = 0,
) -> Estimate:
    """Squared maximum mean discrepancy under the kernel (x·y/D + 1)³, unbiased: the mean over random subsets.

    Values near zero may be negative: that is sampling noise around "same distribution". `low` and `high` hold the middle of the
    subsets' values, so they say how far sets of `subset_size` stray, not how sure the mean is. Compare with real against real at the
    same size. Raises ValueError when a set is too small for `subset_size`, naming the size that fits.
    """
    real, generated = check_features(real, generated)
    fits = min(len(real), len(generated)) - 1
    if not 2 <= subset_size <= fits:
        raise ValueError(f"subset_size={subset_size} does not fit {len(real)} real and {len(generated)} generated images; "
                         + (f"it may be 2 to {fits}" if fits >= 2 else "each set needs at least 3"))
    rng = np.random.default_rng(seed)
    draws = [squared_discrepancy(_pick(real, subset_size, rng), _pick(generated, subset_size, rng)) for _ in range(subsets)]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(np.mean(draws)), float(low), float(high), confidence, min(len(real), len(generated)))


def squared_discrepancy(
    real:      np.ndarray,          # [N, D]
    generated: np.ndarray,          # [M, D]
) -> float:
    """The unbiased estimate from all images at once; for sets too small to cut into subsets, such as a validation grid."""
    real, generated = check_features(real, generated)
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"two images of each kind are the least, got {len(real)} real and {len(generated)} generated")
    return _within(real) + _within(generated) - 2 * float(polynomial_kernel(real, generated).mean())


def _within(features: np.ndarray) -> float:
    """Mean kernel over pairs of different images."""
    kernel, n = polynomial_kernel(features, features), len(features)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def polynomial_kernel(
    first:  np.ndarray,             # [N, D]
    second: np.ndarray,             # [M, D]
) -> np.ndarray:
    """[N, M] of (x·y/D + 1)³."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def _pick(features: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return features[rng.choice(len(features), count, replace=False)]
