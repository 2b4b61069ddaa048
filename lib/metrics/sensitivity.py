"""Sensitivity (recall of the positive classes): the share of positives that are called positive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import one_or_many, ratio
from lib.metrics.operating_point import outcomes


def sensitivity(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    *,
    positive:      Sequence[int],               # indices of the positive classes
    threshold:     float | np.ndarray,          # called positive when their summed probability is ≥ this
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """TP / (TP + FN) at the threshold, 0–1; NaN without positives. [B] with weights [B, N]."""
    out = outcomes(y_true, probabilities, positive=positive, threshold=threshold, weights=weights)
    return one_or_many(ratio(out.true_positive, out.true_positive + out.false_negative), out.single)
