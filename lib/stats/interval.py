"""Intervals and p-values of a mean over trainings: whoever was tested and whichever seeds were trained, both by chance.

A number averaged over S trainings has the variance  patients + interaction/S + training/S : other patients might have been tested,
each network errs on patients of its own, and training again gives another network. Drawing patients again (lib/stats/bootstrap.py)
shows the first two; the variance s² between the S trainings on the fixed test images shows the last two. The draws, kept seed by
seed, also show the interaction alone, so it is taken out of the patients' part and nothing counts twice:

    standard error² = patients + s²/S        interval = value ± t · standard error

t has the degrees of freedom of this sum (Satterthwaite 1946, Biometrics Bull. 2:110): S − 1 where only training varies, those of
the clusters that carry the measure (lib/stats/bootstrap.py) where only patients do. In between this is an approximation. No interval
is narrower than the one for these very networks, whose variance is patients + interaction/S. One seed tells nothing about training
again: the interval is then that one, and holds for the trained networks alone.

Over 35 mixtures of the three parts a 95 % interval holds the truth 92–99 % of the time with 3 seeds, 94–98 % with 5, 95–97 % with 8
and 89–99 % with 2. Too seldom where training varies and patients do a little; too often where networks differ only in whom they get
wrong, because the wider of two intervals counts.

A single value is treated on the logit of its scale (Pepe 2003, ch. 5, for AUROC; Agresti 2013, ch. 3, for shares), so the interval
stays on the scale and reaches further towards its middle. Percentile intervals of the same draws do not reach far enough: at an
AUROC of 0.97 with 20 positives they hold the truth 85 % of the time, these 95 %. Differences are treated as they are; there
percentiles do no better.

The p-value is the smallest α whose 1 − α interval leaves out zero: it cannot contradict the interval. What simulated studies say
about all of this stands at the end of the tests' report (tests/stats/test_truth_*.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from lib.metrics.estimate import Estimate

UNDEFINED_SHARE = 0.05           # more undefined resamples than this and an interval would describe a chosen part of them
AT_THE_END      = 1e-9           # of the scale: no further from its end than this is rounding
FURTHEST        = math.log(8)    # a draw at the very end of the scale counts as no further out than this on the logit
SMALLEST        = 1e-12          # p-values are not told apart below this


@dataclass(frozen=True)
class Pin:
    """A number that no resample can change though the truth may lie elsewhere: at the end of its scale (20 of 20 found), or a
    difference of arms that happen to disagree on none of these patients.
    """

    side:     int      # −1: the truth may be lower, +1: higher
    width:    float    # of the scale
    clusters: int      # patients that it rests on

    def reach(self, tail: float) -> float:
        """How far inside the truth may lie: the exact binomial bound with no exception among `clusters` (Clopper & Pearson 1934)."""
        return self.width * (1 - tail ** (1 / self.clusters))


@dataclass(frozen=True)
class Uncertainty:
    """A value and all that is needed for its interval at any confidence."""

    value:       float
    trainings:   int                                      # S
    degrees:     float              = math.nan            # of freedom of the patients' part
    patients:    float              = math.nan            # variance: the test patients, what all trainings have in common
    interaction: float              = math.nan            # variance of the mean: what each network makes of these patients
    seeds:       float              = math.nan            # variance of the mean: s²/S, interaction + training; NaN with one seed
    limits:      tuple[float, float] = (-math.inf, math.inf)    # ends of the scale
    slope:       float | None       = None                # of the logit at the value; None: the value is treated as it is
    pins:        tuple[Pin, ...]    = ()
    reason:      str                = ""                  # why there is no interval; empty when there is

    @classmethod
    def missing(cls, reason: str, *, trainings: int) -> Uncertainty:
        """What cannot be estimated, and why."""
        return cls(math.nan, trainings, reason=reason)

    @property
    def seed_spread(self) -> float:
        """Standard deviation between trainings; NaN with one."""
        return math.sqrt(self.seeds * self.trainings)

    def varies(self, variance: float = 0.0) -> bool:
        """Whether patients and trainings together vary by more than `variance`, which may be rounding."""
        return self.patients + self.interaction + (self.seeds if self.trainings > 1 else 0.0) > variance

    @property
    def freedom(self) -> float:
        """Degrees of freedom of patients and seeds together."""
        total = self.patients + self.seeds
        if not total > 0:                                                     # nothing varies, or one seed (NaN)
            return self.degrees
        share = self.patients / total
        return 1 / (share**2 / self.degrees + (1 - share) ** 2 / (self.trainings - 1))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Both ends; NaN where not estimable. Raises ValueError when `confidence` is not between 0 and 1."""
        if not 0 < confidence < 1:
            raise ValueError(f"confidence={confidence:g}; expected a share between 0 and 1, e.g. 0.95")
        if self.reason:
            return math.nan, math.nan
        low, high = (self._end(side, (1 - confidence) / 2) for side in (-1, 1))
        return low, high

    def estimate(self, confidence: float, *, n: int = 0) -> Estimate:
        """Value and interval, or the reason why there is none; `n` images behind it."""
        if self.reason:
            return Estimate.missing(self.reason, n=n, confidence=confidence)
        return Estimate(self.value, *self.interval(confidence), confidence, n)

    def p_value(self) -> float:
        """Two-sided, of the value zero: the smallest α whose 1 − α interval leaves zero out; 1 when none does, NaN when not estimable."""
        return math.nan if self.reason else 2 * self._tail(-1 if self.value > 0 else 1, 0.0)

    def p_within(self, margin: float) -> float:
        """Two one-sided tests (Schuirmann 1987): the larger p-value of "not under +margin" and "not over −margin".

        The interval of a confidence is wholly inside ± margin exactly when this is under (1 − confidence)/2. 1 where the
        value itself is not inside, NaN when not estimable.
        """
        if self.reason:
            return math.nan
        tail = max(self._tail(1, margin), self._tail(-1, -margin)) if abs(self.value) < margin else 0.5
        return tail if tail < 0.5 else 1.0

    def _end(self, side: int, tail: float) -> float:
        """Where the interval ends on one side (−1 or +1) when `tail` (0–0.5) is left beyond it."""
        error = float(stdtrit(self.degrees, 1 - tail)) * math.sqrt(self.patients + self.interaction)
        if self.trainings > 1:
            error = max(error, float(stdtrit(self.freedom, 1 - tail)) * math.sqrt(self.patients + self.seeds))
        error = math.hypot(error, *(pin.reach(tail) for pin in self.pins if pin.side == side))
        low, high = self.limits
        if self.slope is None:
            return min(max(self.value + side * error, low), high)
        at = float(logit((self.value - low) / (high - low)))
        return low + (high - low) * float(expit(at + side * error * self.slope))

    def _tail(self, side: int, null: float) -> float:
        """The smallest tail at which the interval ends before `null` on one side; 0.5 when none does."""
        def ends_before(tail: float) -> bool:
            return side * (null - self._end(side, tail)) > 0
        if not ends_before(0.5) or ends_before(SMALLEST):
            return 0.5 if not ends_before(0.5) else SMALLEST
        beyond, before = math.log(SMALLEST), math.log(0.5)
        while before - beyond > 1e-11:
            middle = (beyond + before) / 2
            beyond, before = (beyond, middle) if ends_before(math.exp(middle)) else (middle, before)
        return math.exp(before)


