"""Brier score: the mean squared distance of the probabilities from what is true (Brier 1950, eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import check, check_positive, one_or_many, ratio


def brier(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    *,
    positive:      Sequence[int]     = (),      # indices of the positive classes; none: over all classes
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """Mean squared error of the positive classes' summed probability, 0–1, lower is better; NaN without images. [B] with weights [B, N].

    Without positive classes: half the squared distance over all classes, which is 0–1 too and the same number when there are two.
    """
    y, p, w, single = check(y_true, probabilities, weights)
    if len(positive):
        chosen = check_positive(positive, p.shape[1])
        loss = (p[:, chosen].sum(axis=1) - np.isin(y, chosen)) ** 2
    else:
        loss = ((p - (y[:, None] == np.arange(p.shape[1]))) ** 2).sum(axis=1) / 2
    return one_or_many(ratio(w @ loss, w.sum(axis=1)), single)
