"""Do 70 % mean 70 out of 100: Brier score, calibration error and reliability per arm and group.

Looked at is the summed probability of the positive classes; without any, the probability of the answer and whether it is right.
The calibration error is larger than zero by chance alone, most in small groups, so it is held against the error that exactly
right probabilities would show on these images and patients (lib/stats/consistency.py). All trainings share the draws, as they share
the images.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from lib.metrics.brier import brier
from lib.metrics.calibration_error import calibration_error, equal_mass_bins
from lib.stats.compare import check_arm
from lib.stats.consistency import draw_luck, shared_luck
from lib.stats.evaluate import ALL, Evaluation
from lib.stats.inputs import Run
from lib.stats.permutation import against_null
from lib.stats.slices import as_table, rows_of, runs_of, score_of, support_of, truth_of
from lib.stats.support import Support

_COLUMNS = {
    "arm": "text", "architecture": "text", "group": "text", "brier": "float", "ece": "float", "ece_expected": "float",
    "ece_high": "float", "p_value": "float", "n_images": "Int64", "n_positives": "Int64", "note": "text",
}
_BINNED = {
    "group": "text", "bin": "Int64", "images": "Int64", "predicted": "float", "observed": "float", "low": "float", "high": "float",
    "note": "text",
}


def calibration_table(
    evaluation:  Evaluation,
    bins:        int = 10,
    *,
    simulations: int = 1_000,
    seed:        int = 0,
) -> pd.DataFrame:
    """Brier score and calibration error of each arm in each group, means over trainings.

    Columns arm, architecture, group, brier, ece, ece_expected and ece_high (mean and 95th percentile if the
    probabilities were exactly right), p_value, n_images, n_positives, note, p_adjusted (Benjamini–Hochberg over the table).
    """
    groups = {group: rows_of(evaluation, group) for group in [ALL, *evaluation.groups]}
    supports = {group: _support(evaluation, group) for group in groups}
    measured = {group: at for group, at in groups.items() if not supports[group].reason}
    null = _null(evaluation, measured, bins, simulations, seed)
    rows = []
    for arm in evaluation.predictions.arms:
        for architecture in evaluation.architectures:
            runs = runs_of(evaluation, arm, architecture)
            for group, at in groups.items():
                support = supports[group]
                row = {"arm": arm, "architecture": architecture, "group": group,
                       "n_images": support.n_images, "n_positives": support.n_positives}
                if support.reason:
                    rows.append({**row, "note": f"not estimable: {support.reason}"})
                    continue
                pairs = [_outcomes(evaluation, run) for run in runs]
                ece = float(np.mean([calibration_error(y[at], p[at], bins) for y, p in pairs]))
                drawn = np.mean([null[run, group] for run in runs], axis=0)
                against = against_null(ece, drawn)
                rows.append({**row, "brier": np.mean([_brier(evaluation, run, at) for run in runs]), "ece": ece,
                             "ece_expected": drawn.mean(), "ece_high": against["null_high"], "p_value": against["p_value"],
                             "note": "" if evaluation.positive else "of the most probable class"})
    return as_table(rows, _COLUMNS)


def reliability_by_group(
    evaluation:   Evaluation,
    arm:          str,
    architecture: str | None = None,    # default: the mean over all, as in the other tables
    bins:         int        = 5,
) -> pd.DataFrame:
    """What was predicted and what was so, in bins of equal number, for each estimable group; predictions of all trainings together.

    Columns group, bin (from 1), images (how many different ones), predicted and observed (means, 0–1), low and high: Wilson's interval
    with the number of images that would be as telling if patients had one each (design effect; Dean & Pagano 2015, J. Surv. Stat. 3:484).
    A group that is not estimable has one row without a bin, and the reason in `note`. Raises ValueError when the arm is not in the table.
    """
    check_arm(evaluation, arm)
    runs, rows = runs_of(evaluation, arm, architecture or evaluation.architectures[0]), []
    for group in [ALL, *evaluation.groups]:
        support, at = _support(evaluation, group), rows_of(evaluation, group)
        if support.reason:
            rows.append({"group": group, "images": support.n_images, "note": f"not estimable: {support.reason}"})
            continue
        y, p = (np.concatenate([pair[i][at] for pair in (_outcomes(evaluation, run) for run in runs)]) for i in (0, 1))
        image, cluster = np.tile(at, len(runs)), np.tile(evaluation.predictions.cluster_ids[at], len(runs))
        bin_of = equal_mass_bins(p, bins)
        for number in np.unique(bin_of):
            inside = bin_of == number
            images = len(np.unique(image[inside]))
            low, high = _wilson(y[inside], cluster[inside], images, evaluation.confidence)
            rows.append({"group": group, "bin": int(number) + 1, "images": images, "predicted": p[inside].mean(),
                         "observed": y[inside].mean(), "low": low, "high": high, "note": ""})
    return as_table(rows, _BINNED, adjust=None)


def _outcomes(evaluation: Evaluation, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Whether it was so, and with what probability it was expected, [N] each."""
    if evaluation.positive:
        return truth_of(evaluation).astype(float), np.clip(score_of(evaluation, run), 0, 1)
    table = evaluation.predictions
    p = table.probabilities[run]
    return (p.argmax(axis=1) == table.y_true).astype(float), p.max(axis=1)


def _support(evaluation: Evaluation, group: str) -> Support:
    return support_of(evaluation, "auroc_positive" if evaluation.positive else "accuracy", group)


def _brier(evaluation: Evaluation, run: Run, at: np.ndarray) -> float:
    table = evaluation.predictions
    return brier(table.y_true[at], table.probabilities[run][at], positive=evaluation.positive)


def _null(evaluation: Evaluation, groups: dict[str, np.ndarray], bins: int, simulations: int, seed: int) -> dict:
    """Calibration errors under exactly right probabilities, (run, group) → [B]."""
    table = evaluation.predictions
    pairs = {run: _outcomes(evaluation, run) for run in table.probabilities}
    rho = []
    for arm in table.arms:
        y, p = (np.stack([pairs[run][i] for run in runs_of(evaluation, arm, ALL)]) for i in (0, 1))
        rho.append(shared_luck(y, p, table.cluster_ids))
    null = {(run, group): np.empty(simulations) for run in pairs for group in groups}
    for block, luck in draw_luck(table.cluster_ids, rho, simulations=simulations, seed=seed):
        for run, (_, p) in pairs.items():
            happens = luck[table.arms.index(run[0])] < p
            for group, at in groups.items():
                null[run, group][block] = calibration_error(happens[:, at], p[at], bins)
    return null


def _wilson(y: np.ndarray, clusters: np.ndarray, images: int, confidence: float) -> tuple[float, float]:
    """Wilson's interval (1927) of a share whose observations come in clusters."""
    share = y.mean()
    _, code = np.unique(clusters, return_inverse=True)
    count = code.max() + 1
    variance = count / max(1, count - 1) * (np.bincount(code, y - share) ** 2).sum() / len(y) ** 2
    worth = min(images, share * (1 - share) / variance) if variance > 0 else count
    z = norm.ppf((1 + confidence) / 2)
    middle, half = share + z**2 / (2 * worth), z * np.sqrt(share * (1 - share) / worth + z**2 / (4 * worth**2))
    return float((middle - half) / (1 + z**2 / worth)), float((middle + half) / (1 + z**2 / worth))
