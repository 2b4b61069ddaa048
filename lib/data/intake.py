"""Every listed image is used, or set aside with a reason: listed = missing + excluded + refused + used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.account import QUARANTINE, balance, check_missing, check_quarantined, gather, set_aside
from lib.data.duplicates import check_settings, find_pairs, same_names
from lib.data.errors import counted
from lib.data.looking import open_all
from lib.data.mapping import empty_classes, group_rows, label_rows, unused_values
from lib.data.perceptual import Fingerprints
from lib.data.pools import suspected_notes
from lib.data.records import Records
from lib.data.root import data_root
from lib.data.shared import (
    STANDS_IN,
    Policy,
    by_right,
    keep_first,
    links_through,
    notes_on_labels,
    one_name_per_folder,
    unique_ids,
)
from lib.data.sources import read_records
from lib.data.split import cluster_ids
from lib.study import Duplicates, Groups, Labels, Source

__all__ = ["QUARANTINE", "SAMPLES", "Intake", "take_in"]

SAMPLES = ("image_id", "path", "dataset", "domain", "diagnosis", "label", "tone", "group", "patient_id", "lesion_id", "cluster_id",
           "sha256", "mask_path", "ita", "width", "height")
_EXACT = Duplicates(near=False)
_KNOWN = ("dataset", "image_id", "file", "patient_id", "lesion_id", "label")      # of every row, used or not


@dataclass(frozen=True)
class Intake:
    """What came in.

    `samples` is the table of that name without its split, sorted by image_id. `quarantine` (QUARANTINE) has one row per listed
    image that is not used. `account` counts both per data set: dataset, listed, missing, excluded, refused, used.
    `facts` holds what the sources know beyond `samples` (age, sex, site, further columns, the region that ITA was measured on),
    one row per sample in the same order. `pairs` (lib.data.duplicates.PAIRS) names pictures of one scene, also where one of the two
    was set aside for it, and what several sources have under one name. `records` are the sources' tables as read. `notes` are
    sentences for the reader.
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
    time, whatever the table's order; the others count as excluded. With `shared_images` "first_source", images that several sources
    have by name or content are used once and excluded elsewhere: from the first source that has them in a class and fit for use,
    test-only sources before all others; sources are then opened one after the other in this order, and `progress` starts anew with
    each. With "refuse", names that two releases share are an error.
    Identical images (same SHA-256, from one source or several, also one file that two tables list) with different labels are refused,
    all of them; with one label they stay, with a note. Under "first_source" that holds within each source. Near-duplicates stay
    whatever their labels, in one cluster. An image whose cluster also has images in a test-only source is excluded if its own source
    is not test-only, because the test would know its patient or scene; one of a reserve, where any other source has images of its
    cluster, because it is nobody new.

    Raises DataError for a list of duplicates or an encoder that is of no use (before any image is opened), a value that no class
    names, a class without an image, a source without any of its images, and where a source exceeds its `max_missing` or
    `max_quarantined`; the error's `quarantine` then holds the rows set aside so far.
    """
    duplicates, root = duplicates or _EXACT, pairs_root or data_root()
    check_settings(duplicates, root)
    order = by_right(sources)
    records = [read_records(source, Path(roots[source.title])) for source in sources]
    one_name_per_folder(sources, records)
    frames, notes = unique_ids(records, shared_images)
    notes = [note for record in records for note in record.notes] + suspected_notes(sources) + notes + unused_values(records, labels)
    aside, rest = [record.refused.assign(kind="refused") for record in records], {}
    for source, record, frame, marks in zip(sources, records, frames, label_rows(records, labels), strict=True):
        missing = frame["file"].isna()
        aside.append(set_aside(frame[missing], "missing", f"no such file in {record.root}"))
        check_missing(source, record, aside, quarantine_path)
        rest[source.title] = frame.assign(label=marks["label"]), marks
    turns = [[title] for title in order] if shared_images == "first_source" else [[source.title for source in sources]]
    seen, usable, owner, content = [], [], {}, {}           # image_id and sha256 → the source that they are taken from
    for turn in turns:
        chosen = pd.concat([_choose(*rest[title], owner, rows, aside) for title in turn], ignore_index=True)
        opened, prints, refused, notes_on_looks = open_all(chosen, roots, prints=duplicates.near, threads=threads, progress=progress)
        fresh, copies = keep_first(opened, content)
        kept, contradicting = _keep_consistent(fresh)
        content |= dict(zip(kept["sha256"], kept["dataset"], strict=True))
        owner |= dict(zip(opened["image_id"], opened["sha256"].map(content), strict=True))
        aside += [refused, copies, contradicting]
        seen.append((opened, prints))
        usable.append(kept)
        notes += [f"{turn[0]}: {note}" for note in notes_on_looks] if len(turns) > 1 else notes_on_looks
    used, (opened, prints) = _stack(usable), _all_seen(seen)
    listed = pd.concat([rest[title][0][list(_KNOWN)] for title in order], ignore_index=True).merge(
        pd.concat([frame[["dataset", "image_id", "sha256"]] for frame, _ in seen]), on=["dataset", "image_id"], how="left")
    pairs, notes_on_lists = find_pairs(opened, prints, duplicates, roots, root=root, cache=cache, threads=threads)
    pairs = _with_names(pairs, same_names(listed, used))
    if shared_images == "first_source":
        notes += notes_on_labels(listed, used)
    used, mixed = _keep_apart(used, listed, pairs, sources)
    quarantine = gather([*aside, mixed])
    account = balance(records, quarantine, used)
    for source in sources:
        check_quarantined(source, account, quarantine, quarantine_path)
    empty_classes(used["label"], records, labels, limited=rows is not None)
    used["group"], notes_on_groups = group_rows(used, groups)
    used = used.rename(columns={"file": "path", "mask": "mask_path"}).sort_values("image_id", ignore_index=True)
    facts = used[["image_id", *[column for column in used if column not in SAMPLES]]].dropna(axis=1, how="all")
    notes += [*notes_on_groups, *_notes_on_copies(used), *notes_on_lists]
    return Intake(_typed(used[list(SAMPLES)]), quarantine, account, facts, pairs, tuple(records), tuple(notes))


def _keep_consistent(used: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take out identical images that carry different labels: at most one is right, and nothing here says which."""
    wrong = used.groupby("sha256")["label"].transform("nunique") > 1
    labels = used[wrong].groupby("sha256")["label"].unique().map(sorted)
    reasons = used.loc[wrong, "sha256"].map({sha256: f"identical image carries the labels {' and '.join(each)}"
                                             for sha256, each in labels.items()})
    return used[~wrong].copy(), set_aside(used[wrong], "refused", reasons)


