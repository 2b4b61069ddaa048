"""A study's words on the rows: which label and which group each has, and what no one named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pandas as pd

from lib.data import taxonomy
from lib.data.errors import DataError, counted, shorten
from lib.data.records import COLUMNS, Records
from lib.data.tone_groups import types_of
from lib.study import Groups, Labels

_NO_CHOICE = frozenset({"image_id", "file", "mask", "patient_id", "lesion_id", "cluster_id", "sha256", "width", "height", "ita"})
ITA_GROUP = "ita_group"             # groups.column may name it: 1–6 by Groh's cut points, measured on the way in


def label_rows(
    records: Sequence[Records],
    labels:  Labels,
) -> list[pd.DataFrame]:
    """For each source one row per image: label (null: left out) and, where left out, kind (excluded or refused) and reason.

    Under `condition` and `target`, sources without a column of that name are read by `lib.data.taxonomy`. Raises DataError naming
    every value of `labels.column` that neither `labels.classes` nor `labels.exclude` names, and every diagnosis that the taxonomy
    has no word for: neither must end up in some class by accident.
    """
    label_of = {value: label for label, values in labels.classes.items() for value in values}
    columns = _columns(records, labels)
    present = pd.concat([values for values, _ in columns]).value_counts()
    known = [*label_of, *labels.exclude]
    strange = {value: count for value, count in present.items() if value not in known and value != ""}
    if strange:
        named = [f"{value} ({count:,}{_meant(value, label_of, present)})" for value, count in strange.items()]
        raise DataError(
            f"labels: {len(strange)} value{'s' * (len(strange) != 1)} of {labels.column} no class names: {shorten(named, 30)}. "
            "Put each into a class (labels.classes) or leave it out on purpose (labels.exclude)"
        )
    result = []
    for column, on_purpose in columns:
        marks = pd.DataFrame({"label": column.map(label_of), "kind": None, "reason": None}, dtype=object)
        left_out = marks["label"].isna()
        marks.loc[left_out, "kind"] = "excluded"
        marks.loc[left_out, "reason"] = [f"{labels.column} {value} is in labels.exclude" for value in column[left_out]]
        unknown = left_out & (column == "") & ("" not in labels.exclude)
        marks.loc[unknown, ["kind", "reason"]] = ["refused", f"has no {labels.column}"]
        policy = unknown & on_purpose.notna()
        marks.loc[policy, "kind"], marks.loc[policy, "reason"] = "excluded", on_purpose[policy]
        result.append(marks)
    return result


def unused_values(
    records: Sequence[Records],
    labels:  Labels,
) -> list[str]:
    """A note for each value in `labels.classes` that no row of any source has; it may be misspelt.

    Under `condition` and `target` also what the taxonomy has to say: words of the study that meet no row, and lesions whose data
    set calls them otherwise than their diagnosis.
    """
    present = set().union(*(values for values, _ in _columns(records, labels)))
    return [f"labels.classes: no row has {labels.column} {value!r} (class {label})"
            for label, values in labels.classes.items() for value in values if value not in present] + taxonomy.remarks(records, labels)


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
        present = pd.concat([values for values, _ in _columns(records, labels)]).value_counts()
        listed = sum(int(present.get(value, 0)) for value in wanted)
        if not listed:
            found = [f"{value} ({count:,})" for value, count in present.items() if value != ""]
            sought = " or ".join(map(repr, wanted)) or "(nothing: its list is empty)"
            raise DataError(f"class {label!r} has no image: no row has {labels.column} {sought}; there are {shorten(found, 30)}. "
                            "Correct labels.classes or take the class out")
        why = "the folder lacks their images, or they were refused or excluded (see the account)"
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
    notes = [f"{groups.column} {value}: {counted(count, 'image is', 'images are')} in no group, because groups.values does not name it"
             for value, count in unnamed.items()]
    found = text.map(group_of)
    if column == "tone" and "tone_group" in frame:
        found = found.where(text.notna(), _groups_of_pairs(frame.loc[text.isna(), "tone_group"], group_of, notes))
    return found.astype("str"), notes


def _groups_of_pairs(annotated: pd.Series, group_of: dict[str, str], notes: list[str]) -> pd.Series:
    """The group of tones annotated as pairs of types: known only where both types lie in one group. Adds to `notes`."""
    result = {}
    for pair, count in annotated.value_counts().items():
        types = types_of(pair)
        names = {group_of.get(str(number)) for number in types} if types else set()
        if len(names) == 1 and None not in names:
            result[pair] = names.pop()
        elif types:
            notes.append(f"tone {pair}: {counted(count, 'image is', 'images are')} in no group, because groups.values does not hold this "
                         "pair of types in one group")
    return annotated.map(result)


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _name_in(frame: pd.DataFrame, column: str) -> str:
    """Where the column lies that a study names: a reader's own `group` or `label` was renamed (see records.add_extras)."""
    renamed = f"{column}_in_table"
    return renamed if renamed in frame and column not in (*COLUMNS, ITA_GROUP) else column


def _columns(records: Sequence[Records], labels: Labels) -> list[tuple[pd.Series, pd.Series]]:
    """For each source the value of labels.column ("" where it has none), and why a row without one is left out on purpose, or null."""
    told = taxonomy.label_columns(records, labels)
    return [told.get(record.source) or (_column(record, labels.column), pd.Series(None, index=record.frame.index, dtype=object))
            for record in records]


def _column(record: Records, column: str) -> pd.Series:
    asked, column = column, _name_in(record.frame, column)
    if column not in record.frame:
        options = sorted(set(record.frame.columns) - _NO_CHOICE)
        way_out = f", or name its diagnoses in labels.conditions.{record.source}" if asked in taxonomy.COLUMNS else ""
        raise DataError(f"labels.column is {asked!r}, which {record.source} does not have; it has {shorten(options, 40)}{way_out}")
    values = record.frame[column].astype(object)
    return values.where(values.notna(), "").astype(str)


def _meant(value: str, label_of: dict[str, str], present: pd.Series) -> str:
    """Name a value of the study that looks like a misspelling of this one."""
    unused = [known for known in label_of if known not in present.index]
    close = difflib.get_close_matches(value, unused, 1, 0.8)
    return f"; did labels.classes mean it by {close[0]!r}?" if close else ""
