"""A number with its uncertainty, or the reason why there is none."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

UNDEFINED_SHARE = 0.05      # more undefined resamples than this and an interval would describe a chosen part of them


@dataclass(frozen=True)
class Estimate:
    """A value with a confidence interval; printed as `0.874 (0.851–0.896)`, or `not estimable: …` with the reason."""

    value:      float           # NaN when not estimable
    low:        float           # lower end of the interval; NaN when there is none
    high:       float           # upper end
    confidence: float = 0.95    # of the interval
    n:          int   = 0       # images (or draws) it rests on
    reason:     str   = ""      # why it is not estimable; empty when it is

    @classmethod
    def from_draws(
        cls,
        draws:      Iterable[float],             # [B] values under resampling; NaN where a resample leaves it undefined
        *,
        value:      float | None = None,         # the value on the sample itself; default: the mean of the draws
        confidence: float        = 0.95,
        n:          int | None   = None,         # images behind it; default: the number of draws
    ) -> Estimate:
        """Percentile interval (Efron & Tibshirani 1993, eq. 13.5): the central `confidence` share of the draws.

        Not estimable when the value is undefined or more than 5 % of the draws are. Raises ValueError without draws.
        """
        drawn = np.asarray(list(draws) if not isinstance(draws, np.ndarray) else draws, dtype=float).ravel()
        if not drawn.size:
            raise ValueError("an estimate needs at least one draw")
        if not 0 < confidence < 1:
            raise ValueError(f"confidence={confidence:g}; expected a share between 0 and 1, e.g. 0.95")
        count = drawn.size if n is None else n
        defined = drawn[~np.isnan(drawn)]
        undefined = 1 - defined.size / drawn.size
        value = float(defined.mean()) if value is None and defined.size else float("nan") if value is None else float(value)
        if np.isnan(value):
            return cls.missing("undefined on this sample", n=count, confidence=confidence)
        if undefined > UNDEFINED_SHARE:
            return cls.missing(f"undefined in {undefined:.0%} of the resamples", n=count, confidence=confidence)
        low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
        return cls(value, float(low), float(high), confidence, count)

    @classmethod
    def missing(
        cls,
        reason:     str,
        *,
        n:          int   = 0,
        confidence: float = 0.95,
    ) -> Estimate:
        """An estimate that cannot be given, with the reason in a few words ("7 positives, needs 20")."""
        return cls(float("nan"), float("nan"), float("nan"), confidence, n, reason)

    @property
    def estimable(self) -> bool:
        """Whether there is a number."""
        return not self.reason

    def format(
        self,
        *,
        digits: int  = 3,
        signed: bool = False,    # write the plus of positive numbers too: for differences
    ) -> str:
        """`0.874 (0.851–0.896)`; `−0.012 (−0.030 to 0.006)` where a dash could be read as a minus."""
        if not self.estimable:
            return f"not estimable: {self.reason}"
        value, low, high = (number(x, digits=digits, signed=signed) for x in (self.value, self.low, self.high))
        dash = " to " if signed or "−" in low + high else "–"
        return f"{value} ({low}{dash}{high})"

    def __str__(self) -> str:
        return self.format()


def number(
    x:      object,             # a number; anything that is none (None, NA) counts as missing
    digits: int  = 3,           # after the point, of numbers that are not whole by type
    *,
    signed: bool = False,       # write the plus of positive numbers too
) -> str:
    """A number for reading: 1234 → "1,234"; 0.87412 → "0.874"; missing → "–"; infinite → "∞"; true minus sign, no "−0.000"."""
    if not isinstance(x, numbers.Real) or x != x:
        return "–"
    if math.isinf(x):
        text = "∞"
    else:
        text = f"{abs(int(x)):,}" if isinstance(x, numbers.Integral) else f"{abs(float(x)):,.{digits}f}"
        if not text.strip("0.,"):
            return text
    return ("−" if x < 0 else "+" if signed else "") + text