def _keep_apart(
    used:    pd.DataFrame,
    listed:  pd.DataFrame,                      # all rows of all sources, see `links_through`
    pairs:   pd.DataFrame,                      # images of one scene
    sources: Sequence[Source],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take images out whose patient or scene a test-only source has, or the reserve and any other. They are fine images: excluded."""
    by_patient = cluster_ids(used, links_through(listed, used, pairs.iloc[:0]))
    used["cluster_id"] = cluster_ids(used, links_through(listed, used, pairs))
    roles, aside = {source.title: source.role for source in sources}, []
    meets = {True: "its patient or an identical image is in", False: "a near-duplicate of it or of its patient's images is in"}
    for stays, named in (({"test_only"}, "a test-only source"), ({"test_only", "development"}, "a source that is not kept in reserve")):
        there = used["dataset"].map(roles).isin(stays)
        gone = ~there & used["cluster_id"].isin(used.loc[there, "cluster_id"])
        titles = ", ".join(title for title, role in roles.items() if role in stays)
        aside.append(set_aside(used[gone], "excluded", by_patient.isin(by_patient[there]).map(meets) + f" {named} ({titles})"))
        used, by_patient = used[~gone], by_patient[~gone]
    return used.copy(), gather(aside)


def _choose(
    frame: pd.DataFrame,                        # of one source, with its label
    marks: pd.DataFrame,                        # of label_rows
    owner: Mapping[str, str],                   # image_id → the source that it is already taken from
    rows:  int | None,
    aside: list[pd.DataFrame],                  # is added to
) -> pd.DataFrame:
    """The images of a source that are to be opened."""
    there, taken = frame["file"].notna(), frame["image_id"].map(owner).astype(object)
    again = there & taken.notna()
    aside.append(set_aside(frame[again], "excluded", taken.map(STANDS_IN.format, na_action="ignore")))
    left_out = there & ~again & frame["label"].isna()
    aside.append(set_aside(frame[left_out], marks["kind"], marks["reason"]))
    wanted = frame[there & ~again & ~left_out]
    kept = _first_by_hash(wanted, rows)
    aside.append(set_aside(wanted.drop(kept.index), "excluded", f"beyond data.rows = {rows}"))
    return kept


def _all_seen(seen: list[tuple[pd.DataFrame, Fingerprints | None]]) -> tuple[pd.DataFrame, Fingerprints | None]:
    """All that was opened with its fingerprints; of an image that was opened in two sources, because the first was of no use, the last."""
    opened, prints = _stack([frame for frame, _ in seen]), None
    last = ~opened["image_id"].duplicated(keep="last").to_numpy()
    if seen[0][1] is not None:
        prints = Fingerprints(*(np.concatenate([getattr(each, part) for _, each in seen])[last] for part in ("grey", "colour")))
    return opened[last], prints


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """One below the other; empty ones would change the columns' types."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def _with_names(pairs: pd.DataFrame, named: pd.DataFrame) -> pd.DataFrame:
    if not len(named):
        return pairs
    return _stack([pairs, named]).sort_values(["image_id", "other_id", "other_dataset"], kind="stable", ignore_index=True)


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
    stay = "it stays in the same split as the other, and both count" if extra == 1 else \
        "they stay, each copy in the same split as the other, and count more than once"
    return [counted(extra, "image is an exact copy", "images are exact copies") +
            f" of another with the same label (first: {' and '.join(first[:2])}); {stay}"]


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = {"tone": "Int8", "ita": "float64", "width": "Int32", "height": "Int32"}
    return frame.astype({column: numbers.get(column, "str") for column in SAMPLES})

