"""Area under the ROC curve as the Mann–Whitney statistic, ties counted half (Hanley & McNeil 1982, eq. 1–2; Bamber 1975)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import check, check_classes, mean_over_classes, one_or_many, ratio


def auroc(
    y_true:        np.ndarray,                    # [N] int, index of the true class
    probabilities: np.ndarray,                    # [N, K] float
    *,
    weights:       np.ndarray | None = None,      # [N] or [B, N] ≥ 0
    classes:       Sequence[int] | None = None,   # average over these; default: all
) -> float | np.ndarray:
    """Macro one-vs-rest AUROC, 0–1: each class against all others, averaged over the classes present.

    A class without a single image (or without any other image) has no AUROC and is left out of the average;
    NaN when none has one. With weights [B, N] the result is [B].
    """
    y, p, w, single = check(y_true, probabilities, weights)
    chosen = check_classes(classes, p.shape[1])
    return one_or_many(mean_over_classes([mann_whitney(y == c, p[:, c], w) for c in chosen]), single)


def mann_whitney(
    is_positive: np.ndarray,    # [N] bool
    score:       np.ndarray,    # [N] float, higher means positive
    weights:     np.ndarray,    # [B, N] ≥ 0
) -> np.ndarray:
    """P(score of a positive > score of a negative) + ½ P(equal) under each row of weights, [B]; NaN without both kinds."""
    positives, negatives = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    negatives = negatives[np.argsort(score[negatives], kind="stable")]
    under = np.searchsorted(score[negatives], score[positives], side="left")
    up_to = np.searchsorted(score[negatives], score[positives], side="right")
    mass = np.zeros((len(weights), len(negatives) + 1))             # weight of the k lowest negatives
    np.cumsum(weights[:, negatives], axis=1, out=mass[:, 1:])
    w = weights[:, positives]
    wins = np.einsum("bn,bn->b", w, mass[:, under]) + np.einsum("bn,bn->b", w, mass[:, up_to])
    return ratio(wins / 2, w.sum(axis=1) * mass[:, -1])
