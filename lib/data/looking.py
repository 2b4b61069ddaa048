"""Opening every image once: is it usable, how large is it, how light is the skin, what does it look like?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.account import set_aside
from lib.data.errors import counted, shorten
from lib.data.images import ImageRefused, content_hash, decode, read_bytes, read_mask
from lib.data.mapping import ITA_GROUP
from lib.data.perceptual import Fingerprints, fingerprint
from lib.data.skin import ita_group, measure_skin

_MEASURED = {"outside mask": "the skin outside the lesion's mask", "border ring": "the skin along the picture's border"}


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


def open_all(
    frame:    pd.DataFrame,                             # dataset, image_id, file, mask; index 0 … N − 1
    roots:    Mapping[str, Path],                       # data set → its folder
    *,
    prints:   bool,                                     # take fingerprints, too
    threads:  int,
    progress: Callable[[int, int], None] | None,
) -> tuple[pd.DataFrame, Fingerprints | None, pd.DataFrame, list[str]]:
    """The images that can be used, with what was measured on them; their fingerprints, row by row; those refused; and notes."""
    looks, taken = _look_at(frame, roots, prints, threads, progress)
    reasons = pd.Series([look.reason for look in looks], dtype=object)
    good = reasons.isna()
    used, seen = frame[good].copy(), [look for look in looks if look.reason is None]
    for name in ("sha256", "width", "height", "ita", "region"):
        used[name] = [getattr(look, name) for look in seen]
    used["mask"] = used["mask"].where([look.mask is None for look in seen], None)
    used[ITA_GROUP] = pd.array(ita_group(used["ita"].to_numpy(dtype=float)), dtype="Float64").astype("Int8")
    return used, taken and taken[np.flatnonzero(good)], set_aside(frame[~good], "refused", reasons), _notes(seen)


def _look_at(
    frame:    pd.DataFrame,
    roots:    Mapping[str, Path],
    prints:   bool,
    threads:  int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[_Look], Fingerprints | None]:
    tasks = list(zip(frame["dataset"], frame["file"], frame["mask"], strict=True))
    looks, taken = [], Fingerprints.empty(len(tasks)) if prints else None
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for look, picture in pool.map(lambda task: _look(Path(roots[task[0]]), task[1], task[2], prints), tasks):
            if picture is not None:
                taken.grey[len(looks)], taken.colour[len(looks)] = picture
            looks.append(look)
            if progress is not None:
                progress(len(looks), len(tasks))
    return looks, taken


def _look(root: Path, file: str, mask_file: str | None, prints: bool) -> tuple[_Look, tuple[np.ndarray, np.ndarray] | None]:
    try:
        content = read_bytes(root / file)
        image = decode(content)
    except ImageRefused as error:
        return _Look(reason=str(error)), None
    mask, why = None, None
    if isinstance(mask_file, str):
        try:
            mask = read_mask(root / mask_file, image.size)
            why = None if mask.any() else "mask is empty"
        except ImageRefused as error:
            why = str(error)
    skin = measure_skin(image, mask)
    look = _Look(None, content_hash(content), image.width, image.height, skin.ita, skin.region, why)
    return look, fingerprint(image) if prints else None


def _notes(seen: list[_Look]) -> list[str]:
    bad_masks = [look.mask for look in seen if look.mask]
    notes = [f"{counted(len(bad_masks), 'lesion mask is', 'lesion masks are')} not used ({shorten(sorted(set(bad_masks)), 2)})"] \
        if bad_masks else []
    return notes + _note_on_skin(pd.Series([look.region for look in seen], dtype=object).value_counts())


def _note_on_skin(
    regions: pd.Series,             # region of lib.data.skin → images
) -> list[str]:
    where = [f"{_MEASURED[region]} ({count:,})" for region, count in regions.items() if region in _MEASURED]
    nowhere = [f"{region} ({count:,})" for region, count in regions.items() if region not in _MEASURED]
    parts = [f"ITA was measured on {' or '.join(where)}"] * bool(where) + [f"not measured: {', '.join(nowhere)}"] * bool(nowhere)
    note = "; ".join(parts)
    return [note if where else f"ITA was {note}"] if note else []
