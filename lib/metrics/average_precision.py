"""Average precision (PR-AUC): precision summed over the steps of recall, Σ (Rₙ − Rₙ₋₁)·Pₙ, without interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import check, check_classes, mean_over_classes, one_or_many, ratio


def average_precision(
    y_true:        np.ndarray,                    # [N] int, index of the true class
    probabilities: np.ndarray,                    # [N, K] float
    *,
    weights:       np.ndarray | None = None,      # [N] or [B, N] ≥ 0
    classes:       Sequence[int] | None = None,   # average over these; default: all
) -> float | np.ndarray:
    """Macro one-vs-rest average precision, 0–1, over the classes present; chance level is a class's share, not ½.

    Images of equal score share one threshold, so their order cannot matter (Davis & Goadrich 2006 on why no
    linear interpolation). NaN when no image is present. [B] with weights [B, N].
    """
    y, p, w, single = check(y_true, probabilities, weights)
    chosen = check_classes(classes, p.shape[1])
    return one_or_many(mean_over_classes([precision_steps(y == c, p[:, c], w) for c in chosen]), single)


def precision_steps(
    is_positive: np.ndarray,    # [N] bool
    score:       np.ndarray,    # [N] float, higher means positive
    weights:     np.ndarray,    # [B, N] ≥ 0
) -> np.ndarray:
    """Average precision of one binary question under each row of weights, [B]; NaN without positives."""
    positives, negatives = (at[np.argsort(-score[at], kind="stable")] for at in map(np.flatnonzero, (is_positive, ~is_positive)))
    last = np.searchsorted(-score[positives], -score[positives], side="right") - 1      # [positives] the last of equal score
    above = np.searchsorted(-score[negatives], -score[positives], side="right")         # negatives at or above each
    steps = weights[:, positives]                                                       # each positive moves recall by its weight
    hits = np.cumsum(steps, axis=1)[:, last]
    false = np.zeros((len(weights), len(negatives) + 1))                                # weight of the k highest negatives
    np.cumsum(weights[:, negatives], axis=1, out=false[:, 1:])
    return ratio((steps * np.nan_to_num(ratio(hits, hits + false[:, above]))).sum(axis=1), steps.sum(axis=1))
