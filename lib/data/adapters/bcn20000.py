"""BCN20000 (Hernández-Pérez et al. 2024): dermoscopic images of one hospital, hard places and large lesions included."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from lib.data.adapters.names import archive_ids, find_images, image_stems, named_diagnoses, table_of
from lib.data.columns import parse_person, pick_columns, read_csv
from lib.data.diagnosis_tables import from_table
from lib.data.errors import DataError, counted, shorten
from lib.data.folders import list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.study import Source

_LEVELS = tuple(f"diagnosis_{level}" for level in (5, 4, 3, 2, 1))     # the archive's hierarchy, the most detailed level first


def read(
    source: Source,
    root:   Path,           # the folder that holds the archive's metadata.csv or Figshare's bcn_20k_train.csv
) -> Records:
    """Rows of BCN20000 from the archive's hierarchy, its older single column, or Figshare's codes; lesions where they are named."""
    info = INFO["bcn20000"]
    path = table_of(root, info)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    stems = image_stems(table[names["image_id"]])
    listing = list_images(root)
    columns = {
        "image_id":  archive_ids(stems),
        "file":      find_images(listing, stems),
        "diagnosis": _diagnoses(table, names, path),
        **parse_person(table, names, zero_is_null=False),
        **{ours: table[names[ours]] for ours in ("lesion_id", "patient_id") if ours in names},
        **({"domain": table["image_type"].map(_domain)} if "image_type" in table else {}),
        **{extra: table[extra] for extra in info.extras if extra in table},
    }
    withheld = int((columns["diagnosis"] == "").sum())
    notes = [f"{source.title}: {counted(withheld, 'image has', 'images have')} no diagnosis in {path.name}; under "
             "labels.column: diagnosis, write \"\" into labels.exclude to leave them out on purpose"] if withheld else []
    if "lesion_id" not in names and "patient_id" not in names:
        notes.append(f"{source.title}: {path.name} names neither lesions nor patients, so every image counts as a patient of its own, and "
                     "pictures of one lesion may lie in two splits; use a table with lesion_id")
    if "diagnosis_1" not in table:                          # the counts are of the archive's hierarchy
        info = dataclasses.replace(info, counts={})
    return assemble(source, info, root, columns, listing=listing, notes=notes)


def _diagnoses(table: pd.DataFrame, names: dict[str, str], where: Path) -> pd.Series:
    """The single column, or the deepest level of the hierarchy that the taxonomy has a word for, else the deepest there is.

    New subtypes of a known condition ("Basal cell carcinoma, Nodular") thus are what the level above says; the levels themselves are
    kept as columns.
    """
    info = INFO["bcn20000"]
    if "diagnosis" in names:
        return named_diagnoses(table[names["diagnosis"]], info)
    levels = [level for level in _LEVELS if level in table]
    if not levels:
        raise DataError(f"{where}: no column for diagnosis; looked for diagnosis_1 to diagnosis_5, diagnosis or dx, the file has "
                        f"{shorten(list(table.columns), 30)}")
    worded, deepest = (pd.Series("", index=table.index, dtype=object) for _ in range(2))
    for level in levels:
        terms = named_diagnoses(table[level], info).astype(object)
        known = {term for term in terms.unique() if term and from_table(info.name, term) is not None}
        worded = worded.where((worded != "") | ~terms.isin(known), terms)
        deepest = deepest.where(deepest != "", terms)
    return worded.where(worded != "", deepest)


def _domain(image_type: str) -> str:
    """The archive's image_type ("dermoscopic", "clinical: close-up") as a domain; empty where it is another."""
    return next((domain for domain in ("dermoscopic", "clinical") if image_type.lower().startswith(domain)), "")
