"""Cohen's kappa: agreement of the answers with the truth beyond what their frequencies alone would give (Cohen 1960, eq. 1)."""

from __future__ import annotations

import numpy as np

from lib.metrics.confusion import confusion
from lib.metrics.inputs import one_or_many, ratio


def cohen_kappa(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float; the highest is the answer, the first of equals
    *,
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """(agreement − chance) / (1 − chance), −1 to 1, 0 like guessing; NaN without images or when only one class is there and named.

    It moves with how frequent the classes are, so compare groups of similar composition only. [B] with weights [B, N].
    """
    matrix = confusion(y_true, probabilities, weights=weights)
    single = matrix.ndim == 2
    matrix = matrix[None] if single else matrix                                 # [B, K, K]
    total = matrix.sum(axis=(1, 2))
    agreement = np.trace(matrix, axis1=1, axis2=2) * total
    chance = (matrix.sum(axis=1) * matrix.sum(axis=2)).sum(axis=1)              # both times total²: whole counts stay exact
    return one_or_many(ratio(agreement - chance, total**2 - chance), single)
