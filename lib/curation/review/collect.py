"""What the ratings say: how the generated images do, whether raters agree, whether they can tell, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as t_distribution

from lib.curation.review.errors import ReviewError
from lib.curation.review.key import Key, read_key
from lib.curation.review.ratings import SIMULATED, read_ratings, review_of
from lib.data.errors import counted
from lib.metrics.agreement import fleiss_kappa, icc
from lib.metrics.estimate import Estimate, number
from lib.stats.delong import delong
from lib.study.review import Review, Scale

CONFIDENCE = 0.95
KINDS      = ("generated", "real")


@dataclass(frozen=True)
class Collected:
    """Everything that came of one review."""

    review:    str
    simulated: bool                 # also a column of each table below, so that no figure can hide it
    scales:    list[str]
    ratings:   pd.DataFrame         # rater, item, one column per scale, and the key's columns
    means:     pd.DataFrame         # scale, kind, by, value, images, ratings, mean, low, high, under, share_under, images_under
    agreement: pd.DataFrame         # scale, kind, statistic, raters, value, low, high, n, reason
    can_tell:  pd.DataFrame         # scale, rater ("all": their mean), value, low, high, n, reason
    verdict:   str                  # accepted, not accepted, not decided, not asked
    reasons:   list[str]
    notices:   list[str]

    def scores(self) -> pd.DataFrame:
        """Per generated image the mean over raters of each scale: image_id, sha256, human_<scale>, human_mean (over scales), human_raters.

        This is what notebook 06 may merge into `curated`. Raises ReviewError where the raters were simulated.
        """
        if self.simulated:
            raise ReviewError("simulated raters have no say: their scores are for figures and never merged into `curated`")
        grouped = self.ratings[self.ratings["kind"] == "generated"].groupby(["image_id", "sha256"])
        scores = grouped[self.scales].mean().astype(float).add_prefix("human_")
        return scores.assign(human_mean=scores.mean(axis=1, skipna=False), human_raters=grouped["rater"].nunique()).reset_index()


def collect(
    paths:  Sequence[Path],         # files of ratings, of one page
    folder: Path,                   # where the key lies
    review: Review,
) -> Collected:
    """Read, check and judge what raters sent. Raises ReviewError."""
    of = {review_of(path): path for path in reversed(paths)}
    if len(of) > 1:
        raise ReviewError(f"ratings of several pages: {', '.join(f'{path} of {name}' for name, path in sorted(of.items()))}; collect each "
                          "page's files apart")
    key = read_key(folder, next(iter(of)))
    ratings, notices = read_ratings(paths, key)
    return summarise(ratings, key, review, notices=[*key.notices, *notices])


def summarise(
    ratings: pd.DataFrame,          # rater, item, one column per scale
    key:     Key,
    review:  Review,                # acceptance and how many raters it takes; scales are the key's
    *,
    notices: Sequence[str] = (),
) -> Collected:
    """The figures of one review; ratings are joined with the key. Raises ReviewError where people and simulated raters are mixed."""
    invented = ratings["rater"].str.casefold().str.startswith(SIMULATED)
    if invented.nunique() != 1:
        raise ReviewError("no ratings, or those of people mixed with simulated ones; summarise each apart")
    simulated = bool(invented.iloc[0])
    joined = ratings.merge(key.items, on="item", how="left", validate="many_to_one")
    agreement = pd.DataFrame([row for scale in key.scales for kind in ("all", *KINDS) for row in _agreement(joined, scale, kind)])
    can_tell = pd.DataFrame([row for scale in key.scales for row in _can_tell(joined, scale)])
    means = pd.DataFrame([row for scale in key.scales for row in _means(joined, scale, _limit(review, scale))])
    verdict, reasons = _verdict(joined, means, key, review)
    tables = [table.assign(simulated=simulated) for table in (joined, means, agreement, can_tell)]
    return Collected(key.review, simulated, [scale.name for scale in key.scales], *tables, verdict, reasons, list(notices))


def _means(joined: pd.DataFrame, scale: Scale, limit: float) -> list[dict[str, Any]]:
    """Of all images of a kind, and by label, group and generator. The interval is Student's over images, each counted once."""
    rows = []
    for kind in KINDS:
        mine = joined[joined["kind"].eq(kind) & joined[scale.name].notna()]
        parts = [("all", "all", mine), *((by, value, part) for by in ("label", "group", "generator") for value, part in mine.groupby(by))]
        for by, value, part in parts:
            of_image = part.groupby("item")[scale.name].mean().astype(float)
            low, high = _interval(of_image.to_numpy())
            rows.append({"scale": scale.name, "kind": kind, "by": by, "value": value, "images": len(of_image), "ratings": len(part),
                         "mean": part[scale.name].astype(float).mean(), "low": low, "high": high, "under": limit,
                         "share_under": part[scale.name].lt(limit).astype(float).mean(), "images_under": of_image.lt(limit).mean()})
    return rows


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        return math.nan, math.nan
    half = t_distribution.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def _agreement(joined: pd.DataFrame, scale: Scale, kind: str) -> list[dict[str, Any]]:
    """On the images that every rater rated."""
    mine = joined if kind == "all" else joined[joined["kind"] == kind]
    table = mine.pivot(index="item", columns="rater", values=scale.name).reindex(columns=sorted(joined["rater"].unique())).dropna()
    n, raters = table.shape
    if n < 2 or raters < 2:
        why = f"{counted(raters, 'rater')} and {counted(n, 'picture')} rated by all, needs 2 of each"
        found = dict.fromkeys(("ICC(2,1)", "ICC(2,k)", "Fleiss kappa"), Estimate.missing(why, n=n))
    else:
        scores = table.to_numpy(dtype=float)
        kappa = fleiss_kappa((scores[:, :, None] == np.array(scale.points)).sum(axis=1))
        single = icc(scores, confidence=CONFIDENCE)
        found = {"ICC(2,1)": single["single"], "ICC(2,k)": single["mean"],
                 "Fleiss kappa": Estimate(kappa, math.nan, math.nan, CONFIDENCE, n, "" if kappa == kappa else "all ratings are equal")}
    return [{"scale": scale.name, "kind": kind, "statistic": name, "raters": raters, **_row(one)} for name, one in found.items()]


