"""AUROC of the positive classes against all others, by their summed probability (Hanley & McNeil 1982)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.auroc import mann_whitney
from lib.metrics.inputs import check, check_positive, one_or_many


def auroc_positive(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    *,
    positive:      Sequence[int],               # indices of the positive classes
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """Binary AUROC, 0–1, ties counted half; NaN unless positives and negatives are both present. [B] with weights [B, N]."""
    y, p, w, single = check(y_true, probabilities, weights)
    chosen = check_positive(positive, p.shape[1])
    return one_or_many(mann_whitney(np.isin(y, chosen), p[:, chosen].sum(axis=1), w), single)
