"""Limits of checks: numbers of the study, or percentiles of what real held-out images score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.study import Check, Percentile

WIDER = {"cell": "label", "label": "all"}       # where too few held-out images stand behind a limit


@dataclass(frozen=True)
class Limit:
    """What a score must lie within; both ends pass."""

    least: float                        # −∞ where there is none
    most:  float                        # ∞ where there is none
    n:     int                          # held-out images that a fitted limit rests on; 0: given as a number
    over:  str                          # of which: all, label or cell; "given" where the study gives numbers
    note:  str = ""                     # why it is wider or looser than asked, for the report


@dataclass(frozen=True)
class Limits:
    """Of one check, for every cell that was asked about."""

    check: Check
    of:    dict[tuple, Limit]           # cell (label, tone key) → limit

    def passes(
        self,
        scores: np.ndarray,             # [N]
        cells:  Sequence[tuple],        # [N]
    ) -> np.ndarray:
        """[N] bool; False of a NaN."""
        least, most = (np.array([getattr(self.of[cell], side) for cell in cells], dtype=float) for side in ("least", "most"))
        return (scores >= least) & (scores <= most)

    @property
    def fitted(self) -> bool:
        """Whether it rejects anything at all: a percentile of no images does not."""
        return any(math.isfinite(limit.least) or math.isfinite(limit.most) for limit in self.of.values())

    def table(self) -> pd.DataFrame:
        """check, label, tone_key, least, most, n, over, note; a row per cell."""
        return pd.DataFrame([{"check": self.check.title, "label": label, "tone_key": tone, "least": limit.least, "most": limit.most,
                              "n": limit.n, "over": limit.over, "note": limit.note} for (label, tone), limit in self.of.items()])


def fit_limits(
    check:  Check,
    scores: np.ndarray,                 # [H] of real held-out images, scored as if they had been generated; NaN is left out
    real:   Sequence[tuple] | None,     # [H] their cells (label, tone key); None: scores that belong to no image, so `per` is all
    cells:  Sequence[tuple],            # cells that need a limit
) -> Limits:
    """A limit per cell; equal ones where `check.per` is all.

    A limit at percentile p is the k-th smallest of n scores with k = ⌊(n + 1)·p⌋, so that a further image of the same kind falls under it
    with a chance of k/(n + 1) ≤ p (Vovk et al. 2005, conformal prediction). Where n is too small for k = 1, limits come from all images of
    the label, then from all; where these are too few as well, the most extreme image is the limit and `note` says what chance that is.
    A fitted limit that leaves nothing between both sides is left out: so it is with both ends of one image.
    """
    sound = np.isfinite(scores) | np.isposinf(scores)
    known = [cell for cell, good in zip(real, sound, strict=True) if good] if real is not None else None
    values = np.asarray(scores, dtype=float)[sound]
    return Limits(check, {cell: _limit(check, values, known, cell) for cell in dict.fromkeys(cells)})


def no_limits(
    check: Check,
    cells: Sequence[tuple],
    why:   str,
) -> Limits:
    """Of a check that could not be measured at all: nothing is rejected, and every cell says why."""
    return Limits(check, {cell: Limit(-math.inf, math.inf, 0, "given", why) for cell in dict.fromkeys(cells)})


def _limit(check: Check, values: np.ndarray, known: Sequence[tuple] | None, cell: tuple) -> Limit:
    sides = {side: getattr(check, side) for side in ("least", "most")}
    fitted = {side: value.percentile / 100 for side, value in sides.items() if isinstance(value, Percentile)}
    numbers = {side: float(value) for side, value in sides.items() if value is not None and side not in fitted}
    if not fitted:
        return Limit(numbers.get("least", -math.inf), numbers.get("most", math.inf), 0, "given")
    tails = [share if side == "least" else 1 - share for side, share in fitted.items()]
    tails = [tail for tail in tails if tail > 0]
    needed = math.ceil(1 / min(tails) - 1 - 1e-9) if tails else 1
    over, part, notes = check.per if known is not None else "all", np.empty(0), []
    while True:
        part = values if over == "all" else values[[_same(other, cell, over) for other in known]]
        if len(part) >= needed or over == "all":
            break
        notes.append(f"{len(part)} held-out images of this {over}, {needed} are needed")
        over = WIDER[over]
    if not len(part):
        return Limit(numbers.get("least", -math.inf), numbers.get("most", math.inf), 0, over,
                     "cannot be measured on any held-out image, so nothing is rejected")
    if len(part) < needed:
        chance = sum(max(1, math.floor((len(part) + 1) * tail + 1e-9)) for tail in tails) / (len(part) + 1)
        notes.append(f"{len(part)} held-out images where {needed} are needed: the check rejects {min(1.0, chance):.1%} of real ones")
    ordered, found = np.sort(part), dict(numbers)
    for side, share in fitted.items():
        tail = share if side == "least" else 1 - share
        rank = max(1, math.floor((len(part) + 1) * tail + 1e-9))
        if tail > 0:                                                            # percentile 0 or 100: no limit on that side
            found[side] = float(ordered[rank - 1] if side == "least" else ordered[len(part) - rank])
    if found.get("least", -math.inf) >= found.get("most", math.inf):
        found, notes = numbers, [f"{len(part)} held-out images put least at {found['least']:.3g} and most at {found['most']:.3g}, "
                                 "so nothing is rejected by a fitted limit"]
    return Limit(found.get("least", -math.inf), found.get("most", math.inf), len(part), over, "; ".join(notes))


def _same(other: tuple, cell: tuple, over: str) -> bool:
    return other == cell if over == "cell" else other[0] == cell[0]
