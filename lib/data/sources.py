"""From a study's list of sources to rows: where each one lies, and its adapter's answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lib.data.adapters import bcn20000, ddi, fitzpatrick17k, ham10000, image_folder, isic_2019, isic_2020, pad_ufes_20, phantom
from lib.data.errors import DataError
from lib.data.folders import leaves_root
from lib.data.info import find_info
from lib.data.records import Records
from lib.data.root import data_root
from lib.study import Source

ADAPTERS = {
    "ham10000":       ham10000.read,
    "pad_ufes_20":    pad_ufes_20.read,
    "fitzpatrick17k": fitzpatrick17k.read,
    "ddi":            ddi.read,
    "bcn20000":       bcn20000.read,
    "isic_2019":      isic_2019.read,
    "isic_2020":      isic_2020.read,
    "image_folder":   image_folder.read,
    "phantom":        phantom.read,
}


def source_folder(
    source: Source,
    *,
    root:         Path | None = None,       # default: data_root()
    phantom_root: Path | None = None,       # where phantoms are drawn; default: root
) -> Path:
    """Where a source lies. Raises DataError when its `folder` would leave the data folder."""
    info = find_info(source.dataset)
    base = root or data_root()
    if source.dataset == "phantom" and phantom_root is not None:
        base = phantom_root
    name = source.folder or (source.title if source.dataset == "phantom" else info.folder)
    reason = leaves_root(name)
    if reason:
        raise DataError(f"{source.title}: folder {reason}; it is read under DATA_ROOT ({base}), so move or link it there, or set DATA_ROOT")
    return base / name


def source_folders(
    sources: Sequence[Source],
    *,
    root:         Path | None = None,
    phantom_root: Path | None = None,
) -> dict[str, Path]:
    """The folder of each source under the name that tables call it."""
    return {source.title: source_folder(source, root=root, phantom_root=phantom_root) for source in sources}


def read_records(
    source: Source,
    root:   Path,           # the source's own folder, see source_folder
) -> Records:
    """The rows of a source's table, joined with the files that are there; no image is opened.

    60,000 rows take about a second. A missing image is a row without `file`, not an error. Raises DataError where the folder,
    the table or a column is not there, or where a value (a skin tone) cannot be understood.
    """
    info, root = find_info(source.dataset), Path(root)
    if not root.is_dir():
        given = os.environ.get("DATA_ROOT")
        where = f"DATA_ROOT is {given}" if given else f"DATA_ROOT is not set, so it is {data_root()}"
        raise DataError(
            f"{source.title}: no folder {root} ({where}). Put {info.title} there ({info.source}): {info.layout}; "
            f"or set DATA_ROOT to the folder that holds {root.name}/"
        )
    return ADAPTERS[source.dataset](source, root)
