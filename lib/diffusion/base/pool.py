"""Drawn pictures to train and judge the base models with: one picture of one lesion per patient, in memory-mapped arrays."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

import lib.phantom
from lib.files import reserve, write_atomically
from lib.phantom.render import draw
from lib.phantom.tone import TYPES
from lib.phantom.world import sample_world
from lib.process import die_with_parent
from lib.study import PhantomOptions

# Every purpose draws from its own seeds, so no model meets at its test a picture that it or another one was trained on.
# Studies have 1,000,000 to 1,999,999 (PhantomOptions.seed).
SEED_SD        = 9_100_000      # phantom-sd: autoencoder, text encoder, UNet
SEED_PERCEPTOR = 9_110_000      # the network behind the autoencoder's perceptual loss
SEED_SIGLIP    = 9_200_000      # phantom-siglip
SEED_ORACLE    = 9_300_000      # the oracle
SEED_HELD_OUT  = 9_390_000      # nobody trains on these: ceilings and every measurement

HELD_OUT = 6_000                # pictures
CACHE    = Path("outputs/.state/pools")
_CHUNK   = 256                  # pictures that one worker draws at a time


@dataclass(frozen=True)
class Pool:
    """Pictures and the scenes that they show, row by row."""

    pixels: np.ndarray          # uint8 [N, S, S, 3], sRGB, read-only
    scenes: pd.DataFrame        # the rows of lib.phantom.world.sample_world: diagnosis, tone (1–6), domain, melanin, …

    def __len__(self) -> int:
        return len(self.scenes)


def draw_pool(
    name:       str,
    images:     int,
    *,
    seed:       int,                                                # one of the SEED_ constants
    types:      tuple[int, ...]                         = TYPES,    # Fitzpatrick types, in equal shares
    size:       int                                     = 64,       # pixels per side, 32–512
    difficulty: float                                   = 0.45,     # 0 textbook … 1 classes hardly differ
    workers:    int                                     = 2,        # processes; any number draws the same pixels
    cache:      Path | None                             = CACHE,    # folder; None: nothing is kept
    progress:   Callable[[int, int], None] | None       = None,     # called with (images done, images)
) -> Pool:
    """`images` pictures with artefacts, the seven usual diagnoses in equal shares within each type, domains equal by chance.

    About 2 ms a picture of 64 pixels and core. Kept under `cache` by the hash of the scenes and the drawing code;
    processes that ask at once wait for the first. Raises ValueError for an unknown type or a size outside the range.
    """
    options = PhantomOptions(
        patients=images, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), image_size=size, seed=seed, difficulty=difficulty,
        tone_shares=dict.fromkeys(types, 1.0),
    )
    scenes = sample_world(options, name)
    if cache is None:
        pixels = np.empty((images, size, size, 3), np.uint8)
        _fill(pixels, scenes, workers, progress)
        return Pool(pixels, scenes)
    path = Path(cache) / f"{name}-{_key(scenes, size)}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not _complete(path, (images, size, size, 3)):
            def write(temporary: Path) -> None:
                pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(images, size, size, 3))
                reserve(temporary, "pictures")
                _fill(pixels, scenes, workers, progress)
                pixels.flush()

            write_atomically(path, write)
    return Pool(np.load(path, mmap_mode="r"), scenes)


def held_out_pool(**options: Any) -> Pool:
    """The pictures that everything is measured on, with the options of `draw_pool`."""
    return draw_pool("held-out", HELD_OUT, seed=SEED_HELD_OUT, **options)


def _fill(pixels: np.ndarray, scenes: pd.DataFrame, workers: int, progress: Callable[[int, int], None] | None) -> None:
    done = 0
    for part in _draw_all(scenes, pixels.shape[1], workers):
        pixels[done:done + len(part)] = part
        done += len(part)
        if progress is not None:
            progress(done, len(pixels))


def _draw_all(scenes: pd.DataFrame, size: int, workers: int) -> Iterator[np.ndarray]:
    parts = [scenes.iloc[start:start + _CHUNK] for start in range(0, len(scenes), _CHUNK)]
    if workers == 1:
        yield from (_draw_part(part, size) for part in parts)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=die_with_parent) as processes:
        yield from processes.map(_draw_part, parts, [size] * len(parts))


def _draw_part(scenes: pd.DataFrame, size: int) -> np.ndarray:
    return np.stack([draw(scene._asdict(), size)[0] for scene in scenes.itertuples(index=False)])


def _key(scenes: pd.DataFrame, size: int) -> str:
    """Of all that the pixels depend on: the scenes, the size, and the drawing code (which `world`, the maker of scenes, is not)."""
    digest = hashlib.sha256(str(size).encode())
    digest.update(scenes.to_csv(index=False, lineterminator="\n").encode())
    for path in sorted(Path(lib.phantom.__file__).parent.glob("*.py")):
        if path.name != "world.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _complete(path: Path, shape: tuple[int, ...]) -> bool:
    """A file cut short by a full disk or a copy is drawn again."""
    try:
        return np.load(path, mmap_mode="r").shape == shape
    except (ValueError, OSError, EOFError):
        return False
