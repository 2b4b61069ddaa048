"""Balanced accuracy: the mean over classes of the share recognised (Brodersen et al. 2010, eq. 1, for K classes)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import check, check_classes, mean_over_classes, one_or_many, ratio


def balanced_accuracy(
    y_true:        np.ndarray,                    # [N] int, index of the true class
    probabilities: np.ndarray,                    # [N, K] float; the highest is the answer, the first of equals
    *,
    weights:       np.ndarray | None = None,      # [N] or [B, N] ≥ 0
    classes:       Sequence[int] | None = None,   # average over these; default: all
) -> float | np.ndarray:
    """Mean recall over the classes present, 0–1 (guessing: one over their number); NaN without images. [B] with weights [B, N]."""
    y, p, w, single = check(y_true, probabilities, weights)
    is_class = y[:, None] == np.array(check_classes(classes, p.shape[1]), dtype=np.int64)
    recognised = is_class & (p.argmax(axis=1) == y)[:, None]
    return one_or_many(mean_over_classes(ratio(w @ recognised.astype(float), w @ is_class.astype(float)).T), single)
