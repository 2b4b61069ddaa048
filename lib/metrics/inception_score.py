"""Inception Score: sure of each image, and of many kinds (Salimans et al. 2016, arXiv 1606.03498, section 4).

It knows no real images, and its kinds are those of the classifier: on skin photographs ImageNet's say little. Give it with its real
counterpart or not at all.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, xlogy

from lib.metrics.estimate import Estimate


def inception_score(
    logits:     np.ndarray,         # [N, K] of the classifier, before the softmax
    *,
    splits:     int   = 1,          # the score is the mean over so many parts of the set, in the order given
    resamples:  int   = 200,        # of the images, for the interval; none where splits > 1
    confidence: float = 0.95,
    seed:       int   = 0,
) -> Estimate:
    """exp of the mean divergence of an image's classes from the set's, 1 … K; `low` and `high` by drawing images again.

    Small sets score low: compare only at equal numbers. With several splits, as often published, the interval holds the lowest and highest
    of them. Raises ValueError for NaN, or more splits than images.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or not np.isfinite(logits).all():
        raise ValueError(f"expected finite logits [N, K], got shape {logits.shape}"
                         + (f", first bad row {int(np.argwhere(~np.isfinite(logits))[0, 0])}" if not np.isfinite(logits).all() else ""))
    count = len(logits)
    if not 1 <= splits <= count:
        raise ValueError(f"splits={splits} does not fit {count} images; " + (f"it may be 1 to {count}" if count else "there are none"))
    log = log_softmax(logits, axis=1)
    shares = np.exp(log)
    negative_entropy = (shares * log).sum(axis=1)
    if splits > 1:
        parts = [slice(i * count // splits, (i + 1) * count // splits) for i in range(splits)]
        scores = [_score(np.ones((1, part.stop - part.start)), shares[part], negative_entropy[part])[0] for part in parts]
        return Estimate(float(np.mean(scores)), float(min(scores)), float(max(scores)), confidence, count)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    value = _score(np.ones((1, count)), shares, negative_entropy)[0]
    low, high = np.quantile(_score(drawn, shares, negative_entropy), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(low), float(high), confidence, count)


def _score(weights: np.ndarray, shares: np.ndarray, negative_entropy: np.ndarray) -> np.ndarray:
    """[B] scores under weights [B, N] of the images."""
    weights = weights / weights.sum(axis=1, keepdims=True)
    whole = weights @ shares
    return np.exp(weights @ negative_entropy - xlogy(whole, whole).sum(axis=1))
