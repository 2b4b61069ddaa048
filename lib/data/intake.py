"""Every listed image is used, or set aside with a reason: listed = missing + excluded + refused + used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib.data.account import QUARANTINE, balance, check_missing, check_quarantined, gather, set_aside
from lib.data.duplicates import find_pairs, links_of
from lib.data.looking import open_all
from lib.data.mapping import empty_classes, group_rows, label_rows, unused_values
from lib.data.pools import suspected_notes
from lib.data.records import Records
from lib.data.shared import Policy, keep_first, one_name_per_folder, unique_ids
from lib.data.sources import data_root, read_records
from lib.data.split import cluster_ids, spanning_clusters
from lib.study import Duplicates, Groups, Labels, Source

__all__ = ["QUARANTINE", "SAMPLES", "Intake", "take_in"]

SAMPLES = ("image_id", "path", "dataset", "domain", "diagnosis", "label", "tone", "group", "patient_id", "lesion_id", "cluster_id",
           "sha256", "mask_path", "ita", "width", "height")
_EXACT = Duplicates(near=False)


@dataclass(frozen=True)
class Intake:
    """What came in.

    `samples` is the table of that name without its split, sorted by image_id. `quarantine` (QUARANTINE) has one row per listed
    image that is not used. `account` counts both per data set: dataset, listed, missing, excluded, refused, used.
    `facts` holds what the sources know beyond `samples` (age, sex, site, further columns, the region that ITA was measured on),
    one row per sample in the same order. `pairs` (lib.data.duplicates.PAIRS) names pictures of one scene, also where one of the two
    was set aside for it. `records` are the sources' tables as read. `notes` are sentences for the reader.
    """

    samples:    pd.DataFrame
    quarantine: pd.DataFrame
    account:    pd.DataFrame
    facts:      pd.DataFrame
    pairs:      pd.DataFrame
    records:    tuple[Records, ...]
    notes:      tuple[str, ...]


def take_in(
    sources:         Sequence[Source],
    labels:          Labels,
    groups:          Groups,
    roots:           Mapping[str, Path],                        # source title → its folder, see lib.data.sources.source_folders
    *,
    rows:            int | None                         = None, # use at most so many images of each source
    duplicates:      Duplicates | None                  = None, # None: identical files only
    pairs_root:      Path | None                        = None, # where duplicates.pairs lie; default: data_root()
    cache:           Path | None                        = None, # folder for embeddings
    shared_images:   Policy                             = "refuse",
    threads:         int                                = 1,    # the result does not depend on it
    quarantine_path: str | Path                         = "quarantine.csv",     # where the caller will write it; named in errors
    progress:        Callable[[int, int], None] | None  = None, # called with (images looked at, images to look at)
) -> Intake:
    """Read the tables, apply the study's labels and groups, open every image once, and account for all of them.

    `rows` keeps, of the images that are there and in a class, those whose hashed image_id comes first: the same ones every
    time, whatever the table's order; the others count as excluded. With `shared_images` "first_source", images that an earlier
    source has by name or content are excluded; with "refuse", names that two releases share are an error.
    Identical images (same SHA-256, from one source or several, also one file that two tables list) with different labels are refused,
    all of them; with one label they stay, with a note. Near-duplicates stay whatever their labels, in one cluster. An image whose
    cluster also has images in a test-only source is refused if its own source is not test-only, because the test would know its
    patient or scene.

    Raises DataError for a value that no class names, a class without an image, a source without any of its images, and where a
    source exceeds its `max_missing` or `max_quarantined`; the error's `quarantine` then holds the rows set aside so far.
    """
    duplicates = duplicates or _EXACT
    titles, judges = [source.title for source in sources], [source.title for source in sources if source.role == "test_only"]
    records = [read_records(source, Path(roots[source.title])) for source in sources]
    one_name_per_folder(sources, records)
    frames, elsewhere, notes = unique_ids(records, shared_images)
    notes = [note for record in records for note in record.notes] + suspected_notes(sources) + notes + unused_values(records, labels)
    aside = [record.refused.assign(kind="refused") for record in records]
    chosen = []
    for source, record, frame, owner, marks in zip(sources, records, frames, elsewhere, label_rows(records, labels), strict=True):
        missing = frame["file"].isna()
        aside.append(set_aside(frame[missing], "missing", f"no such file in {record.root}"))
        check_missing(source, record, aside, quarantine_path)
        again = ~missing & owner.notna()
        aside.append(set_aside(frame[again], "excluded", owner.map("stands in {}, too".format, na_action="ignore")))
        left_out = ~missing & ~again & marks["label"].isna()
        aside.append(set_aside(frame[left_out], marks["kind"], marks["reason"]))
        here = ~(missing | again | left_out)
        wanted = frame[here].assign(label=marks.loc[here, "label"])
        kept = _first_by_hash(wanted, rows)
        aside.append(set_aside(wanted.drop(kept.index), "excluded", f"beyond data.rows = {rows}"))
        chosen.append(kept)
    opened, prints, refused, notes_on_looks = open_all(
        pd.concat(chosen, ignore_index=True), roots, prints=duplicates.near, threads=threads, progress=progress)
    pairs, notes_on_lists = find_pairs(
        opened, prints, duplicates, roots, root=pairs_root or data_root(), cache=cache, threads=threads)
    used, copies, notes_on_labels = keep_first(opened, titles) if shared_images == "first_source" else (opened, refused.iloc[:0], [])
    used, contradicting = _keep_consistent(used)
    used, leaking = _keep_from_judges(used, links_of(pairs, opened, used), judges)
    quarantine = gather([*aside, refused, copies, contradicting, leaking])
    account = balance(records, quarantine, used)
    for source in sources:
        check_quarantined(source, account, quarantine, quarantine_path)
    empty_classes(used["label"], records, labels, limited=rows is not None)
    used["group"], notes_on_groups = group_rows(used, groups)
    used = used.rename(columns={"file": "path", "mask": "mask_path"}).sort_values("image_id", ignore_index=True)
    facts = used[["image_id", *[column for column in used if column not in SAMPLES]]].dropna(axis=1, how="all")
    notes += [*notes_on_groups, *notes_on_looks, *notes_on_labels, *_notes_on_copies(used), *notes_on_lists, *_notes_on_pairs(pairs)]
    return Intake(_typed(used[list(SAMPLES)]), quarantine, account, facts, pairs, tuple(records), tuple(notes))


def _keep_consistent(used: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take out identical images that carry different labels: at most one is right, and nothing here says which."""
    wrong = used.groupby("sha256")["label"].transform("nunique") > 1
    labels = used[wrong].groupby("sha256")["label"].unique().map(sorted)
    reasons = used.loc[wrong, "sha256"].map({sha256: f"identical image carries the labels {' and '.join(each)}"
                                             for sha256, each in labels.items()})
    return used[~wrong].copy(), set_aside(used[wrong], "refused", reasons)


