"""What nobody can beat: the AUROC of an observer who sees every sign without error and knows how signs are dealt."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from lib.phantom.lesions import FAMILIES, USUAL, borrowing


def ideal_auroc(
    difficulty: float,              # 0–1
    *,
    lesions:    int = 20_000,       # how many are drawn for the estimate
    seed:       int = 0,
) -> float:
    """Macro one-vs-rest AUROC of the ideal observer over the seven usual diagnoses in equal shares.

    Bayes' rule over the six families, which are independent given the diagnosis: a family shows its own diagnosis unless it is borrowed
    (`lib.phantom.lesions.borrowing`). A missing family tells nothing. It is an upper bound for any classifier: pictures hide more.
    """
    rng = np.random.default_rng(seed)
    classes = len(USUAL)
    borrowed, missing = borrowing(difficulty)
    truth = rng.integers(0, classes, lesions)
    evidence = np.zeros((lesions, classes))
    for family in FAMILIES:
        shown = np.where(rng.random(lesions) < borrowed, rng.integers(0, classes, lesions), truth)
        match, other = 1 - borrowed + borrowed / classes, max(borrowed / classes, 1e-12)
        likelihood = np.where(np.arange(classes) == shown[:, None], np.log(match), np.log(other))
        seen = np.ones(lesions, dtype=bool) if family in ("tint", "outline") else rng.random(lesions) >= missing
        evidence += likelihood * seen[:, None]
    posterior = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    return float(np.mean([_auroc(truth == k, posterior[:, k]) for k in range(classes)]))


def _auroc(positive: np.ndarray, score: np.ndarray) -> float:
    """Mann–Whitney form; ties count half."""
    ranks, n = rankdata(score), int(positive.sum())
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))
