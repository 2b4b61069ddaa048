"""A split written down once and read everywhere: a CSV with one row per image."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from lib.data.columns import read_csv
from lib.data.errors import DataError, shorten
from lib.data.folds import fold_columns
from lib.data.split import SPLITS, check_classes
from lib.files import write_atomically

_KEYS = ("image_id", "cluster_id", "patient_id", "lesion_id")       # what a row of the file may stand for, the first found wins
_SPELLINGS = {"val": "validation", "valid": "validation", "training": "train", "testing": "test"}


def write_splits(
    frame: pd.DataFrame,            # image_id, cluster_id, split, and with cross-validation split_1 …
    path:  str | Path,
) -> str:
    """Write image_id, cluster_id and the splits, sorted by image, in one step; returns the file's SHA-256."""
    table = frame[["image_id", "cluster_id", "split", *fold_columns(frame)]].sort_values("image_id")
    content = table.to_csv(index=False, lineterminator="\n").encode()
    write_atomically(Path(path), lambda temporary: temporary.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def reuse_splits(
    frame: pd.DataFrame,                    # image_id, cluster_id, patient_id, lesion_id, label, dataset
    path:  str | Path,                      # CSV: image_id (or cluster_id, patient_id, lesion_id) and split
    *,
    test_only: Collection[str] = (),        # data sets whose images are test; the file need not name them
    reserve:   Collection[str] = (),        # data sets whose images are kept back; likewise
) -> tuple[pd.Series, str]:
    """The split of each row as the file has it, and the file's SHA-256.

    An image that the file does not name follows its cluster. Rows for images that are not in `frame` are ignored.
    The file may keep images of any source in reserve. Raises DataError for split names that are not ours, images whose split nothing
    says, a patient (cluster) in two splits, a test-only image outside test, an image of a reserve outside it, and a class that one of
    the file's splits lacks.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"split.file: no file {path}; take the key out and the study makes a split, or put the file there")
    table = read_csv(path)
    key = next((name for name in _KEYS if name in table), None)
    if key is None or "split" not in table:
        raise DataError(f"{path}: expected the columns split and one of {', '.join(_KEYS)}; it has {shorten(list(table.columns))}")
    named = table["split"].str.strip().str.lower().replace(_SPELLINGS)
    known = (*SPLITS, "reserve")
    strange = sorted(set(table.loc[~named.isin(known), "split"]))
    if strange:
        raise DataError(f"{path}: unknown split {shorten([repr(name) for name in strange])}; expected {', '.join(known)}")
    pairs = pd.DataFrame({"key": table[key], "split": named}).drop_duplicates()
    _one_each(pairs["key"], pairs["split"], f"{path}: {key}")
    result = frame[key].astype(object).str.strip().map(pairs.set_index("key")["split"]).astype(object)
    judge, kept = (frame["dataset"].isin(list(names)) for names in (test_only, reserve))
    for apart, kind, split in ((judge, "test-only", "test"), (kept, "reserve", "reserve")):
        wrong = apart & result.notna() & (result != split)
        if wrong.any():
            first = frame.loc[wrong, "image_id"].iloc[0]
            raise DataError(f"{path}: {int(wrong.sum()):,} images of {kind} sources are in another split (first: {first}); "
                            "take their rows out")
        result[apart] = split
    _one_each(frame.loc[result.notna(), "cluster_id"], result[result.notna()], f"{path}: patient (cluster)")
    followed = frame.loc[result.notna(), ["cluster_id"]].assign(split=result).drop_duplicates("cluster_id").set_index("cluster_id")["split"]
    result = result.where(result.notna(), frame["cluster_id"].astype(object).map(followed))
    if result.isna().any():
        first = frame.loc[result.isna(), "image_id"].iloc[0]
        raise DataError(f"{path}: says nothing about {int(result.isna().sum()):,} of {len(frame):,} images (first: {first}); "
                        "add their rows, or take split.file out and the study makes a split")
    learns = ~judge & (result != "reserve")
    splits = [split for split in SPLITS if (result[learns] == split).any()]
    if not {"train", "validation"} <= set(splits):
        raise DataError(f"{path}: puts images in {' and '.join(splits)} only; train and validation are needed")
    check_classes(frame.loc[learns, "label"], result[learns], splits, str(path))
    return result.rename("split").astype("str"), hashlib.sha256(path.read_bytes()).hexdigest()


def _one_each(keys: pd.Series, splits: pd.Series, where: str) -> None:
    count = pd.DataFrame({"key": keys.to_numpy(), "split": splits.to_numpy()}).drop_duplicates().groupby("key")["split"].agg(list)
    twice = count[count.map(len) > 1]
    if len(twice):
        raise DataError(f"{where} {twice.index[0]} is in {' and '.join(sorted(twice.iloc[0]))} ({len(twice):,} such); "
                        "a patient belongs to one split")