def _keep_from_judges(
    used:   pd.DataFrame,
    links:  list[tuple[str, str]],              # image_ids of one scene
    judges: list[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take images out of training whose patient or scene a test-only source has."""
    learners = ~used["dataset"].isin(judges)
    known = used.assign(cluster_id=cluster_ids(used))
    by_patient = learners & known["cluster_id"].isin(spanning_clusters(known, judges))
    used["cluster_id"] = cluster_ids(used, links)
    leaking = learners & used["cluster_id"].isin(spanning_clusters(used, judges))
    named = f"is in a test-only source ({', '.join(judges)})"
    reasons = by_patient.map({True: f"its patient or an identical image {named}",
                              False: f"a near-duplicate of it or of its patient's images {named}"})
    return used[~leaking].copy(), set_aside(used[leaking], "refused", reasons)


def _first_by_hash(frame: pd.DataFrame, rows: int | None) -> pd.DataFrame:
    if rows is None or len(frame) <= rows:
        return frame
    order = frame["image_id"].map(lambda image_id: hashlib.sha256(image_id.encode()).hexdigest())
    return frame.loc[order.sort_values().index[:rows].sort_values()]


def _notes_on_copies(used: pd.DataFrame) -> list[str]:
    copies = used[used["sha256"].duplicated(keep=False)]
    extra = len(copies) - copies["sha256"].nunique()
    if not extra:
        return []
    first = sorted(copies.loc[copies["sha256"] == copies["sha256"].iloc[0], "image_id"])
    return [f"{extra:,} images are exact copies of another with the same label (first: {' and '.join(first[:2])}); they stay, each copy in "
            "the same split as the other, and count more than once"]


def _notes_on_pairs(pairs: pd.DataFrame) -> list[str]:
    near = pairs[pairs["kind"] != "identical"]
    if not len(near):
        return []
    strangers, torn = near[~near["same_patient"]], near[~near["same_label"]]
    notes = [f"pairs of images that show one scene without being identical files: {len(near):,}, of them under two patients: "
             f"{len(strangers):,}; the two share a cluster"]
    if len(torn):
        first = " and ".join(torn[["image_id", "other_id"]].iloc[0])
        notes.append(f"pairs of one scene with two labels: {len(torn):,} (first: {first}); they are kept, and one label is probably wrong")
    return notes


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = {"tone": "Int8", "ita": "float64", "width": "Int32", "height": "Int32"}
    return frame.astype({column: numbers.get(column, "str") for column in SAMPLES})

