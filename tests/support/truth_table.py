"""The table that ends the tests' report: what was simulated, what was found, what must hold, and which rows lie outside what is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

WANTED = {"95 % interval holds": (0.93, 0.97), "p ≤ 0.05": (0.04, 0.06), "p < 0.05": (0.04, 0.06)}


class Truth(NamedTuple):
    """One simulation and its result."""

    scenario: str
    what:     str          # was counted, a share of the studies
    studies:  int
    found:    float
    low:      float        # the test fails under this
    high:     float        # and over this
    because:  str = ""     # why it may lie outside WANTED

    @property
    def is_outside(self) -> bool:
        """Whether the result lies outside what is wanted of an interval or of a test that can reach every size."""
        low, high = WANTED.get(self.what, (0.0, 1.0))
        return not low <= self.found <= high


def truth_lines(rows: Sequence[Truth]) -> list[str]:
    """The rows sorted and aligned, those outside what is wanted marked, with the reason."""
    width, kind = (max(len(row[i]) for row in rows) for i in (0, 1))
    return [
        f"{row.scenario:<{width}}  {row.what:<{kind}}  {row.studies:>5} studies  {row.found:7.3f}  must lie in {row.low:.3f}–{row.high:.3f}"
        + (f"  outside {'–'.join(f'{end:.2f}' for end in WANTED[row.what])}: {row.because or 'no reason given'}" if row.is_outside else "")
        for row in sorted(rows)
    ]
