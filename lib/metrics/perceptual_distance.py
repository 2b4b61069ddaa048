"""Perceptual distance on an encoder's feature maps (Zhang et al. 2018, arXiv 1801.03924, eq. 1 with all channel weights 1).

It is LPIPS only on LPIPS' own networks and weights; on any other encoder name the encoder with the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def perceptual_distances(
    first:  Sequence[np.ndarray],           # per layer [N, positions, channels]
    second: Sequence[np.ndarray],           # per layer [M, positions, channels], same encoder
) -> np.ndarray:
    """float64 [N, M]: squared distance of the unit vectors at each position, averaged over positions, summed over layers."""
    first, second = _vectors(first), _vectors(second)
    if [layer.shape[1] for layer in first] != [layer.shape[1] for layer in second]:
        raise ValueError("the two sets of feature maps differ in layers, positions or channels; take both from one encoder")
    lengths = (sum((layer ** 2).sum(axis=1) for layer in layers) for layers in (first, second))
    both = sum(one @ other.T for one, other in zip(first, second, strict=True))
    ones, others = lengths
    return np.maximum(ones[:, None] + others[None, :] - 2 * both, 0.0)


def mean_distance(
    maps: Sequence[np.ndarray],             # per layer [N, positions, channels]
) -> float:
    """Mean of the distance over all pairs of different images: how varied a set is. Raises ValueError for fewer than two images.

    From the spread around the mean, so no pair is formed: the mean of |x − y|² over pairs is 2·n/(n − 1) times the variance.
    """
    layers = _vectors(maps)
    n = len(layers[0])
    if n < 2:
        raise ValueError(f"a mean over pairs needs two images, got {n}")
    return float(sum(2 / (n - 1) * ((layer - layer.mean(axis=0)) ** 2).sum() for layer in layers))


def _vectors(maps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Per layer [N, positions·channels], scaled so that plain squared distances are those of the definition."""
    if not len(maps) or any(np.ndim(layer) != 3 for layer in maps) or len({len(layer) for layer in maps}) > 1:
        raise ValueError(f"expected layers [N, positions, channels] of the same N, got shapes {[np.shape(layer) for layer in maps]}")
    out = []
    for layer in maps:
        layer = np.asarray(layer, dtype=np.float64)
        if not np.isfinite(layer).all():
            raise ValueError("feature maps hold NaN or infinity; look at the images that were encoded")
        unit = layer / (np.linalg.norm(layer, axis=2, keepdims=True) + 1e-10)           # 1e-10 as in LPIPS' code
        out.append(unit.reshape(len(unit), -1) / np.sqrt(layer.shape[1]))
    return out
