"""Fitzpatrick17k (Groh et al. 2021): clinical images under 114 labels with Fitzpatrick types; the release holds addresses only."""

from __future__ import annotations

from pathlib import Path

from lib.data.columns import parse_tone, pick_columns, read_csv
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.study import Source


def read(
    source: Source,
    root:   Path,           # the folder that holds fitzpatrick17k.csv
) -> Records:
    """Rows of Fitzpatrick17k under either spelling of the type's column; every image is its own patient."""
    info = INFO["fitzpatrick17k"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    listing = list_images(root)
    columns = {
        "image_id":  table[names["image_id"]],
        "file":      [listing.by_stem(image_id) for image_id in table[names["image_id"]]],
        "diagnosis": table[names["diagnosis"]],
        "tone":      parse_tone(table[names["tone"]], path),
        **{extra: table[extra] for extra in info.extras if extra in table},
    }
    return assemble(source, info, root, columns, listing=listing)
