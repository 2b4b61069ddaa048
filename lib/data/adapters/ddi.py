"""DDI (Daneshjou et al. 2022): 656 clinical photographs with biopsied diagnoses, balanced over three groups of skin tones."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lib.data.adapters.names import image_stems
from lib.data.columns import pick_columns, read_csv
from lib.data.errors import DataError, shorten
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.data.tone_groups import parse_tone_group
from lib.study import Source

_YES_OR_NO = {**dict.fromkeys(("true", "1", "1.0"), "True"), **dict.fromkeys(("false", "0", "0.0"), "False")}


def read(
    source: Source,
    root:   Path,           # the folder that holds ddi_metadata.csv
) -> Records:
    """Rows of DDI; skin tone is a pair of types (tone_group), so tone is unknown; `malignant` is "True" or "False"."""
    info = INFO["ddi"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    stems = image_stems(table[names["file"]])
    listing = list_images(root)
    columns = {
        "image_id":   "DDI_" + stems,                       # bare numbers would clash with anybody's
        "file":       [listing.by_stem(stem) for stem in stems],
        "diagnosis":  table[names["diagnosis"]],
        "malignant":  _yes_or_no(table[names["malignant"]], names["malignant"], path),
        "tone_group": parse_tone_group(table[names["tone_group"]], path),
    }
    notes = []
    if source.role != "test_only":
        notes.append(f"{source.title}: {info.notes[0]} Give it `role: test_only`, so that it never reaches training; as it is, "
                     "part of it trains the classifier that the rest judges.")
    return assemble(source, info, root, columns, listing=listing, notes=notes)


def _yes_or_no(values: pd.Series, column: str, where: Path) -> pd.Series:
    text = values.str.lower()
    strange = sorted(set(values[~text.isin(list(_YES_OR_NO))]))
    if strange:
        raise DataError(f"{where}: {column} is {shorten([repr(value) for value in strange])}; expected TRUE, FALSE, 1 or 0")
    return text.map(_YES_OR_NO)
