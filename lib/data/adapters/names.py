"""Names of images and tables as the ISIC Archive and its users spell them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lib.data.catalogue.entry import DatasetInfo
from lib.data.catalogue.isic_terms import plain_term
from lib.data.folders import Listing, find_table

_REDUCED = "_downsampled"           # some images of ISIC 2019 are called so; the archive's id has no such ending


def image_stems(written: pd.Series) -> pd.Series:
    """Image names without an image's extension."""
    return written.str.replace(r"\.(?:jpe?g|png|tiff?|bmp|webp)$", "", case=False, regex=True)


def archive_ids(stems: pd.Series) -> pd.Series:
    """The ISIC Archive's ids: without "_downsampled"."""
    return stems.str.removesuffix(_REDUCED)


def find_images(listing: Listing, stems: pd.Series) -> list[str | None]:
    """The file of each name, which may or may not end in "_downsampled" on either side."""
    return [next((file for name in (stem, stem.removesuffix(_REDUCED), stem.removesuffix(_REDUCED) + _REDUCED)
                  if (file := listing.by_stem(name))), None) for stem in stems]


def named_diagnoses(terms: pd.Series, info: DatasetInfo) -> pd.Series:
    """A release's terms as ours where they are known under any of its spellings; the others stay as they are written."""
    ours = {term: info.diagnoses.get(term) or info.diagnoses.get(term.upper()) or info.diagnoses.get(plain_term(term)) or term
            for term in terms.unique()}
    return terms.map(ours)


def table_of(root: Path, info: DatasetInfo) -> Path:
    """The metadata file under any of its names, where `*` stands for a date; the last date where there are several."""
    names = [name for pattern in info.table
             for name in ([path.name for path in sorted(root.glob(pattern), reverse=True)] if "*" in pattern else []) or [pattern]]
    return find_table(root, tuple(names), info.layout)
