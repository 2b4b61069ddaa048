"""Do two arms differ in AUROC: DeLong, DeLong & Clarke-Pearson (1988), in the form of Sun & Xu (2014) by midranks.

AUROC is a mean of placements: of each positive, the share of negatives that score lower; of each negative, the share of positives
that score higher. Its variance is that of these two means. Where patients have several images the placements of one patient
resemble each other, so whole patients are the units (Obuchowski 1997, Biometrics 53:567, eq. 2–4); the usual formula, with images as
units, is computed beside it and calls too many differences real as soon as patients have several images.

The mean AUROC over training seeds is the mean of their placements, so it is tested as such: these trained networks, other
patients. What training again would change is in the intervals of lib/stats/compare.py, not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from lib.stats.compare import check_arm
from lib.stats.evaluate import ALL, Evaluation
from lib.stats.slices import as_table, rows_of, runs_of, score_of, support_of, truth_of

_TINY = 1e-12    # differences and standard errors of AUROCs below this are rounding

_COLUMNS = {
    "arm": "text", "baseline": "text", "architecture": "text", "group": "text", "value": "float", "low": "float", "high": "float",
    "z": "float", "p_value": "float", "p_images": "float", "n_positives": "Int64", "n_negatives": "Int64", "n_clusters": "Int64",
    "note": "text",
}


@dataclass(frozen=True)
class DeLong:
    """An AUROC, or a difference of two, with its sampling error; arrays over the leading axes of the scores."""

    value:          np.ndarray    # AUROC 0–1, or difference −1 to 1
    standard_error: np.ndarray    # NaN with fewer than two units that hold positives, or negatives
    z:              np.ndarray    # value (of one arm: value − ½) over its standard error
    p_value:        np.ndarray    # two-sided; 1 when there is no difference in anything, NaN when there is one but no spread

    def interval(self, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Value ± normal quantile × standard error."""
        half = norm.ppf((1 + confidence) / 2) * self.standard_error
        return self.value - half, self.value + half


def delong(
    is_positive: np.ndarray,                  # [n] bool
    scores:      np.ndarray,                  # [..., S, n] of the arm's S trainings; higher means positive
    baseline:    np.ndarray | None = None,    # [..., S', n] of the baseline's; None: the arm alone, tested against guessing (½)
    *,
    clusters:    np.ndarray | None = None,    # [n] each image's patient; None: every image is a unit (the usual DeLong)
) -> DeLong:
    """Test of the mean AUROC over trainings. Raises ValueError without positives or without negatives."""
    is_positive = np.asarray(is_positive, dtype=bool)
    if is_positive.all() or not is_positive.any():
        raise ValueError(f"AUROC needs positives and negatives; got {is_positive.sum()} positives of {len(is_positive)} images")
    above, below = (part.mean(axis=-2) for part in placements(is_positive, scores))
    if baseline is not None:
        above, below = (part - other.mean(axis=-2) for part, other in zip((above, below), placements(is_positive, baseline), strict=True))
    value = above.mean(axis=-1)
    error = np.sqrt(_variance(is_positive, above - value[..., None], below - value[..., None], clusters))
    found = value - 0.5 if baseline is None else value
    certain = error < _TINY
    z = np.where(certain, np.where(np.abs(found) < _TINY, 0.0, np.nan), found / np.where(certain, 1.0, error))
    return DeLong(value, error, z, 2 * norm.sf(np.abs(z)))


def placements(
    is_positive: np.ndarray,    # [n] bool
    scores:      np.ndarray,    # [..., n]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each positive the share of negatives below [..., m], of each negative the share of positives above [..., n − m]; ties half."""
    x, y = scores[..., is_positive], scores[..., ~is_positive]
    m, n = x.shape[-1], y.shape[-1]
    ranks = rankdata(np.concatenate([x, y], axis=-1), axis=-1)
    return (ranks[..., :m] - rankdata(x, axis=-1)) / n, 1 - (ranks[..., m:] - rankdata(y, axis=-1)) / m


def _variance(
    is_positive: np.ndarray,           # [n] bool
    above:       np.ndarray,           # [..., m] centred placements of the positives
    below:       np.ndarray,           # [..., n − m] of the negatives
    clusters:    np.ndarray | None,    # [n]
) -> np.ndarray:
    """Obuchowski (1997), eq. 2–4; with one image per cluster, DeLong's variance exactly. NaN with fewer than two units of a kind."""
    clusters = np.arange(len(is_positive)) if clusters is None else clusters
    _, code = np.unique(clusters, return_inverse=True)
    count = code.max() + 1
    of_positives, units = _sum_by(code[is_positive], above, count)
    of_negatives, others = _sum_by(code[~is_positive], below, count)
    if min(units, others) < 2:
        return np.full(above.shape[:-1], np.nan)
    m, n = above.shape[-1], below.shape[-1]
    return (
        units / (units - 1) * (of_positives**2).sum(axis=-1) / m**2
        + others / (others - 1) * (of_negatives**2).sum(axis=-1) / n**2
        + 2 * count / (count - 1) * (of_positives * of_negatives).sum(axis=-1) / (m * n)
    )


def _sum_by(code: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """Sums of `values` [..., n] by cluster, [..., count], and how many clusters have any."""
    order = np.argsort(code, kind="stable")
    present, first = np.unique(code[order], return_index=True)
    sums = np.zeros((*values.shape[:-1], count))
    sums[..., present] = np.add.reduceat(values[..., order], first, axis=-1)
    return sums, len(present)


def delong_table(
    evaluation: Evaluation,
    baseline:   str,            # the arm that the others are held against
) -> pd.DataFrame:
    """AUROC of the positive classes, each other arm minus the baseline, mean over seeds.

    Columns arm, baseline, architecture, group, value, low, high, z, p_value (patients as units), p_images (the usual DeLong, for
    comparison), n_positives, n_negatives, n_clusters, note, p_adjusted (Benjamini–Hochberg over the table).
    """
    check_arm(evaluation, baseline)
    return as_table([
        {"arm": arm, "baseline": baseline, "architecture": architecture, "group": group,
         **_row(evaluation, arm, baseline, architecture, group)}
        for arm in evaluation.predictions.arms if arm != baseline
        for architecture in evaluation.architectures
        for group in [ALL, *evaluation.groups]
    ], _COLUMNS)


def _row(evaluation: Evaluation, arm: str, baseline: str, architecture: str, group: str) -> dict:
    support, at = support_of(evaluation, "auroc_positive", group), rows_of(evaluation, group)
    truth = truth_of(evaluation)[at]
    counts = {"n_positives": support.n_positives, "n_clusters": support.n_clusters}
    counts["n_negatives"] = None if support.n_positives is None else len(at) - support.n_positives
    if support.reason:
        return {**counts, "note": f"not estimable: {support.reason}"}
    scores, others = (
        np.stack([score_of(evaluation, run)[at] for run in runs_of(evaluation, one, architecture)]) for one in (arm, baseline)
    )
    found = delong(truth, scores, others, clusters=evaluation.predictions.cluster_ids[at])
    low, high = found.interval(evaluation.confidence)
    note = "" if found.p_value == found.p_value else "no p-value: the arms differ by the same amount on every image"
    return {"value": found.value, "low": low, "high": high, "z": found.z, "p_value": found.p_value,
            "p_images": delong(truth, scores, others).p_value, **counts, "note": note}
