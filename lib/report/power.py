"""What the test set could have shown, and what it would take to show what matters (notebook 09)."""

from __future__ import annotations

import math

import pandas as pd

from lib.report.comparisons import names_of_groups, reason, title_of
from lib.report.words import NOTHING, capital, count, number, percent


def power_table(power: pd.DataFrame) -> pd.DataFrame:
    """`lib.stats.power.power_of` for reading: a row per declared comparison."""
    rows = names_of_groups(power)
    return pd.DataFrame({
        "comparison":           [f"{row.arm} against {row.baseline}" for row in rows.itertuples()],
        "measure":              [title_of(metric) for metric in rows["metric"]],
        "group":                rows["group"],
        "smallest that matters": [f"{margin:g}" for margin in rows["margin"]],
        "smallest to be found": [number(x) for x in rows["detectable"]],
        "patients":             _now_and_needed(rows, "n_clusters", "clusters_needed"),
        "images":               _now_and_needed(rows, "n_images", "images_needed"),
        "trainings per arm":    _now_and_needed(rows, "seeds", "seeds_needed"),
    })


def describe_power(
    power: pd.DataFrame,                # of lib.stats.power.power_of
    *,
    share: float = 0.8,                 # of repetitions of the study that shall find the difference
) -> list[str]:
    """Per declared comparison: the smallest difference that would have been found, and what it takes to find the margin."""
    sentences = [" ".join([*_describe(row, share), *_rough(row)]) for row in names_of_groups(power).itertuples()]
    if power["detectable"].notna().sum() > 1:
        sentences.append("Each of these holds for its comparison alone; corrected for their number, somewhat more is needed.")
    return sentences


def _describe(row, share: float) -> list[str]:
    name, trainings = f"{title_of(row.metric)} for {row.group}", count(int(row.seeds), "training")
    if pd.isna(row.detectable):
        return [f"{capital(name)}: what could have been found is not estimable ({reason(row)})."]
    basis = f"these {count(int(row.n_clusters), 'patient or lesion', 'patients or lesions')} and {trainings} per arm"
    pair, margin = f"{row.arm} and {row.baseline}", f"the {row.margin:g} declared to matter"
    if math.isinf(row.detectable):
        return [f"With {basis}, no difference between {pair} in {name} could have been found {_how_often(share)}, however large."]
    found = (f"With {basis}, a true difference of {number(row.detectable)} or more between {pair} in {name} would have been found "
             f"{_how_often(share)}.")
    networks = ["This holds for these trained networks only: with one training per arm nothing is known about training again."]
    if row.detectable <= row.margin:
        return [found, f"That covers {margin}: for this question alone the study was large enough.", *(networks if row.seeds == 1 else [])]
    more = []
    if pd.notna(row.clusters_needed):
        images = "" if pd.isna(row.images_needed) else f" ({_about(row.images_needed)} images)"
        more.append(f"to find one as small as {margin} it would take about {_about(row.clusters_needed)} patients or lesions{images}")
    if pd.notna(row.seeds_needed):
        more.append(f"{'or,' if more else f'to find one as small as {margin} it would take,'} with the same patients, about "
                    f"{_about(row.seeds_needed)} trainings per arm")
    if more:
        return [found, capital(", ".join(more)) + ".", *(networks if row.seeds == 1 else [])]
    return [found, f"To find one as small as {margin} it takes both more patients and more trainings: neither alone would be enough."]


def _rough(row) -> list[str]:
    """That few trainings make it a guess, as the table's note has it; of rows that have an answer."""
    parts = [part.strip() for part in str(row.note).split(";")] if pd.notna(row.detectable) else []
    return [f"All this is {part}." for part in parts if part.startswith("a rough guess")]


def _how_often(share: float) -> str:
    return {0.8: "four times in five", 0.9: "nine times in ten", 0.95: "19 times in 20", 0.75: "three times in four"}.get(
        round(share, 4), f"in {percent(share)} of repetitions")


def _about(how_many: float) -> str:
    """Rounded up to two digits: a projection is no more exact than that."""
    if how_many < 100:
        return number(math.ceil(how_many))
    step = 10 ** (math.floor(math.log10(how_many)) - 1)
    return number(math.ceil(how_many / step) * step)


def _now_and_needed(rows: pd.DataFrame, now: str, needed: str) -> list[str]:
    """"150 → 1,300", with "–" where no number is enough."""
    return [f"{NOTHING if pd.isna(a) else number(int(a))} → {NOTHING if pd.isna(b) else _about(b)}"
            for a, b in zip(rows[now], rows[needed], strict=True)]
