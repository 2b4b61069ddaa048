"""A learning curve through the real arm's own value, and how far along it another arm stands.

The curve of a measure over the share f of the training patients is an inverse power law (Figueroa et al. 2012, BMC Med. Inform. Decis.
Mak. 12:8; Hestness et al. 2017, arXiv 1712.00409, eq. 1), written as its height over the value at f = 1:

    h(f) = β · g(f),      g(f) = (1 − f^(−c)) / c,  log f where c = 0,      0 ≤ c ≤ 1

so that h(1) = 0: an arm that does as well as the real one is worth nothing, whatever the curve. Errors that fall faster than 1/n (c = 1)
are not expected of any learner. Both are fitted by least squares; where that gives c = 0 (or two points say nothing of c) the curve is
linear in log f, which climbs most beyond the points.

An arm that is better than the real one by the gain a is worth as many images as the fraction f at which h(f) = a. Its interval is
Fieller's (1954, J. R. Stat. Soc. B 16:175): all f at which a − h(f) cannot be told from zero, given everything that varies: the same
resampled patients for the curve and the arm, and the spread between trainings (lib/stats/interval.py). For a given c, a − h(f) is a
weighted sum of the arms' values, so each resample is fitted exactly. The interval is the widest over all c that the points do not
reject. It leaves f = 1 out exactly where the arm's difference from the real one leaves zero out, and has no upper end where the curve may
be flat. Where that difference has pins (lib/stats/interval.py: an arm at the end of its scale), the sum has them at every f.

Who is among a fraction of the training patients does not vary: a study has one order in which patients join (lib/classify/fractions.py),
the same for every training seed. That other patients might have joined first is therefore not in the interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar

from lib.stats.interval import Pin, Uncertainty, make_uncertainty

SHAPES = tuple(np.linspace(0, 1, 11))    # the exponents c that are tried
STEP   = 1e-4                            # for the derivative by c
NARROW = 1e-4                            # how exactly the ends of an interval are found, in log f


@dataclass(frozen=True)
class Worth:
    """The fraction of the training patients at which the real arm would do as well."""

    value:  float         # > 1: that many times the images; inf, −inf: beyond the limits
    low:    float         # of its interval; −inf: less than the smallest fraction trained
    high:   float         # inf: beyond the largest fraction that the curve may be asked about
    reason: str   = ""    # why there is none; empty when there is

    @classmethod
    def missing(cls, reason: str) -> Worth:
        """What cannot be estimated, and why."""
        return cls(math.nan, math.nan, math.nan, reason)


@dataclass(frozen=True)
class LearningCurve:
    """What the real arm does at several fractions, each minus what it does at 1, oriented so that more is better."""

    fractions:  tuple[float, ...]    # [F] without 1, ascending
    by_seed:    np.ndarray           # [S, F] of each training
    draws:      np.ndarray           # [S, F, B] under the same resampled patients
    degrees:    float                # of freedom of the patients' part
    confidence: float
    limit:      float                # the largest fraction that the curve may be asked about

    @property
    def points(self) -> np.ndarray:
        """[F] heights over the value at 1, mean over trainings."""
        return self.by_seed.mean(axis=0)

    @cached_property
    def fitting(self) -> tuple[float, ...]:
        """The exponents c that the points do not reject; all where they are too few to."""
        return tuple(c for c in SHAPES if len(self.fractions) < 2 or self._fits(c)) or (self.shape,)

    @cached_property
    def shape(self) -> float:
        """The exponent c of the curve; 0: linear in log f."""
        return fit_shape(self.fractions, self.points)

    def slope(self, shape: float) -> Uncertainty:
        """β for this exponent: the gain per e-fold of the images at f = 1."""
        return self._sum(slope_weights(self.fractions, shape))

    def height(self, fraction: float | np.ndarray) -> float | np.ndarray:
        """h(f), over the value at 1."""
        return height(self.fractions, self.points, self.shape, np.log(fraction))

    def worth(
        self,
        by_seed: np.ndarray,                # [S] the arm minus the real one, of each training
        draws:   np.ndarray,                # [S, B] under the same resampled patients
        pins:    tuple[Pin, ...] = (),      # of that difference, more being better
    ) -> Worth:
        """Where on the curve the arm stands."""
        slope, arm = self.slope(self.shape), make_uncertainty(by_seed, draws, degrees=self.degrees)
        if slope.reason or arm.reason:
            return Worth.missing(slope.reason or arm.reason)
        if not slope.value > 0:
            return Worth.missing("flat curve: more real images did not help here")
        first, last = math.log(min(1.0, self.fractions[0])), math.log(self.limit)
        found = invert(arm.value / slope.value, self.shape)
        ends = [self._ends(by_seed, draws, pins, c, first, last) for c in {min(self.fitting), max(self.fitting), self.shape}]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        if low <= 1 and high == math.inf and slope.interval(self.confidence)[0] <= 0:
            return Worth.missing("flat curve: whether more real images help cannot be told here")
        return Worth(math.inf if found > last else -math.inf if found < first else math.exp(found), low, high)

    def _ends(
        self, by_seed: np.ndarray, draws: np.ndarray, pins: tuple[Pin, ...], shape: float, first: float, last: float,
    ) -> tuple[float, float]:
        """The interval with this exponent."""
        weights = slope_weights(self.fractions, shape)
        own = self.by_seed @ weights
        draws, drawn = np.split(few_draws(np.concatenate([draws, _weighted(self.draws, weights)])), 2)

        def side(at: float) -> int:
            """Whether the arm is better (1) or worse (−1) than the real one at this log f; 0: cannot be told."""
            g = stretch(at, shape)
            found = make_uncertainty(by_seed - g * own, draws - g * drawn, degrees=self.degrees, pins=pins)
            low, high = found.interval(self.confidence)
            return 1 if low > 0 else -1 if high < 0 else 0

        start = float(np.clip(invert(float(by_seed.mean() / own.mean()), shape), first, last)) if own.mean() > 0 else last
        return _end(side, start, first, 1), _end(side, start, last, -1)

    def _fits(self, shape: float) -> bool:
        """Whether the points leave it open that c is this: they do not call for another in the direction in which c moves the curve."""
        log = np.log(self.fractions)
        by_shape = (stretch(log, shape + STEP) - stretch(log, shape - STEP)) / (2 * STEP)
        found = self._sum(np.linalg.pinv(np.stack([stretch(log, shape), by_shape], axis=1))[1])
        low, high = found.interval(self.confidence)
        return bool(found.reason) or low <= 0 <= high

    def _sum(self, weights: np.ndarray) -> Uncertainty:
        """A weighted sum of the points."""
        return make_uncertainty(self.by_seed @ weights, _weighted(self.draws, weights), degrees=self.degrees)


def stretch(log_fraction: float | np.ndarray, shape: float) -> float | np.ndarray:
    """g(f) = (1 − f^(−c)) / c; log f where c = 0."""
    return -np.expm1(-shape * log_fraction) / shape if shape else log_fraction


def invert(height: float, shape: float) -> float:
    """The log f at which g(f) = `height`; inf where the curve never gets there."""
    if not shape:
        return height
    return -math.log1p(-shape * height) / shape if shape * height < 1 else math.inf


def slope_weights(fractions: tuple[float, ...], shape: float) -> np.ndarray:
    """[F] with which the points give β by least squares."""
    g = stretch(np.log(fractions), shape)
    return g / (g @ g)


def height(
    fractions:    tuple[float, ...],
    points:       np.ndarray,             # [F] values at the fractions minus the value at 1
    shape:        float,                  # c
    log_fraction: float | np.ndarray,     # where
) -> float | np.ndarray:
    """h(f) of the curve with this exponent that fits the points best."""
    return float(slope_weights(fractions, shape) @ points) * stretch(log_fraction, shape)


def fit_shape(fractions: tuple[float, ...], points: np.ndarray) -> float:
    """The exponent c with the smallest sum of squares, 0–1."""
    def misfit(shape: float) -> float:
        return float(((points - height(fractions, points, shape, np.log(fractions))) ** 2).sum())
    found = float(minimize_scalar(misfit, bounds=(STEP, 1), method="bounded", options={"xatol": STEP}).x)
    return min((0.0, found, 1.0), key=misfit)


def few_draws(draws: np.ndarray) -> np.ndarray:
    """[K, B] draws → [K, 2K] with the same variances and covariances: all that an interval is made of. Undefined ones are left out."""
    known = draws[:, ~np.isnan(draws).any(axis=0)]
    values, vectors = np.linalg.eigh(np.cov(known, bias=True))
    root = vectors * np.sqrt(np.maximum(values, 0) * len(draws))
    return np.concatenate([root, -root], axis=1)


def _weighted(draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[S, F, B] draws of the points and their weights [F] → [S, B]."""
    return np.einsum("sfb,f->sb", draws, weights)


def _end(side: Callable[[float], int], start: float, outermost: float, beyond: int) -> float:
    """Where the interval ends between `start` and `outermost` (log f): from there on `side` is `beyond`. ± inf where it does not end."""
    if side(outermost) != beyond:
        return -math.inf if beyond > 0 else math.inf
    if side(start) == beyond:                             # the start was moved to a limit, and the interval lies outside
        return math.inf if beyond > 0 else -math.inf
    inside, outside = start, outermost
    while abs(outside - inside) > NARROW:
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if side(middle) == beyond else (middle, outside)
    return math.exp(inside)
