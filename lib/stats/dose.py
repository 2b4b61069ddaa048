"""Dose and response: what a measure does as more generated images are drawn for each real one.

All doses have the same budget of optimiser steps, so more generated images mean fewer real ones: at a ratio of R : 1 the share 1/(1 + R)
of all images drawn is real. The natural scale of the dose is therefore log2(1 + R), how often the real share was halved: 0 for none, 1 for
1 : 1, 3.46 for 10 : 1. A straight line over it, fitted to the means of the doses that a study has, gives one number per arm and group whose
interval says whether there is a trend at all. Picking the best of several doses afterwards would flatter; no dose is picked here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.stats.compare import contrast
from lib.stats.contrasts import weighted_sum
from lib.stats.evaluation import ALL, Evaluation
from lib.stats.interval import Uncertainty

Doses = Mapping[str, Mapping[float, str]]       # name of a series → ratio (generated : real, 0 for none) → arm

_TYPES = {"series": object, "ratio": float, "arm": object, "metric": object, "group": object, "value": float, "low": float, "high": float,
          "difference": float, "difference_low": float, "difference_high": float, "note": object}


def halvings(ratio: float) -> float:
    """How often a dose halves the share of real images among those drawn: log2(1 + ratio)."""
    return math.log2(1 + ratio)


def dose_response(
    evaluation: Evaluation,
    doses:      Doses,
    metric:     str,
) -> pd.DataFrame:
    """The measure at every dose, for everybody and each group, averaged over networks where there are several.

    Columns: series, ratio, arm, metric, group, value, low, high, difference (from the series' lowest dose), difference_low,
    difference_high (NaN at that dose), note.
    """
    architecture, rows = evaluation.architectures[0], []
    for series, arms in doses.items():
        lowest = arms[min(arms)]
        for group in [ALL, *evaluation.groups]:
            for ratio, arm in sorted(arms.items()):
                found = contrast(evaluation, architecture, metric, group, {arm: 1})
                low, high = found.interval(evaluation.confidence)
                row = {"series": series, "ratio": ratio, "arm": arm, "metric": metric, "group": group,
                       "value": found.value, "low": low, "high": high, "note": _note(found)}
                if arm != lowest:
                    change = contrast(evaluation, architecture, metric, group, {arm: 1, lowest: -1})
                    ends = change.interval(evaluation.confidence)
                    row |= {"difference": change.value, "difference_low": ends[0], "difference_high": ends[1]}
                rows.append(row)
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def dose_trends(
    evaluation: Evaluation,
    doses:      Doses,
    metric:     str,
) -> pd.DataFrame:
    """The slope of each series over `halvings`, for everybody and each group: series, doses, group, value, low, high, p_value, note.

    The least-squares line through the means of all doses of the series, each counting the same; a series with fewer than three doses is
    left out, since its line is its difference.
    """
    architecture, rows = evaluation.architectures[0], []
    for series, arms in doses.items():
        if len(arms) < 3:
            continue
        weights = {(arm, architecture): weight for arm, weight in zip(arms.values(), slope_weights(list(arms)), strict=True)}
        for group in [ALL, *evaluation.groups]:
            found = weighted_sum(evaluation, metric, group, weights)
            low, high = found.interval(evaluation.confidence)
            rows.append({"series": series, "doses": len(arms), "metric": metric, "group": group, "value": found.value,
                         "low": low, "high": high, "p_value": found.p_value(), "note": _note(found)})
    return pd.DataFrame(rows, columns=["series", "doses", "metric", "group", "value", "low", "high", "p_value", "note"])


def slope_weights(ratios: Sequence[float]) -> np.ndarray:
    """Weights of the means whose sum is the least-squares slope over `halvings`, [D]. Needs two different ratios."""
    x = np.array([halvings(ratio) for ratio in ratios])
    centred = x - x.mean()
    return centred / (centred**2).sum()


def _note(found: Uncertainty) -> str:
    return f"not estimable: {found.reason}" if found.reason else ""
