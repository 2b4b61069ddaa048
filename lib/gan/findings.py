"""What a GAN's training shows, in words: diverging, collapsed, memorising, still improving, or none of these, each with its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.metrics.estimate import number

DIVERGED_NORM    = 2.0      # the penalty pulls the critic's gradient norm to 1 (Gulrajani et al. 2017); twice that is out of hand
DIVERGED_GROWTH  = 5.0      # |Wasserstein estimate| at the end, times its largest tenth before the middle
COLLAPSED_SPREAD = 0.3      # spread of what is drawn of a class, as a share of that of its real images
MEMORISED        = 0.5      # median distance to the nearest training image, as a share of that of held-out real ones
IMPROVING        = 0.1      # fall of the mean score from the second third to the last, as a share of the range of all scores
_PARTS           = 10       # the run is read in tenths


@dataclass(frozen=True)
class Finding:
    """One answer."""

    name:      str              # diverging, collapsed, memorising, improving
    holds:     bool | None      # None: there is nothing to tell it from
    figure:    float            # NaN where there is none
    threshold: float
    sentence:  str


def find(
    history:  pd.DataFrame,                             # iteration, wasserstein, gradient_norm, quality (NaN where not taken)
    *,
    spreads:  Mapping[str, tuple[float, float]],        # class → `lib.gan.watch.diversity` of drawn images, of as many real ones
    drawn:    np.ndarray = (),                          # distance of each drawn image to its nearest training image
    held_out: np.ndarray = (),                          # the same of held-out real ones
) -> list[Finding]:
    """One finding of each kind, whether it holds or not; nothing is read but the arguments."""
    return [_diverging(history), _collapsed(spreads), _memorising(drawn, held_out), _improving(history)]


def sentences(findings: Sequence[Finding]) -> list[str]:
    """What holds comes first; where nothing does, that is said."""
    held = [finding.sentence for finding in findings if finding.holds]
    rest = [finding.sentence for finding in findings if not finding.holds]
    return (held or ["None of the known troubles was found."]) + rest


def _diverging(history: pd.DataFrame) -> Finding:
    wasserstein, norms = _tenths(history, "wasserstein", np.abs), _tenths(history, "gradient_norm")
    if not len(wasserstein) or not len(norms):
        return Finding("diverging", None, np.nan, DIVERGED_NORM, "Too little was recorded to tell whether it diverges.")
    middle = max(1, len(norms) // 2)
    norm, before = norms[-1], wasserstein[:middle].max()
    growth = wasserstein[-1] / before if before else np.nan
    rises = norm > norms[:middle].mean()                                # a short run has it still falling from its first values
    holds = bool((norm > DIVERGED_NORM and rises) or growth > DIVERGED_GROWTH)
    facts = (f"the critic's gradient norm is {number(norm, 2)} at the end (1 is wanted, over {number(DIVERGED_NORM, 1)} and rising is too "
             f"much) and the Wasserstein estimate {number(growth, 2)} times its largest of the first half (over "
             f"{number(DIVERGED_GROWTH, 1)} is too much)")
    advice = "; lower gan.learning_rate, or raise gan.penalty" if holds else ""
    return Finding("diverging", holds, float(norm), DIVERGED_NORM, f"{'Diverging' if holds else 'Not diverging'}: {facts}{advice}.")


def _collapsed(spreads: Mapping[str, tuple[float, float]]) -> Finding:
    """Of the class that fares worst: of several, all but one may draw well."""
    shares = {label: drawn / real for label, (drawn, real) in spreads.items() if real > 0 and drawn == drawn}
    if not shares:
        return Finding("collapsed", None, np.nan, COLLAPSED_SPREAD, "There are too few images to tell whether it has collapsed.")
    worst = min(shares, key=shares.__getitem__)
    share, whose = shares[worst], f" of {worst}, the narrowest of {len(shares)} classes," if len(shares) > 1 else ""
    holds = share < COLLAPSED_SPREAD
    return Finding("collapsed", holds, share, COLLAPSED_SPREAD, (
        f"{'Collapsed' if holds else 'Not collapsed'}: what is drawn{whose} spreads {number(share, 2)} times as wide as real images (under "
        f"{number(COLLAPSED_SPREAD, 1)} is a collapse){'; try gan.augmentation: differentiable, or more critic_steps' if holds else ''}."))


def _memorising(drawn: np.ndarray, held_out: np.ndarray) -> Finding:
    if not len(drawn) or not len(held_out):
        return Finding("memorising", None, np.nan, MEMORISED, "Without held-out images nothing can be said about learning by heart.")
    usual = float(np.median(held_out))
    share = float(np.median(drawn)) / usual if usual else np.nan
    holds = share < MEMORISED
    return Finding("memorising", holds, share, MEMORISED, (
        f"{'Memorising' if holds else 'Not memorising'}: what is drawn lies {number(share, 2)} times as far from its nearest training "
        f"image as held-out real images do (medians; under {number(MEMORISED, 1)} is learning by heart; single copies are looked for in 06)"
        f"{'; train fewer iterations, or use gan.augmentation: differentiable' if holds else ''}."))


def _improving(history: pd.DataFrame) -> Finding:
    scored = history["quality"].dropna().to_numpy(dtype=float)
    if len(scored) < 3:
        return Finding("improving", None, np.nan, IMPROVING,
                       "With fewer than three scores nobody knows whether it still improves; set gan.quality_every.")
    middle, last = (float(part.mean()) for part in np.array_split(scored, 3)[1:])
    span = float(np.ptp(scored))
    share = (middle - last) / span if span else 0.0
    holds = share > IMPROVING
    return Finding("improving", holds, share, IMPROVING, (
        f"{'Still improving' if holds else 'No longer improving'}: the mean score went from {number(middle, 4)} to {number(last, 4)} "
        f"between the second and the last third, {number(share, 2)} of the range of all scores (over {number(IMPROVING, 1)} counts)"
        f"{'; more gan.iterations may pay' if holds else ''}."))


def _tenths(history: pd.DataFrame, column: str, change=None) -> np.ndarray:
    """Mean of each tenth of the finite rows, in order; fewer where there are not ten."""
    values = history[column].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        return values
    values = change(values) if change else values
    return np.array([part.mean() for part in np.array_split(values, min(_PARTS, len(values)))])
