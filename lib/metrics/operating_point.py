"""Right and wrong answers at a fixed threshold on the summed probability of the positive classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.metrics.inputs import check, check_positive


@dataclass(frozen=True)
class Outcomes:
    """Weights [B] of the four outcomes at the threshold."""

    true_positive:  np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray
    true_negative:  np.ndarray
    single:         bool        # whether one number, not B, is wanted


def outcomes(
    y_true:        np.ndarray,           # [N] int
    probabilities: np.ndarray,           # [N, K] float
    *,
    positive:      Sequence[int],        # indices of the positive classes
    threshold:     float | np.ndarray,   # an image is called positive when their summed probability is ≥ this; [N] where each has its own
    weights:       np.ndarray | None,    # [N] or [B, N] ≥ 0
) -> Outcomes:
    """Count the four outcomes. Raises ValueError when the threshold is not a number."""
    y, p, w, single = check(y_true, probabilities, weights)
    if threshold is None or not np.isfinite(threshold).all():
        raise ValueError(f"threshold is {threshold}; it is chosen on validation images (classifier.threshold) and then fixed")
    chosen = check_positive(positive, p.shape[1])
    truth, called = np.isin(y, chosen), p[:, chosen].sum(axis=1) >= threshold
    masks = np.stack([truth & called, ~truth & called, truth & ~called, ~truth & ~called], axis=1)
    return Outcomes(*(w @ masks.astype(float)).T, single)
