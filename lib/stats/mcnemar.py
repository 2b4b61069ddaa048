"""Who is right where the other is wrong: McNemar's test on the images that two trained networks judge differently (McNemar 1947).

The usual test counts images: exact (binomial) when the two disagree on fewer than 25 of them, otherwise chi-square without continuity
correction, which is conservative without need (Fagerland et al. 2013, BMC Med. Res. Methodol. 13:91). It takes images for
independent. Where patients have several, whole patients are the units: had the networks changed places in a patient, the
patient's difference would have had the other sign. That test is exact at any size and, with one image per patient, it is the exact
McNemar test.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binom, chi2

from lib.stats.compare import check_arm
from lib.stats.evaluate import ALL, Evaluation
from lib.stats.inputs import Run
from lib.stats.sign_flip import sign_flip
from lib.stats.slices import NO_THRESHOLD, as_table, calls_of, has_thresholds, rows_of, support_of, truth_of

EXACT_BELOW = 25    # images judged differently (DECISIONS 26)

_COLUMNS = {
    "arm": "text", "baseline": "text", "architecture": "text", "group": "text", "seed": "Int64", "n_images": "Int64",
    "only_baseline": "Int64", "only_arm": "Int64", "exact": "boolean", "p_value": "float", "p_images": "float", "note": "text",
}


def mcnemar(
    only_baseline: np.ndarray,    # [...] images that only the baseline got right (b)
    only_arm:      np.ndarray,    # [...] images that only the arm got right (c)
) -> tuple[np.ndarray, np.ndarray]:
    """Two-sided p-values with images as units, and whether each is the exact one; 1 when the two never disagree."""
    b, c = np.asarray(only_baseline), np.asarray(only_arm)
    exact = b + c < EXACT_BELOW
    by_binomial = np.minimum(1.0, 2 * binom.cdf(np.minimum(b, c), b + c, 0.5))
    by_chi_square = chi2.sf((b - c) ** 2 / np.maximum(b + c, 1), 1)
    return np.where(exact, by_binomial, by_chi_square), exact


def mcnemar_table(
    evaluation:     Evaluation,
    baseline:       str,             # the arm that the others are held against
    positives_only: bool = False,    # only images of the positive classes: who misses fewer
) -> pd.DataFrame:
    """Each other arm against the baseline, training by training, on calls at each run's own threshold (else on the most probable class).

    Columns arm, baseline, architecture, group, seed, n_images, only_baseline (b), only_arm (c), exact (whether p_images is: b + c < 25),
    p_value (patients as units), p_images (the usual McNemar), note, p_adjusted (Benjamini–Hochberg of p_value over the table).
    """
    check_arm(evaluation, baseline)
    table = evaluation.predictions
    return as_table([
        {"arm": arm, "baseline": baseline, "architecture": architecture, "group": group, "seed": seed,
         **_row(evaluation, (arm, architecture, seed), (baseline, architecture, seed), group, positives_only)}
        for arm in table.arms if arm != baseline
        for architecture in table.architectures
        for group in [ALL, *evaluation.groups]
        for seed in table.seeds
    ], _COLUMNS)


def _row(evaluation: Evaluation, arm: Run, baseline: Run, group: str, positives_only: bool) -> dict:
    support, at = support_of(evaluation, "sensitivity" if positives_only else "accuracy", group), rows_of(evaluation, group)
    at = at[truth_of(evaluation)[at]] if positives_only else at
    by_calls = bool(evaluation.positive) and has_thresholds(evaluation)
    reason = support.reason or (NO_THRESHOLD if positives_only and not by_calls else "")
    if reason:
        return {"n_images": len(at), "note": f"not estimable: {reason}"}
    gain = (_is_right(evaluation, arm, by_calls).astype(int) - _is_right(evaluation, baseline, by_calls))[at]
    b, c = int((gain < 0).sum()), int((gain > 0).sum())
    p_images, exact = mcnemar(b, c)
    _, patient = np.unique(evaluation.predictions.cluster_ids[at], return_inverse=True)
    by_patient = np.bincount(patient, gain, minlength=1).astype(int)
    return {"n_images": len(at), "only_baseline": b, "only_arm": c, "exact": bool(exact), "p_value": sign_flip(by_patient),
            "p_images": float(p_images), "note": "" if by_calls else "right or wrong by the most probable class"}


def _is_right(evaluation: Evaluation, run: Run, by_calls: bool) -> np.ndarray:
    """Whether the run judged each image rightly, [N] bool."""
    if by_calls:
        return calls_of(evaluation, run) == truth_of(evaluation)
    table = evaluation.predictions
    return table.probabilities[run].argmax(axis=1) == table.y_true
