"""Does the test of set distances keep its level on real images, and which shifts does it see at which size (notebook 12)?

Two halves of the real images, no lesion in both, come from one distribution, so the p-values of many such halvings should be uniform.
Then one half is spoilt on purpose, and the share of halvings in which the test says so is its power.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, kstest

from lib.encoders.encoder import Encoder
from lib.metrics.set_distance import set_distance_with_floor
from lib.study import SetDistance
from lib.training.seeds import numpy_generator

NONE = "none"
_BLOCK = 256            # pictures shifted at once


def shifted(pixels: np.ndarray, shift: str, options: SetDistance) -> np.ndarray:
    """uint8 [N, S, S, 3] with the hue turned or the picture blurred; as they are for every other shift."""
    change = {"hue": _turned, "blur": _blurred}.get(shift)
    if change is None:
        return pixels
    return np.concatenate([change(np.array(pixels[start:start + _BLOCK]), options) for start in range(0, len(pixels), _BLOCK)])


def features_of(encoder: Encoder, pixels: np.ndarray, options: SetDistance) -> dict[str, np.ndarray]:
    """Shift → float32 [N, D] of all images, those without a shift of the pixels among them."""
    return {shift: encoder.features(shifted(pixels, shift, options)) for shift in (NONE, "hue", "blur")}


def null_p_values(
    features: np.ndarray,                       # [N, D]
    clusters: np.ndarray,                       # [N] lesions (or patients) that are never cut in two
    options:  SetDistance,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """[options.splits] p-values of half of all images against the other half."""
    found = []
    for split in range(options.splits):
        first, second = _halves(clusters, numpy_generator(options.seed, "half splits", split))
        found.append(_p_value(features[first], features[second], clusters[first], clusters[second], options, split))
        if progress:
            progress(split + 1, options.splits)
    return np.array(found)


def judge_null(p_values: np.ndarray, options: SetDistance) -> dict[str, float]:
    """Kolmogorov–Smirnov p of "uniform", and the share at or under the level with its 95 % interval (Wilson).

    The test's p-values are whole multiples of 1/(draws + 1), each as likely as another where nothing differs; a random part of a step is
    taken off each, which makes them exactly uniform then.
    """
    level, steps = options.level, numpy_generator(options.seed, "steps").random(len(p_values)) / (options.draws + 1)
    below = binomtest(int((p_values <= level).sum()), len(p_values))
    interval = below.proportion_ci(method="wilson")
    return {"splits": len(p_values), "uniform_p": float(kstest(p_values - steps, "uniform").pvalue), "level": level,
            "rejected": below.statistic, "low": interval.low, "high": interval.high}


def power(
    features: Mapping[str, np.ndarray],         # of `features_of`
    clusters: np.ndarray,                       # [N]
    labels:   np.ndarray,                       # [N]
    options:  SetDistance,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """How often each shift of one set is noticed: shift, images (in each set), halvings, power, low, high (95 %, Wilson).

    Shifts: none (which gives the level), hue, blur, and "no …" for each label of `options.dropped` that one set lacks. A size that a
    halving has not images enough for gives fewer halvings, and none gives no row.
    """
    shifts = [NONE, "hue", "blur", *(f"no {label}" for label in options.dropped)]
    rows, plan = [], [(images, shift) for images in options.sizes for shift in shifts]
    for number, (images, shift) in enumerate(plan, 1):
        p_values = [p for p in _of_size(features, clusters, labels, images, shift, options)]
        if p_values:
            found = judge_null(np.array(p_values), options)
            rows.append({"shift": shift, "images": images, "halvings": found["splits"], "power": found["rejected"], "low": found["low"],
                         "high": found["high"]})
        if progress:
            progress(number, len(plan))
    return pd.DataFrame(rows, columns=["shift", "images", "halvings", "power", "low", "high"])


def _of_size(
    features: Mapping[str, np.ndarray],
    clusters: np.ndarray,
    labels:   np.ndarray,
    images:   int,
    shift:    str,
    options:  SetDistance,
) -> Iterator[float]:
    for split in range(options.splits):
        first, second = _halves(clusters, numpy_generator(options.seed, "power", split))        # the same halves for all shifts
        if shift.startswith("no "):
            second = second[labels[second] != shift.removeprefix("no ")]
        first, second = first[:images], second[:images]
        if len(first) < images or len(second) < images:
            continue
        spoilt = features.get(shift, features[NONE])
        yield _p_value(features[NONE][first], spoilt[second], clusters[first], clusters[second], options, split)


def _halves(clusters: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two halves in random order; a cluster lies in one of them."""
    names, number = np.unique(clusters, return_inverse=True)
    side = rng.permutation(len(names)) < len(names) // 2
    order = rng.permutation(len(clusters))
    return order[side[number[order]]], order[~side[number[order]]]


def _p_value(
    first:          np.ndarray,
    second:         np.ndarray,
    clusters:       np.ndarray,
    other_clusters: np.ndarray,
    options:        SetDistance,
    split:          int,
) -> float:
    return set_distance_with_floor(first, second, real_clusters=clusters, generated_clusters=other_clusters, draws=options.draws,
                                   seed=options.seed + split).p_value


def _turned(pixels: np.ndarray, options: SetDistance) -> np.ndarray:
    import torch
    from torchvision.transforms.functional import adjust_hue

    return adjust_hue(torch.from_numpy(pixels).permute(0, 3, 1, 2), options.hue).permute(0, 2, 3, 1).numpy()


def _blurred(pixels: np.ndarray, options: SetDistance) -> np.ndarray:
    return gaussian_filter(pixels.astype(np.float32), (0, options.blur, options.blur, 0)).round().astype(np.uint8)
