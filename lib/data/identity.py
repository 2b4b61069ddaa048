"""Who and what a row is: words that name nobody, ids that contradict each other, and one patient who holds too much of a source."""

from __future__ import annotations

import pandas as pd

from lib.data.columns import UNKNOWN_WORDS
from lib.data.errors import counted, shorten

CROWDED  = 0.20             # share of a source's images under one patient from which on a reader should look
FEW_ROWS = 50               # sources smaller than this may well be of three patients
_CALLED  = {"patient_id": "patient", "lesion_id": "lesion"}


def drop_unknown_ids(
    title: str,                         # of the source
    frame: pd.DataFrame,                # text columns patient_id, lesion_id, where the table has them; is changed
) -> list[str]:
    """Make "" of ids such as "nan", "N/A" or "unknown", which would join strangers to one patient; a note for each column with some."""
    notes = []
    for column, thing in _CALLED.items():
        if column not in frame:
            continue
        text = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
        words = text.str.strip().str.lower()
        unknown = words.isin(UNKNOWN_WORDS) & (words != "")
        frame[column] = text.mask(unknown, "")
        if unknown.any():
            written = shorten([repr(word) for word in sorted(set(text[unknown]))])
            notes.append(f"{title}: in {counted(int(unknown.sum()), 'row')} the {thing} is written as {written}, which is read as unknown, "
                         f"not as one {thing}")
    return notes


def crowded_patient(
    title: str,
    frame: pd.DataFrame,                # patient_id, filled for every row
) -> list[str]:
    """A note where one patient has more than CROWDED of a source of FEW_ROWS images or more: probably a word for "not known"."""
    counts = frame["patient_id"].value_counts()
    if len(frame) < FEW_ROWS or counts.iloc[0] <= CROWDED * len(frame):
        return []
    return [f"{title}: patient {counts.index[0]!r} has {counts.iloc[0]:,} of {len(frame):,} images: is that a real patient? If the word "
            "stands for unknown, empty the cell"]


def contradictions(
    frame: pd.DataFrame,                # image_id, diagnosis, patient_id, file
) -> pd.Series:
    """Why a row cannot be used whose image_id another row gives to another diagnosis, patient or file; null elsewhere."""
    why = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    again = frame[frame["image_id"].duplicated(keep=False)]
    if again.empty:
        return why
    for column, called in (("diagnosis", ""), ("patient_id", "patient "), ("file", "file ")):
        text = again[column].astype(object).where(again[column].notna(), "").astype(str)
        for image_id, values in text.groupby(again["image_id"]):
            several = sorted(values.unique())
            if len(several) > 1:
                named = " and ".join(f"with {called}{value or 'none'}" for value in several)
                rows = values.index[why[values.index].isna()]
                why[rows] = f"image_id {image_id} is listed {named}; nothing here says which is right"
    return why
