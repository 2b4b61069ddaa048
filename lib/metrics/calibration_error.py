"""Expected calibration error over bins of equal number (Nixon et al. 2019, arXiv 1904.01685, §3)."""

from __future__ import annotations

import numpy as np


def calibration_error(
    outcomes:  np.ndarray,    # [..., N] 0 or 1, whether it was so
    predicted: np.ndarray,    # [N] 0–1, with what probability it was expected
    bins:      int = 10,
) -> np.ndarray:
    """Mean over images of the distance between what their bin predicted and what it held, [...] 0–1, lower is better; NaN without images.

    Never under the distance of the two means; chance alone makes it larger than zero, the more so the fewer images a bin has.
    """
    predicted = np.asarray(predicted, dtype=float)
    if not len(predicted):
        return np.full(np.shape(outcomes)[:-1], np.nan)
    bin_of = equal_mass_bins(predicted, bins)
    order = np.argsort(bin_of, kind="stable")
    first = np.unique(bin_of[order], return_index=True)[1]
    return np.abs(np.add.reduceat((outcomes - predicted)[..., order], first, axis=-1)).sum(axis=-1) / len(predicted)


def equal_mass_bins(
    predicted: np.ndarray,    # [N] 0–1
    bins:      int,           # ≥ 1
) -> np.ndarray:
    """The bin of each image, [N] 0 … bins − 1, equally many in each but for equal scores: they share the lowest bin that they touch.

    Raises ValueError with fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins={bins}; expected at least 1")
    return np.searchsorted(np.sort(predicted), predicted, side="left") * bins // max(1, len(predicted))
