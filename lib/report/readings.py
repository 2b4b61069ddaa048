"""Does the answer depend on how actinic keratosis is read: a table and sentences (notebook 09)."""

from __future__ import annotations

import pandas as pd

from lib.report.comparisons import names_of_groups, title_of
from lib.report.words import capital, count, estimate, join

WORDS = {"malignant": "counted as malignant", "benign": "counted as benign", "exclude": "left out"}
NO_IMAGES = "No test image shows actinic keratosis, or the study names nothing to act on: how it is read changes nothing."


def readings_table(readings: pd.DataFrame) -> pd.DataFrame:
    """`lib.stats.readings.readings` for reading: a row per declared comparison, a column per reading."""
    rows = names_of_groups(readings)
    rows = rows.assign(
        comparison=[f"{row.arm} against {row.baseline}" for row in rows.itertuples()],
        measure=rows["metric"].map(title_of),
        reading=[f"{WORDS[row.reading]}{' (as here)' if row.own else ''}" for row in rows.itertuples()],
        shown=[f"{row.kind}: {estimate(row.value, row.low, row.high)}" for row in rows.itertuples()],
    )
    names = ["comparison", "measure", "group"]
    table = rows.pivot(index=names, columns="reading", values="shown")
    return table.reindex(index=pd.MultiIndex.from_frame(rows[names].drop_duplicates()),
                         columns=list(dict.fromkeys(rows["reading"]))).rename_axis(columns=None).reset_index()


def describe_readings(readings: pd.DataFrame) -> list[str]:
    """Whether any answer changes with the reading, and which."""
    if readings.empty:
        return [NO_IMAGES]
    rows = names_of_groups(readings)
    sentences = [f"{capital(count(int(rows['keratosis'].iloc[0]), 'test image shows', 'test images show'))} actinic keratosis. The same "
                 f"predictions were scored with it {join([WORDS[name] for name in rows['reading'].unique()])}; nothing was trained again."]
    missing = [WORDS[name] for name in WORDS if name not in set(rows["reading"])]
    if missing:
        sentences.append(f"With it {join(missing)} nothing is left to act on.")
    if rows["reading"].nunique() < 2:
        return [*sentences, "So there is no second reading to hold the answers against."]
    for (metric, group, arm, baseline), part in rows.groupby(["metric", "group", "arm", "baseline"], sort=False):
        name = f"{capital(str(arm))} against {baseline}, {title_of(metric)}, {group}"
        if part["kind"].nunique() == 1:
            sentences.append(f"{name}: {part['kind'].iloc[0]} under every reading.")
            continue
        said = [f"{kind} with it {join([WORDS[row.reading] for row in one.itertuples()], last='or')}"
                for kind, one in part.groupby("kind", sort=False)]
        turns = {"better", "worse"} <= set(part["kind"])
        meaning = "The answer turns round with the reading" if turns else "The word depends on the reading"
        sentences.append(f"{name}: {join(said)}. {meaning}.")
    return sentences
