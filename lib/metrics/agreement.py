"""How far raters agree: Fleiss' kappa for categories (Fleiss 1971, Psychol. Bull. 76:378) and the intraclass correlation for scores
(Shrout & Fleiss 1979, Psychol. Bull. 86:420).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import f as f_distribution

from lib.metrics.estimate import Estimate


def fleiss_kappa(
    counts: np.ndarray,             # [N, K] whole numbers: how many raters put subject i into category k
) -> float:
    """Agreement beyond chance, at most 1; 0 is what chance gives. NaN where all ratings fall into one category: nothing to agree about.

    Every subject needs the same number of ratings, two at least; leave out those that some rater skipped. Raises ValueError otherwise.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or not counts.size or not (counts >= 0).all() or (counts != np.round(counts)).any():
        raise ValueError(f"expected counts of raters [subjects, categories], whole numbers ≥ 0, got shape {counts.shape}")
    raters = counts.sum(axis=1)
    if raters[0] < 2 or (raters != raters[0]).any():
        raise ValueError(f"every subject needs the same number of ratings, 2 or more; got {raters.min():.0f} to {raters.max():.0f}")
    share = counts.mean(axis=0) / raters[0]
    chance = (share ** 2).sum()
    agreed = ((counts ** 2).sum(axis=1) - raters).mean() / (raters[0] * (raters[0] - 1))
    return float((agreed - chance) / (1 - chance)) if share.max() < 1 else float("nan")


def icc(
    ratings:    np.ndarray,         # [N, R] scores of N subjects by R raters, nothing missing
    *,
    confidence: float = 0.95,
) -> dict[str, Estimate]:
    """Intraclass correlations of raters drawn from many, absolute agreement: {"single": ICC(2,1), "mean": ICC(2,k) of the R raters' mean}.

    At most 1, may be negative. Intervals as in the paper (p. 424), by Satterthwaite's degrees of freedom. Not estimable, with the reason,
    for fewer than two subjects or raters, or where no score differs from another. Raises ValueError for a missing score.
    """
    scores = np.asarray(ratings, dtype=np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise ValueError(f"expected scores [subjects, raters] without gaps, got shape {scores.shape} with "
                         f"{int((~np.isfinite(scores)).sum())} missing; leave out subjects that a rater skipped")
    n, k = scores.shape
    if n < 2 or k < 2 or np.ptp(scores) == 0:
        reason = "all scores are equal" if n > 1 < k else f"{n} subjects and {k} raters, needs 2 of each"
        return dict.fromkeys(("single", "mean"), Estimate.missing(reason, n=n, confidence=confidence))
    subjects, raters = scores.mean(axis=1), scores.mean(axis=0)
    between = k * subjects.var(ddof=1)
    by_rater = n * raters.var(ddof=1)
    error = ((scores - subjects[:, None] - raters + scores.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    single = (between - error) / (between + (k - 1) * error + k * (by_rater - error) / n)
    low, high = _ends(single, between, by_rater, error, n, k, confidence)
    found = float(single), float(low), float(high)
    return {"single": Estimate(*found, confidence, n), "mean": Estimate(*(_of_mean(x, k) for x in found), confidence, n)}


def _of_mean(single: float, raters: int) -> float:
    """The correlation of a mean of so many raters (Spearman 1910, Brown 1910); −∞ where the single one is as low as it can be."""
    return raters * single / (1 + (raters - 1) * single) if 1 + (raters - 1) * single > 0 else -float("inf")


def _ends(single: float, between: float, by_rater: float, error: float, n: int, k: int, confidence: float) -> tuple[float, float]:
    """Of the interval of ICC(2,1); both are the value where raters never differ."""
    if error == 0 and by_rater == 0:
        return single, single
    ratio, tail = by_rater / error if error > 0 else np.inf, (1 + confidence) / 2
    one, other = (k * single * ratio, n * (1 + (k - 1) * single) - k * single) if error > 0 else (k * single, 0.0)
    freedom = (k - 1) * (n - 1) * (one + other) ** 2 / ((n - 1) * one ** 2 + other ** 2) if one or other else (k - 1) * (n - 1)
    upper, lower = f_distribution.ppf(tail, n - 1, freedom), f_distribution.ppf(tail, freedom, n - 1)
    rest = k * by_rater + (k * n - k - n) * error
    return n * (between - upper * error) / (upper * rest + n * between), n * (lower * between - error) / (rest + n * lower * between)
