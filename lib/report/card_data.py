"""What a card says about where its images come from and what may be done with them: sources, counts, licences, checks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from lib.data.info import find_info
from lib.report.words import capital, join, number, percent
from lib.study import Source
from lib.tables import SPLITS

IDENTIFIERS = {"Apache-2.0": "apache-2.0", "CC BY 4.0": "cc-by-4.0", "CC BY-NC 4.0": "cc-by-nc-4.0", "CC BY-NC-SA 3.0": "cc-by-nc-sa-3.0"}
LIMITS = (                                      # what a licence's text holds → what it means for whoever uses the images
    (r"\bNC\b|non-commercial", "not for commercial use"),
    (r"\bSA\b",                "to be passed on under the same licence only"),
    (r"no passing on",         "not to be passed on"),
    (r"not stated",            "the licence is not stated: ask whoever owns the images"),
)
NO_GROUP, ALL = "no group", "all"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))


def sources_table(sources: Sequence[Source], samples: pd.DataFrame) -> pd.DataFrame:
    """A row per source: source, data set, role, licence, and its images in each split."""
    rows = []
    for source in sources:
        info, mine = find_info(source.dataset), samples[samples["dataset"] == source.title]
        rows.append({"source": source.title, "data set": info.title, "role": source.role.replace("_", " "), "licence": info.licence,
                     **{split: int((mine["split"] == split).sum()) for split in SPLITS if (samples["split"] == split).any()}})
    return pd.DataFrame(rows)


def learnt_from(sources: Sequence[Source]) -> list[Source]:
    """The sources whose training images a generator may have seen."""
    return [source for source in sources if source.role == "development"]


def licence_identifier(sources: Sequence[Source], base_models: Sequence[str] = ()) -> tuple[str, str | None]:
    """The Hub's identifier of the one licence that covers all, else "other", and then a name for it.

    Only base models made by this project are known to bring no licence of their own.
    """
    found = {find_info(source.dataset).licence for source in learnt_from(sources)}
    if len(found) == 1 and found <= set(IDENTIFIERS) and all(model.startswith("phantom-") for model in base_models):
        return IDENTIFIERS[found.pop()], None
    return "other", "as-the-training-images-and-the-base-model-allow"


def describe_licences(sources: Sequence[Source], base_models: Sequence[str] = ()) -> list[str]:
    """What the licences of the training images and of the base model ask of whoever uses the result."""
    said = []
    for source in learnt_from(sources):
        info = find_info(source.dataset)
        limits = [meaning for pattern, meaning in LIMITS if re.search(pattern, info.licence)]
        terms = f"{info.licence} ({join(limits)})" if limits else info.licence
        said.append(f"{info.title}: {terms}." + (f" {info.citation}." if info.citation else ""))
    said += [f"The base model {model} has a licence of its own, which also holds for what is made with it." for model in base_models
             if not model.startswith("phantom-")]
    return [*said, "Whether a licence of training images extends to images generated from them is not settled: treat it as if it did, and "
                   "take the strictest where there are several."]


def reader_notes(sources: Sequence[Source]) -> list[str]:
    """What every reader must know about the data sets that were learnt from."""
    return list(dict.fromkeys(f"{find_info(source.dataset).title}: {note}" for source in learnt_from(sources)
                              for note in find_info(source.dataset).reader_notes))


def counts_table(
    images: pd.DataFrame,
    labels: Sequence[str],              # in the study's order
    groups: Sequence[str],
) -> pd.DataFrame:
    """Images by label and group, with totals; groups without an image are left out."""
    group = images["group"].astype(object).where(images["group"].notna(), NO_GROUP)
    table = pd.crosstab(images["label"].to_numpy(), group.to_numpy(), margins=True, margins_name=ALL)
    rows, columns = ([name for name in names if name in known]
                     for names, known in (((*labels, ALL), table.index), ((*groups, NO_GROUP, ALL), table.columns)))
    return table.loc[rows, columns].rename_axis(index="label", columns=None).reset_index()


def describe_checks(curated: pd.DataFrame) -> list[str]:
    """How many of a generator's images the checks of 06 refused and why, and for which cells fewest were left."""
    refused = curated.loc[curated["verdict"] != "passed", "verdict"].value_counts()
    by_check = f": {join([f'{check} {number(int(n))}' for check, n in refused.items()], 8)}" if len(refused) else ""
    share = percent(refused.sum() / len(curated))
    sentences = [f"Of {number(len(curated))} images, the checks refused {number(int(refused.sum()))} ({share}){by_check}."]
    cells = curated.assign(tone=curated["tone_key"].astype(object).where(curated["tone_key"].notna(), ""))
    shares = cells.groupby(["label", "tone"], sort=False)["verdict"].agg(lambda verdicts: (verdicts == "passed").mean())
    low = shares[shares < 0.5].sort_values()
    if len(low):
        names = [f"{label}{f', tone {tone}' if tone else ''} ({percent(share)})" for (label, tone), share in low.items()]
        sentences.append(f"In these cells less than half passed: {join(names, 6)}.")
    scores = [column for column in curated.columns if str(column).startswith("human_")]
    return [*sentences, "No person rated them." if not scores else capital(f"people rated them: {join(scores)}.")]


def size_category(images: int) -> str:
    """The Hub's word for so many images."""
    return next((name for limit, name in SIZES if images < limit), "n>10M")
