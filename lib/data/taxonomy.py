"""From every data set's own diagnosis to one of ten conditions, and from there to malignant or benign.

`labels.column: condition` and `labels.column: target` ask for it; nothing else does. The words come, in this order, from the study
(`labels.conditions`), from the data set's table (`diagnosis_tables`), or, for DDI and Fitzpatrick17k, from `keyword_rules`. Where a
data set says itself how malignant a lesion is, that counts for the target; actinic keratosis and disease that is no tumour follow
the study's policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from lib.data.conditions import (
    ACTINIC_KERATOSIS,
    BENIGN,
    CONDITIONS,
    MALIGNANT,
    NON_NEOPLASTIC,
    OTHER,
    Meaning,
    check_conditions,
    read_condition,
)
from lib.data.diagnosis_tables import NATURE_COLUMNS, NOT_MALIGNANT, RULED, TABLES, from_table
from lib.data.errors import DataError
from lib.data.keyword_rules import RULES, first_rule
from lib.data.records import Records
from lib.study import Labels

COLUMNS = ("condition", "target")       # what labels.column may ask for beyond the columns of the tables
HITS = ("rule", "keywords", "condition", "nature", "dataset", "diagnosis", "images")


def covers(record: Records, labels: Labels) -> bool:
    """Whether the diagnoses of a source can be brought to conditions: by a table, by rules, or by the study."""
    return record.info.name in TABLES or record.info.name in RULED or record.source in labels.conditions


def classify(
    records: Sequence[Records],
    labels:  Labels,
) -> list[pd.DataFrame]:
    """For each source one row per image: diagnosis, condition, nature, worded, why.

    `nature` is malignant, benign, non_neoplastic or actinic_keratosis; `worded` is what the diagnosis alone says of it, before the
    data set's own column. Either is null where it is not known, `why` then says why (null: the row has no diagnosis).
    Raises DataError listing every diagnosis that neither table, rule nor study names, with its number of images, and where the
    study's word is no condition.
    """
    check_conditions(labels)
    found, missing = [], []
    for record in records:
        diagnoses = record.frame["diagnosis"].astype(object).where(record.frame["diagnosis"].notna(), "").astype(str)
        given = labels.conditions.get(record.source, {})
        meanings = {diagnosis: _meaning(record.info.name, diagnosis, given) for diagnosis in diagnoses.unique()}
        counts = diagnoses.value_counts()
        nameless = [f"{diagnosis} ({counts[diagnosis]:,})" for diagnosis in counts.index if diagnosis and meanings[diagnosis] is None]
        if nameless:
            missing.append(f"{record.source}: {', '.join(nameless)}")
            continue
        found.append(_rows(record, diagnoses, meanings, frozenset(given)))
    if missing:
        raise DataError(f"diagnoses without a condition: {'; '.join(missing)}. Name each in labels.conditions, e.g. labels.conditions: "
                        f"{{{missing[0].partition(':')[0]}: {{<diagnosis>: {OTHER} benign}}}}; conditions are {', '.join(CONDITIONS)} "
                        f"({OTHER} with malignant or benign behind it)")
    return found


def label_columns(
    records: Sequence[Records],
    labels:  Labels,
) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Source → the value of labels.column for each row ("" where it has none), and why a row has none on purpose (else null).

    Empty unless labels.column is `condition` or `target`; a source that nothing covers is not in it, nor one with a column of that
    name of its own, unless labels.conditions names it. Raises DataError as `classify` does.
    """
    if labels.column not in COLUMNS:
        return {}
    asked = _asked(records, labels)
    return {record.source: _values(rows, labels) for record, rows in zip(asked, classify(asked, labels), strict=True)}


def remarks(
    records: Sequence[Records],
    labels:  Labels,
) -> list[str]:
    """Notes for the reader where labels.column is `condition` or `target`: unmet words of the study, and disagreements."""
    if labels.column not in COLUMNS:
        return []
    asked = _asked(records, labels)
    unmet = [f"labels.conditions: no row of {record.source} has the diagnosis {diagnosis!r}" for record in asked
             for diagnosis in labels.conditions.get(record.source, {}) if diagnosis not in set(record.frame["diagnosis"])]
    return unmet + describe_disagreements(disagreements(classify(asked, labels))) if asked else unmet


def apply_policies(
    rows:           pd.DataFrame,   # of classify
    ak:             str,            # malignant, benign or exclude
    non_neoplastic: str,            # benign, separate or exclude
) -> tuple[pd.Series, pd.Series]:
    """The target (malignant, benign, non_neoplastic; null where there is none), and why a row has none (null: no diagnosis)."""
    becomes = {MALIGNANT: MALIGNANT, BENIGN: BENIGN, ACTINIC_KERATOSIS: None if ak == "exclude" else ak,
               NON_NEOPLASTIC: {"benign": BENIGN, "separate": NON_NEOPLASTIC, "exclude": None}[non_neoplastic]}
    why = rows["why"].where(rows["nature"].isna())
    if ak == "exclude":
        why = why.mask(rows["nature"] == ACTINIC_KERATOSIS, "ak_policy excludes actinic keratosis")
    if non_neoplastic == "exclude":
        why = why.mask(rows["nature"] == NON_NEOPLASTIC, "non_neoplastic_policy excludes disease that is no tumour")
    return rows["nature"].map(becomes).astype(object), why


