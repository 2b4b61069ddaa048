"""Every listed image is used, or set aside with a reason: listed = missing + excluded + refused + used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lib.data.errors import DataError, shorten
from lib.data.images import ImageRefused, content_hash, decode, read_bytes, read_mask
from lib.data.mapping import ITA_GROUP, empty_classes, group_rows, label_rows, unused_values
from lib.data.records import Records, whose
from lib.data.skin import ita_group, measure_skin
from lib.data.sources import read_records
from lib.data.split import cluster_ids, spanning_clusters
from lib.study import Groups, Labels, Source

SAMPLES = ("image_id", "path", "dataset", "domain", "diagnosis", "label", "tone", "group", "patient_id", "lesion_id", "cluster_id",
           "sha256", "mask_path", "ita", "width", "height")
QUARANTINE = ("dataset", "image_id", "file", "kind", "reason")
_KINDS = ("missing", "excluded", "refused")


@dataclass(frozen=True)
class Intake:
    """What came in.

    `samples` is the table of that name without its split, sorted by image_id. `quarantine` (QUARANTINE) has one row per listed
    image that is not used. `account` counts both per data set: dataset, listed, missing, excluded, refused, used.
    `facts` holds what the sources know beyond `samples` (age, sex, site, further columns, the region that ITA was measured on),
    one row per sample in the same order. `notes` are sentences for the reader.
    """

    samples:    pd.DataFrame
    quarantine: pd.DataFrame
    account:    pd.DataFrame
    facts:      pd.DataFrame
    notes:      tuple[str, ...]


@dataclass(frozen=True)
class _Look:
    """What opening one image told."""

    reason: str | None          # why it is refused
    sha256: str   = ""
    width:  int   = 0
    height: int   = 0
    ita:    float = float("nan")
    region: str   = ""
    mask:   str | None = None   # why its mask is not used


def take_in(
    sources:         Sequence[Source],
    labels:          Labels,
    groups:          Groups,
    roots:           Mapping[str, Path],                        # source title → its folder, see lib.data.sources.source_folders
    *,
    rows:            int | None                         = None, # use at most so many images of each source
    threads:         int                                = 1,    # the result does not depend on it
    quarantine_path: str | Path                         = "quarantine.csv",     # where the caller will write it; named in errors
    progress:        Callable[[int, int], None] | None  = None, # called with (images looked at, images to look at)
) -> Intake:
    """Read the tables, apply the study's labels and groups, open every image once, and account for all of them.

    `rows` keeps, of the images that are there and in a class, those whose hashed image_id comes first: the same ones every
    time, whatever the table's order; the others count as excluded. Identical images (same SHA-256, from one source or several, also
    one file that two tables list) with different labels are refused, all of them; with one label they stay, with a note. An image
    whose cluster also has images in a test-only source is refused if its own source is not test-only, because the test would know
    its patient.

    Raises DataError for a value that no class names, a class without an image, a source without any of its images, and where a
    source exceeds its `max_missing` or `max_quarantined`; the error's `quarantine` then holds the rows set aside so far.
    """
    records = [read_records(source, Path(roots[source.title])) for source in sources]
    _one_name_per_folder(sources, records)
    frames, notes = _unique_ids(records)
    notes = [note for record in records for note in record.notes] + notes + unused_values(records, labels)
    aside = [record.refused.assign(kind="refused") for record in records]
    chosen = []
    for source, record, frame, marks in zip(sources, records, frames, label_rows(records, labels), strict=True):
        missing, named = frame["file"].isna(), marks["label"].notna()
        aside.append(_set_aside(frame[missing], "missing", f"no such file in {record.root}"))
        _check_missing(source, record, aside, quarantine_path)
        left_out = ~missing & ~named
        aside.append(_set_aside(frame[left_out], marks["kind"], marks["reason"]))
        wanted = frame[~missing & named].assign(label=marks.loc[~missing & named, "label"])
        kept = _first_by_hash(wanted, rows)
        aside.append(_set_aside(wanted.drop(kept.index), "excluded", f"beyond data.rows = {rows}"))
        chosen.append(kept)
    used, refused, notes_on_looks = _open_all(pd.concat(chosen, ignore_index=True), roots, threads, progress)
    used, contradicting = _keep_consistent(used)
    judges = [source.title for source in sources if source.role == "test_only"]
    used, leaking = _keep_from_judges(used, judges)
    quarantine = _gather([*aside, refused, contradicting, leaking])
    account = _account(records, quarantine, used)
    for source in sources:
        _check_quarantined(source, account, quarantine, quarantine_path)
    empty_classes(used["label"], records, labels, limited=rows is not None)
    used["group"], notes_on_groups = group_rows(used, groups)
    used = used.rename(columns={"file": "path", "mask": "mask_path"}).sort_values("image_id", ignore_index=True)
    facts = used[["image_id", *[column for column in used if column not in SAMPLES]]].dropna(axis=1, how="all")
    notes += [*notes_on_groups, *notes_on_looks, *_notes_on_copies(used)]
    return Intake(_typed(used[list(SAMPLES)]), quarantine, account, facts, tuple(notes))


def _open_all(
    frame:    pd.DataFrame,
    roots:    Mapping[str, Path],
    threads:  int,
    progress: Callable[[int, int], None] | None,
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """The images that can be used, with what was measured on them; those that cannot; and notes."""
    looks = _look_at(frame, roots, threads, progress)
    reasons = pd.Series([look.reason for look in looks], dtype=object)
    used, seen = frame[reasons.isna()].copy(), [look for look in looks if look.reason is None]
    for name in ("sha256", "width", "height", "ita", "region"):
        used[name] = [getattr(look, name) for look in seen]
    used["mask"] = used["mask"].where([look.mask is None for look in seen], None)
    used[ITA_GROUP] = pd.array(ita_group(used["ita"].to_numpy(dtype=float)), dtype="Float64").astype("Int8")
    return used, _set_aside(frame[reasons.notna()], "refused", reasons), _notes_on_looks(seen)


def _keep_consistent(used: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take out identical images that carry different labels: at most one is right, and nothing here says which."""
    wrong = used.groupby("sha256")["label"].transform("nunique") > 1
    labels = used[wrong].groupby("sha256")["label"].unique().map(sorted)
    reasons = used.loc[wrong, "sha256"].map({sha256: f"identical image carries the labels {' and '.join(each)}"
                                             for sha256, each in labels.items()})
    return used[~wrong].copy(), _set_aside(used[wrong], "refused", reasons)


