"""PAD-UFES-20 (Pacheco et al. 2020): smartphone images with patients, lesions and Fitzpatrick types."""

from __future__ import annotations

from pathlib import Path

from lib.data.columns import parse_person, parse_tone, pick_columns, read_csv
from lib.data.errors import counted
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.study import Source


def read(
    source: Source,
    root:   Path,           # the folder that holds metadata.csv
) -> Records:
    """Rows of PAD-UFES-20; a lesion is `<patient>/<lesion>`, because 250 lesion numbers belong to several patients."""
    info = INFO["pad_ufes_20"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    listing = list_images(root)
    stems = table[names["image_id"]].str.replace(r"\.[A-Za-z]+$", "", regex=True)       # the table says .png, the files may be .jpg
    patients, lesions = table[names["patient_id"]], table[names["lesion_id"]]
    shared = int((table.groupby(names["lesion_id"])[names["patient_id"]].nunique() > 1).sum())
    columns = {
        "image_id":   stems,
        "file":       [listing.by_stem(stem) for stem in stems],
        "mask":       [listing.by_stem(stem + info.mask_suffix) for stem in stems],
        "diagnosis":  table[names["diagnosis"]].replace(info.diagnoses),
        "tone":       parse_tone(table[names["tone"]], path),
        "patient_id": patients,
        "lesion_id":  lesions,
        **parse_person(table, names, zero_is_null=False),
        **{extra: table[extra] for extra in info.extras if extra in table},
    }
    notes = [f"{source.title}: {counted(shared, 'lesion number belongs', 'lesion numbers belong')} to several patients; so a lesion is a "
             "patient and a lesion number together"] if shared else []
    return assemble(source, info, root, columns, listing=listing, notes=notes, lesions_by_patient=True)
