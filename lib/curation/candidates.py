"""The images that curation compares: what was generated, what the generator learnt from, and real images that it never saw.

All at the generator's size and cut out in the same way. Real images are described as if they had been asked for, so every score of a
generated image can be computed of a held-out real one, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.data.errors import DataError
from lib.data.images import ImageRefused, content_hash, decode, read_bytes
from lib.data.pixels import MARGIN, load_pixels
from lib.diffusion.words import Cell, Words
from lib.encoders.cache import cached
from lib.encoders.encoder import Encoder
from lib.encoders.load import load_encoder
from lib.study import Prompts

COLUMNS = ("image_id", "path", "generator", "label", "tone_key", "group", "domain", "cluster_id", "sha256", "width", "height")
FALLBACK = "phantom-siglip"             # ships with the project


class Encoders:
    """Encoders by name, each loaded once; where one is out of reach the fallback takes its place and `notes` says so."""

    def __init__(
        self,
        *,
        device:   str                    = "cpu",
        fallback: str | None             = FALLBACK,
        cache:    Path | None            = None,        # folder for vectors; None: they are kept in memory alone
        loaded:   Mapping[str, Encoder] | None = None,
    ):
        self.cache, self._device, self._fallback, self._loaded = cache, device, fallback, dict(loaded or {})
        self.notes: list[str] = []

    def __call__(self, name: str, key: str = "curation.encoder") -> Encoder:
        """EncoderError, under `key` of the study, where neither it nor the fallback can be loaded."""
        if name not in self._loaded:
            encoder = self._loaded[name] = load_encoder(name, self._device, key=key, fallback=self._fallback)
            self.notes += [note] if (note := getattr(encoder, "note", None)) else []
        return self._loaded[name]


class Candidates:
    """One set of images: a table, pixels in its order, and what encoders see in them, each computed when it is first asked for."""

    def __init__(
        self,
        table:    pd.DataFrame,                 # COLUMNS; generator is null of real images, cluster_id of generated ones
        pixels:   np.ndarray,                   # uint8 [N, S, S, 3]; may be a memory map
        encoders: Encoders,
        *,
        prompts:   np.ndarray | None = None,    # object [N, labels]: plain words for each label at the row's tone and domain
        labels:    Sequence[str]     = (),      # of the study, in order
        transform: str               = "as given",      # how files became pixels; part of the key of kept vectors
    ):
        """ValueError where table and pixels differ in length or a column is missing."""
        if lacks := [column for column in COLUMNS if column not in table]:
            raise ValueError(f"the table of candidates lacks {', '.join(lacks)}")
        if len(table) != len(pixels):
            raise ValueError(f"{len(table):,} rows and {len(pixels):,} pictures; they must belong to each other one by one")
        self.table, self.pixels, self.encoders = table.reset_index(drop=True), pixels, encoders
        self.prompts, self.labels, self._transform = prompts, list(labels or dict.fromkeys(table["label"])), transform
        self._vectors: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.table)

    @property
    def size(self) -> int:
        """Pixels per side."""
        return self.pixels.shape[1]

    @property
    def clusters(self) -> np.ndarray:
        """[N] what images belong together: the cluster, or the image itself where it has none."""
        return self.table["cluster_id"].where(self.table["cluster_id"].notna(), self.table["image_id"]).to_numpy()

    @property
    def cells(self) -> np.ndarray:
        """[N] pairs of label and tone key (None where no tone was asked)."""
        tones = self.table["tone_key"].astype(object).where(self.table["tone_key"].notna(), None)
        cells = np.empty(len(self), dtype=object)
        cells[:] = list(zip(self.table["label"], tones, strict=True))
        return cells

    def of(self, label: str, among: np.ndarray | None = None) -> np.ndarray:
        """Pixels of a label's images, of those in the mask `among` [N] alone where one is given."""
        mine = self.table["label"].eq(label).to_numpy()
        return self.pixels[mine if among is None else mine & among]

    def vectors(self, encoder: str) -> np.ndarray:
        """float32 [N, D], see `Encoder.embed`."""
        if encoder not in self._vectors:
            self._vectors[encoder] = self._embed(self.encoders(encoder))
        return self._vectors[encoder]

    def features(self, encoder: str) -> np.ndarray:
        """float32 [N, D], see `Encoder.features`."""
        return self.encoders(encoder).scaled(self.vectors(encoder))

    def maps(self, encoder: str, rows: slice | np.ndarray | None = None) -> list[np.ndarray]:
        """Feature maps of these rows, float32 [n, positions, channels] per layer; not kept, as they are large."""
        chosen = self.pixels if rows is None else self.pixels[rows]
        return self.encoders(encoder, "curation.perceptual").feature_maps(np.asarray(chosen))

    def take(self, rows: np.ndarray) -> Candidates:
        """These images in this order (places, or a mask); what was already computed is not computed again."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=int)
        part = Candidates(self.table.iloc[rows], self.pixels[rows], self.encoders, labels=self.labels, transform=self._transform,
                          prompts=None if self.prompts is None else self.prompts[rows])
        part._vectors = {key: values[rows] for key, values in self._vectors.items()}
        return part

    def _embed(self, encoder: Encoder) -> np.ndarray:
        if self.encoders.cache is None or not len(self):
            return encoder.embed(np.asarray(self.pixels))
        return cached(encoder, self.pixels, self.table["sha256"].tolist(), transform=self._transform, cache=self.encoders.cache,
                      names=self.table["image_id"].tolist())


def maps_of(
    sets:    Sequence[Candidates],          # laid end to end
    encoder: str,
    rows:    np.ndarray,                    # ascending places in all of them
) -> list[np.ndarray]:
    """`Candidates.maps` of rows of several sets."""
    ends = np.cumsum([0, *map(len, sets)])
    parts = [one.maps(encoder, here) for one, start, end in zip(sets, ends, ends[1:], strict=False)
             if len(here := rows[(rows >= start) & (rows < end)] - start)]
    return [np.concatenate(layers) for layers in zip(*parts, strict=True)]


@dataclass(frozen=True)
class Material:
    """The three sets of one generator."""

    generated: Candidates
    train:     Candidates
    held_out:  Candidates


def open_candidates(
    samples:   pd.DataFrame,                # the samples table
    synthetic: pd.DataFrame,                # the synthetic table
    roots:     Mapping[str, Path],          # source → its folder
    study:     Any,                         # what a stage may see: curation, gan, diffusion.prompts, labels.names, groups, data
    folder:    Path,                        # where the paths of `synthetic` start from
    *,
    cache:     Path,
    generator: str | None                               = None,     # diffusion or gan; needed where `synthetic` holds both
    device:    str                                      = "cpu",
    threads:   int                                      = 1,
    progress:  Callable[[int, int], None] | None        = None,     # called with (real images done, all)
) -> Material:
    """Accepted images of one generator beside the real ones that it learnt from and those held out.

    Test rows are never looked at. DataError where a file is gone or no longer the one that its row describes; ValueError where there is
    no accepted image, or no real one of either kind.
    """
    rows = synthetic[synthetic["accepted"].astype(bool)]
    drawn = sorted(rows["generator"].unique())
    if generator is None and len(drawn) > 1:
        raise ValueError(f"synthetic holds images of {' and '.join(drawn)}; curate them one generator at a time (generator=…)")
    rows = rows[rows["generator"] == (generator or next(iter(drawn), None))].sort_values("image_id").reset_index(drop=True)
    if rows.empty:
        raise ValueError(f"no accepted image{f' of {generator}' if generator else ''} to look at; run 05_generation, or see there why "
                         "every attempt was refused")
    if len(sizes := rows[["width", "height"]].drop_duplicates()) > 1 or sizes.iat[0, 0] != sizes.iat[0, 1]:
        raise ValueError("the generated images are not squares of one size; run 05_generation anew for all shards")
    is_gan, size = rows["generator"].iat[0] == "gan", int(rows["width"].iat[0])
    names = study.labels.names
    words = Words(Prompts(by="none") if is_gan else study.diffusion.prompts, names, study.groups)
    crop, margin = (study.gan.crop, study.gan.margin) if is_gan else (study.data.crop, MARGIN)
    shown = Words(study.diffusion.prompts, names, study.groups) if study.diffusion else words
    encoders = Encoders(device=device, cache=Path(cache) / "encoders")

    def candidates(table: pd.DataFrame, pixels: np.ndarray) -> Candidates:
        return Candidates(table, pixels, encoders, prompts=_prompts(table, shown), labels=names,
                          transform=f"{size} px, {crop} {margin:g}, hair {'removed' if study.data.remove_hair else 'kept'}")

    def real(table: pd.DataFrame, kind: str) -> Candidates:
        if table.empty:
            raise ValueError(f"there is no {kind} real image to compare with; see split and gan.sources")
        pixels = load_pixels(table, roots, size, crop, Path(cache), margin=margin, remove_hair=study.data.remove_hair, threads=threads,
                             progress=progress)
        return candidates(_as_asked(table, words, size), pixels)

    train, held_out = real_rows(samples, study, is_gan)
    generated = rows.assign(cluster_id=None)[list(COLUMNS)]
    return Material(candidates(generated, _read_generated(rows, Path(folder), size, threads)), real(train, "training"),
                    real(held_out, "held-out"))


def real_rows(samples: pd.DataFrame, study: Any, is_gan: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of train, all of which generators learn from, and of validation; never test."""
    known = samples[samples["label"].isin(study.gan.labels(study.labels.names) if is_gan else study.labels.names)]
    if is_gan and study.gan.sources:
        known = known[known["dataset"].isin(study.gan.sources)]
    return known[known["split"] == "train"], known[known["split"] == study.curation.held_out]


