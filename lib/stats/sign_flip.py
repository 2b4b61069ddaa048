"""The exact sign-flip test: had two arms changed places in a unit, its difference would have the other sign (Fisher 1935, §21)."""

from __future__ import annotations

import numpy as np


def sign_flip(
    differences: np.ndarray,    # [n] whole numbers, one per independent unit
) -> float:
    """Two-sided p-value: the share of all 2ⁿ ways of choosing signs that give a sum as far from zero as the one found.

    The distribution of the sum is built up unit by unit, so n may be large. Zeros change nothing; without any other, p is 1.
    Raises ValueError for numbers that are not whole.
    """
    given = np.asarray(differences)
    sizes = np.abs(given).astype(np.int64)
    if (sizes != np.abs(given)).any():
        raise ValueError("the sign-flip test needs whole numbers; round or rank the differences first")
    total = int(sizes.sum())
    share = np.zeros(total + 1)                             # of sign choices, by the sum of the sizes that got a plus
    share[0] = 1.0
    for size in sizes[sizes > 0]:
        moved = np.zeros_like(share)
        moved[size:] = share[:total + 1 - size]
        share = (share + moved) / 2
    sums = 2 * np.arange(total + 1) - total
    return float(min(1.0, share[np.abs(sums) >= abs(int(given.sum()))].sum()))
