"""What the open questions of the taxonomy do to the target: every reading side by side, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from lib.data.conditions import BENIGN, MALIGNANT, NON_NEOPLASTIC
from lib.data.errors import DataError
from lib.data.mapping import group_rows
from lib.data.records import Records
from lib.data.taxonomy import COLUMNS as TOLD
from lib.data.taxonomy import apply_policies, classify, covers
from lib.study import Groups, Labels

ANSWERS = {"non-neoplastic": ("exclude", "separate", "benign"), "actinic keratosis": ("malignant", "benign", "exclude")}
COLUMNS = ("question", "policy", "chosen", "group", "images", "malignant", "benign", "non_neoplastic", "left_out", "malignant_share")
EVERYBODY, UNKNOWN = "all", "unknown"


def compare_policies(
    records: Sequence[Records],
    labels:  Labels,
    groups:  Groups | None = None,      # default: I–II, III–IV, V–VI
    *,
    listed:  bool = False,              # count rows whose image is not in the folder, too
) -> pd.DataFrame | None:
    """How many images are malignant under each reading of disease that is no tumour, and of actinic keratosis.

    One row per question × policy × group (columns COLUMNS): `group` is "all", a group of the study, or "unknown"; `chosen` marks
    the study's own policy, which also answers the other question meanwhile; malignant_share is malignant / images with a target.
    Counted is every image that the folders hold, before data.rows and before any image is opened, so a study may use fewer.
    None where a source's diagnoses cannot be brought to conditions. Where the study labels by `condition` or `target`, a diagnosis
    without a word raises DataError as it does there.
    """
    if not all(covers(record, labels) for record in records):
        return None
    try:
        rows = classify(records, labels)
    except DataError:
        if labels.column in TOLD:
            raise
        return None
    frame = pd.concat([record.frame for record in records], ignore_index=True)
    rows = pd.concat(rows, ignore_index=True)
    counted = frame["file"].notna() | listed
    frame, rows = frame[counted].reset_index(drop=True), rows[counted].reset_index(drop=True)
    names, tones = _groups(frame, groups or Groups())
    table = []
    for question, policies in ANSWERS.items():
        for policy in policies:
            ak, non_neoplastic = labels.ak_policy, labels.non_neoplastic_policy
            mine = policy == (ak if question == "actinic keratosis" else non_neoplastic)
            ak, non_neoplastic = (policy, non_neoplastic) if question == "actinic keratosis" else (ak, policy)
            target, _ = apply_policies(rows, ak, non_neoplastic)
            table += [{"question": question, "policy": policy, "chosen": mine, "group": name,
                       **_count(target if name == EVERYBODY else target[tones == name])} for name in names]
    return pd.DataFrame(table, columns=list(COLUMNS))


def policy_remarks(records: Sequence[Records]) -> list[str]:
    """What the sources' own words do not keep apart although a policy asks for it, one sentence each."""
    return [f"{record.source}: {note}" for record in records for note in record.info.policy_notes]


def _groups(frame: pd.DataFrame, groups: Groups) -> tuple[list[str], pd.Series]:
    """The groups to show, "all" first, and the group of each row; measured tone is not known before images are opened."""
    try:
        tones, _ = group_rows(frame, groups)
    except DataError:
        return [EVERYBODY], pd.Series(UNKNOWN, index=frame.index)
    tones = tones.where(tones.notna(), UNKNOWN)
    known = [name for name in groups.names if (tones == name).any()]
    return [EVERYBODY, *known, *([UNKNOWN] if known and (tones == UNKNOWN).any() else [])], tones


def _count(target: pd.Series) -> dict[str, float]:
    counts = {name: int((target == name).sum()) for name in (MALIGNANT, BENIGN, NON_NEOPLASTIC)}
    images = sum(counts.values())
    return {"images": images, **counts, "left_out": len(target) - images,
            "malignant_share": counts[MALIGNANT] / images if images else float("nan")}
