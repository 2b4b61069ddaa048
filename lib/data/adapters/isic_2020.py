"""ISIC 2020, training part (Rotemberg et al. 2021): 33,126 dermoscopic images of 2,056 patients, 584 of them melanomas."""

from __future__ import annotations

from pathlib import Path

from lib.data.adapters.names import archive_ids, find_images, image_stems, named_diagnoses
from lib.data.columns import parse_person, pick_columns, read_csv
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.study import Source

_DUPLICATES = "ISIC_2020_Training_Duplicates.csv"


def read(
    source: Source,
    root:   Path,           # the folder that holds ISIC_2020_Training_GroundTruth_v2.csv (or the older table, or Kaggle's train.csv)
) -> Records:
    """Rows of ISIC 2020; "unknown" stays as it is written: benign, but not said what."""
    info = INFO["isic_2020"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    stems = image_stems(table[names["image_id"]])
    listing = list_images(root)
    columns = {
        "image_id":         archive_ids(stems),
        "file":             find_images(listing, stems),
        "diagnosis":        named_diagnoses(table[names["diagnosis"]], info),
        "patient_id":       table[names["patient_id"]],
        **({"lesion_id": table[names["lesion_id"]]} if "lesion_id" in names else {}),
        **parse_person(table, names, zero_is_null=False),
        "benign_malignant": table[names["nature"]].str.lower(),
    }
    here = (root / _DUPLICATES).is_file()
    notes = [f"{source.title}: 425 pairs of its images are published as duplicates; "
             + (f"name {root.name}/{_DUPLICATES} in data.duplicates.pairs to keep each pair in one split" if here else
                f"put {_DUPLICATES} beside the table and name it in data.duplicates.pairs to keep each pair in one split")]
    if "lesion_id" not in names:
        notes.append(f"{source.title}: {path.name} names no lesions; ISIC_2020_Training_GroundTruth_v2.csv does")
    return assemble(source, info, root, columns, listing=listing, notes=notes)
