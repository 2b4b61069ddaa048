"""Pictures that are the same scene under several names: found by content, pixels, published lists and, where asked, an encoder.

Nothing is dropped here. Whoever shares a scene lies in one cluster, and clusters are dealt to the splits as a whole. A copy with a
border added around it is not found by its pixels: its whole no longer lies over the other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.alignment import SAME, sameness
from lib.data.perceptual import Fingerprints, make_signatures, similar_pairs
from lib.data.published_pairs import read_published
from lib.study import Duplicates

PAIRS = ("image_id", "other_id", "kind", "distance", "dataset", "other_dataset", "same_patient", "same_label", "path", "other_path")
KINDS = ("identical", "same name", "near", "published", "embedding")    # the most certain first; a pair has the first it was found by
_PORTION = 256                                              # candidate pairs laid over each other at once; about 50 MB


def check_settings(
    settings: Duplicates,
    root:     Path,                     # DATA_ROOT, where settings.pairs lie
) -> None:
    """Read the published lists and load the encoder once without an image. Raises DataError where one of them is of no use.

    For the time before all images are opened, which takes long.
    """
    none = pd.DataFrame({"image_id": [], "dataset": [], "file": [], "sha256": []}, dtype=object)
    read_published(settings.pairs, none, root)
    if settings.encoder:
        from lib.data.embedding import embed  # only here: loads torch

        embed(none, {}, settings.encoder)


def find_pairs(
    images:   pd.DataFrame,             # image_id, dataset, file, sha256, patient_id, label: all that could be opened
    prints:   Fingerprints | None,      # row by row; needed where `settings.near`
    settings: Duplicates,
    roots:    Mapping[str, Path],       # data set → its folder
    *,
    root:     Path,                     # DATA_ROOT, where settings.pairs lie
    cache:    Path | None = None,       # folder for embeddings
    threads:  int         = 1,          # the result does not depend on it
) -> tuple[pd.DataFrame, list[str]]:
    """The pairs as a table (PAIRS, sorted by the two ids, image_id before other_id), and notes on the published lists.

    `path` and `other_path` are files below the folders of `dataset` and `other_dataset`. The kind "same name" is of `same_names`.
    `distance` is 0 for identical files, 1 − sameness for near-duplicates (up to 1 − lib.data.alignment.SAME), 1 − cosine for
    embeddings and null for published pairs. Of identical files every image is paired with the first of each data set; a near-
    duplicate of one of them with those, too. The result depends on the ids and contents alone, not on the order of rows.
    """
    order = np.argsort(images["image_id"].to_numpy(dtype=str), kind="stable")
    images = images.iloc[order].reset_index(drop=True)
    content = pd.factorize(images["sha256"])[0]                         # numbered as they first appear
    first = np.flatnonzero(~images["sha256"].duplicated())              # content → its first row
    heads = pd.DataFrame({"content": content, "head": range(len(images))})[~images.duplicated(["sha256", "dataset"])]
    found = [_identical(content, heads)]
    if settings.near:
        found.append(_spread(_near(prints[order[first]], threads), heads))
    if settings.encoder:
        from lib.data.embedding import embed, similar_vectors  # only here: loads torch

        vectors = embed(images.iloc[first], roots, settings.encoder, cache=cache, threads=threads)
        found.append(_spread(_links(*similar_vectors(vectors, settings.similarity), "embedding"), heads))
    published, notes = read_published(settings.pairs, images, root)
    links = pd.concat([*found, _links(*published.T, np.full(len(published), np.nan), "published")], ignore_index=True)
    links["rank"] = links["kind"].map(KINDS.index)
    links = links.sort_values(["i", "j", "rank", "distance"], kind="stable").drop_duplicates(["i", "j"])
    return _table(links, images), notes


def same_names(
    listed: pd.DataFrame,               # dataset, image_id, file, patient_id, label: all rows of all sources; label may be null
    opened: pd.DataFrame,               # dataset, image_id: the rows that could be used
) -> pd.DataFrame:
    """Pairs (PAIRS, kind "same name") of the files that several sources have of one image_id, each with the one that was taken.

    image_id and other_id are equal; `dataset` is the source that the image was taken from, `other_dataset` one that it was not.
    `same_label` is true also where one of the two has no label.
    """
    images = listed[listed["file"].notna()]
    images = images[images["image_id"].duplicated(keep=False)]
    taken = pd.MultiIndex.from_frame(images[["dataset", "image_id"]]).isin(pd.MultiIndex.from_frame(opened[["dataset", "image_id"]]))
    images = images.assign(taken=taken).sort_values(["image_id", "taken"], ascending=[True, False], kind="stable", ignore_index=True)
    heads = np.flatnonzero(~images["image_id"].duplicated())
    others = np.flatnonzero(images["image_id"].duplicated())
    owner = heads[np.searchsorted(heads, others) - 1] if len(others) else others
    return _table(_links(owner, others, np.full(len(others), np.nan), "same name"), images)


def _identical(content: np.ndarray, heads: pd.DataFrame) -> pd.DataFrame:
    several = np.flatnonzero(pd.Series(content).duplicated(keep=False))
    met = pd.DataFrame({"content": content[several], "row": several}).merge(heads, on="content")
    met = met[met["row"] != met["head"]]
    return _links(met["row"].to_numpy(), met["head"].to_numpy(), np.zeros(len(met)), "identical")


def _near(prints: Fingerprints, threads: int) -> pd.DataFrame:
    """Candidates by signature, then judged pair by pair."""
    signatures = make_signatures(prints.grey)

    def judge(pairs: np.ndarray) -> np.ndarray:
        return sameness(prints, signatures, *pairs)

    candidates = similar_pairs(prints, signatures, threads=threads)
    portions = [candidates[:, start:start + _PORTION] for start in range(0, candidates.shape[1], _PORTION)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        score = np.concatenate([*pool.map(judge, portions), np.zeros(0)])
    same = score >= SAME
    return _links(*candidates[:, same], 1 - score[same], "near")


def _links(i: np.ndarray, j: np.ndarray, distance: np.ndarray, kind: str | np.ndarray) -> pd.DataFrame:
    low, high = np.minimum(i, j), np.maximum(i, j)
    return pd.DataFrame({"i": low.astype(np.int64), "j": high.astype(np.int64), "kind": kind, "distance": distance.astype(np.float64)})


def _spread(links: pd.DataFrame, heads: pd.DataFrame) -> pd.DataFrame:
    """Pairs of contents as pairs of rows: the first image of each data set that has the one with those that have the other."""
    both = links.merge(heads, left_on="i", right_on="content").merge(heads, left_on="j", right_on="content", suffixes=("", "_other"))
    return _links(both["head"].to_numpy(), both["head_other"].to_numpy(), both["distance"].to_numpy(), both["kind"].to_numpy())


def _table(links: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    one, other = (images.iloc[links[column]].reset_index(drop=True) for column in ("i", "j"))
    table = pd.DataFrame({
        "image_id": one["image_id"], "other_id": other["image_id"],
        "kind": links["kind"].to_numpy(), "distance": links["distance"].to_numpy(),
        "dataset": one["dataset"], "other_dataset": other["dataset"],
        "same_patient": one["patient_id"] == other["patient_id"],
        "same_label": (one["label"] == other["label"]) | one["label"].isna() | other["label"].isna(),
        "path": one["file"], "other_path": other["file"],
    })
    return table.astype(dict.fromkeys(table.columns.difference(["distance", "same_patient", "same_label"]), "str"))


def count_overlap(
    pairs:   pd.DataFrame,              # of find_pairs
    sources: Sequence[str],             # data sets in the study's order
) -> pd.DataFrame:
    """Shared images of every two sources, one row each, also within one source.

    Columns: source, other, images (of source that have a partner in other), other_images, then pairs by kind (KINDS).
    """
    rows = []
    for number, source in enumerate(sources):
        for other in sources[number:]:
            forth = pairs[(pairs["dataset"] == source) & (pairs["other_dataset"] == other)]
            back = pairs[(pairs["dataset"] == other) & (pairs["other_dataset"] == source)] if other != source else forth.iloc[:0]
            mine, theirs = {*forth["image_id"], *back["other_id"]}, {*forth["other_id"], *back["image_id"]}
            if source == other:
                mine = theirs = mine | theirs
            kinds = pd.concat([forth["kind"], back["kind"]]).value_counts()
            rows.append((source, other, len(mine), len(theirs), *(int(kinds.get(kind, 0)) for kind in KINDS)))
    return pd.DataFrame(rows, columns=["source", "other", "images", "other_images", *KINDS])
