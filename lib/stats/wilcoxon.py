"""Would training again give a difference in the same direction: Wilcoxon's signed-rank test over paired training seeds (Wilcoxon 1945).

The units are pairs of trainings with the same seed, one per arm, judged on the same test images; other patients are not in the
question. The p-value is exact, from all 2ⁿ ways of choosing signs, also with ties, which share their midrank. Pairs without any
difference keep their rank and have no sign (Pratt 1959, JASA 54:655): dropping them first, as is also done, can make a result
stronger by adding pairs that show none. n pairs cannot give a p-value under 2/2ⁿ (DECISIONS 24).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lib.stats.compare import check_arm
from lib.stats.evaluate import ALL, Evaluation
from lib.stats.sign_flip import sign_flip
from lib.stats.slices import as_table

DIGITS = 12            # differences that agree to so many digits are equal: what is beyond is rounding
ADVISED_PAIRS = 8      # of trainings (DECISIONS 24)

_COLUMNS = {
    "arm": "text", "baseline": "text", "architecture": "text", "metric": "text", "group": "text", "pairs": "Int64",
    "value": "float", "p_value": "float", "smallest_possible": "float", "note": "text",
}


def wilcoxon(
    differences: np.ndarray,    # [n] one per pair
) -> float:
    """Exact two-sided p-value; 1 when no pair differs. Raises ValueError without pairs or when a difference is not a number."""
    rounded = np.round(np.asarray(differences, dtype=float), DIGITS)
    if not rounded.size or not np.isfinite(rounded).all():
        raise ValueError("the signed-rank test needs at least one pair, and every difference a number")
    doubled = np.rint(2 * rankdata(np.abs(rounded))).astype(np.int64)        # midranks are halves at most
    return sign_flip(np.sign(rounded).astype(np.int64) * doubled)


def wilcoxon_table(
    evaluation: Evaluation,
    baseline:   str,            # the arm that the others are held against
) -> pd.DataFrame:
    """Each other arm against the baseline over training seeds, for each measure and group.

    Columns arm, baseline, architecture, metric, group, pairs, value (median difference), p_value, smallest_possible (2/2ⁿ), note (says
    when no result could have been significant), p_adjusted (Benjamini–Hochberg over the table).
    """
    check_arm(evaluation, baseline)
    return as_table([
        {"arm": arm, "baseline": baseline, "architecture": architecture, "metric": metric, "group": group,
         **_row(evaluation, arm, baseline, architecture, metric, group)}
        for arm in evaluation.predictions.arms if arm != baseline
        for architecture in evaluation.architectures
        for metric in evaluation.metrics
        for group in [ALL, *evaluation.groups]
    ], _COLUMNS)


def _row(evaluation: Evaluation, arm: str, baseline: str, architecture: str, metric: str, group: str) -> dict:
    pairs, alpha = len(evaluation.predictions.seeds), 1 - evaluation.confidence
    shared = {"pairs": pairs, "smallest_possible": 2.0 ** (1 - pairs)}
    reason = evaluation.support[metric, group].reason
    if not reason:
        key = evaluation.key(metric, group)
        differences = evaluation.by_seed(arm, architecture, key) - evaluation.by_seed(baseline, architecture, key)
        reason = "" if np.isfinite(differences).all() else "undefined on this sample"
    if reason:
        return {**shared, "note": f"not estimable: {reason}"}
    return {**shared, "value": np.median(differences), "p_value": wilcoxon(differences), "note": _limit(pairs, alpha)}


def _limit(pairs: int, alpha: float) -> str:
    """What so few pairs can never show, in words; empty when they can."""
    smallest = 2.0 ** (1 - pairs)
    if smallest < alpha:
        return ""
    enough = max(ADVISED_PAIRS, int(np.floor(1 - np.log2(alpha))) + 1)
    return f"{pairs} {'pair' if pairs == 1 else 'pairs'}: {smallest:.4g} at best, never under {alpha:.2g}; use {enough}"