def _keep_from_judges(used: pd.DataFrame, judges: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take images out of training whose patient, or whose identical copy, a test-only source has."""
    used["cluster_id"] = cluster_ids(used)
    leaking = used["cluster_id"].isin(spanning_clusters(used, judges)) & ~used["dataset"].isin(judges)
    reason = f"its patient or an identical image is in a test-only source ({', '.join(judges)})"
    return used[~leaking].copy(), _set_aside(used[leaking], "refused", reason)


def _one_name_per_folder(sources: Sequence[Source], records: Sequence[Records]) -> None:
    """Patients are known by their folder's name; under two names one person would be two."""
    named: dict[str, tuple[str, str]] = {}
    for source, record in zip(sources, records, strict=True):
        if record.info.local_ids:
            folder = whose(source, record.info)
            first, title = named.setdefault(os.path.realpath(record.root), (folder, source.title))
            if folder != first:
                raise DataError(f"{title} and {source.title}: the folders {first} and {folder} are one folder ({record.root}), linked "
                                "under two names; write the same name for both, or their patients would count as different people")


def _unique_ids(records: Sequence[Records]) -> tuple[list[pd.DataFrame], list[str]]:
    """Tables whose ids do not collide: folders of one's own get their name in front, a release read twice is an error."""
    owner: dict[str, Records] = {}
    clashes: dict[str, list[Records]] = {}
    for record in records:
        for image_id in record.frame["image_id"]:
            if image_id in owner:
                clashes.setdefault(image_id, [owner[image_id]]).append(record)
            owner[image_id] = record
    if not clashes:
        return [record.frame for record in records], []
    image_id, holders = next(iter(clashes.items()))
    if not all(record.info.local_ids for holders in clashes.values() for record in holders):
        names = " and ".join(record.source for record in holders)
        raise DataError(f"{len(clashes):,} images are in two sources (first: {image_id} in {names}); they would count twice: "
                        "take one source out")
    frames = [record.frame.assign(image_id=record.source + "/" + record.frame["image_id"]) if record.info.local_ids else record.frame
              for record in records]
    return frames, [f"{len(clashes):,} image names stand in several sources; the source's name was put in front of them"]


def _set_aside(frame: pd.DataFrame, kind: str | pd.Series, reason: str | pd.Series) -> pd.DataFrame:
    """Rows of quarantine; a Series gives each row its own word, by index."""
    kind, reason = (value.loc[frame.index] if isinstance(value, pd.Series) else value for value in (kind, reason))
    return frame[["dataset", "image_id", "file"]].assign(kind=kind, reason=reason)


def _first_by_hash(frame: pd.DataFrame, rows: int | None) -> pd.DataFrame:
    if rows is None or len(frame) <= rows:
        return frame
    order = frame["image_id"].map(lambda image_id: hashlib.sha256(image_id.encode()).hexdigest())
    return frame.loc[order.sort_values().index[:rows].sort_values()]


def _look_at(frame: pd.DataFrame, roots: Mapping[str, Path], threads: int, progress: Callable[[int, int], None] | None) -> list[_Look]:
    tasks = list(zip(frame["dataset"], frame["file"], frame["mask"], strict=True))
    looks = []
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for look in pool.map(lambda task: _look(Path(roots[task[0]]), task[1], task[2]), tasks):
            looks.append(look)
            if progress is not None:
                progress(len(looks), len(tasks))
    return looks


def _look(root: Path, file: str, mask_file: str | None) -> _Look:
    try:
        content = read_bytes(root / file)
        image = decode(content)
    except ImageRefused as error:
        return _Look(reason=str(error))
    mask, why = None, None
    if isinstance(mask_file, str):
        try:
            mask = read_mask(root / mask_file, image.size)
            why = None if mask.any() else "mask is empty"
        except ImageRefused as error:
            why = str(error)
    skin = measure_skin(image, mask)
    return _Look(None, content_hash(content), image.width, image.height, skin.ita, skin.region, why)


def _check_missing(source: Source, record: Records, aside: list[pd.DataFrame], quarantine_path: str | Path) -> None:
    if not record.missing:
        return
    gone = record.frame.loc[record.frame["file"].isna(), "image_id"]
    if record.missing == len(record.frame):
        raise DataError(f"{source.title}: none of the {record.listed:,} listed images is under {record.root} (first: {gone.iloc[0]}). "
                        f"Expected {record.info.layout}", _gather(aside))
    if record.missing > source.max_missing * record.listed:
        raise DataError(f"{source.title}: {record.missing:,} of {record.listed:,} images are missing under {record.root} "
                        f"(first: {gone.iloc[0]}). Listed in {quarantine_path}; the limit is max_missing={source.max_missing:.3g}",
                        _gather(aside))


def _check_quarantined(source: Source, account: pd.DataFrame, quarantine: pd.DataFrame, quarantine_path: str | Path) -> None:
    count = account.set_index("dataset").loc[source.title]
    present = count["listed"] - count["missing"]
    if count["refused"] > source.max_quarantined * present:
        refused, limit = count["refused"], source.max_quarantined
        first = quarantine[(quarantine["dataset"] == source.title) & (quarantine["kind"] == "refused")].iloc[0]
        raise DataError(f"{source.title}: {refused:,} of the {present:,} images present are refused (first: {first['image_id']}: "
                        f"{first['reason']}). Listed in {quarantine_path}; the limit is max_quarantined={limit:.3g}", quarantine)


def _gather(aside: list[pd.DataFrame]) -> pd.DataFrame:
    rows = [frame for frame in aside if len(frame)] or aside[:1]
    return pd.concat(rows, ignore_index=True)[list(QUARANTINE)].sort_values(["dataset", "image_id"], kind="stable", ignore_index=True)


def _account(records: Sequence[Records], quarantine: pd.DataFrame, used: pd.DataFrame) -> pd.DataFrame:
    kinds = pd.crosstab(quarantine["dataset"], quarantine["kind"]) if len(quarantine) else pd.DataFrame()
    in_use = used["dataset"].value_counts()
    table = pd.DataFrame([
        {"dataset": record.source, "listed": record.listed,
         **{kind: int(kinds[kind].get(record.source, 0)) if kind in kinds else 0 for kind in _KINDS},
         "used": int(in_use.get(record.source, 0))}
        for record in records
    ])
    lost = table[table["listed"] != table[[*_KINDS, "used"]].sum(axis=1)]
    if len(lost):
        raise AssertionError(f"rows went astray on the way in, a fault of the program: {lost.to_dict('records')}")
    return table


def _notes_on_looks(seen: list[_Look]) -> list[str]:
    bad_masks = [look.mask for look in seen if look.mask]
    regions = pd.Series([look.region for look in seen], dtype=object).value_counts()
    notes = [f"{len(bad_masks):,} lesion masks are not used ({shorten(sorted(set(bad_masks)), 2)})"] if bad_masks else []
    if len(regions):
        notes.append("ITA was measured on " + ", ".join(f"{region} ({count:,})" for region, count in regions.items()))
    return notes


def _notes_on_copies(used: pd.DataFrame) -> list[str]:
    copies = used[used["sha256"].duplicated(keep=False)]
    extra = len(copies) - copies["sha256"].nunique()
    if not extra:
        return []
    first = sorted(copies.loc[copies["sha256"] == copies["sha256"].iloc[0], "image_id"])
    return [f"{extra:,} images are exact copies of another with the same label (first: {' and '.join(first[:2])}); they stay, each copy in "
            "the same split as the other, and count more than once"]


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = {"tone": "Int8", "ita": "float64", "width": "Int32", "height": "Int32"}
    return frame.astype({column: numbers.get(column, "str") for column in SAMPLES})

