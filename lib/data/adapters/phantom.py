"""Phantoms: images drawn by `lib.phantom`, read from the metadata.csv beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lib.data.columns import parse_tone, pick_columns, read_csv
from lib.data.errors import DataError
from lib.data.folders import find_table, list_images
from lib.data.info import INFO
from lib.data.records import Records, add_extras, assemble
from lib.study import Source


def draw(
    source:   Source,
    root:     Path,                         # is made if it does not exist
    *,
    progress: Callable | None = None,       # passed on to lib.phantom.world.write_dataset
    workers:  int             = 1,          # processes; any number draws the same
) -> None:
    """Draw the images of a phantom source; what lies there complete is kept."""
    from lib.phantom.world import write_dataset  # only here: reading a drawn set must not need the drawing code

    if source.phantom is None:
        raise DataError(f"{source.title}: has no `phantom` section, so nothing says what to draw")
    write_dataset(root, source.phantom, source.title, progress=progress, workers=workers)


def read(
    source: Source,
    root:   Path,           # the folder that write_dataset filled
) -> Records:
    """Rows of a drawn data set."""
    info = INFO["phantom"]
    path = find_table(root, info.table, info.layout)
    table = read_csv(path)
    names = pick_columns(table, info.columns, info.required, path)
    listing = list_images(root)
    resolved = [listing.resolve(file) for file in table[names["file"]]]
    if "mask" in names:
        masks = [listing.resolve(file)[0] if file else None for file in table[names["mask"]]]
    else:
        masks = [listing.by_stem(Path(file).stem + info.mask_suffix) for file in table[names["file"]]]
    columns = {
        **{ours: table[names[ours]] for ours in ("image_id", "diagnosis", "patient_id", "lesion_id", "domain")},
        "file": [file for file, _ in resolved],
        "mask": masks,
        "tone": parse_tone(table[names["tone"]], path),
    }
    add_extras(columns, [(extra, table[extra]) for extra in table if extra not in names.values()])
    reasons = {row: reason for row, (_, reason) in enumerate(resolved) if reason}
    return assemble(source, info, root, columns, listing=listing, reasons=reasons)
