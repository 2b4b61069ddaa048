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
    real_strata:        Sequence | None = None,         # [N] what both sets hold in one mix, e.g. class and skin type; all draws keep it
    generated_strata:   Sequence | None = None,         # [M]
    draws:              int   = 200,                    # of the interval, of the floor and of the test each
    confidence:         float = 0.95,                   # of the interval, and the share of the halves between the floor's ends
    seed:               int   = 0,
) -> SetDistance:
    """The squared distance, not estimable (with the reason) where a set has fewer than four clusters or does not vary at all.

    Pairs of one image with itself count nowhere, so drawing an image twice does not make a set look closer to itself. The halves are
    smaller than the sets, so their distances are multiplied by (1/N + 1/M) / (1/N₁ + 1/N₂): the spread of the distance of equal
    distributions falls with the number of images like that. A cluster of several strata counts for that of its first image. Raises
    ValueError for features that do not fit or are not finite.
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
    kinds, other_kinds = _kinds(real_strata, generated_strata, one, other)
    rng = np.random.default_rng(seed)
    first, second = np.zeros((1 + 3 * draws, total)), np.zeros((1 + 3 * draws, total))
    first[0, :n], second[0, n:] = 1, 1
    interval, floor, test = (slice(1 + part * draws, 1 + (part + 1) * draws) for part in range(3))
    first[interval, :n], second[interval, n:] = _redraw(kinds, draws, rng)[:, one], _redraw(other_kinds, draws, rng)[:, other]
    half = _choose(kinds, np.arange(clusters[0]) % 2 == 1, draws, rng)[:, one]
    first[floor, :n], second[floor, :n] = half, ~half
    pooled = np.concatenate([kinds, other_kinds])
    ordered = np.sort(pooled)
    ranks = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    side = _choose(pooled, ranks < np.bincount(kinds, minlength=ordered[-1] + 1)[ordered], draws, rng)      # as many of each stratum
    first[test] = side[:, np.concatenate([one, clusters[0] + other])]
    second[test] = 1 - first[test]
    values = _discrepancies(np.concatenate([real, generated]), first, second, kernel)
    value, drawn, halves, exchanged = values[0], values[interval], values[floor], values[test]
    sizes = first[floor].sum(axis=1), second[floor].sum(axis=1)
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


def _kinds(
    real:      Sequence | None,
    generated: Sequence | None,
    one:       np.ndarray,
    other:     np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The stratum of each cluster of both sets as 0, 1, …"""
    if (real is None) != (generated is None):
        raise ValueError("strata are given for one set alone; give them for both or for none")
    strata = np.zeros(len(one) + len(other), dtype=int) if real is None else np.concatenate([np.asarray(real), np.asarray(generated)])
    if len(strata) != len(one) + len(other):
        raise ValueError(f"{len(strata)} strata do not fit {len(one)} + {len(other)} images")
    number = np.unique(strata, return_inverse=True)[1]
    return tuple(part[np.unique(names, return_index=True)[1]] for part, names in ((number[:len(one)], one), (number[len(one):], other)))


def _choose(kinds: np.ndarray, places: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """[draws, clusters] which are chosen: those at `places` [clusters] of all clusters, in random order within their stratum."""
    chosen = np.zeros((draws, len(kinds)), dtype=bool)
    np.put_along_axis(chosen, np.argsort(kinds + rng.random(chosen.shape), axis=1)[:, places], True, axis=1)
    return chosen


def _redraw(kinds: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """[draws, clusters] how often each is drawn where each stratum gives as many as it has, with repetition."""
    order = np.argsort(kinds, kind="stable")
    start, end = (np.searchsorted(kinds[order], kinds[order], side=side) for side in ("left", "right"))
    drawn = order[rng.integers(start, end, size=(draws, len(kinds)))] + np.arange(draws)[:, None] * len(kinds)
    return np.bincount(drawn.ravel(), minlength=draws * len(kinds)).reshape(draws, len(kinds))


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