def make_uncertainty(
    by_seed: np.ndarray,                                            # [S] the value of each training on the test images
    draws:   np.ndarray,                                            # [S, B] the same under resampled patients; NaN where undefined
    *,
    degrees: float,                                                 # of freedom of the patients' part (lib/stats/bootstrap.py)
    limits:  tuple[float, float] = (-math.inf, math.inf),           # ends of the scale
    bounded: bool                = False,                           # a single value on a scale with two ends: treat its logit
    pins:    tuple[Pin, ...]     = (),
) -> Uncertainty:
    """Split what is known about the mean over seeds into the patients' and the seeds' part.

    Not estimable when a value is undefined or more than 5 % of the draws are. Raises ValueError when shapes disagree.
    """
    by_seed, draws = np.asarray(by_seed, dtype=float), np.asarray(draws, dtype=float)
    if by_seed.ndim != 1 or draws.ndim != 2 or len(by_seed) != len(draws) or not draws.size:
        raise ValueError(f"expected values [S] and draws [S, B], got shapes {by_seed.shape} and {draws.shape}")
    trainings, value = len(by_seed), float(by_seed.mean())
    mean = draws.mean(axis=0)
    defined = ~np.isnan(mean)
    if math.isnan(value) or 1 - defined.mean() > UNDEFINED_SHARE:
        reason = "undefined on this sample" if math.isnan(value) else f"undefined in {1 - defined.mean():.0%} of the resamples"
        return Uncertainty.missing(reason, trainings=trainings)
    mean, kept = mean[defined], draws[:, defined]
    total, interaction, seeds, slope = float(mean.var()), 0.0, math.nan, None
    if trainings > 1:
        own = kept - kept.mean(axis=1, keepdims=True)
        interaction = min(total, float(own.var(axis=0, ddof=1).mean()) / trainings)
        seeds = float(by_seed.var(ddof=1)) / trainings
    low, high = limits
    if bounded and min(value - low, high - value) > AT_THE_END * (high - low):
        slope = (high - low) / ((value - low) * (high - value))
        at = logit((value - low) / (high - low))
        on_logit = np.clip(logit(np.clip((mean - low) / (high - low), 0, 1)), at - FURTHEST, at + FURTHEST)
        longer = max(1.0, float(on_logit.var()) / (total * slope**2)) if total > 0 else 1.0
        total, interaction = total * longer, interaction * longer             # the logit's own spread where it is wider than its slope says
    return Uncertainty(value, trainings, degrees, total - interaction, interaction, seeds, limits, slope, pins)
