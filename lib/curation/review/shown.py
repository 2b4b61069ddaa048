"""What notebook 06 shows of the raters: what people said, else, of phantoms, what invented raters would make the figures look like."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib.curation.review.collect import summarise
from lib.curation.review.errors import ReviewError
from lib.curation.review.key import Key
from lib.curation.review.record import describe
from lib.curation.review.sample import draw_sample
from lib.curation.review.simulate import simulate
from lib.study.review import Review, Scale

QUALITY  = {"generated": 0.6, "real": 0.8}      # of the invented raters: where on the scale pictures lie, 0 worst to 1 best
_MOST    = 200                                  # pictures that they are shown, half of them real
_TABLES  = ("means", "agreement", "can_tell")
_NUMBERS = ("value", "images", "ratings", "mean", "low", "high", "under", "share_under", "images_under", "n", "raters")


@dataclass(frozen=True)
class Shown:
    """The figures of reviews, each table with a column `review`; simulated in each of them where the raters were."""

    means:     pd.DataFrame         # columns of `Collected.means`
    agreement: pd.DataFrame
    can_tell:  pd.DataFrame
    sentences: list[str]
    simulated: bool


def shown_reviews(
    folder:   Path,                 # where reviews leave their files; need not exist
    curated:  pd.DataFrame,         # the curated table
    held_out: pd.DataFrame,         # real images that no generator learnt from: image_id, sha256, label, group, cluster_id
    scales:   list[Scale],
    *,
    phantoms: bool,                 # whether all images are phantoms: only then raters may be invented
) -> Shown:
    """What people said of any page, else of phantoms what invented raters say; empty tables where nobody rated or may be invented.

    Invented raters are named so in every table and sentence, give no verdict, and touch neither `curated` nor a file. Raises ReviewError
    where a summary is damaged.
    """
    paths = sorted(folder.glob("summary-*.json"))
    if paths:
        return _of_people([_read(path) for path in paths])
    if phantoms:
        return _invented(curated, held_out, scales)
    return Shown(*(pd.DataFrame() for _ in _TABLES), ["Nobody has rated these images."], simulated=False)


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["simulated"]:
            raise ValueError("it is of simulated raters")
        return {name: content[name] for name in ("review", "sentences", *_TABLES)}
    except (ValueError, KeyError, TypeError) as error:
        raise ReviewError(f"{path.name} is damaged ({error}); collect its ratings again: python -m lib.curation.review collect") from None


def _of_people(summaries: list[dict]) -> Shown:
    tables = []
    for name in _TABLES:
        parts = [pd.DataFrame(one[name]).assign(review=one["review"]) for one in summaries]
        table = pd.concat(parts, ignore_index=True)
        numbers = [column for column in _NUMBERS if column in table and not (name == "means" and column == "value")]
        tables.append(table.astype({column: float for column in numbers}))
    several = len(summaries) > 1
    said = [f"Page {one['review']}: {sentence}" if several else sentence for one in summaries for sentence in one["sentences"]]
    return Shown(*tables, said, simulated=False)


def _invented(curated: pd.DataFrame, held_out: pd.DataFrame, scales: list[Scale]) -> Shown:
    review = Review(scales=scales, acceptance=None, which="all", images=max(2, min(_MOST, 2 * len(curated))))
    items, notices = draw_sample(curated, held_out, review)
    key = Key("simulated", scales, items, notices)
    found = summarise(simulate(key, quality=QUALITY, seed=review.seed), key, review, notices=notices)
    return Shown(*(getattr(found, name).assign(review=key.review) for name in _TABLES), describe(found), simulated=True)
