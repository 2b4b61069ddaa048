"""F1 of the positive classes: the harmonic mean of precision and sensitivity at the threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import one_or_many, ratio
from lib.metrics.operating_point import outcomes


def f1(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    *,
    positive:      Sequence[int],               # indices of the positive classes
    threshold:     float | np.ndarray,          # called positive when their summed probability is ≥ this
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """2·TP / (2·TP + FP + FN) at the threshold, 0–1; NaN when nothing is positive and nothing is called so. [B] with weights [B, N]."""
    out = outcomes(y_true, probabilities, positive=positive, threshold=threshold, weights=weights)
    return one_or_many(ratio(2 * out.true_positive, 2 * out.true_positive + out.false_positive + out.false_negative), out.single)
