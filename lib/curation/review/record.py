"""What a review leaves on disk, and how people's scores come into `curated`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pandas as pd

from lib.curation.review.collect import Collected
from lib.curation.review.key import read_key
from lib.files import write_atomically, write_json
from lib.metrics.estimate import number
from lib.study.review import Review

_SCORES = re.compile(r"scores-([0-9a-f]{12})\.csv")


def write_collected(folder: Path, collected: Collected) -> list[Path]:
    """Write `summary-<review>.json` and, of people alone, `scores-<review>.csv`; of simulated raters `simulated-summary.json`."""
    name = "simulated-summary" if collected.simulated else f"summary-{collected.review}"
    tables = {part: _records(getattr(collected, part)) for part in ("means", "agreement", "can_tell")}
    summary = folder / f"{name}.json"
    write_json(summary, {"review": collected.review, "simulated": collected.simulated, "verdict": collected.verdict,
                         "sentences": describe(collected), **tables})
    if collected.simulated:
        return [summary]
    scores = folder / f"scores-{collected.review}.csv"
    write_atomically(scores, lambda temporary: collected.scores().to_csv(temporary, index=False))
    return [summary, scores]


def human_scores(
    folder: Path,           # where reviews leave their files; need not exist
    review: Review,
) -> pd.DataFrame:
    """Scores of all reviews on the study's scales: image_id, sha256, human_<scale>, human_mean, human_raters; no row where there is none.

    An image that two reviews showed has the mean over all its raters. Files of simulated raters are never read. Raises ReviewError
    where a review's key is gone or damaged.
    """
    names = [f"human_{name}" for name in (*(scale.name for scale in review.scales), "mean")]
    asked = [(scale.name, scale.low, scale.high) for scale in review.scales]
    parts = []
    for path in sorted(folder.glob("scores-*.csv")):
        known = _SCORES.fullmatch(path.name)
        if known and [(scale.name, scale.low, scale.high) for scale in read_key(folder, known[1]).scales] == asked:
            parts.append(pd.read_csv(path, dtype={"image_id": str, "sha256": str}))
    if not parts:
        return pd.DataFrame(columns=["image_id", "sha256", *names, "human_raters"])
    table = pd.concat(parts, ignore_index=True)
    raters = table["human_raters"]
    sums = table[names].mul(raters, axis=0).assign(human_raters=raters)
    sums = sums.groupby([table["image_id"], table["sha256"]]).agg(lambda values: values.sum(skipna=False))
    sums[names] = sums[names].div(sums["human_raters"], axis=0)
    return sums.reset_index()


def merge_scores(
    curated: pd.DataFrame,          # image_id, sha256 …
    scores:  pd.DataFrame,          # of `human_scores`
) -> pd.DataFrame:
    """`curated` with people's scores, missing where nobody looked. Pictures are known by name and content: one drawn anew has no score."""
    kept = curated.drop(columns=[name for name in scores.columns if name.startswith("human_") and name in curated.columns])
    merged = kept.merge(scores, on=["image_id", "sha256"], how="left", validate="one_to_one")
    columns = [name for name in scores.columns if name.startswith("human_")]
    return merged.astype({name: float for name in columns}).set_axis(curated.index)


def people_keep(curated: pd.DataFrame, review: Review) -> pd.Series:
    """Whether an image may stay as far as people are concerned: nobody looked, or its mean is not under `review.keep`."""
    scores = curated["human_mean"]
    return scores.isna() | (scores >= (-math.inf if review.keep is None else review.keep))


def describe(collected: Collected) -> list[str]:
    """Sentences computed from the tables; every one names simulated raters where they are."""
    who = "Simulated raters: " if collected.simulated else ""
    sentences = []
    for scale in collected.scales:
        rows = collected.means[collected.means["scale"].eq(scale) & collected.means["by"].eq("all")].set_index("kind")
        parts = [f"{kind} images {number(row['mean'], 2)} ({row['images']:,} images, {row['ratings']:,} ratings, "
                 f"{number(100 * row['share_under'], 1)} % of ratings under {row['under']:g})" for kind, row in rows.iterrows()]
        sentences.append(f"{scale}: {'; '.join(parts)}.")
        sentences.append(f"{scale}: the rating as a test of real against generated has an AUROC of "
                         f"{_shown(collected.can_tell, scale, rater='all')} (0.5: raters cannot tell).")
        sentences.append(f"{scale}: agreement of raters ICC(2,1) {_shown(collected.agreement, scale, kind='all', statistic='ICC(2,1)')}, "
                         f"ICC(2,k) {_shown(collected.agreement, scale, kind='all', statistic='ICC(2,k)')}, "
                         f"Fleiss kappa {_shown(collected.agreement, scale, kind='all', statistic='Fleiss kappa')}.")
    if collected.verdict != "not asked":
        sentences.append(f"Verdict: {collected.verdict} ({'; '.join(collected.reasons)}).")
    return [f"{who}{sentence}" for sentence in [*sentences, *(f"Notice: {notice}." for notice in collected.notices)]]


def _shown(table: pd.DataFrame, scale: str, **where: str) -> str:
    row = table[table["scale"].eq(scale) & pd.concat([table[name].eq(value) for name, value in where.items()], axis=1).all(axis=1)].iloc[0]
    if row["reason"]:
        return f"not estimable: {row['reason']}"
    interval = f" ({number(row['low'], 2)} to {number(row['high'], 2)})" if row["low"] == row["low"] else ""
    return f"{number(row['value'], 2)}{interval}"


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    finite = table.replace([math.inf, -math.inf], math.nan).astype(object)
    return finite.where(table.notna() & finite.notna(), None).to_dict("records")
