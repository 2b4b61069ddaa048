"""A number with its uncertainty, or the reason why there is none."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with a confidence interval; printed as `0.874 (0.851–0.896)`, or `not estimable: …` with the reason."""

    value:      float           # NaN when not estimable
    low:        float           # lower end of the interval; NaN when there is none
    high:       float           # upper end
    confidence: float = 0.95    # of the interval
    n:          int   = 0       # images it rests on
    reason:     str   = ""      # why it is not estimable; empty when it is

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