def _as_asked(table: pd.DataFrame, words: Words, size: int) -> pd.DataFrame:
    cells = [words.cell_of(*row) for row in zip(table["label"], table["tone"], table["group"], strict=True)]
    return table.assign(generator=None, tone_key=pd.Series([cell.tone for cell in cells], dtype=object, index=table.index),
                        width=size, height=size)[list(COLUMNS)]


def _prompts(table: pd.DataFrame, words: Words) -> np.ndarray:
    """In plain words: an encoder knows no learnt tokens. A tone that has no words is left out."""
    said: dict[tuple, list[str]] = {}
    keys = []
    for tone, domain in zip(table["tone_key"], table["domain"], strict=True):
        key = (None if pd.isna(tone) else tone, None if pd.isna(domain) else domain)
        if key not in said:
            said[key] = [words.prompt(Cell(label, key[0]), key[1]) for label in words.classes]
        keys.append(key)
    return np.array([said[key] for key in keys], dtype=object).reshape(len(table), len(words.classes))


def _read_generated(rows: pd.DataFrame, folder: Path, size: int, threads: int) -> np.ndarray:
    pixels = np.empty((len(rows), size, size, 3), dtype=np.uint8)

    def read(place: int) -> None:
        row = rows.iloc[place]
        try:
            content = read_bytes(folder / row["path"])
            if content_hash(content) != row["sha256"]:
                raise ImageRefused("is not the file that was written")
            pixels[place] = np.asarray(decode(content))
        except (ImageRefused, ValueError) as error:
            raise DataError(f"{row['image_id']}: {folder / row['path']} {error}; run 05_generation again (--force 05_generation)") from None

    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        list(pool.map(read, range(len(rows))))
    return pixels
