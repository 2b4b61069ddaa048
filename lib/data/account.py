"""The books of intake: rows set aside with a reason, counts that must add up, and the limits that a source may not exceed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lib.data.errors import DataError
from lib.data.records import Records
from lib.study import Source

QUARANTINE = ("dataset", "image_id", "file", "kind", "reason")
KINDS = ("missing", "excluded", "refused")


def set_aside(
    frame:  pd.DataFrame,                   # dataset, image_id, file
    kind:   str | pd.Series,                # one of KINDS; a Series gives each row its own word, by index
    reason: str | pd.Series,
) -> pd.DataFrame:
    """Rows of quarantine."""
    kind, reason = (value.loc[frame.index] if isinstance(value, pd.Series) else value for value in (kind, reason))
    return frame[["dataset", "image_id", "file"]].assign(kind=kind, reason=reason)


def gather(aside: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows of quarantine as one table (QUARANTINE), sorted by data set and image."""
    rows = [frame for frame in aside if len(frame)] or aside[:1]
    return pd.concat(rows, ignore_index=True)[list(QUARANTINE)].sort_values(["dataset", "image_id"], kind="stable", ignore_index=True)


def balance(
    records:    Sequence[Records],
    quarantine: pd.DataFrame,               # of gather
    used:       pd.DataFrame,               # dataset
) -> pd.DataFrame:
    """Counts per data set: dataset, listed, missing, excluded, refused, used. Raises AssertionError when they do not add up."""
    kinds = pd.crosstab(quarantine["dataset"], quarantine["kind"]) if len(quarantine) else pd.DataFrame()
    in_use = used["dataset"].value_counts()
    table = pd.DataFrame([
        {"dataset": record.source, "listed": record.listed,
         **{kind: int(kinds[kind].get(record.source, 0)) if kind in kinds else 0 for kind in KINDS},
         "used": int(in_use.get(record.source, 0))}
        for record in records
    ])
    lost = table[table["listed"] != table[[*KINDS, "used"]].sum(axis=1)]
    if len(lost):
        raise AssertionError(f"rows went astray on the way in, a fault of the program: {lost.to_dict('records')}")
    return table


def check_missing(
    source:          Source,
    record:          Records,
    aside:           Sequence[pd.DataFrame],
    quarantine_path: str | Path,
) -> None:
    """Raise DataError where a source has none of its images or lacks more than its `max_missing`."""
    if not record.missing:
        return
    gone = record.frame.loc[record.frame["file"].isna(), "image_id"]
    if record.missing == len(record.frame):
        raise DataError(f"{source.title}: none of the {record.listed:,} listed images is under {record.root} (first: {gone.iloc[0]}). "
                        f"Expected {record.info.layout}", gather(aside))
    if record.missing > source.max_missing * record.listed:
        raise DataError(f"{source.title}: {record.missing:,} of {record.listed:,} images are missing under {record.root} "
                        f"(first: {gone.iloc[0]}). Listed in {quarantine_path}; the limit is max_missing={source.max_missing:.3g}",
                        gather(aside))


def check_quarantined(
    source:          Source,
    account:         pd.DataFrame,          # of balance
    quarantine:      pd.DataFrame,
    quarantine_path: str | Path,
) -> None:
    """Raise DataError where more of a source's images are refused than its `max_quarantined`."""
    count = account.set_index("dataset").loc[source.title]
    present = count["listed"] - count["missing"]
    if count["refused"] > source.max_quarantined * present:
        refused, limit = count["refused"], source.max_quarantined
        first = quarantine[(quarantine["dataset"] == source.title) & (quarantine["kind"] == "refused")].iloc[0]
        raise DataError(f"{source.title}: {refused:,} of the {present:,} images present are refused (first: {first['image_id']}: "
                        f"{first['reason']}). Listed in {quarantine_path}; the limit is max_quarantined={limit:.3g}", quarantine)
