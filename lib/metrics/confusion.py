"""Confusion matrix: which class was taken for which."""

from __future__ import annotations

import numpy as np

from lib.metrics.inputs import check


def confusion(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float; the highest is the answer, the first of equals
    *,
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> np.ndarray:
    """Weight of the images of true class i (row) answered as class j (column), [K, K]; [B, K, K] with weights [B, N]."""
    y, p, w, single = check(y_true, probabilities, weights)
    classes = np.arange(p.shape[1])
    cells = (y[:, None] == classes)[:, :, None] & (p.argmax(axis=1)[:, None] == classes)[:, None, :]      # [N, K, K]
    matrix = (w @ cells.reshape(len(y), len(classes) ** 2).astype(float)).reshape(len(w), len(classes), len(classes))
    return matrix[0] if single else matrix
