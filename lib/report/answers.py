"""Predictions of one arm as arrays per run; what the plots of notebook 07 have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.report.words import count, join


@dataclass(frozen=True)
class Answers:
    """What one trained model answered."""

    seed:          int
    y_true:        np.ndarray       # [N] int
    probabilities: np.ndarray       # [N, K]
    threshold:     float            # NaN when the study names none


def read_answers(
    predictions: pd.DataFrame,      # rows of one arm, one architecture and one split
    classes:     Sequence[str],     # from the table's metadata
) -> list[Answers]:
    """One entry per run (seed, fold), in order.

    Raises ValueError when several arms, architectures or splits are mixed: averaging over them would answer no question.
    """
    for column in ("arm", "architecture", "split", "train_fraction"):
        if column in predictions and predictions[column].nunique() > 1:
            names = join(predictions[column].drop_duplicates(), 5)
            raise ValueError(f"predictions hold several values of {column} ({names}); pass the rows of one, "
                             f"e.g. predictions[predictions.{column} == {predictions[column].iloc[0]!r}]")
    columns = [f"p_{k}" for k in range(len(classes))]
    lacking = [column for column in columns if column not in predictions]
    if lacking:
        raise ValueError(f"{len(classes)} classes need the columns p_0 to p_{len(classes) - 1}; {join(lacking, 5)} not there")
    keys = [column for column in ("seed", "fold") if column in predictions]
    parts = predictions.groupby(keys, dropna=False) if keys else [((0,), predictions)]
    return [
        Answers(
            int(key[0]),
            rows["y_true"].to_numpy(dtype=int),
            rows[columns].to_numpy(dtype=float),
            float(rows["threshold"].astype("Float64").iloc[0]) if "threshold" in rows and rows["threshold"].notna().iloc[0] else np.nan,
        )
        for key, rows in parts if len(rows)
    ]


def mean_of(answers: Sequence[Answers]) -> str:
    """ "one seed" or "mean of 3 seeds", for titles and sentences."""
    runs, seeds = len(answers), len({one.seed for one in answers})
    return "one seed" if runs == 1 else f"mean of {count(runs, 'seed' if runs == seeds else 'run')}"


def positive_indices(classes: Sequence[str], positive: Sequence[str]) -> list[int]:
    """Places of the positive classes; empty when none is named or every class is. Raises ValueError for an unknown name."""
    wrong = [name for name in positive if name not in classes]
    if wrong:
        raise ValueError(f"positive names {join(wrong)}; classes are {join(classes)}")
    chosen = [k for k, name in enumerate(classes) if name in positive]
    return chosen if len(chosen) < len(classes) else []
