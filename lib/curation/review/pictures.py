"""The pictures of a review as the page holds them: all cut, sized and encoded the same way, so that no file tells which is real."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lib.curation.review.errors import ReviewError
from lib.data.errors import DataError
from lib.data.images import ImageRefused, content_hash, decode, read_bytes
from lib.data.pixels import MARGIN, load_pixels

LARGEST_PNG = 256           # pixels of a side; above it a page of 500 PNG files would be too large to open
JPEG        = {"format": "JPEG", "quality": 95, "subsampling": 0}


def load_pictures(
    items:     pd.DataFrame,            # of `draw_sample`
    curated:   pd.DataFrame,            # image_id, path
    samples:   pd.DataFrame,
    generated: Path,                    # the folder of 05_generation, which the paths of `curated` start from
    roots:     Mapping[str, Path],      # source → its folder
    study:     Any,                     # data.crop, data.remove_hair, gan
    *,
    cache:     Path,
) -> list[np.ndarray]:
    """Pixels uint8 [S, S, 3] of each item, in their order; S is the generator's size, of a real image its partner generator's.

    A real image is cut out as the images were that this generator learnt from. Raises ReviewError where a picture is missing or is
    not the one that its table describes.
    """
    pictures: list[np.ndarray | None] = [None] * len(items)
    paths = curated.set_index("image_id")["path"]
    for place in np.flatnonzero(items["kind"].eq("generated")):
        pictures[place] = _read(generated / paths[items["image_id"].iloc[place]], items["sha256"].iloc[place])
    for generator in sorted(items["generator"].unique()):
        mine = np.flatnonzero(items["generator"].eq(generator))
        size = max(pictures[place].shape[0] for place in mine if pictures[place] is not None)
        real = [place for place in mine if pictures[place] is None]
        if not real:
            continue
        rows = samples.set_index("image_id", drop=False).loc[items["image_id"].iloc[real]].reset_index(drop=True)
        crop, margin = (study.gan.crop, study.gan.margin) if generator == "gan" else (study.data.crop, MARGIN)
        try:
            pixels = load_pixels(rows, roots, size, crop, cache, margin=margin, remove_hair=study.data.remove_hair)
        except DataError as error:
            raise ReviewError(f"a real image cannot be shown: {error}") from None
        for place, one in zip(real, pixels, strict=True):
            pictures[place] = np.asarray(one)
    return pictures


def data_uri(pixels: np.ndarray) -> str:        # uint8 [S, S, 3]
    """The picture as text that a page can hold: PNG, and JPEG of quality 95 with full colour above 256 pixels."""
    buffer = io.BytesIO()
    large = max(pixels.shape[:2]) > LARGEST_PNG
    Image.fromarray(pixels).save(buffer, **JPEG if large else {"format": "PNG"})
    return f"data:image/{'jpeg' if large else 'png'};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def picture_hash(pixels: np.ndarray) -> str:
    """SHA-256 of shape and pixels."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _read(path: Path, sha256: str) -> np.ndarray:
    try:
        content = read_bytes(path)
        if content_hash(content) != sha256:
            raise ReviewError(f"{path} is not the picture that 06_curation looked at; run 06_curation again, then make the page")
        return np.asarray(decode(content))
    except ImageRefused as error:
        raise ReviewError(f"{path} {error}; run 05_generation and 06_curation again, then make the page") from None
