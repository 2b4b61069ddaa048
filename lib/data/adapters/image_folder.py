"""Any images of your own: one folder per diagnosis, or a CSV that names file and diagnosis."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pandas as pd

from lib.data.columns import parse_age, parse_text, parse_tone, pick_columns, read_csv
from lib.data.errors import DataError, counted, shorten
from lib.data.folders import Listing, leaves_root, lies_inside, list_images
from lib.data.info import INFO
from lib.data.records import Records, add_extras, assemble
from lib.study import Source

_MASK_SUFFIXES = ("_mask", "_segmentation")
_SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


def read(
    source: Source,
    root:   Path,           # the folder of the images
) -> Records:
    """Rows of a folder of images.

    Without a table the first folder on an image's path is its diagnosis, whatever folders lie below; where all first folders
    are called train, val, test and the like, the second is. `<image>_mask` or `<image>_segmentation`, beside the image or
    under a folder `masks`, is its mask. With a table `source.columns` maps our column (file, diagnosis, patient_id, lesion_id,
    tone, domain, mask, age, sex, site, image_id, or any new name) to the table's; the table's other columns are kept, as
    `<name>_in_table` where the project calls a column of its own so.

    Patients and lesions are those of the folder: two sources with tables in one folder share them, so patient 7 of train.csv is
    patient 7 of test.csv. Where both list the same file, its content (sha256) tells.
    """
    listing = list_images(root)
    return _from_table(source, root, listing) if source.table else _from_folders(source, root, listing)


def _from_folders(source: Source, root: Path, listing: Listing) -> Records:
    info = INFO["image_folder"]
    masks = {file for file in listing.files if _is_mask(file, listing)}
    files = [file for file in listing.files if file not in masks]
    parts = [PurePosixPath(file).parts for file in files]
    notes = [_own_patient_note(source)]
    first = {path[0] for path in parts if len(path) > 1}
    depth = 1 if first and {name.lower() for name in first} <= _SPLIT_FOLDERS else 0
    if depth:
        notes.append(f"{source.title}: the folders {shorten(sorted(first))} are not taken as diagnoses; the study makes its own split")
    columns = {
        "image_id":  pd.Series(files, dtype=object),
        "file":      files,
        "mask":      [_mask_of(file, listing) for file in files],
        "diagnosis": [path[depth] if len(path) > depth + 1 else "" for path in parts],
    }
    reasons = {row: "lies in no class folder" for row, path in enumerate(parts) if len(path) <= depth + 1}
    if files and len(reasons) == len(files):
        all_of = "the one image" if len(files) == 1 else f"all {len(files):,} images"
        raise DataError(f"{source.title}: {all_of} in {root} {'lies' if len(files) == 1 else 'lie'} in no class folder "
                        f"(first: {files[0]}). Expected {info.layout}")
    return assemble(source, info, root, columns, listing=listing, reasons=reasons, notes=notes)


def _from_table(source: Source, root: Path, listing: Listing) -> Records:
    info = INFO["image_folder"]
    reason = leaves_root(source.table)
    path = root / source.table
    if reason or not path.is_file():
        raise DataError(f"{source.title}: no table {source.table} in {root}; " + (reason or "`table` names a CSV inside the folder"))
    if not lies_inside(os.path.realpath(path), os.path.realpath(root)):
        raise DataError(f"{source.title}: {path} is a link that leaves the data folder; copy its target into the folder")
    table = read_csv(path)
    absent = [f"{ours}: {theirs}" for ours, theirs in source.columns.items() if theirs not in table]
    if absent:
        raise DataError(f"{path}: `columns` names {shorten(absent)}, the file has {shorten(list(table.columns), 30)}")
    spellings = {ours: (source.columns[ours],) if ours in source.columns else names for ours, names in info.columns.items()}
    names = {**pick_columns(table, spellings, info.required, path), **source.columns}
    resolved = [listing.resolve(written) for written in table[names["file"]]]
    files = [file for file, _ in resolved]
    written = table[names["file"]].str.replace("\\", "/", regex=False)
    columns = {
        "image_id":  table[names["image_id"]] if "image_id" in names else [file or text for file, text in zip(files, written, strict=True)],
        "file":      files,
        "diagnosis": table[names["diagnosis"]],
        **({"tone": parse_tone(table[names["tone"]], path)} if "tone" in names else {}),
        **({"age": parse_age(table[names["age"]], zero_is_null=False)} if "age" in names else {}),
        **{ours: parse_text(table[names[ours]]) for ours in ("sex", "site") if ours in names},
        **{ours: table[names[ours]] for ours in ("patient_id", "lesion_id", "domain") if ours in names},
    }
    reasons = {row: why for row, (_, why) in enumerate(resolved) if why}
    if "mask" in names:
        masks = [listing.resolve(text) if text else (None, None) for text in table[names["mask"]]]
        columns["mask"] = [file for file, _ in masks]
        reasons = {**{row: f"mask: {why}" for row, (_, why) in enumerate(masks) if why}, **reasons}
    else:
        columns["mask"] = [_mask_of(file, listing) if file else None for file in files]
    add_extras(columns, [(ours, table[theirs]) for ours, theirs in source.columns.items() if ours not in info.columns])
    add_extras(columns, [(theirs, table[theirs]) for theirs in table if theirs not in set(names.values())])
    notes = [] if "patient_id" in names or "lesion_id" in names else [_own_patient_note(source)]
    extra = len(set(listing.files) - set(files) - set(columns["mask"]))
    if extra:
        notes.append(f"{source.title}: {counted(extra, 'image file in the folder is', 'image files in the folder are')} not in "
                     f"{source.table} and not used")
    return assemble(source, info, root, columns, listing=listing, reasons=reasons, notes=notes, lesions_by_patient=True)


def _own_patient_note(source: Source) -> str:
    return (f"{source.title}: no patient is named, so every image counts as a patient of its own; images of one person may lie in "
            "two splits, and results may look better than they are (name a patient_id column to prevent it)")


def _is_mask(file: str, listing: Listing) -> bool:
    """A mask is named after another image and lies beside it or under `masks`."""
    return any(_image_of(file, suffix, listing) for suffix in _MASK_SUFFIXES)


def _image_of(file: str, suffix: str, listing: Listing) -> bool:
    body = file.rpartition(".")[0]
    if not body.endswith(suffix):
        return False
    image = body.removesuffix(suffix)
    return image in listing.bodies or image.removeprefix("masks/") in listing.bodies


def _mask_of(file: str, listing: Listing) -> str | None:
    body = file.rpartition(".")[0]
    candidates = (f"{folder}{body}{suffix}" for folder in ("", "masks/") for suffix in _MASK_SUFFIXES)
    return next((listing.by_body(name) for name in candidates if name in listing.bodies), None)
