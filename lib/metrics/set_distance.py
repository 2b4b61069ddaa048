"""A kernel distance between two sets with all that is needed to read it: an interval, how far real sets lie apart, and a test.

Everything is a weighted sum over one kernel matrix of all images. It is walked through once, a block of rows at a time, for all draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lib.metrics.estimate import Estimate
from lib.metrics.features import check_features
from lib.metrics.gaussian_discrepancy import SCALE, gaussian_kernel, unit_rows
from lib.metrics.kernel_distance import polynomial_kernel

LEAST = 4               # clusters of each set: two halves of two
_BLOCK = 512            # images whose kernels are in memory at once


@dataclass(frozen=True)
class SetDistance:
    """A value whose interval lies inside the floor cannot be told from real images at this size."""

    estimate:   Estimate        # all images at once, unbiased; interval from drawing clusters again
    floor_low:  float           # middle of the same distance between two halves of the real images, brought to the size of this comparison
    floor_high: float
    p_value:    float           # one-sided, of "both sets come from one distribution": clusters change sides; NaN where not estimable


def set_distance_with_floor(
    real:               np.ndarray,                     # [N, D] features of real images
    generated:          np.ndarray,                     # [M, D] features of generated images, same encoder
    *,
    kernel:             Literal["polynomial", "gaussian"] = "polynomial",       # KID's or CMMD's; the latter times 1,000
    real_clusters:      Sequence | None = None,         # [N] what hangs together, e.g. lesions; default: each image by itself
    generated_clusters: Sequence | None = None,         # [M]
    draws:              int   = 200,                    # of the interval, of the floor and of the test each
    confidence:         float = 0.95,                   # of the interval, and the share of the halves between the floor's ends
    seed:               int   = 0,
) -> SetDistance:
    """The squared distance, not estimable (with the reason) where a set has fewer than four clusters or does not vary at all.

    Pairs of one image with itself count nowhere, so drawing an image twice does not make a set look closer to itself. The halves are
    smaller than the sets, so their distances are multiplied by (1/N + 1/M) / (1/N₁ + 1/N₂): the spread of the distance of equal
    distributions falls with the number of images like that. Raises ValueError for features that do not fit or are not finite.
    """
    real, generated = check_features(real, generated)
    total, n, m = len(real) + len(generated), len(real), len(generated)
    one, other = (_number(clusters, count) for clusters, count in ((real_clusters, n), (generated_clusters, m)))
    clusters = int(one.max(initial=-1)) + 1, int(other.max(initial=-1)) + 1
    if min(clusters) < LEAST:
        what = "" if max(clusters) < LEAST or min(n, m) < LEAST else "independent "
        return _missing(f"{clusters[0]} {what}real and {clusters[1]} {what}generated images, needs {LEAST} of each", min(n, m), confidence)
    if not np.ptp(np.concatenate([real, generated]), axis=0).any():
        return _missing("all images are equal", min(n, m), confidence)
    rng = np.random.default_rng(seed)
    first, second = np.zeros((1 + 3 * draws, total)), np.zeros((1 + 3 * draws, total))
    first[0, :n], second[0, n:] = 1, 1
    for draw in range(1, draws + 1):                                                            # interval
        first[draw, :n] = np.bincount(rng.integers(clusters[0], size=clusters[0]), minlength=clusters[0])[one]
        second[draw, n:] = np.bincount(rng.integers(clusters[1], size=clusters[1]), minlength=clusters[1])[other]
    for draw in range(draws + 1, 2 * draws + 1):                                                # floor
        half = (rng.permutation(clusters[0]) < clusters[0] // 2)[one]
        first[draw, :n], second[draw, :n] = half, ~half
    everyone = np.concatenate([one, clusters[0] + other])
    for draw in range(2 * draws + 1, 3 * draws + 1):                                            # test
        side = (rng.permutation(sum(clusters)) < clusters[0])[everyone]
        first[draw], second[draw] = side, ~side
    values = _discrepancies(np.concatenate([real, generated]), first, second, kernel)
    value, drawn, halves, exchanged = values[0], values[1:draws + 1], values[draws + 1:2 * draws + 1], values[2 * draws + 1:]
    sizes = first[draws + 1:2 * draws + 1].sum(axis=1), second[draws + 1:2 * draws + 1].sum(axis=1)
    halves = halves * (1 / n + 1 / m) / (1 / sizes[0] + 1 / sizes[1])
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high, floor_low, floor_high = (float(x) for set_ in (drawn, halves) for x in np.nanquantile(set_, ends))
    p_value = float((1 + (exchanged >= value).sum()) / (1 + draws))
    return SetDistance(Estimate(float(value), low, high, confidence, min(n, m)), floor_low, floor_high, p_value)


def _missing(reason: str, n: int, confidence: float) -> SetDistance:
    return SetDistance(Estimate.missing(reason, n=n, confidence=confidence), float("nan"), float("nan"), float("nan"))


def _number(clusters: Sequence | None, count: int) -> np.ndarray:
    """[N] the cluster of each image as 0, 1, …"""
    if clusters is None:
        return np.arange(count)
    if len(clusters) != count:
        raise ValueError(f"{len(clusters)} cluster ids do not fit {count} images")
    return np.unique(np.asarray(clusters), return_inverse=True)[1]


def _discrepancies(features: np.ndarray, first: np.ndarray, second: np.ndarray, kernel: str) -> np.ndarray:
    """[B] unbiased squared distances between the sets that the weights [B, N + M] say; NaN where a set has no two different images."""
    if kernel == "gaussian":
        features, of, scale = unit_rows(features), gaussian_kernel, SCALE
    elif kernel == "polynomial":
        of, scale = polynomial_kernel, 1
    else:
        raise ValueError(f'kernel={kernel!r}; expected "polynomial" or "gaussian"')
    within, other_within, between = np.zeros((3, len(first)))
    for start in range(0, len(features), _BLOCK):
        rows = slice(start, start + _BLOCK)
        values = of(features, features[rows])
        own = values[np.arange(rows.start, rows.start + values.shape[1]), np.arange(values.shape[1])]
        one, other = first @ values, second @ values
        within += (one * first[:, rows]).sum(axis=1) - first[:, rows] ** 2 @ own
        other_within += (other * second[:, rows]).sum(axis=1) - second[:, rows] ** 2 @ own
        between += (one * second[:, rows]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pairs, other_pairs = (weights.sum(axis=1) ** 2 - (weights ** 2).sum(axis=1) for weights in (first, second))
        return scale * (within / pairs + other_within / other_pairs - 2 * between / (first.sum(axis=1) * second.sum(axis=1)))
