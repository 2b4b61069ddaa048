"""The images that an arm trains on: real training rows and what the arm adds to them, as one table and one array of pixels.

Generated images lie behind the real ones: a position from `len(samples)` on is one of theirs. They are training images and nothing else;
the schema `training` refuses any other split, and validation and test are read from the samples table, which holds real images alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lib.classify.arms import Arm, find_arm, generators_of
from lib.classify.fractions import fraction_rows
from lib.classify.grid import Cell
from lib.classify.images import Pixels, Stacked, check_pixels
from lib.data.errors import DataError
from lib.data.pixels import load_pixels
from lib.tables import check_table
from lib.training.seeds import numpy_generator

COLUMNS = ("image_id", "synthetic", "generator", "label", "group", "tone_key", "split", "sha256")


@dataclass(frozen=True)
class Pool:
    """What the cells of a chunk may draw."""

    table:   pd.DataFrame          # schema `training`: [M] rows
    rows:    np.ndarray            # [M] positions in `pixels`
    added:   np.ndarray            # [M] bool: what the arm adds to the real training images
    samples: pd.DataFrame          # the samples table
    real:    Pixels                # its images, uint8 [N, S, S, 3]; validation and test are read from here alone
    count:   int                   # real training images of the study: every arm's budget of steps follows from them
    drawn:   tuple[Pixels, ...] = ()     # generated images
    notes:   tuple[str, ...]    = ()     # what the reader should know

    def __post_init__(self):
        if len(self.table):
            check_table("training", self.table, "the images of an arm")
        split = self.samples["split"].to_numpy()
        own = self.rows < len(self.samples)
        if not (own == ~self.table["synthetic"].to_numpy()).all() or not np.isin(split[self.rows[own]], ("train", "reserve")).all():
            raise ValueError("a pool holds a validation or test image, or takes a generated image for a real one; make it with open_pool")

    @cached_property
    def pixels(self) -> Pixels:
        """Real images in the order of `samples`, then generated ones."""
        return Stacked([self.real, *self.drawn]) if self.drawn else self.real

    def with_block(self, block: Block) -> Pool:
        """The same with the images of a block added."""
        start, count = len(self.pixels), len(block.labels)
        fresh = pd.DataFrame({
            "image_id": [f"drawn-{start + i}" for i in range(count)], "synthetic": True, "generator": block.generator,
            "label": list(block.labels), "group": list(block.groups), "tone_key": list(block.keys), "split": "train", "sha256": None,
        })
        return replace(self, table=_joined(self.table, fresh), rows=np.concatenate([self.rows, np.arange(start, start + count)]),
                       added=np.concatenate([self.added, np.ones(count, dtype=bool)]), drawn=(*self.drawn, block.pixels))


@dataclass(frozen=True)
class Block:
    """Images of a stream that are trained on during an epoch."""

    pixels:    np.ndarray                  # uint8 [B, S, S, 3], of the classifier's size
    labels:    Sequence[str]               # [B]
    keys:      Sequence[str | None]        # [B] tone key, as in the synthetic table
    groups:    Sequence[str | None]        # [B]
    generator: str = "diffusion"


def open_pool(
    cell:    Cell,
    samples: pd.DataFrame,                          # the samples table
    pixels:  Pixels,                                # uint8 [N, S, S, 3], in the order of `samples`
    *,
    read:       Callable[[str], pd.DataFrame],      # a table of an earlier stage by its name; asked only for what the arm is made of
    folder:     Path,                               # of 05_generation, where paths of generated images start from
    generators: Sequence[str],                      # that the study has
    cache:      Path,
    seed:       int,                                # of the study's split: decides nested fractions and what leaves the reserve
    threads:    int                                        = 1,
    progress:   Callable[[int, int], None] | None          = None,      # (generated images done, all)
) -> Pool:
    """The images of a cell's arm and fraction; the same for every seed.

    Generated images are brought to the size of `pixels`. Arms that draw while they train start with the real images, `hybrid` with the
    curated ones. ValueError where there is nothing to train on, DataError where a generated image is not the one that its row describes.
    """
    arm, pool = find_arm(cell.arm), real_pool(samples, pixels, fraction=cell.fraction, seed=seed)
    if not arm.real:
        pool = replace(pool, table=pool.table[:0], rows=pool.rows[:0], added=pool.added[:0])
    if not arm.adds or arm.has("on_the_fly"):
        return pool
    chosen = chosen_images(arm, read, generators)
    if not len(chosen):
        note = f"{cell.arm}: no generated image was {'accepted' if arm.which == 'accepted' else 'selected'}, so it draws real ones alone."
        return replace(pool, notes=(note,) if arm.real else ())
    if arm.collected:
        return _with_reserve(pool, chosen, seed)
    lacking = [] if arm.real else sorted({*samples.loc[samples["split"] == "train", "label"]} - {*chosen["label"]})
    notes = (f"No image of {', '.join(lacking)} was selected, so {cell.arm} cannot learn to name them.",) if lacking else ()
    pictures = _read(chosen, folder, pixels.shape[1], cache, threads, progress)
    fresh = chosen.assign(synthetic=True, split="train")[list(COLUMNS)]
    return replace(pool, table=_joined(pool.table, fresh), notes=notes, added=np.concatenate([pool.added, np.ones(len(fresh), dtype=bool)]),
                   rows=np.concatenate([pool.rows, len(samples) + np.arange(len(fresh))]), drawn=(pictures,))


def real_pool(
    samples:  pd.DataFrame,
    pixels:   Pixels,
    *,
    fraction: float = 1.0,
    seed:     int   = 42,          # of the study's split
) -> Pool:
    """The training rows alone, as the arms without generated images see them."""
    check_pixels(pixels, len(samples))
    own = np.flatnonzero(samples["split"] == "train") if fraction == 1 else fraction_rows(samples, fraction, seed)
    return Pool(_real_table(samples.iloc[own]), own, np.zeros(len(own), dtype=bool), samples, pixels, _count(samples))


def chosen_images(
    arm:        Arm,
    read:       Callable[[str], pd.DataFrame],
    generators: Sequence[str],
) -> pd.DataFrame:
    """image_id, path, generator, label, group, tone_key, sha256 of the generated images an arm is made of, in the order of image_id."""
    if arm.which == "accepted":
        table = read("synthetic")
        table = table[table["accepted"].astype(bool)]
    else:
        table = read("curated")
        table = table[table[arm.which]]
    table = table[table["generator"].isin(generators_of(arm, generators))]
    kept = ["image_id", "path", "generator", "label", "group", "tone_key", "sha256"]
    return table.sort_values("image_id", kind="stable")[kept].reset_index(drop=True)


def tone_keys(samples: pd.DataFrame) -> pd.Series:
    """What a generator would be asked for: the Fitzpatrick type where it was annotated ("1" … "6"), else the group, else null."""
    types = [None if pd.isna(tone) else str(int(tone)) for tone in samples["tone"]]
    groups = [None if pd.isna(group) else group for group in samples["group"]]
    return pd.Series([tone or group for tone, group in zip(types, groups, strict=True)], index=samples.index, dtype=object)


def _count(samples: pd.DataFrame) -> int:
    count = int(samples["split"].eq("train").sum())
    if not count:
        raise ValueError("samples hold no training rows; look at `split` in the study and at the counts in 01_eda")
    return count


def _real_table(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(synthetic=False, generator=None, tone_key=tone_keys(rows))[list(COLUMNS)].reset_index(drop=True)


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Two tables under each other; object columns, so that one that is null throughout changes no type."""
    text = [column for column in COLUMNS if column != "synthetic"]
    return pd.concat([first.astype(dict.fromkeys(text, object)), second.astype(dict.fromkeys(text, object))], ignore_index=True)


