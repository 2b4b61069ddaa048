"""Arms held against other arms, each pair by itself: what one thing changes, the rest left alone (notebook 08)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from lib.stats.compare import check_arm, contrast, numbers
from lib.stats.evaluation import ALL, Evaluation
from lib.stats.rows import make_table

NAMES = ("arm", "baseline", "architecture", "metric", "group")


def paired_differences(
    evaluation: Evaluation,
    pairs:      Iterable[tuple[str, str]],          # (arm, the arm that it is held against)
    *,
    metrics:    Sequence[str] | None = None,        # these only; default: all of the evaluation
    groups:     Sequence[str] | None = None,        # these only ("all" is everybody); default: everybody and all groups
) -> pd.DataFrame:
    """The first arm of each pair minus the second, paired over patients and seeds.

    Columns: arm, baseline, architecture, metric, group, value … note, as those of `lib.stats.compare.differences`, without p-values.
    Intervals are not corrected for their number. Raises ValueError for an arm without predictions.
    """
    pairs = list(dict.fromkeys(pairs))
    for arm in dict.fromkeys(arm for pair in pairs for arm in pair):
        check_arm(evaluation, arm)
    return make_table(NAMES, [
        {**dict(zip(NAMES, (arm, baseline, architecture, metric, group), strict=True)),
         **numbers(evaluation, metric, group, contrast(evaluation, architecture, metric, group, {arm: 1, baseline: -1}))}
        for arm, baseline in pairs
        for architecture in evaluation.architectures
        for metric in (evaluation.metrics if metrics is None else metrics)
        for group in ([ALL, *evaluation.groups] if groups is None else groups)
    ])
