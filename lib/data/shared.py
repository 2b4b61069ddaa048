"""Images that stand in several sources: whose they are, and which others they bind together.

They are told by their names before they are opened, and by their content after. What a source knows of a copy that is not used
(its patient, its lesion) still counts when clusters are formed: one lesion has another number in every release.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd

from lib.data.account import set_aside
from lib.data.errors import DataError, counted
from lib.data.records import Records, whose
from lib.data.split import cluster_ids
from lib.study import Source

Policy = Literal["refuse", "first_source"]
STANDS_IN = "stands in {}, too"          # why a copy is not used


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
) -> tuple[list[pd.DataFrame], list[str]]:
    """Each source's table, where one id means one image whatever the table; notes.

    Folders of one's own get their name in front where names collide. A release's ids mean the same image everywhere: under "refuse"
    that two sources have one is a DataError, under "first_source" it stays in both tables.
    """
    frames, notes = [record.frame for record in records], []
    clashes, where = _clashes(frames, records)
    if clashes and (shared_images == "first_source" or all(record.info.local_ids for record in where)):
        frames = [record.frame.assign(image_id=record.source + "/" + record.frame["image_id"]) if record.info.local_ids else record.frame
                  for record in records]
        renamed = clashes - _clashes(frames, records)[0]
        if renamed:
            notes = [counted(len(renamed), "image name stands", "image names stand") + " in several sources; the source's name was put in "
                     "front of " + ("it" if len(renamed) == 1 else "them")]
    elif clashes:
        first = next(image_id for image_id in frames[0]["image_id"].tolist() + sorted(clashes) if image_id in clashes)
        names = " and ".join(record.source for record, frame in zip(records, frames, strict=True) if first in set(frame["image_id"]))
        raise DataError(f"{len(clashes):,} images are in two sources (first: {first} in {names}); they would count twice: take one source "
                        "out, or write data.shared_images: first_source to use each from the source that stands first")
    return frames, notes


def by_right(sources: Sequence[Source]) -> list[str]:
    """Titles in the order in which a shared image is theirs: test-only sources first, or training would have it; reserves last."""
    order = ("test_only", "development", "reserve")
    return [source.title for source in sorted(sources, key=lambda source: order.index(source.role))]


def keep_first(
    opened: pd.DataFrame,                   # dataset, image_id, file, sha256
    owner:  Mapping[str, str],              # sha256 → the source that it is already taken from
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images whose content no source had before, and the others as rows of quarantine."""
    taken = opened["sha256"].map(owner).astype(object)
    again = taken.notna()
    return opened[~again], set_aside(opened[again], "excluded", taken.map(STANDS_IN.format, na_action="ignore"))


def links_through(
    listed: pd.DataFrame,                   # image_id, patient_id, lesion_id, sha256 (null: not opened) of all rows of all sources
    used:   pd.DataFrame,                   # image_id: those that stay
    pairs:  pd.DataFrame,                   # image_id, other_id: further images that belong together
) -> list[tuple[str, str]]:
    """For `cluster_ids`: images that stay and belong together, be it through rows that do not stay.

    The copy of an image that another source has is such a row: whoever shares its patient or lesion shares the image's cluster.
    """
    whole = pd.Series(cluster_ids(listed, zip(pairs["image_id"], pairs["other_id"], strict=True)).to_numpy(), index=listed["image_id"])
    cluster = used["image_id"].map(whole[~whole.index.duplicated()])
    first = used.groupby(cluster)["image_id"].transform("first")
    linked = first != used["image_id"]
    return list(zip(first[linked], used.loc[linked, "image_id"], strict=True))


def notes_on_labels(
    listed: pd.DataFrame,                   # dataset, image_id, label, sha256 (null: not opened) of all rows of all sources
    used:   pd.DataFrame,                   # image_id, dataset, sha256, label: those that stay
) -> list[str]:
    """A sentence on images that have another label in a source that they are not taken from."""
    by_content = listed["sha256"].map(used.drop_duplicates("sha256").set_index("sha256")["label"])
    told = listed["image_id"].map(used.set_index("image_id")["label"])
    told = told.where(told.notna(), by_content)
    other = int((told.notna() & listed["label"].notna() & (told != listed["label"])).sum())
    return [counted(other, "image has another label in a source that it is not", "images have another label in a source that they are not")
            + " taken from; the label of the source used counts"] if other else []


def _clashes(frames: Sequence[pd.DataFrame], records: Sequence[Records]) -> tuple[set[str], list[Records]]:
    """Ids that stand in several sources, and the sources that have one of them."""
    count = pd.concat([frame["image_id"] for frame in frames], ignore_index=True).value_counts()
    clashes = set(count.index[count > 1])
    return clashes, [record for record, frame in zip(records, frames, strict=True) if frame["image_id"].isin(clashes).any()]
