"""How large would the gap between groups be if the group did not matter: a permutation test (Fisher 1935, §21; Good 2005, §3.2).

The largest of several group values exceeds the smallest by chance alone, the more so the smaller the groups. To see how much, the
groups of whole patients are shuffled among patients of the same class (of a patient's classes the rarest, as in
lib/stats/bootstrap.py), which keeps the number of patients of each class in each group, and the gap is computed again. The
p-value is the share of shuffles, the data's own arrangement among them, with a gap at least as large (Phipson & Smyth 2010, eq. 2).
It says that a gap is more than chance; not whether skin tone or something that goes with it is the cause.

Shuffling asks whether patients could change places, and a patient of six images tells more than one of one: where groups differ in
images per patient, their values are not equally certain and a shuffle shows too much or too little. So patients change places only with
patients of about as many images (1, 2–3, 4 or more) wherever at least two groups have such patients. That mends what overlaps; where
one group has patients of one image only and another of many only, nothing does, and the note says so.

Only groups that are estimable take part, in the gap and in the shuffle. A patient with images in two groups counts as two. All arms
are measured under the same shuffles.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lib.metrics.registry import MEASURES
from lib.stats.bootstrap import Design, make_design
from lib.stats.evaluate import Evaluation, Key
from lib.stats.slices import as_table, runs_of

CELLS = 1_000_000    # numbers per block at most; bounds memory, changes nothing else
SIZES = (2, 4)       # images from which a patient counts as larger: 1, 2–3, 4 or more
UNEQUAL = 2.0        # so many times as many images per patient in one group as in another deserves a note
_TINY = 1e-12        # gaps that differ by less are equal: what is beyond is rounding

_COLUMNS = {
    "arm": "text", "architecture": "text", "metric": "text", "value": "float", "null_median": "float", "null_high": "float",
    "p_value": "float", "groups": "text", "note": "text",
}


def shuffle_groups(
    cluster_ids:  np.ndarray,    # [n] names of patients
    y_true:       np.ndarray,    # [n] the class of each image
    groups:       np.ndarray,    # [n] int, the group of each image
    *,
    permutations: int,           # P
    seed:         int = 0,
) -> np.ndarray:
    """The group of each image in each shuffle, [P, n]; images of a patient stay together, patients within their class and size."""
    units = np.array([f"{cluster}\x1f{group}" for cluster, group in zip(cluster_ids, groups, strict=True)])
    design = make_design(units, y_true)
    group_of = np.zeros(design.clusters, dtype=np.int16)
    group_of[design.cluster] = groups
    rng = np.random.default_rng(seed)
    shuffled = np.empty((permutations, design.clusters), dtype=np.int16)
    for stratum in _exchangeable(design, group_of):
        shuffled[:, stratum] = rng.permuted(np.tile(group_of[stratum], (permutations, 1)), axis=1)
    return shuffled[:, design.cluster]


def unequal_sizes(
    cluster_ids: np.ndarray,    # [n] names of patients
    groups:      np.ndarray,    # [n] the group of each image
) -> str:
    """A note when groups differ much in images per patient, empty when they do not."""
    means = [len(ids) / len(np.unique(ids)) for ids in (cluster_ids[groups == group] for group in np.unique(groups))]
    if max(means) <= UNEQUAL * min(means):
        return ""
    return (f"groups differ in images per patient ({min(means):.1f} to {max(means):.1f} on average), which the shuffle allows for only in "
            "part: take its p-value as a rough one")


def _exchangeable(design: Design, group_of: np.ndarray) -> Iterator[np.ndarray]:
    """Patients that may change places: of one stratum and about as many images; sizes that only one group has are taken together."""
    size = np.searchsorted(SIZES, np.bincount(design.cluster), side="right")
    for stratum in design.strata:
        parts = [stratum[size[stratum] == one] for one in np.unique(size[stratum])]
        alone = [len(np.unique(group_of[part])) < 2 for part in parts]
        yield from (part for part, lone in zip(parts, alone, strict=True) if not lone)
        if any(alone):
            yield np.concatenate([part for part, lone in zip(parts, alone, strict=True) if lone])


def in_blocks(shuffled: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The shuffles [P, n] a few at a time."""
    rows = max(1, CELLS // max(1, shuffled.shape[1]))
    for start in range(0, len(shuffled), rows):
        block = slice(start, min(start + rows, len(shuffled)))
        yield block, shuffled[block]


def against_null(
    value: float,         # what was found
    null:  np.ndarray,    # [P] the same under the null hypothesis; NaN where undefined
) -> dict[str, float]:
    """Median and 95th percentile of the null, and the p-value (1 + how many are as large) / (P + 1); NaN throughout without a null."""
    null = null[~np.isnan(null)]
    if not len(null):
        return dict.fromkeys(("null_median", "null_high", "p_value"), np.nan)
    as_large = int((null >= value - _TINY).sum())
    return {"null_median": float(np.median(null)), "null_high": float(np.quantile(null, 0.95)), "p_value": (1 + as_large) / (1 + len(null))}


def spread(by_group: np.ndarray) -> np.ndarray:
    """Largest minus smallest over the first axis; NaN where fewer than two are defined."""
    by_group = np.asarray(by_group, dtype=float)
    defined = ~np.isnan(by_group)
    highest, lowest = np.where(defined, by_group, -np.inf).max(axis=0), np.where(defined, by_group, np.inf).min(axis=0)
    enough = defined.sum(axis=0) >= 2
    return np.where(enough, np.where(enough, highest, 0) - np.where(enough, lowest, 0), np.nan)


def gap_nulls(
    evaluation:   Evaluation,
    metric:       str,              # one that was evaluated
    permutations: int = 1_000,
    seed:         int = 0,
) -> pd.DataFrame:
    """The largest gap between groups, as in `lib.stats.compare.gaps`, against what chance alone gives.

    Columns arm, architecture, metric, value, null_median, null_high (95th percentile), p_value, groups (those compared), note, p_adjusted
    (Benjamini–Hochberg over the table). Raises ValueError when the metric was not evaluated.
    """
    if metric not in evaluation.metrics:
        raise ValueError(f"the metric {metric} was not evaluated; evaluated are {', '.join(evaluation.metrics)}")
    shared, excluded = evaluation.shared_classes(metric)
    compared = [group for group in evaluation.groups if group not in excluded]
    notes = [f"group {group} left out ({reason})" for group, reason in excluded.items()]
    cells = [(arm, architecture) for arm in evaluation.predictions.arms for architecture in evaluation.architectures]
    if len(compared) < 2:
        note = "; ".join([f"not estimable: {len(compared)} of {len(evaluation.groups)} groups estimable, needs 2", *notes])
        empty = {"metric": metric, "groups": ", ".join(compared), "note": note}
        return as_table([{"arm": arm, "architecture": architecture, **empty} for arm, architecture in cells], _COLUMNS)
    inside = np.isin(evaluation.predictions.groups, compared)
    notes += filter(None, [unequal_sizes(evaluation.predictions.cluster_ids[inside], evaluation.predictions.groups[inside])])
    null, rows = _null(evaluation, metric, shared, compared, permutations, seed), []
    for arm, architecture in cells:
        found = np.array([evaluation.of(arm, architecture, Key(metric, group, shared)) for group in compared])
        defined = np.flatnonzero(~np.isnan(found))
        shuffled = np.mean([null[run] for run in runs_of(evaluation, arm, architecture)], axis=0)[defined]    # [G, P]
        value = spread(found[defined]) if len(defined) > 1 else np.nan
        result = against_null(value, spread(shuffled) if len(defined) > 1 else np.array([]))
        missing = [] if len(defined) > 1 else ["not estimable: undefined on this sample"]
        rows.append({"arm": arm, "architecture": architecture, "metric": metric, "value": float(value), **result,
                     "groups": ", ".join(compared[i] for i in defined), "note": "; ".join(missing + notes)})
    return as_table(rows, _COLUMNS)


def _null(evaluation: Evaluation, metric: str, classes: tuple[int, ...], compared: list[str], permutations: int, seed: int) -> dict:
    """What each run gets in each group under each shuffle, run → [G, P]."""
    table = evaluation.predictions
    at = np.flatnonzero(np.isin(table.groups, compared))
    code = np.array([compared.index(group) for group in table.groups[at]])
    shuffled = shuffle_groups(table.cluster_ids[at], table.y_true[at], code, permutations=permutations, seed=seed)
    null = {run: np.empty((len(compared), permutations)) for run in table.probabilities}
    thresholds = {run: table.threshold_at(run, at) for run in null}
    for block, groups in in_blocks(shuffled):
        for g in range(len(compared)):
            member = (groups == g).astype(float)
            for run, values in null.items():
                values[g, block] = MEASURES[metric](
                    table.y_true[at], table.probabilities[run][at], weights=member, positive=evaluation.positive,
                    threshold=thresholds[run], classes=classes or None, minimum_sensitivity=evaluation.minimum_sensitivity,
                )
    return null
