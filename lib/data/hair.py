"""Dark hair over the skin: where it is, how much of a picture it covers, and the picture without it.

In the spirit of DullRazor (Lee, Ng, Gallagher, Coldman & McLean 1997, Comput. Biol. Med. 27:533), which closes the picture along short
lines and takes for hair what becomes brighter. A pigment network and scales answer to that as hair does, so here a hair must also be
long and straight for a while: a pixel counts as dark if both neighbours across a direction are brighter, and most pixels of a line in
that direction must be dark. The brightest of the three channels is searched, in which hair is dark and vessels hardly are.

What is measured is dark hair that stands out. Fair hair and dark hair on dark skin have little contrast, and in a small picture a hair
is a fraction of a pixel; a ruler's line, a scratch or a pen stroke may count. On phantoms, where the truth is known (360 pictures), the
share told pictures with hair from those without with an AUROC of 0.98 at 256 pixels, 0.97 at 128 and 0.89 at 64; of the hairs' pixels
80% were found on type I and 85% on VI at 256 pixels, but 55% and 24% at 64: small pictures of dark skin seem to have less hair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from lib.data.errors import DataError
from lib.data.images import ImageRefused, read_image

HAIR_RECIPE  = "hair 1"     # part of the key of what was made with it: change it with the numbers below
LONGEST_SIDE = 256          # pixels of the copy that is searched; lengths below are in its pixels
_ASIDE       = 4            # a hair is thinner than twice this
_DARKER      = 8            # of 255: by how much a hair is darker than both sides
_ANGLES      = 16
_LONG        = (16, 0.85)   # a hair is found where this share of a line of so many pixels to both sides is dark
_SHORT       = (8, 1.0)     # and followed round a bend by shorter lines
_BODY        = 6            # of 255: what is darker than its surroundings by this, along a found line, is the hair's body,
_FLANK       = 0.4          # as far as it has this share of the hair's full depth
_RIM         = 2            # a hair's soft edge, painted over with it


def hair_mask(
    image: np.ndarray,      # uint8 [H, W, 3]
) -> np.ndarray:
    """True on dark hair, bool [H, W]."""
    found = _search(_small(image))
    if found.shape == image.shape[:2]:
        return found
    return np.asarray(Image.fromarray(found).resize(image.shape[1::-1], Image.Resampling.NEAREST))


def hair_share(
    image: np.ndarray,      # uint8 [H, W, 3]
) -> float:
    """Share of a picture under dark hair, 0–1. About 15 ms."""
    return float(_search(_small(image)).mean())


def remove_hair(
    image: np.ndarray,      # uint8 [H, W, 3]
) -> np.ndarray:
    """The picture with dark hair painted over in the colours beside it, uint8 [H, W, 3]; the very same picture where there is none.

    Made for pictures of a few hundred pixels. What lies under a hair stays unknown: a gap is bridged, nothing is recovered.
    """
    found = hair_mask(image)
    if not found.any():
        return image
    scale = max(1.0, max(found.shape) / LONGEST_SIDE)
    gap = ndimage.binary_dilation(found, np.ones((3, 3)), iterations=round(_RIM * scale))
    if gap.all():
        return image
    rows, columns = ndimage.distance_transform_edt(gap, return_distances=False, return_indices=True)
    bridged = image[rows, columns].astype(np.float32)               # the nearest colour, then softened across
    sigma = _RIM * scale
    soft = np.stack([ndimage.gaussian_filter(bridged[..., channel], sigma) for channel in range(3)], axis=-1)
    return np.where(gap[..., None], soft.round().astype(np.uint8), image)


def measure_hair(
    samples:  pd.DataFrame,             # image_id, dataset, path, label, group, tone
    roots:    Mapping[str, Path],       # dataset → its folder
    *,
    images:   int,                      # look at no more than so many, evenly over the groups
    threads:  int                               = 1,
    progress: Callable[[int, int], None] | None = None,     # called with (images done, images)
) -> pd.DataFrame:
    """Share of the picture under dark hair: image_id, label, group, tone, hair (0–1), sorted by image_id.

    Groups take turns, and within one those images come first whose hashed image_id does: the same ones each time. Images without a
    group take their turn like one. Raises DataError when an image cannot be read any more.
    """
    chosen = _evenly(samples, images)
    tasks = [(row.dataset, row.path) for row in chosen.itertuples()]
    shares = []
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for share in pool.map(lambda task: _measure(task[0], Path(roots[task[0]]), task[1]), tasks):
            shares.append(share)
            if progress is not None:
                progress(len(shares), len(tasks))
    return chosen[["image_id", "label", "group", "tone"]].assign(hair=np.array(shares, dtype=float)).reset_index(drop=True)


def _measure(dataset: str, root: Path, path: str) -> float:
    try:
        return hair_share(read_image(root / path))
    except ImageRefused as error:
        raise DataError(f"{dataset}: {path} {error}; run 01_eda again") from None


def _evenly(samples: pd.DataFrame, images: int) -> pd.DataFrame:
    samples = samples.reset_index(drop=True)
    order = samples["image_id"].map(lambda image_id: hashlib.sha256(str(image_id).encode()).hexdigest())
    hashed = samples.assign(_order=order).sort_values(["_order", "image_id"])
    turn = hashed.groupby("group", dropna=False, observed=True).cumcount()
    first = hashed.assign(_turn=turn).sort_values(["_turn", "_order", "image_id"]).head(images)
    return samples.loc[first.index].sort_values("image_id")


def _small(image: np.ndarray) -> np.ndarray:
    """The brightest channel at LONGEST_SIDE, uint8 [h, w]."""
    brightest = image.max(axis=2)
    scale = LONGEST_SIDE / max(brightest.shape)
    height, width = (max(1, round(side * scale)) for side in brightest.shape)
    return np.asarray(Image.fromarray(brightest).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _search(value: np.ndarray) -> np.ndarray:       # uint8 [h, w] → bool [h, w]
    dark = list(_dark_across(value))
    found = _along(dark, *_LONG)
    if not found.any():
        return found
    every = found | _along(dark, *_SHORT)
    near = ndimage.binary_dilation(ndimage.binary_propagation(found, np.ones((3, 3)), every), np.ones((3, 3)))
    width = 2 * _ASIDE + 1
    depth = ndimage.minimum_filter(ndimage.maximum_filter(value, width), width) - value
    return near & (depth >= np.maximum(_BODY, ndimage.maximum_filter(depth, width) * np.float32(_FLANK)))


def _dark_across(value: np.ndarray) -> Iterator[np.ndarray]:
    """For each direction, where both sides of it are brighter, uint8 [h, w]."""
    height, width = value.shape
    padded, limit = np.pad(value, _ASIDE, mode="edge"), value.astype(np.int16) + _DARKER
    for angle in range(_ANGLES):
        down, right = _points(angle + _ANGLES // 2, _ASIDE)[-1]             # at a right angle to the direction
        sides = [padded[_ASIDE + sign * down:, _ASIDE + sign * right:][:height, :width] for sign in (1, -1)]
        yield (np.minimum(*sides) >= limit).view(np.uint8)


def _along(dark: list[np.ndarray], reach: int, share: float) -> np.ndarray:
    """Every line of ±reach pixels of which `share` is dark in its own direction, bool [h, w]."""
    height, width = dark[0].shape
    lines = np.zeros((height + 2 * reach, width + 2 * reach), dtype=bool)
    for angle, here in enumerate(dark):
        points, padded = _points(angle, reach), np.pad(here, reach)
        total = np.zeros((height, width), dtype=np.uint8)
        for down, right in points:
            total += padded[reach + down:, reach + right:][:height, :width]
        middles = total >= share * len(points)
        if middles.any():
            rows, columns = np.nonzero(middles)
            for down, right in points:
                lines[rows + (reach + down), columns + (reach + right)] = True
    return lines[reach:-reach, reach:-reach]


@cache
def _points(angle: int, reach: int) -> list[tuple[int, int]]:
    """Rows and columns of a line of ±reach pixels through 0 in a direction, without doubles."""
    turn = np.pi * angle / _ANGLES
    return list(dict.fromkeys((round(step * np.sin(turn)), round(step * np.cos(turn))) for step in range(-reach, reach + 1)))
