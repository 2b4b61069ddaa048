"""Each arm's value of a metric, for everybody and per group, with intervals: the table a reader sees first, and the others after it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.report.comparisons import pick, title_of
from lib.report.words import estimate, number, percent


def headline_table(
    estimates: pd.DataFrame,              # of lib.stats.compare.per_arm
    *,
    metric:    str,
    arms:      Sequence[str],             # in the study's order
) -> pd.DataFrame:
    """Rows are arms, columns "arm", then everybody and the groups; cells read "0.874 (0.851–0.896)" or "not estimable"."""
    rows, _ = pick(estimates, metric)
    rows = rows.assign(shown=[estimate(row.value, row.low, row.high) for row in rows.itertuples()])
    table = rows.pivot(index="arm", columns="group", values="shown").loc[list(arms), list(dict.fromkeys(rows["group"]))]
    return table.rename_axis(columns=None).reset_index()


def measures_table(
    estimates: pd.DataFrame,              # of lib.stats.compare.per_arm
    *,
    metrics:   Sequence[str],
    arms:      Sequence[str],
) -> pd.DataFrame:
    """The same for several metrics under each other, with the metric's name in front."""
    tables = [headline_table(estimates, metric=metric, arms=arms) for metric in metrics]
    for metric, table in zip(metrics, tables, strict=True):
        table.insert(0, "measure", title_of(metric))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["measure", "arm"])


def describe_scales(
    metrics:             Sequence[str],
    *,
    minimum_sensitivity: float,           # of the partial AUROC, as evaluated
) -> list[str]:
    """The scale of a measure that does not run from 0 to 1, and what guessing gets on it."""
    if "partial_auroc" not in metrics:
        return []
    most = 1 - minimum_sensitivity
    return [f"The {title_of('partial_auroc')} counts only thresholds that find at least {percent(minimum_sensitivity)} of the positives: "
            f"it runs from 0 to {number(most, 2)}, and guessing gets {number(most**2 / 2, 3)}."]


def headline_record(table: pd.DataFrame, *, metric: str, confidence: float, resamples: int) -> dict:
    """The headline as plain JSON, for the front page and the README."""
    return {
        "caption":  f"{title_of(metric)} on the test images, by arm",
        "columns":  list(table.columns),
        "rows":     table.to_numpy().tolist(),
        "interval": f"{100 * confidence:g} %, patients by {resamples:,} bootstrap resamples, trainings by their spread",
    }


def table_record(table: pd.DataFrame, caption: str) -> dict:
    """Any table of texts as such a record; it has no interval of its own."""
    return {"caption": caption, "columns": [str(column) for column in table.columns], "rows": table.to_numpy().tolist(), "interval": ""}