def keyword_hits(records: Sequence[Records]) -> pd.DataFrame:
    """What every keyword rule hits in the sources that are read by rules: one row per rule × data set × diagnosis (columns HITS).

    A rule that hits nothing has one row with 0 images; labels that no rule hits stand at the end under the rule "none".
    No row at all where no source is read by rules.
    """
    ruled = [record.frame[["dataset", "diagnosis"]] for record in records if record.info.name in RULED]
    if not ruled:
        return pd.DataFrame(columns=list(HITS))
    counts = pd.concat(ruled).dropna().value_counts(sort=False).reset_index(name="images")
    counts["number"] = [len(RULES) if (number := first_rule(diagnosis)) is None else number for diagnosis in counts["diagnosis"]]
    rules = pd.DataFrame([{"number": i, "rule": rule.name, "keywords": ", ".join(rule.keywords), "condition": rule.meaning.condition,
                           "nature": rule.meaning.nature} for i, rule in enumerate(RULES)])
    table = rules.merge(counts, on="number", how="outer").fillna({"images": 0, "rule": "none"})
    table = table.sort_values(["number", "dataset", "images", "diagnosis"], ascending=[True, True, False, True], ignore_index=True)
    return table.astype({"images": int})[list(HITS)]


def disagreements(
    rows: Sequence[pd.DataFrame],   # of classify
) -> pd.DataFrame:
    """Where a data set's own column and its diagnosis say different things: dataset, diagnosis, worded, nature, images."""
    every = pd.concat(rows, ignore_index=True)
    other = every[every["worded"].notna() & every["nature"].notna() & (every["worded"] != every["nature"])]
    keys = ["dataset", "diagnosis", "condition", "worded", "nature"]
    return other.groupby(keys, sort=True).size().reset_index(name="images") if len(other) else pd.DataFrame(columns=[*keys, "images"])


def describe_disagreements(table: pd.DataFrame) -> list[str]:
    """One sentence per data set whose own column overrules its diagnoses in the target."""
    return [f"{dataset}: its own column decides the target, not the diagnosis, for " + ", ".join(
                f"{row.diagnosis} ({row.images:,}: {_word(row.nature)}, by its name {_word(row.worded)})" for row in part.itertuples())
            for dataset, part in table.groupby("dataset", sort=False)]


# ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

def _values(rows: pd.DataFrame, labels: Labels) -> tuple[pd.Series, pd.Series]:
    if labels.column == "condition":
        values, why = rows["condition"], rows["why"].where(rows["condition"].isna())
    else:
        values, why = apply_policies(rows, labels.ak_policy, labels.non_neoplastic_policy)
    return values.where(values.notna(), "").astype(str), why.astype(object).where(why.notna(), None)


def _asked(records: Sequence[Records], labels: Labels) -> list[Records]:
    return [record for record in records
            if covers(record, labels) and (labels.column not in record.frame or record.source in labels.conditions)]


def _meaning(dataset: str, diagnosis: str, given: Mapping[str, str]) -> Meaning | None:
    if diagnosis in given:
        return read_condition(given[diagnosis])
    if dataset in RULED:
        number = first_rule(diagnosis)
        return None if number is None else RULES[number].meaning
    return from_table(dataset, diagnosis)


def _rows(record: Records, diagnoses: pd.Series, meanings: Mapping[str, Meaning | None], given: frozenset[str]) -> pd.DataFrame:
    unnamed = Meaning(None, None)
    parts = {name: diagnoses.map({diagnosis: getattr(meaning or unnamed, name) for diagnosis, meaning in meanings.items()}).astype(object)
             for name in ("condition", "nature", "why")}
    worded, own = parts["nature"], _own_nature(record)
    decided = diagnoses.isin(list(given)) & worded.notna()                     # a study's word stands above the data set's column
    nature = worded.mask(own.notna() & ~decided & (worded != ACTINIC_KERATOSIS), own)
    nature = nature.mask(nature == NOT_MALIGNANT, worded.where(worded.isin((BENIGN, NON_NEOPLASTIC)), BENIGN))
    why = parts["why"].mask(parts["why"] == "", None)
    unsaid = nature.isna() & parts["condition"].notna()
    why = why.mask(unsaid, "is called other, and neither the study nor the data set says whether it is malignant or benign")
    why = why.where(why.isna() | (diagnoses == ""), record.source + ": " + diagnoses + " " + why.fillna("").astype(str))
    return pd.DataFrame({"dataset": record.source, "diagnosis": diagnoses, "condition": parts["condition"], "nature": nature,
                         "worded": worded, "why": why})


def _own_nature(record: Records) -> pd.Series:
    """What the data set's own column says, where it has one and it is filled."""
    for column, words in NATURE_COLUMNS.get(record.info.name, {}).items():
        if column in record.frame:
            return record.frame[column].map(words).astype(object)
    return pd.Series(None, index=record.frame.index, dtype=object)


def _word(nature: str) -> str:
    return {NON_NEOPLASTIC: "no tumour"}.get(nature, nature.replace("_", " "))
