"""What the single tests read from an evaluation: images of a group, runs of an arm, their scores and calls, and whether there is enough."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lib.metrics.registry import get_measure
from lib.stats.evaluate import ALL, Evaluation
from lib.stats.inputs import Run
from lib.stats.multiplicity import benjamini_hochberg
from lib.stats.support import Support, count_support

NO_THRESHOLD = "the table holds no decision threshold"


def rows_of(evaluation: Evaluation, group: str) -> np.ndarray:
    """Positions of the group's images, [n]; of all images for "all"."""
    groups = evaluation.predictions.groups
    return np.arange(len(groups)) if group == ALL else np.flatnonzero(groups == group)


def runs_of(evaluation: Evaluation, arm: str, architecture: str) -> list[Run]:
    """The arm's trainings: one per seed, for "all" one per architecture and seed."""
    return [run for run in evaluation.predictions.probabilities if run[0] == arm and architecture in (ALL, run[1])]


def truth_of(evaluation: Evaluation) -> np.ndarray:
    """Whether each image is of a positive class, [N] bool."""
    return np.isin(evaluation.predictions.y_true, evaluation.positive)


def score_of(evaluation: Evaluation, run: Run) -> np.ndarray:
    """What the run gave the positive classes together, [N] 0–1."""
    return evaluation.predictions.probabilities[run][:, list(evaluation.positive)].sum(axis=1)


def calls_of(evaluation: Evaluation, run: Run) -> np.ndarray:
    """Whether the run called each image positive at its own threshold, [N] bool; the run must have one."""
    return score_of(evaluation, run) >= evaluation.predictions.thresholds[run]


def has_thresholds(evaluation: Evaluation) -> bool:
    """Whether every run has a decision threshold."""
    return evaluation.predictions.has_thresholds


def support_of(evaluation: Evaluation, metric: str, group: str) -> Support:
    """What the measure rests on in the group, whether the study names it or not (lib/stats/support.py)."""
    table, at = evaluation.predictions, rows_of(evaluation, group)
    return count_support(
        get_measure(metric), table.y_true[at], table.cluster_ids[at],
        classes=list(table.classes), positive=list(evaluation.positive), minimum_positives=evaluation.minimum,
    )


def as_table(
    rows:   list[dict],
    types:  dict[str, str],          # the columns in order, and their types; "text" stays as it is
    adjust: str | None = "p_value",  # column to adjust by Benjamini–Hochberg over the whole table into `p_adjusted`
) -> pd.DataFrame:
    """Rows as a frame with fixed columns, so that an empty table has them too; a missing number is NaN or NA."""
    frame = pd.DataFrame(rows, columns=list(types)).astype({name: kind for name, kind in types.items() if kind != "text"})
    return frame.assign(p_adjusted=benjamini_hochberg(frame[adjust].to_numpy())) if adjust else frame
