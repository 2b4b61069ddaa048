"""Macro F1: the F1 of each class, averaged (Opitz & Burst 2019, arXiv 1911.03347, eq. 1: mean of F1s, not F1 of means)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import check, check_classes, mean_over_classes, one_or_many, ratio


def macro_f1(
    y_true:        np.ndarray,                    # [N] int, index of the true class
    probabilities: np.ndarray,                    # [N, K] float; the highest is the answer, the first of equals
    *,
    weights:       np.ndarray | None = None,      # [N] or [B, N] ≥ 0
    classes:       Sequence[int] | None = None,   # average over these; default: all
) -> float | np.ndarray:
    """Mean over the classes present of 2·TP / (2·TP + FP + FN), 0–1, for the class of highest probability.

    A class of which no image is present is left out of the average (its F1 would only say whether it was ever named);
    NaN when no image is present at all. With weights [B, N] the result is [B].
    """
    y, p, w, single = check(y_true, probabilities, weights)
    chosen = np.array(check_classes(classes, p.shape[1]), dtype=np.int64)
    is_class = y[:, None] == chosen
    is_answer = p.argmax(axis=1)[:, None] == chosen
    hits, truth, answers = (w @ mask.astype(float) for mask in (is_class & is_answer, is_class, is_answer))    # [B, C]
    f1 = np.where(truth > 0, ratio(2 * hits, truth + answers), np.nan)
    return one_or_many(mean_over_classes(f1.T), single)
