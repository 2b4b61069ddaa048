"""From the tables of a study to pages for raters and the key that stays here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib.curation.review.errors import ReviewError
from lib.curation.review.key import Key, review_id, write_key
from lib.curation.review.page import make_page
from lib.curation.review.pictures import data_uri, load_pictures, picture_hash
from lib.curation.review.ratings import SIMULATED
from lib.curation.review.sample import draw_sample
from lib.files import write_atomically
from lib.study import Study

RATER = re.compile(r"\w(?:[\w .-]{0,38}[\w.-])?")       # what the page takes, too


@dataclass(frozen=True)
class Made:
    """What `make` wrote."""

    pages:   list[Path]
    key:     Path
    notices: list[str]


def make(
    study:   Study,
    outputs: Path,                  # the study's outputs
    folder:  Path,                  # where pages and key go
    *,
    raters:  Sequence[str] = (),    # a page for each, in an order of its own; none: one page that asks for the name
) -> Made:
    """Write `review-<id>.html` (or one per rater) and `key-<id>.json`; the same study and outputs give the same files.

    A page of other images has another id, so nothing that raters work on is ever overwritten. Raises ReviewError, TableError.
    """
    from lib.curation.candidates import real_rows
    from lib.data.sources import source_folders
    from lib.tables import read_table
    from lib.training.seeds import numpy_generator

    _check_raters(raters)
    review = study.curation.review
    made = [outputs / "06_curation" / generator / "curated.parquet" for generator in study.generators]
    there = [path for path in made if path.is_file()] or made[:1]           # none: the reader says what to run
    curated = pd.concat([read_table("curated", path) for path in there], ignore_index=True)
    samples = read_table("samples", outputs / "01_eda" / "samples.parquet")
    _, held_out = real_rows(samples, study, is_gan=False)
    items, notices = draw_sample(curated, held_out, review)
    roots = source_folders(study.data.sources, phantom_root=outputs / "01_eda" / "images")
    cache = outputs.parent / ".state" / study.name / "cache"
    pictures = load_pictures(items, curated, samples, outputs / "05_generation", roots, study, cache=cache)
    key = Key(review_id(items, [picture_hash(one) for one in pictures], review.scales), review.scales, items, notices)
    uris = [data_uri(one) for one in pictures]
    folder.mkdir(parents=True, exist_ok=True)
    kept, pages = write_key(folder, key), []
    for rater in raters or [""]:
        order = numpy_generator(review.seed, "review", "order", rater).permutation(len(items)) if rater else range(len(items))
        page = make_page(
            review   = key.review,
            title    = study.title,
            scales   = review.scales,
            items    = [items["item"].iloc[place] for place in order],
            pictures = [uris[place] for place in order],
            size     = max(len(one) for one in pictures),
            labels   = [items["label"].iloc[place] for place in order] if review.show_label else None,
            rater    = rater,
        )
        pages.append(folder / f"review-{key.review}{'-' + re.sub(r'[^0-9A-Za-z]+', '-', rater) if rater else ''}.html")
        write_atomically(pages[-1], lambda temporary, page=page: temporary.write_text(page, encoding="utf-8"))
    return Made(pages, kept, notices)


def _check_raters(raters: Sequence[str]) -> None:
    for rater in raters:
        if not RATER.fullmatch(rater) or rater.casefold().startswith(SIMULATED):
            raise ReviewError(f"rater {rater!r}: a name has up to 40 letters, digits, spaces, dots and dashes, and does not begin with "
                              f"{SIMULATED}")
    names = [re.sub(r"[^0-9a-z]+", "-", rater.casefold()) for rater in raters]
    if twice := sorted({rater for rater, name in zip(raters, names, strict=True) if names.count(name) > 1}):
        raise ReviewError(f"raters {', '.join(twice)} would share a file; give each another name")
