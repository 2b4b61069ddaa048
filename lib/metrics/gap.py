"""How far apart groups are: the largest value minus the smallest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def largest_gap(
    values: Mapping[str, float | np.ndarray],    # group → value or [B]
) -> float | np.ndarray:
    """Maximum minus minimum over the groups that have a value, ≥ 0; NaN with fewer than two.

    Biased upwards: noise alone pushes the largest up and the smallest down, the more so the smaller the groups
    (set it beside its value under a permuted group label before calling a model unfair).
    """
    if not values:
        return float("nan")
    stacked = np.stack([np.asarray(v, dtype=float) for v in values.values()])      # [G] or [G, B]
    known = ~np.isnan(stacked)
    spread = np.where(known, stacked, -np.inf).max(axis=0) - np.where(known, stacked, np.inf).min(axis=0)
    gap = np.where(known.sum(axis=0) >= 2, spread, np.nan)
    return float(gap) if gap.ndim == 0 else gap


def extremes(
    values:           Mapping[str, float],    # group → value
    *,
    higher_is_better: bool = True,
) -> tuple[str, str]:
    """The worst and the best group, the first of equals. Raises ValueError with fewer than two groups that have a value."""
    known = {group: value for group, value in values.items() if value == value}
    if len(known) < 2:
        raise ValueError(f"a gap needs two groups with a value; got {len(known)} of {len(values)}")
    lowest, highest = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    return (lowest, highest) if higher_is_better else (highest, lowest)
