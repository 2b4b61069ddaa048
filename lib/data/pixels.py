"""The pixels that classifiers see: every image once, square, at one size, in one file that is read in place.

Resampling is PIL's LANCZOS, whose kernel widens with the reduction (so it is antialiased), after block means down to three
times the size (`reducing_gap`), which large photographs need to be quick.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from PIL import Image

from lib.data.errors import DataError
from lib.data.hair import HAIR_RECIPE, LONGEST_SIDE
from lib.data.hair import remove_hair as paint_over_hair
from lib.data.images import ImageRefused, content_hash, decode, read_bytes, read_mask
from lib.files import reserve, write_atomically, write_json

_RECIPE = "pixels 2: sRGB, square, lanczos, reducing_gap 3"     # part of the cache's key: change it with the recipe
MARGIN  = 0.15                                             # of the lesion's longer side, on each side of it

Box = tuple[float, float, float, float]


def load_pixels(
    samples:  pd.DataFrame,                 # image_id, dataset, path, sha256, mask_path
    roots:    Mapping[str, Path],           # dataset → its folder
    size:     int,                          # pixels of the square's side
    crop:     str,                          # whole: the largest centred square; lesion: a square around the mask
    cache:    Path,                         # folder; one file per set of images, size, crop and remove_hair
    *,
    margin:      float                             = MARGIN,    # of crop lesion, as a share of the lesion's longer side
    remove_hair: bool                              = False,     # paint over dark hair, see lib.data.hair
    threads:     int                               = 1,
    progress:    Callable[[int, int], None] | None = None,      # called with (images done, images)
) -> np.memmap:
    """Pixels uint8 [N, size, size, 3] in the order of `samples`, read-only.

    Decoded once and kept under `cache` by the hash of the images' (and masks') content; processes that ask at once wait for the
    first. Raises DataError when an image is no longer the one that `samples` describes, OSError where the disk has no room for them.
    """
    return load_pixels_and_account(samples, roots, size, crop, cache, margin=margin, remove_hair=remove_hair, threads=threads,
                                   progress=progress)[0]


def load_pixels_and_account(
    samples:  pd.DataFrame,
    roots:    Mapping[str, Path],
    size:     int,
    crop:     str,
    cache:    Path,
    *,
    margin:      float                             = MARGIN,
    remove_hair: bool                              = False,
    threads:     int                               = 1,
    progress:    Callable[[int, int], None] | None = None,
) -> tuple[np.memmap, dict[str, int]]:
    """`load_pixels` and how many images were cropped how: {"lesion": …, "whole": …}; with crop "lesion", whole is the fallback.

    With `remove_hair` also {"hair": …}, the images in which some was found.
    """
    if crop not in ("whole", "lesion"):
        raise ValueError(f"crop is {crop!r}; expected whole or lesion")
    cache = Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    key = _key(samples, roots, size, crop, margin, remove_hair)
    path, account = cache / f"{key}.npy", cache / f"{key}.json"
    with FileLock(cache / f"{key}.lock"):
        if not _complete(path, account, (len(samples), size, size, 3)):
            _fill(path, account, samples, roots, size, crop, margin, remove_hair, threads, progress)
    return np.load(path, mmap_mode="r"), json.loads(account.read_text(encoding="utf-8"))


def square_of(
    width:  int,
    height: int,
    mask:   np.ndarray | None = None,       # bool [height, width], True inside the lesion
    margin: float             = MARGIN,     # on each side of the lesion, as a share of its longer side
) -> tuple[Box, bool]:
    """The square to cut out, as (left, upper, right, lower), and whether it follows the lesion.

    Without a lesion the largest centred square. With one, the square around its bounding box with a margin on each side, as large as
    the picture allows and pushed inside it.
    """
    short = min(width, height)
    if mask is None or not mask.any():
        left, upper = (width - short) / 2, (height - short) / 2
        return (left, upper, left + short, upper + short), False
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    longer = max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1
    side = min(float(short), longer * (1 + 2 * margin))
    left = min(max((columns[0] + columns[-1] + 1 - side) / 2, 0), width - side)
    upper = min(max((rows[0] + rows[-1] + 1 - side) / 2, 0), height - side)
    return (left, upper, left + side, upper + side), True


def square_pixels(
    image:  Image.Image,                    # RGB
    size:   int,
    mask:   np.ndarray | None = None,
    margin: float             = MARGIN,
) -> tuple[np.ndarray, bool]:
    """One picture as uint8 [size, size, 3], and whether the crop follows the lesion."""
    box, follows = square_of(*image.size, mask, margin)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)), follows


def _key(samples: pd.DataFrame, roots: Mapping[str, Path], size: int, crop: str, margin: float, remove_hair: bool) -> str:
    how = f"{crop} {margin:g}" if crop == "lesion" else crop
    digest = hashlib.sha256(f"{_RECIPE}\n{size}\n{how}\n{HAIR_RECIPE if remove_hair else ''}\n".encode())
    digest.update("\n".join(samples["sha256"]).encode())
    if crop == "lesion":
        for dataset, mask in zip(samples["dataset"], samples["mask_path"], strict=True):
            digest.update(b"\n" + _mask_hash(Path(roots[dataset]), mask))
    return digest.hexdigest()[:32]


def _mask_hash(root: Path, mask: object) -> bytes:
    try:
        return hashlib.sha256(read_bytes(root / mask)).digest() if isinstance(mask, str) else b""
    except ImageRefused:
        return b""


def _complete(path: Path, account: Path, shape: tuple[int, ...]) -> bool:
    """A file cut short by a full disk or a copy is made again."""
    if not (path.is_file() and account.is_file()):
        return False
    try:
        return np.load(path, mmap_mode="r").shape == shape
    except (ValueError, OSError, EOFError):
        return False


def _fill(path: Path, account: Path, samples: pd.DataFrame, roots: Mapping[str, Path], size: int, crop: str, margin: float,
          remove_hair: bool, threads: int, progress: Callable[[int, int], None] | None) -> None:
    for leftover in path.parent.glob(f".{path.name}.*"):     # of a process that died; we hold the lock, so nobody writes it
        leftover.unlink(missing_ok=True)
    count = {"lesion": 0, "whole": 0} | ({"hair": 0} if remove_hair else {})
    tasks = list(samples[["image_id", "dataset", "path", "sha256", "mask_path"]].itertuples(index=False))
    if not tasks:
        raise DataError("there is no image to load; the table of samples is empty")

    def write(temporary: Path) -> None:
        pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(len(tasks), size, size, 3))
        reserve(temporary, "pixels")
        with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
            for start in range(0, len(tasks), 1024):        # in portions, so that results never pile up
                part = tasks[start:start + 1024]
                squares = pool.map(lambda task: _open(task, Path(roots[task.dataset]), size, crop, margin, remove_hair), part)
                for i, (square, follows, hairy) in enumerate(squares, start):
                    pixels[i] = square
                    count["lesion" if follows else "whole"] += 1
                    if hairy:
                        count["hair"] += 1
                    if progress is not None:
                        progress(i + 1, len(tasks))
        pixels.flush()

    write_atomically(path, write)
    write_json(account, count)


def _open(task: tuple, root: Path, size: int, crop: str, margin: float, remove_hair: bool) -> tuple[np.ndarray, bool, bool]:
    """The square, whether it follows the lesion, and whether hair was taken out of it."""
    try:
        content = read_bytes(root / task.path)
        if content_hash(content) != task.sha256:
            raise DataError(f"{task.dataset}: {task.path} has changed since the samples were taken in; run 01_eda again")
        image = decode(content)
    except ImageRefused as error:
        raise DataError(f"{task.dataset}: {task.path} {error}; run 01_eda again") from None
    mask = None
    if crop == "lesion" and isinstance(task.mask_path, str):
        try:
            mask = read_mask(root / task.mask_path, image.size)
        except ImageRefused:
            mask = None         # counted as a whole image
    square, follows = square_pixels(image, size, mask, margin)
    shaved = _without_hair(image, size, mask, margin) if remove_hair else None
    return (square, follows, False) if shaved is None else (shaved, follows, True)


def _without_hair(image: Image.Image, size: int, mask: np.ndarray | None, margin: float) -> np.ndarray | None:
    """The square without its hair, None where it has none. Hair is found and painted over at a size where it is wide enough to see."""
    large, _ = square_pixels(image, max(size, LONGEST_SIDE), mask, margin)
    shaved = paint_over_hair(large)
    return None if shaved is large else square_pixels(Image.fromarray(shaved), size)[0]
