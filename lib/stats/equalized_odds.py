"""Do sick and healthy fare alike in every group: the equalised-odds difference (Hardt, Price & Srebro 2016, arXiv 1610.02413, def. 2.1).

Sensitivity must not depend on the group, and neither must the false-positive rate; the difference is the larger of the two largest gaps,
at each training's own threshold, rates averaged over training seeds. Groups need enough positives and enough negatives (DECISIONS 25).
Chance alone makes it larger than zero, so it is held against shuffled groups (lib/stats/permutation.py).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.metrics.inputs import ratio
from lib.stats.evaluate import Evaluation
from lib.stats.permutation import against_null, in_blocks, shuffle_groups, spread, unequal_sizes
from lib.stats.slices import NO_THRESHOLD, as_table, calls_of, has_thresholds, runs_of, support_of, truth_of

_COLUMNS = {
    "arm": "text", "architecture": "text", "value": "float", "sensitivity_gap": "float", "false_positive_gap": "float",
    "null_median": "float", "null_high": "float", "p_value": "float", "groups": "text", "note": "text",
}


def odds_gaps(
    is_positive: np.ndarray,    # [n] bool
    called:      np.ndarray,    # [n, A] 0–1, how often each image was called positive (share of trainings), for A arms
    groups:      np.ndarray,    # [P, n] int, the group of each image, under P arrangements
    *,
    count:       int,           # of groups, numbered from 0
) -> tuple[np.ndarray, np.ndarray]:
    """Largest gap in sensitivity and in false-positive rate of any two groups, [P, A] each; groups without such images do not count."""
    columns = np.column_stack([is_positive, ~is_positive, called * is_positive[:, None], called * ~is_positive[:, None]]).astype(float)
    arms = called.shape[1]
    sensitivity, false_positive = (np.empty((count, len(groups), arms)) for _ in range(2))
    for block, arranged in in_blocks(groups):
        for g in range(count):
            sums = (arranged == g) @ columns
            sensitivity[g, block] = ratio(sums[:, 2:2 + arms], sums[:, :1])
            false_positive[g, block] = ratio(sums[:, 2 + arms:], sums[:, 1:2])
    return spread(sensitivity), spread(false_positive)


def equalized_odds(
    evaluation:   Evaluation,
    permutations: int = 1_000,
    seed:         int = 0,
) -> pd.DataFrame:
    """The equalised-odds difference of each arm, 0–1, 0 is equal, against what chance alone gives.

    Columns arm, architecture, value, sensitivity_gap, false_positive_gap, null_median, null_high (95th percentile), p_value, groups (those
    compared), note (groups left out), p_adjusted (Benjamini–Hochberg over the table).
    """
    table = evaluation.predictions
    cells = [{"arm": arm, "architecture": architecture} for arm in table.arms for architecture in evaluation.architectures]
    reasons = {group: support_of(evaluation, "precision", group).reason for group in evaluation.groups}
    compared = [group for group, reason in reasons.items() if not reason]
    notes = [f"group {group} left out ({reason})" for group, reason in reasons.items() if reason]
    problem = "" if has_thresholds(evaluation) else NO_THRESHOLD
    if len(compared) < 2:
        problem = f"{len(compared)} of {len(reasons)} groups estimable, needs 2"
    if problem:
        note = "; ".join([f"not estimable: {problem}", *notes])
        return as_table([{**cell, "groups": ", ".join(compared), "note": note} for cell in cells], _COLUMNS)
    at = np.flatnonzero(np.isin(table.groups, compared))
    notes += filter(None, [unequal_sizes(table.cluster_ids[at], table.groups[at])])
    truth, code = truth_of(evaluation)[at], np.array([compared.index(group) for group in table.groups[at]])
    called = np.column_stack([
        np.mean([calls_of(evaluation, run)[at] for run in runs_of(evaluation, cell["arm"], cell["architecture"])], axis=0) for cell in cells
    ])
    shuffled = shuffle_groups(table.cluster_ids[at], table.y_true[at], code, permutations=permutations, seed=seed)
    found, null = (odds_gaps(truth, called, groups, count=len(compared)) for groups in (code[None], shuffled))
    return as_table([
        {**cell, "value": max(sensitivity, false_positive), "sensitivity_gap": sensitivity, "false_positive_gap": false_positive,
         **against_null(max(sensitivity, false_positive), np.fmax(null[0][:, i], null[1][:, i])),
         "groups": ", ".join(compared), "note": "; ".join(notes)}
        for i, (cell, sensitivity, false_positive) in enumerate(zip(cells, found[0][0], found[1][0], strict=True))
    ], _COLUMNS)