def _can_tell(joined: pd.DataFrame, scale: Scale) -> list[dict[str, Any]]:
    """AUROC of "rated higher is real": 0.5 is guessing, 1 tells all apart. "all" is the mean over these raters, patients as units."""
    table = joined.pivot(index="item", columns="rater", values=scale.name).astype(float)
    about = joined.drop_duplicates("item").set_index("item")
    columns = {rater: table[[rater]].dropna() for rater in table.columns}
    rows = []
    for rater, scores in {"all": table.dropna(), **columns}.items():
        known = about.loc[scores.index]
        is_real = known["kind"].eq("real").to_numpy()
        few = min(is_real.sum(), (~is_real).sum())
        if few < 2:
            found = Estimate.missing(f"{counted(int(few), 'picture')} of one kind rated, needs 2", n=len(known))
        else:
            area = delong(is_real, scores.to_numpy().T, clusters=known["cluster_id"].to_numpy())
            low, high = area.interval(CONFIDENCE)
            found = Estimate(float(area.value), float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)), CONFIDENCE, len(known))
        rows.append({"scale": scale.name, "rater": rater, **_row(found)})
    return rows


def _row(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n, "reason": estimate.reason}


def _limit(review: Review, scale: Scale) -> float:
    """Ratings under this count as poor: the study's limit on the scale that acceptance is about, the lower third of the others."""
    if review.acceptance and scale.name == review.judged.name:
        return review.acceptance.under
    return scale.low + math.ceil((len(scale.points)) / 3)


def _verdict(joined: pd.DataFrame, means: pd.DataFrame, key: Key, review: Review) -> tuple[str, list[str]]:
    if review.acceptance is None:
        return "not asked", []
    wanted, name, raters = review.acceptance, review.judged.name, joined["rater"].nunique()
    if name not in [scale.name for scale in key.scales]:
        return "not decided", [f"acceptance is about {name}, and this page asked for {', '.join(scale.name for scale in key.scales)}"]
    found = means[means["scale"].eq(name) & means["kind"].eq("generated") & means["by"].eq("all")].iloc[0]
    reasons = [
        f"mean {name} of generated images {number(found['mean'], 2)}, wanted above {wanted.mean:g}",
        f"{number(100 * found['share_under'], 1)} % of their ratings are under {wanted.under:g}, wanted under {100 * wanted.share:g} %",
    ]
    lacking = []
    if raters < review.raters:
        lacking.append(f"{counted(raters, 'rater')}, and curation.review.raters asks for {review.raters}")
    if not found["ratings"]:
        lacking.append("no generated image is rated")
    if (items := key.items["kind"].eq("generated").sum()) > found["images"] > 0:
        lacking.append(f"{found['images']:,} of {items:,} generated images are rated")
    if lacking:
        return "not decided", lacking + (reasons if found["ratings"] else [])
    return "accepted" if found["mean"] > wanted.mean and found["share_under"] < wanted.share else "not accepted", reasons
