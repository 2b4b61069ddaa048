"""P-values that stay honest when several questions are asked at once (Holm 1979; Benjamini & Hochberg 1995).

`holm` bounds the chance of even one false finding among the questions asked, whatever their dependence: for the few comparisons
that were declared beforehand. `benjamini_hochberg` bounds the expected share of false findings among the findings, for
independent or positively dependent questions: for everything else.
"""

from __future__ import annotations

import numpy as np


def holm(
    p: np.ndarray,    # p-values 0–1 of any shape; NaN where a question has no answer
) -> np.ndarray:
    """Adjusted p-values of Holm's step-down method, same shape; NaN stays NaN and does not count. Raises ValueError outside 0–1."""
    return _adjust(p, lambda ranked: np.maximum.accumulate(ranked * np.arange(len(ranked), 0, -1)))


def benjamini_hochberg(
    p: np.ndarray,    # p-values 0–1 of any shape; NaN where a question has no answer
) -> np.ndarray:
    """Adjusted p-values of the step-up method, same shape; NaN stays NaN and does not count. Raises ValueError outside 0–1."""
    return _adjust(p, lambda ranked: np.minimum.accumulate((ranked * len(ranked) / np.arange(1, len(ranked) + 1))[::-1])[::-1])


def _adjust(p: np.ndarray, step) -> np.ndarray:
    """Apply `step` to the sorted p-values that are there."""
    p = np.asarray(p, dtype=float)
    known = ~np.isnan(p)
    values = p[known]
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"p-values lie between 0 and 1; got {values.min():g} to {values.max():g}")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(step(values[order]), 1)
    result = np.full(p.shape, np.nan)
    result[known] = adjusted
    return result
