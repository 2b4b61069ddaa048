"""Lists of duplicates that others have published: CSVs under DATA_ROOT with two columns of image names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from lib.data.columns import read_csv
from lib.data.errors import DataError
from lib.data.formats import IMAGE_EXTENSIONS
from lib.data.state import pairs_paths

# Pairs of column names as published: ISIC_2020_Training_Duplicates.csv (Rotemberg et al. 2021), the lists for HAM10000 and
# Fitzpatrick17k of Abhishek et al. 2025 (Scientific Data 12:196), our own table of pairs, and what such columns are usually called.
SPELLINGS = (
    ("image_name_1", "image_name_2"), ("from_img", "to_img"), ("image1", "image2"), ("image_id", "other_id"),
    ("image_id_1", "image_id_2"), ("isic_id_1", "isic_id_2"), ("md5hash_1", "md5hash_2"), ("image_1", "image_2"), ("id_1", "id_2"),
)


def read_published(
    files:  Sequence[str],              # of data.duplicates.pairs
    images: pd.DataFrame,               # image_id, file
    root:   Path,                       # DATA_ROOT
) -> tuple[np.ndarray, list[str]]:
    """The pairs of which both images are there, as row numbers int64 [P, 2], and a note per list.

    A name means the image with this id, else the one file with this stem; folders and image extensions are ignored. Where no column
    has a known name (SPELLINGS), the first two with a name count. Raises DataError for a list that is not there or has no two columns.
    """
    found, notes = [np.zeros((0, 2), np.int64)], []
    for file, path in pairs_paths(files, root).items():
        if not path.is_file():
            raise DataError(f"data.duplicates.pairs: no file {path}; it is read under DATA_ROOT ({root}), so put it there, or take {file} "
                            "out of the list")
        one, other = _two_columns(read_csv(path), path)
        ends = np.stack([_rows(names, images) for names in (one, other)], axis=1)
        there = ~np.isnan(ends).any(axis=1) & (ends[:, 0] != ends[:, 1])
        found.append(ends[there].astype(np.int64))
        strange = len(set(one[np.isnan(ends[:, 0])]) | set(other[np.isnan(ends[:, 1])]))
        gone = f"; {strange:,} of its image names are not among the images" if strange else ""
        notes.append(f"{file}: {there.sum():,} of {len(ends):,} published pairs of duplicates are among the images{gone}")
    return np.concatenate(found), notes


def _two_columns(table: pd.DataFrame, path: Path) -> tuple[pd.Series, pd.Series]:
    lower = {column.lower(): column for column in table}
    for one, other in SPELLINGS:
        if one in lower and other in lower:
            return table[lower[one]], table[lower[other]]
    named = [column for column in table if not re.fullmatch(r"column \d+|Unnamed: \d+", column)]
    if len(named) < 2:
        raise DataError(f"{path}: has the columns {', '.join(table)}; expected two columns of image names, e.g. {', '.join(SPELLINGS[0])}")
    return table[named[0]], table[named[1]]


def _rows(names: pd.Series, images: pd.DataFrame) -> np.ndarray:
    """The row of each name's image, float64 [P], NaN where there is none."""
    ids = dict(zip(images["image_id"], range(len(images)), strict=True))
    stems = images["file"].map(_bare)
    alone = ~stems.duplicated(keep=False)
    bare = names.map(_bare)
    found = names.map(ids).fillna(bare.map(ids)).fillna(bare.map(dict(zip(stems[alone], np.flatnonzero(alone), strict=True))))
    return found.to_numpy(dtype=float)


def _bare(name: str) -> str:
    """The name without folder and image extension."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    return path.stem if path.suffix.lower() in IMAGE_EXTENSIONS else path.name
