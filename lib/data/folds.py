"""Grouped cross-validation: every patient is tested once, by what learnt from the others alone.

A test set of a few patients judges nothing. So the clusters are dealt into folds, stratified by label × group; in fold k its clusters
are the test set, and validation is cut from the rest. The `samples` table then has a column for each fold, `split_1` …, with the split of
every image in it, and whoever works in a fold sees that column as `split` and no other.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from lib.data.errors import DataError
from lib.data.split import assign_splits, deal
from lib.study import Split

_COLUMN = "split_{}"


def split_folds(
    samples: pd.DataFrame,                  # cluster_id, label, group (null allowed), dataset
    split:   Split,                         # folds, seed, and how large train and validation are to each other
    *,
    reserve: Collection[str] = (),          # data sets that no fold learns from or tests on
) -> pd.DataFrame:
    """`samples` with `split_1` … `split_K`, and `split` as in the first fold; each cluster is the test set of exactly one.

    A class need not be in every fold, but in train and validation of each. Raises DataError where it cannot be, naming fold and class,
    and where there are more folds than clusters.
    """
    rest = samples[~samples["dataset"].isin(list(reserve))]
    clusters = rest["cluster_id"].nunique()
    if split.folds > clusters:
        raise DataError(f"split.folds is {split.folds}, and the images are of {clusters} patients (or lesions, where patients are not "
                        f"named); a fold needs one at least, so set it to {clusters} or less")
    dealt = deal(rest, {str(fold): 1 / split.folds for fold in split.fold_numbers}, split.seed, complete=False)
    learning = {"train": split.train / (split.train + split.validation), "validation": split.validation / (split.train + split.validation)}
    columns = {}
    for fold in split.fold_numbers:
        column = pd.Series("test", index=samples.index, dtype=object)
        others = samples[samples["cluster_id"].map(dealt) != str(fold)]
        try:
            column[others.index] = assign_splits(others, learning, split.seed, reserve=reserve)
        except DataError as error:
            raise DataError(f"split.folds, fold {fold} of {split.folds}: {error}") from None
        columns[_COLUMN.format(fold)] = column.astype("str")
    return samples.assign(split=columns[_COLUMN.format(1)], **columns)


def fold_columns(samples: pd.DataFrame) -> list[str]:
    """Names of the columns with the splits of single folds; none without cross-validation."""
    return [name for name in samples.columns if name.startswith(_COLUMN.format(""))]


def in_fold(
    samples: pd.DataFrame,          # of `split_folds`
    fold:    int | None,            # None: there are no folds, or all are meant
) -> pd.DataFrame:
    """The table as a job of this fold sees it: with its own split, and without those of the others."""
    if fold is None:
        return samples
    return samples.assign(split=samples[_COLUMN.format(fold)]).drop(columns=fold_columns(samples))


def judged(samples: pd.DataFrame) -> pd.DataFrame:
    """The images that are tested, each as a test image; with folds those of all."""
    columns = fold_columns(samples) or ["split"]
    return samples[samples[columns].eq("test").any(axis=1)].assign(split="test")


def describe_folds(samples: pd.DataFrame) -> list[str]:
    """What is tested and learnt from in each fold, a sentence; none without folds."""
    columns = fold_columns(samples)
    if not columns:
        return []
    sizes = [samples[column].value_counts() for column in columns]
    spans = [f"{min(of):,} to {max(of):,}" if min(of) < max(of) else f"{min(of):,}"
             for of in ([int(size.get(name, 0)) for size in sizes] for name in ("test", "train", "validation"))]
    return [f"Cross-validation in {len(columns)} folds: each tests {spans[0]} images and learns from {spans[1]}, with {spans[2]} for "
            "validation; no patient is on two sides of a fold, and each image is tested once. Counts by split are those of fold 1."]
