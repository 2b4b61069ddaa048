"""Partial AUROC of the positive classes where sensitivity is high (McClish 1989; the score of the ISIC 2024 challenge)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.metrics.inputs import check, check_positive, one_or_many, ratio


def partial_auroc(
    y_true:              np.ndarray,                  # [N] int, index of the true class
    probabilities:       np.ndarray,                  # [N, K] float
    *,
    positive:            Sequence[int],               # indices of the positive classes
    minimum_sensitivity: float             = 0.8,     # only the part of the curve above it counts
    weights:             np.ndarray | None = None,    # [N] or [B, N] ≥ 0
) -> float | np.ndarray:
    """Area between the ROC curve and the line sensitivity = `minimum_sensitivity`, on the summed probability, ties on a straight line.

    Not normalised, as in ISIC 2024: it runs from 0 to 1 − `minimum_sensitivity` (0.2 by default), guessing gives half the square of
    that (0.02), and with 0 it is the AUROC. NaN unless positives and negatives are both present. [B] with weights [B, N].
    Raises ValueError when `minimum_sensitivity` is not in 0–1, 1 excluded.
    """
    y, p, w, single = check(y_true, probabilities, weights)
    chosen = check_positive(positive, p.shape[1])
    if not 0 <= minimum_sensitivity < 1:
        raise ValueError(f"minimum_sensitivity={minimum_sensitivity:g}; expected at least 0 and under 1, e.g. 0.8")
    return one_or_many(_area(np.isin(y, chosen), p[:, chosen].sum(axis=1), w, 1 - minimum_sensitivity), single)


def _area(
    is_positive: np.ndarray,    # [N] bool
    score:       np.ndarray,    # [N] float, higher means positive
    weights:     np.ndarray,    # [B, N] ≥ 0
    width:       float,         # share of positives that may be missed at most
) -> np.ndarray:
    """Area under specificity as a function of the share of positives missed, from 0 to `width`, [B]."""
    positives, negatives = (at[np.argsort(score[at], kind="stable")] for at in map(np.flatnonzero, (is_positive, ~is_positive)))
    if not len(positives):
        return np.full(len(weights), np.nan)
    steps, first = np.unique(score[positives], return_index=True)             # [G] each score is one straight piece of the curve
    at_score = np.add.reduceat(weights[:, positives], first, axis=1)          # [B, G] weight of the positives of each score
    length = ratio(at_score, at_score.sum(axis=1, keepdims=True))
    used = np.clip(width - (np.cumsum(length, axis=1) - length), 0, length)   # of each piece, what lies before `width`
    near = np.flatnonzero(~(used <= 0).all(axis=0))
    steps, length, used = steps[near], length[:, near], used[:, near]
    mass = np.zeros((len(weights), len(negatives) + 1))                       # weight of the k lowest negatives
    np.cumsum(weights[:, negatives], axis=1, out=mass[:, 1:])
    start, stop = (mass[:, np.searchsorted(score[negatives], steps, side=side)] for side in ("left", "right"))
    slope = np.divide(stop - start, length, out=np.zeros_like(length), where=length > 0)
    return ratio((used * (start + slope * used / 2)).sum(axis=1), mass[:, -1])
