"""HAM10000 (Tschandl et al. 2018): 10,015 dermoscopic images of 7,470 lesions, masks by the same authors."""

from __future__ import annotations

from pathlib import Path

from lib.data.columns import parse_person, pick_columns, read_csv
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.study import Source


def read(
    source: Source,
    root:   Path,           # the folder that holds HAM10000_metadata.csv
) -> Records:
    """Rows of HAM10000; the lesion stands for the patient, whom the release does not name."""
    info = INFO["ham10000"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    listing = list_images(root)
    image_ids = table[names["image_id"]].tolist()
    columns = {
        "image_id":  table[names["image_id"]],
        "file":      [listing.by_stem(image_id) for image_id in image_ids],
        "mask":      [listing.by_stem(image_id + info.mask_suffix) for image_id in image_ids],
        "diagnosis": table[names["diagnosis"]].replace(info.diagnoses),
        "lesion_id": table[names["lesion_id"]],
        **parse_person(table, names, zero_is_null=True),
        **{extra: table[extra] for extra in info.extras if extra in table},
    }
    return assemble(source, info, root, columns, listing=listing)
