"""Every single training: the numbers behind the means, for looking at how much training again changes."""

from __future__ import annotations

import pandas as pd

from lib.stats.evaluation import ALL, Evaluation


def per_run(evaluation: Evaluation) -> pd.DataFrame:
    """arm, architecture, seed, metric, group ("all" first), value (NaN where not estimable): one row per training, measure and group."""
    table = evaluation.predictions
    rows = []
    for arm in table.arms:
        for architecture in table.architectures:
            for metric in evaluation.metrics:
                for group in [ALL, *evaluation.groups]:
                    missing = bool(evaluation.support[metric, group].reason)
                    values = [float("nan")] * len(table.seeds) if missing else (
                        evaluation.values[arm, architecture, evaluation.key(metric, group)])
                    rows += [(arm, architecture, seed, metric, group, float(one)) for seed, one in zip(table.seeds, values, strict=True)]
    return pd.DataFrame(rows, columns=["arm", "architecture", "seed", "metric", "group", "value"])
