"""A study's words on the rows: which label and which group each has, and what no one named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pandas as pd

from lib.data.errors import DataError, shorten
from lib.data.records import COLUMNS, Records
from lib.study import Groups, Labels

_NO_CHOICE = frozenset({"image_id", "file", "mask", "patient_id", "lesion_id", "cluster_id", "sha256", "width", "height", "ita"})
ITA_GROUP = "ita_group"             # groups.column may name it: 1–6 by Groh's cut points, measured on the way in


def label_rows(
    records: Sequence[Records],
    labels:  Labels,
) -> list[pd.DataFrame]:
    """For each source one row per image: label (null: left out) and, where left out, kind (excluded or refused) and reason.

    Raises DataError naming every value of `labels.column` that neither `labels.classes` nor `labels.exclude` names: it must not
    end up in some class by accident.
    """
    label_of = {value: label for label, values in labels.classes.items() for value in values}
    values = [_column(record, labels.column, "labels.column") for record in records]
    present = pd.concat(values).value_counts()
    known = [*label_of, *labels.exclude]
    strange = {value: count for value, count in present.items() if value not in known and value != ""}
    if strange:
        named = [f"{value} ({count:,}{_meant(value, label_of, present)})" for value, count in strange.items()]
        raise DataError(
            f"labels: {len(strange)} value{'s' * (len(strange) != 1)} of {labels.column} no class names: {shorten(named, 30)}. "
            "Put each into a class (labels.classes) or leave it out on purpose (labels.exclude)"
        )
    result = []
    for column in values:
        marks = pd.DataFrame({"label": column.map(label_of), "kind": None, "reason": None}, dtype=object)
        left_out = marks["label"].isna()
        marks.loc[left_out, "kind"] = "excluded"
        marks.loc[left_out, "reason"] = [f"{labels.column} {value} is in labels.exclude" for value in column[left_out]]
        unknown = left_out & (column == "") & ("" not in labels.exclude)
        marks.loc[unknown, ["kind", "reason"]] = ["refused", f"has no {labels.column}"]
        result.append(marks)
    return result


def unused_values(
    records: Sequence[Records],
    labels:  Labels,
) -> list[str]:
    """A note for each value in `labels.classes` that no row of any source has; it may be misspelt."""
    present = set().union(*(_column(record, labels.column, "labels.column") for record in records))
    return [f"labels.classes: no row has {labels.column} {value!r} (class {label})"
            for label, values in labels.classes.items() for value in values if value not in present]


def empty_classes(
    used:    pd.Series,             # labels of the images in use
    records: Sequence[Records],
    labels:  Labels,
    *,
    limited: bool,                  # the study uses only some rows of each source
) -> None:
    """Raise DataError for the first class without an image, saying what was looked for and what there is."""
    for label, wanted in labels.classes.items():
        if (used == label).any():
            continue
        present = pd.concat([_column(record, labels.column, "labels.column") for record in records]).value_counts()
        listed = sum(int(present.get(value, 0)) for value in wanted)
        if not listed:
            found = [f"{value} ({count:,})" for value, count in present.items() if value != ""]
            sought = " or ".join(map(repr, wanted)) or "(nothing: its list is empty)"
            raise DataError(f"class {label!r} has no image: no row has {labels.column} {sought}; there are {shorten(found, 30)}. "
                            "Correct labels.classes or take the class out")
        why = "the folder lacks their images or they were refused (see the account of missing and refused images)"
        if limited:
            why += ", or data.rows keeps too few: raise it or take it out"
        raise DataError(f"class {label!r} has no image: {listed:,} rows are listed as {' or '.join(map(repr, wanted))}, but {why}")


def group_rows(
    frame:  pd.DataFrame,           # samples with the groups' column, if their source has it
    groups: Groups,
) -> tuple[pd.Series, list[str]]:
    """The group of each row (null where its value is unknown or in no group), and notes on values that no group names.

    Raises DataError when no source has the column, or when one value stands in two groups.
    """
    column = _name_in(frame, groups.column)
    if column not in frame:
        options = sorted(set(frame.columns) - _NO_CHOICE)
        raise DataError(f"groups.column is {groups.column!r}, which no source has; there are {shorten(options, 40)}")
    group_of: dict[str, str] = {}
    for name, values in groups.values.items():
        for value in map(str, values):
            if value in group_of:
                raise DataError(f"groups.values: {value} stands in {group_of[value]} and in {name}; a value belongs to one group")
            group_of[value] = name
    text = frame[column].astype(object).where(frame[column].notna(), None).map(_text)
    unnamed = text[text.notna() & ~text.isin(list(group_of)) & (text != "")].value_counts()
    notes = [f"{groups.column} {value}: {count:,} images are in no group, because groups.values does not name it"
             for value, count in unnamed.items()]
    return text.map(group_of).astype("str"), notes


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _name_in(frame: pd.DataFrame, column: str) -> str:
    """Where the column lies that a study names: a reader's own `group` or `label` was renamed (see records.add_extras)."""
    renamed = f"{column}_in_table"
    return renamed if renamed in frame and column not in (*COLUMNS, ITA_GROUP) else column


def _column(record: Records, column: str, option: str) -> pd.Series:
    column = _name_in(record.frame, column)
    if column not in record.frame:
        options = sorted(set(record.frame.columns) - _NO_CHOICE)
        raise DataError(f"{option} is {column!r}, which {record.source} does not have; it has {shorten(options, 40)}")
    values = record.frame[column].astype(object)
    return values.where(values.notna(), "").astype(str)


def _meant(value: str, label_of: dict[str, str], present: pd.Series) -> str:
    """Name a value of the study that looks like a misspelling of this one."""
    unused = [known for known in label_of if known not in present.index]
    close = difflib.get_close_matches(value, unused, 1, 0.8)
    return f"; did labels.classes mean it by {close[0]!r}?" if close else ""
