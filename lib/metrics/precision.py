"""Precision (positive predictive value): the share of positive calls that are right; it moves with prevalence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import one_or_many, ratio
from lib.metrics.operating_point import outcomes


def precision(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    *,
    positive:      Sequence[int],               # indices of the positive classes
    threshold:     float | np.ndarray,          # called positive when their summed probability is ≥ this
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """TP / (TP + FP) at the threshold, 0–1; NaN when nothing is called positive. [B] with weights [B, N]."""
    out = outcomes(y_true, probabilities, positive=positive, threshold=threshold, weights=weights)
    return one_or_many(ratio(out.true_positive, out.true_positive + out.false_positive), out.single)
