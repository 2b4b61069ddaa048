"""Weighted sums over arms and networks: slopes and interactions, with the same interval as any other difference."""

from __future__ import annotations

from collections.abc import Mapping

from lib.stats.evaluation import Evaluation
from lib.stats.interval import AT_THE_END, Uncertainty, make_uncertainty

CONSTANT = "no resample and no training changes it, so there is nothing to judge it by"


def weighted_sum(
    evaluation: Evaluation,
    metric:     str,
    group:      str,                                    # "all": everybody
    weights:    Mapping[tuple[str, str], float],        # (arm, architecture or "all") → weight; they sum to 0
) -> Uncertainty:
    """Σ weight · value, paired over patients and over seeds of the same number; with the reason where it is not estimable.

    Raises ValueError when the weights do not sum to 0: the interval is that of a difference, not of a value on a scale with ends.
    """
    if abs(sum(weights.values())) > 1e-9 * max(map(abs, weights.values()), default=1):
        raise ValueError(f"weights sum to {sum(weights.values()):g}; a contrast needs weights that sum to 0")
    support, trainings = evaluation.support[metric, group], len(evaluation.predictions.seeds)
    if support.reason:
        return Uncertainty.missing(support.reason, trainings=trainings)
    key = evaluation.key(metric, group)
    low, high = evaluation.limits(metric)
    found = make_uncertainty(
        sum(weight * evaluation.by_seed(arm, one, key) for (arm, one), weight in weights.items()),
        sum(weight * evaluation.draws_of(arm, one, key) for (arm, one), weight in weights.items()),
        degrees=evaluation.basis[key].degrees,
    )
    if found.reason or found.varies((AT_THE_END * (high - low)) ** 2):
        return found
    return Uncertainty.missing(CONSTANT, trainings=trainings)
