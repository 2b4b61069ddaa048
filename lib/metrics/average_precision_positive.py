"""Average precision (PR-AUC) of the positive classes against all others, by their summed probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.average_precision import precision_steps
from lib.metrics.inputs import check, check_positive, one_or_many


def average_precision_positive(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    *,
    positive:      Sequence[int],               # indices of the positive classes
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """Binary average precision, 0–1; its chance level is the share of positives. NaN without positives. [B] with weights [B, N]."""
    y, p, w, single = check(y_true, probabilities, weights)
    chosen = check_positive(positive, p.shape[1])
    return one_or_many(precision_steps(np.isin(y, chosen), p[:, chosen].sum(axis=1), w), single)
