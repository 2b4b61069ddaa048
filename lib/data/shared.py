"""Images that stand in several sources: told by their names before they are opened, and by their content after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from lib.data.account import set_aside
from lib.data.errors import DataError
from lib.data.records import Records, whose
from lib.study import Source

Policy = Literal["refuse", "first_source"]


def one_name_per_folder(sources: Sequence[Source], records: Sequence[Records]) -> None:
    """Raise DataError for a folder under two names: patients are known by their folder's name, and one person would be two."""
    named: dict[str, tuple[str, str]] = {}
    for source, record in zip(sources, records, strict=True):
        if record.info.local_ids:
            folder = whose(source, record.info)
            first, title = named.setdefault(os.path.realpath(record.root), (folder, source.title))
            if folder != first:
                raise DataError(f"{title} and {source.title}: the folders {first} and {folder} are one folder ({record.root}), linked "
                                "under two names; write the same name for both, or their patients would count as different people")


def unique_ids(
    records:       Sequence[Records],
    shared_images: Policy,
) -> tuple[list[pd.DataFrame], list[pd.Series], list[str]]:
    """Each source's table with ids that stand in no other; for each row the earlier source that has it, too (null: none); notes.

    Folders of one's own get their name in front where names collide. A release's ids mean the same image everywhere: under "refuse"
    that is a DataError, under "first_source" the row of the later source is marked where the earlier one has the file.
    """
    frames, notes = [record.frame for record in records], []
    clashes, where = _clashes(frames, records)
    if clashes and (shared_images == "first_source" or all(record.info.local_ids for record in where)):
        frames = [record.frame.assign(image_id=record.source + "/" + record.frame["image_id"]) if record.info.local_ids else record.frame
                  for record in records]
        renamed = clashes - _clashes(frames, records)[0]
        if renamed:
            notes = [f"{len(renamed):,} image names stand in several sources; the source's name was put in front of them"]
    elif clashes:
        first = next(image_id for image_id in frames[0]["image_id"].tolist() + sorted(clashes) if image_id in clashes)
        names = " and ".join(record.source for record, frame in zip(records, frames, strict=True) if first in set(frame["image_id"]))
        raise DataError(f"{len(clashes):,} images are in two sources (first: {first} in {names}); they would count twice: take one source "
                        "out, or write data.shared_images: first_source to use each from the source that stands first")
    owner: dict[str, str] = {}
    elsewhere = []
    for record, frame in zip(records, frames, strict=True):
        elsewhere.append(frame["image_id"].map(owner).astype(object))
        for image_id in frame.loc[frame["file"].notna(), "image_id"]:
            owner.setdefault(image_id, record.source)
    return frames, elsewhere, notes


def keep_first(
    opened: pd.DataFrame,                   # dataset, image_id, file, sha256, label
    order:  Sequence[str],                  # data sets as the study lists them
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Of images with the same content in several sources those of the first; the others as rows of quarantine; a note on labels."""
    place = opened["dataset"].map({name: number for number, name in enumerate(order)})
    first = place.groupby(opened["sha256"]).transform("min")
    later = place > first
    reasons = first[later].map(lambda number: f"stands in {order[number]}, too")
    told = opened[~later].groupby("sha256")["label"].first()
    other = int((opened.loc[later, "sha256"].map(told) != opened.loc[later, "label"]).sum())
    notes = [f"{other:,} images have another label in a later source than in the first one that has them; the first one's counts"]
    return opened[~later].copy(), set_aside(opened[later], "excluded", reasons), notes if other else []


def _clashes(frames: Sequence[pd.DataFrame], records: Sequence[Records]) -> tuple[set[str], list[Records]]:
    """Ids that stand in several sources, and the sources that have one of them."""
    count = pd.concat([frame["image_id"] for frame in frames], ignore_index=True).value_counts()
    clashes = set(count.index[count > 1])
    return clashes, [record for record, frame in zip(records, frames, strict=True) if frame["image_id"].isin(clashes).any()]
