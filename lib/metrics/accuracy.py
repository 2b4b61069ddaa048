"""Accuracy: the share of images whose most probable class is the true one."""

from __future__ import annotations

import numpy as np

from lib.metrics.inputs import check, one_or_many, ratio


def accuracy(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float; the highest is the answer, the first of equals
    *,
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """Share of images answered rightly, 0–1; NaN without images. Equal to the majority's share it says nothing. [B] with weights [B, N]."""
    y, p, w, single = check(y_true, probabilities, weights)
    return one_or_many(ratio(w @ (p.argmax(axis=1) == y).astype(float), w.sum(axis=1)), single)
