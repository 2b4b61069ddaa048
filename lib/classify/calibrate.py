"""Temperature and threshold, both chosen on validation and then fixed (DECISIONS 23)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from lib.classify.images import Pixels, predict_logits, softmax
from lib.classify.sampling import label_indices
from lib.classify.train import Trained
from lib.study import Threshold

TEMPERATURES = (0.1, 10.0)
NEAR_ONE     = 1e-6              # nats per squared log-temperature; decides only where the likelihood does not


@dataclass(frozen=True)
class OperatingPoint:
    """Above which summed probability of the positive classes an image counts as positive, and what that gives on validation."""

    threshold:   float    # score ≥ threshold is positive
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Calibration:
    """What validation decides about one trained cell."""

    temperature: float
    operating:   OperatingPoint | None    # None: the study names no positive classes


def calibrate(
    trained:  Trained,
    pixels:   Pixels,             # uint8 [N, S, S, 3], in the order of `samples`
    samples:  pd.DataFrame,       # the samples table; only its validation rows are looked at
    classes:  Sequence[str],      # class order
    *,
    rule:     Threshold,
    positive: Sequence[str] = (), # labels that count as positive; empty: no threshold
) -> Calibration:
    """Fit the temperature, then choose the threshold on the calibrated validation probabilities. Errors as `choose_threshold`."""
    rows = np.flatnonzero((samples["split"] == "validation").to_numpy())
    y, logits = label_indices(samples.iloc[rows], classes), predict_logits(trained.model, pixels, rows)
    temperature = fit_temperature(logits, y)
    if not positive:
        return Calibration(temperature, None)
    indices = [list(classes).index(label) for label in positive]
    return Calibration(temperature, choose_threshold(softmax(logits, temperature)[:, indices].sum(axis=1), np.isin(y, indices), rule))


def fit_temperature(
    logits: np.ndarray,    # [N, K] of validation images
    y_true: np.ndarray,    # [N] int
) -> float:
    """The T that minimises the negative log-likelihood of softmax(logits / T), between 0.1 and 10 (Guo et al. 2017, eq. 9).

    Of practically equal ones the nearest to 1: a validation set told apart without a mistake asks for ever smaller T and proves nothing.
    ValueError when there is no validation image.
    """
    if not len(logits):
        raise ValueError("no validation image to fit the temperature on (split.validation)")

    def cost(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        top = scaled.max(axis=1)
        losses = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - scaled[np.arange(len(scaled)), y_true]
        return float(losses.mean()) + NEAR_ONE * log_temperature**2

    found = minimize_scalar(cost, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))


def check_both_kinds(is_positive: np.ndarray) -> None:      # [N] bool, of the validation images
    """ValueError when there is no positive or no negative image, so that no threshold can be chosen."""
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        raise ValueError(
            f"validation holds {positives} positive and {negatives} negative images; a threshold needs both: "
            "give split.validation a larger share, change split.seed, or leave labels.positive empty"
        )


def choose_threshold(
    score:       np.ndarray,    # [N] in 0–1, summed probability of the positive classes on validation
    is_positive: np.ndarray,    # [N] bool
    rule:        Threshold,
) -> OperatingPoint:
    """The threshold that is best on validation under the rule; of equally good ones the lowest, i.e. the most sensitive.

    youden: highest sensitivity + specificity − 1 (Youden 1950). f1: highest F1 of the positives.
    sensitivity: lowest false positive rate among thresholds whose sensitivity is at least `rule.value`.
    The threshold lies halfway between the lowest score called positive and the next one below, so images with equal scores are never
    torn apart. ValueError when validation holds no positive or no negative image.
    """
    is_positive = np.asarray(is_positive, dtype=bool)
    check_both_kinds(is_positive)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    levels = np.unique(score)                                                       # ascending; from a level up all are called positive
    hits = positives - np.searchsorted(np.sort(score[is_positive]), levels, side="left")
    alarms = negatives - np.searchsorted(np.sort(score[~is_positive]), levels, side="left")
    if rule.rule == "youden":
        merit = hits * negatives - alarms * positives                               # whole numbers: ties are exact
    elif rule.rule == "f1":
        merit = 2 * hits / (hits + alarms + positives)
    else:
        merit = np.where(hits >= rule.value * positives - 1e-9, -alarms, -negatives - 1)
    best = int(np.argmax(merit))                                                    # the first, i.e. the lowest level
    below = levels[best - 1] if best else 0.0
    return OperatingPoint(float((levels[best] + below) / 2), float(hits[best] / positives), float(1 - alarms[best] / negatives))
