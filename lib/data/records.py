"""What a data set's table says, one row per image, before any image is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from lib.data.errors import DataError
from lib.data.folders import Listing
from lib.data.identity import contradictions, crowded_patient, drop_unknown_ids
from lib.data.info import DatasetInfo
from lib.study import Source

COLUMNS = ("image_id", "file", "dataset", "domain", "diagnosis", "tone", "patient_id", "lesion_id", "mask", "age", "sex", "site")
REFUSED = ("dataset", "image_id", "file", "reason")
RESERVED = frozenset({*COLUMNS, "path", "mask_path", "label", "group", "split", "cluster_id", "sha256", "width", "height", "ita",
                      "ita_group", "region"})       # what later steps call their own columns; a table's go under another name


@dataclass(frozen=True)
class Records:
    """The rows of one source.

    `frame` has COLUMNS and any further columns of the release; `file` and `mask` are posix paths relative to `root`, null where
    the folder has no such file. Where skin tone was annotated as a pair of types, it stands in a column tone_group (see
    lib.data.tone_groups) and `tone` is null. `refused` (REFUSED) holds the rows that cannot be used whatever the study asks.
    listed = len(frame) + len(refused).
    """

    source:  str                    # how tables call it (Source.title)
    info:    DatasetInfo
    root:    Path
    frame:   pd.DataFrame
    refused: pd.DataFrame
    notes:   tuple[str, ...] = ()   # what a reader should know, one sentence each

    @property
    def listed(self) -> int:
        """Rows of the table, usable or not."""
        return len(self.frame) + len(self.refused)

    @property
    def missing(self) -> int:
        """Usable rows whose image is not in the folder."""
        return int(self.frame["file"].isna().sum())

    @property
    def extras(self) -> list[str]:
        """Columns beyond the project's own."""
        return [column for column in self.frame if column not in COLUMNS]


def assemble(
    source:  Source,
    info:    DatasetInfo,
    root:    Path,
    columns: Mapping[str, pd.Series | list],    # ours → values, all of one length; image_id, file, diagnosis at least
    *,
    listing: Listing,
    reasons: Mapping[int, str] | None = None,   # row number → why it is refused
    domain:  str | None               = None,   # where there is no column domain
    notes:   list[str]                = (),
    lesions_by_patient: bool          = False,  # a lesion number starts again with each patient, so the two together are the lesion
) -> Records:
    """Put an adapter's columns together: fill what is not known, refuse double ids and unsafe paths, compare the counts.

    Where rows of one image_id agree in diagnosis, patient and file the first is kept; where they do not all are refused, because
    the order of rows must not decide.
    """
    frame = pd.DataFrame({name: list(values) if isinstance(values, list) else values.to_numpy() if values.dtype == object else values.array
                          for name, values in columns.items()})
    if frame.empty:
        raise DataError(f"{source.title}: no image in {root}. Expected {info.layout}.")
    notes = [*notes, *(f"{source.title}: {note}" for note in (*info.reader_notes, *info.policy_notes)),
             *drop_unknown_ids(source.title, frame)]
    if lesions_by_patient and {"patient_id", "lesion_id"} <= set(frame):
        frame["lesion_id"] = (frame["patient_id"] + "/" + frame["lesion_id"]).where(frame["lesion_id"] != "", "")
    notes += [*_compare(source.title, info, frame), *listing.describe_twins(source.title)]
    frame["dataset"] = source.title
    frame["domain"] = source.domain or (_filled(frame["domain"], domain or info.domain) if "domain" in frame else domain or info.domain)
    alone = _filled(frame["file"].astype(object), frame["image_id"].astype(object)) if info.local_ids else frame["image_id"]
    frame["lesion_id"] = _own(frame, "lesion_id", alone)    # a file is itself in every table of its folder; an image_id may not be
    frame["patient_id"] = _own(frame, "patient_id", frame["lesion_id"])
    notes += crowded_patient(source.title, frame)
    contradicting = contradictions(frame)
    if info.local_ids:
        for column in ("lesion_id", "patient_id"):
            frame[column] = f"{whose(source, info)}/" + frame[column].astype(str)
    for column, kind in {"tone": "Int8", "mask": object, "age": "Float64", "sex": object, "site": object}.items():
        if column not in frame:
            frame[column] = pd.Series([None] * len(frame), dtype=kind)
    why = pd.Series([None] * len(frame), dtype=object)
    for row, reason in (reasons or {}).items():
        why.iat[row] = reason
    why = why.where(why.notna(), frame["file"].map(listing.refused.get) if listing.refused else None)
    why = why.where(why.notna(), contradicting)
    again = frame["image_id"].duplicated() & why.isna()
    why[again] = [f"image_id {image_id} stands in an earlier row, too" for image_id in frame.loc[again, "image_id"]]
    if listing.refused:
        frame["mask"] = frame["mask"].where(~frame["mask"].isin(list(listing.refused)), None)
    bad = why.notna()
    refused = frame.loc[bad, ["dataset", "image_id", "file"]].assign(reason=why[bad])
    extras = [column for column in frame if column not in COLUMNS]
    frame[extras] = frame[extras].replace("", None)
    used = frame.loc[~bad, [*COLUMNS, *extras]]
    return Records(source.title, info, root, used.reset_index(drop=True), refused.reset_index(drop=True), tuple(dict.fromkeys(notes)))


def whose(source: Source, info: DatasetInfo) -> str:
    """The folder as the study names it, in one spelling: patients are the same people in all tables of it, and others elsewhere."""
    return str(PurePosixPath(source.folder or info.folder))


def add_extras(
    columns: dict[str, pd.Series | list],           # ours → values, for `assemble`; is added to
    extras:  Iterable[tuple[str, pd.Series]],       # name → values of the table's further columns
) -> None:
    """Keep a table's further columns under their own name, or as `<name>_in_table` where the project has a column called so."""
    for name, values in extras:
        while name in RESERVED or name in columns:
            name += "_in_table"
        columns[name] = values


def _own(frame: pd.DataFrame, column: str, fallback: pd.Series) -> pd.Series:
    """The column, and where it is empty a unit of its own."""
    if column not in frame:
        return fallback.astype(str)
    return _filled(frame[column].astype(object), fallback.astype(object)).astype(str)


def _filled(values: pd.Series, other: pd.Series | str) -> pd.Series:
    return values.where(values.notna() & (values.astype(object) != ""), other)


def _compare(title: str, info: DatasetInfo, frame: pd.DataFrame) -> list[str]:
    """A sentence where the number of rows differs from the official release; where it does not, one for each count that does."""
    rows, official = len(frame), info.counts.get("rows")
    if official is not None and rows != official:
        how = f"a part of the official release, {rows:,} of its" if rows < official else f"{rows:,} rows, the official release has"
        return [f"{title}: {how} {official:,}{' rows' * (rows < official)}; counts by diagnosis and the like differ accordingly"]
    found = {}
    for what in info.counts:
        column, _, value = what.partition(" ")
        if what == "rows":
            found[what] = len(frame)
        elif what in ("patients", "lesions"):
            found[what] = frame[what[:-1] + "_id"].nunique()
        elif what == "diagnoses":
            found[what] = frame["diagnosis"].nunique()
        elif column not in frame:
            continue
        else:
            unknown = frame[column].isna() if value == "unknown" else False      # null, or a release's own word for it
            found[what] = int(((frame[column].astype(str) == value) | unknown).sum())
    return [f"{title}: {found[what]:,} {what}, the official release has {info.counts[what]:,}"
            for what in found if found[what] != info.counts[what]]
