"""ISIC 2019, training part: 25,331 dermoscopic images, the class marked with a one in a column of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lib.data.adapters.names import archive_ids, find_images, image_stems
from lib.data.columns import parse_person, pick_columns, read_csv
from lib.data.errors import DataError, counted, shorten
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, assemble
from lib.study import Source

_METADATA = ("ISIC_2019_Training_Metadata.csv",)
_FACTS = ("lesion_id", "age", "sex", "site")


def read(
    source: Source,
    root:   Path,           # the folder that holds both tables
) -> Records:
    """Rows of ISIC 2019; a row that marks no class, or several, is refused. The lesion stands for the patient."""
    info = INFO["isic_2019"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, {"image_id": info.columns["image_id"]}, info.required, path)
    classes = [column for column in table if column.upper() in info.diagnoses]
    if not classes:
        raise DataError(f"{path}: no column for a class; looked for {' or '.join(info.diagnoses)}, the file has "
                        f"{shorten(list(table.columns), 30)}")
    stems = image_stems(table[names["image_id"]])
    ids, listing = archive_ids(stems), list_images(root)
    facts = _facts(find_table(root, _METADATA, info.layout)).reindex(ids, fill_value="").reset_index(drop=True)
    codes, reasons = _marked(table[classes])
    columns = {
        "image_id":  ids,
        "file":      find_images(listing, stems),
        "diagnosis": codes.map(info.diagnoses).fillna(""),
        "lesion_id": facts["lesion_id"],
        **parse_person(facts, dict(zip(facts, facts, strict=True)), zero_is_null=True),        # HAM10000's 0 is unknown
    }
    alone = int((columns["lesion_id"] == "").sum())
    notes = [f"{source.title}: {note}" for note in info.notes[:2]]
    if alone:
        notes.append(f"{source.title}: {counted(alone, 'image has', 'images have')} no lesion number and "
                     f"{'counts as a lesion of its' if alone == 1 else 'count as lesions of their'} own")
    return assemble(source, info, root, columns, listing=listing, reasons=reasons, notes=notes)


def _facts(path: Path) -> pd.DataFrame:
    """The second table, by the archive's id. Raises DataError without its lesions, because splits would leak."""
    info, table = INFO["isic_2019"], read_csv(path)
    names = pick_columns(table, info.columns, ("image_id", "lesion_id"), path)
    facts = table[[names[ours] for ours in _FACTS if ours in names]].set_axis([ours for ours in _FACTS if ours in names], axis=1)
    facts.index = archive_ids(image_stems(table[names["image_id"]]))
    return facts[~facts.index.duplicated()]


def _marked(marks: pd.DataFrame) -> tuple[pd.Series, dict[int, str]]:
    """The one class that each row marks (null elsewhere), and why other rows cannot be used."""
    ones = marks.apply(pd.to_numeric, errors="coerce")
    odd = ~ones.isin((0, 1)).all(axis=1)
    several = ones.eq(1).sum(axis=1)
    codes = ones.eq(1).idxmax(axis=1).str.upper().where(several.eq(1) & ~odd)
    reasons = {}
    for row in codes.index[codes.isna()]:
        named = [str(column) for column in marks if ones.at[row, column] == 1]
        reasons[row] = ("a class column holds neither 0 nor 1" if odd[row] else f"is marked as {' and '.join(named)}" if named
                        else "is marked as no class")
    return codes, reasons