def _with_reserve(pool: Pool, chosen: pd.DataFrame, seed: int) -> Pool:
    """As many images of the reserve as were selected, cell by cell; a cell that is short gives all it has."""
    samples = pool.samples
    spare, taken, short = samples["split"].eq("reserve").to_numpy().copy(), [], 0
    if not spare.any():
        raise ValueError("collected adds real images that are kept in reserve, and samples hold none; name some in split.file, give a "
                         "source `role: reserve`, or take the arm out")
    types = samples["tone"].map(lambda tone: None if pd.isna(tone) else str(int(tone)))
    for (label, key), wanted in chosen.groupby(["label", "tone_key"], dropna=False, sort=True).size().items():
        fits = spare & samples["label"].eq(label).to_numpy()
        if not pd.isna(key):
            fits &= (types.eq(key) | samples["group"].eq(key)).to_numpy()
        found = numpy_generator(seed, "collected", label, "" if pd.isna(key) else key).permutation(np.flatnonzero(fits))[:wanted]
        spare[found] = False
        short += wanted - len(found)
        taken.append(found)
    rows = np.sort(np.concatenate(taken))
    table = _joined(pool.table, _real_table(samples.iloc[rows]))
    note = (f"The reserve lacks {short:,} of {len(chosen):,} images that the arm asks for; it gave all that it had of those cells.",)
    return replace(pool, table=table, rows=np.concatenate([pool.rows, rows]), notes=note if short else (),
                   added=np.concatenate([pool.added, np.ones(len(rows), dtype=bool)]))


def _read(chosen: pd.DataFrame, folder: Path, size: int, cache: Path, threads: int, progress: Callable | None) -> np.ndarray:
    """Pixels of generated images, brought to the classifier's size once and kept beside those of the real ones."""
    asked = chosen.assign(dataset="generated images", mask_path=None)
    try:
        return load_pixels(asked, {"generated images": folder}, size, "whole", cache, threads=threads, progress=progress)
    except DataError as error:
        raise DataError(str(error).replace("run 01_eda again", "run 05_generation again (--force 05_generation)")) from None
