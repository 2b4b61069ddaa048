"""Maximum mean discrepancy under a Gaussian kernel (CMMD on CLIP's vectors; Jayasumana et al. 2024, arXiv 2401.09603, eq. 2–4)."""

from __future__ import annotations

import numpy as np

from lib.metrics.features import check_features

SIGMA = 10.0            # of the kernel, as published
SCALE = 1_000           # of the value, as published


def gaussian_discrepancy(
    real:      np.ndarray,          # [N, D] vectors of real images, of any length: their directions count
    generated: np.ndarray,          # [M, D] vectors of generated images, same encoder
    *,
    sigma:     float = SIGMA,
    scale:     float = SCALE,
) -> float:
    """Squared discrepancy times `scale`, unbiased: near zero it may be negative. The authors' own code keeps the diagonal, so it is biased.

    Raises ValueError for fewer than two images of a kind or a vector of length zero.
    """
    real, generated = check_features(real, generated)
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"two images of each kind are the least, got {len(real)} real and {len(generated)} generated")
    real, generated = unit_rows(real), unit_rows(generated)
    within = [(kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))
              for kernel in (gaussian_kernel(vectors, vectors, sigma) for vectors in (real, generated))]
    return float(scale * (sum(within) - 2 * gaussian_kernel(real, generated, sigma).mean()))


def gaussian_kernel(
    first:  np.ndarray,             # [N, D] unit vectors
    second: np.ndarray,             # [M, D] unit vectors
    sigma:  float = SIGMA,
) -> np.ndarray:
    """[N, M] exp(−|x − y|²/2σ²)."""
    return np.exp((first @ second.T - 1) / sigma ** 2)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """[N, D] with each row scaled to length one. Raises ValueError for a row of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(f"vector {int(np.flatnonzero(lengths[:, 0] == 0)[0])} has length zero, so it has no direction; look at this image")
    return vectors / lengths
