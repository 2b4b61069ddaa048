"""How near drawn images are to held-out real ones while a generator learns: the validation score, and the pictures behind it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from diffusers import StableDiffusionPipeline
from PIL import Image

from lib.diffusion.anchor import Anchors
from lib.diffusion.requests import Request
from lib.diffusion.resample import UNKNOWN
from lib.diffusion.sampler import DiffusionSampler
from lib.diffusion.words import TYPES, Cell, Words
from lib.encoders.encoder import Encoder
from lib.files import write_atomically
from lib.metrics.kernel_distance import squared_discrepancy
from lib.study import Generation
from lib.training.seeds import derive_seed, numpy_generator

# How validation images are drawn: few steps, and the guidance at which a score tells most (a high one narrows any generator).
STEPS, GUIDANCE, BATCH = 15, 3.0, 14
_LARGEST = 128          # pixels per side of the pictures that are kept for the report


class ValidationScore:
    """Called with the number of steps done, draws images at fixed seeds and returns their kernel distance from the held-out real ones.

    Each drawn image is asked for the cell and the domain of one of the real images, so the mix of cells cannot decide the score. The
    distance is the unbiased squared MMD of the encoder's unit vectors under (cosine + 1)³, from all images at once; lower is better, and
    with so few images only a difference between steps means something. It names no tokens or adapters: it draws with what is in the
    pipeline at that moment.
    """

    def __init__(
        self,
        pipeline: StableDiffusionPipeline,
        pixels:   np.ndarray,               # uint8 [N, S, S, 3], of all samples
        held_out: pd.DataFrame,             # `training_examples(…, split="validation")`: row, label, tone, group, domain
        words:    Words,
        encoder:  Encoder,
        *,
        images:      int,                           # drawn each time, at most; `validation_images` of the study
        seed:        int,
        folder:      Path,                          # where the drawn pictures are kept, as <fingerprint>-<steps>.npy
        fingerprint: str,                           # of the training run; pictures of another are deleted
        tones:       Collection[str]   = (),        # tone keys (or "unknown") that are scored, where held-out images show them; empty: all
        tokens:      Collection[str]   = (),        # names that prompts may use
        anchors:     Anchors | None    = None,      # for the tone-anchored start; none: plain
    ):
        """ValueError where fewer than two held-out images are left to compare with."""
        self._pipeline, self._encoder, self._anchors = pipeline, encoder, anchors
        self.name = f"kernel distance in {encoder.name} features"
        self.asked = matched_rows(held_out, images, seed=seed, tones=tones)
        if len(self.asked) < 2:
            raise ValueError(f"{len(self.asked)} held-out images to score against, and two are the least; raise split.validation")
        self.real = np.asarray(pixels[self.asked["row"].to_numpy()])
        self._features = encoder.features(self.real)
        size = min(BATCH, len(self.asked))
        self._generation = Generation(steps=STEPS, guidance=GUIDANCE, batch_size=size, start="plain" if anchors is None else "anchored")
        self._requests = [_request(number, row, words, tokens, size, seed) for number, row in enumerate(self.asked.itertuples())]
        self._folder, self._mark = Path(folder), fingerprint
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.glob("*-*.npy"):
            if not old.name.startswith(f"{fingerprint}-"):
                old.unlink()

    def __call__(self, steps: int) -> float | None:
        """The score after so many steps; None where an image was not finite."""
        sampler = DiffusionSampler(self._pipeline, self._generation, anchors=self._anchors, size=self.real.shape[1])
        size = sampler.batch_size
        drawn = [image for start in range(0, len(self._requests), size) for image in sampler(self._requests[start:start + size])]
        if any(image is None for image in drawn):
            return None
        pictures = np.stack(drawn)
        small = np.stack([_reduced(picture) for picture in pictures])
        write_atomically(self._folder / f"{self._mark}-{steps:06d}.npy", lambda temporary: _save(temporary, small))
        return squared_discrepancy(self._features, self._encoder.features(pictures))

    def pictures(self) -> dict[int, np.ndarray]:
        """Steps → what was drawn then, uint8 [n, s, s, 3] of at most 128 px, in the order of `asked`; also from before a restart."""
        return {int(path.stem.rpartition("-")[2]): np.load(path) for path in sorted(self._folder.glob(f"{self._mark}-*.npy"))}


def matched_rows(
    held_out: pd.DataFrame,                 # row, label, tone, …
    images:   int,
    *,
    seed:     int,
    tones:    Collection[str] = (),
) -> pd.DataFrame:
    """At most `images` rows, one from each cell in turn until it has no more; in the order of cells, chosen by the seed."""
    chosen = held_out[held_out["tone"].fillna(UNKNOWN).isin(list(tones))] if tones else held_out
    if len(chosen) < 2:
        chosen = held_out
    order = numpy_generator(seed, "held out").permutation(len(chosen))
    shuffled = chosen.iloc[order]
    keys = [shuffled["label"], shuffled["tone"].map(lambda tone: "" if pd.isna(tone) else tone)]
    turn = shuffled.groupby(keys).cumcount()
    taken = shuffled.assign(_turn=turn, _key=keys[1]).sort_values(["_turn", "label", "_key"], kind="stable").head(images)
    return taken.sort_values(["label", "_key"], kind="stable").drop(columns=["_turn", "_key"]).reset_index(drop=True)


def _request(number: int, row: object, words: Words, tokens: Collection[str], batch_size: int, seed: int) -> Request:
    cell = Cell(row.label, None if pd.isna(row.tone) else row.tone)
    return Request(
        number          = number,
        image_id        = f"validation-{cell.slug}-{number:04d}",
        cell            = cell,
        tone_type       = int(cell.tone) if cell.tone in TYPES else None,
        group           = None if pd.isna(row.group) else row.group,
        domain          = row.domain,
        prompt          = words.prompt(cell, row.domain, tokens),
        negative_prompt = words.negative(cell, row.domain),
        seed            = derive_seed(seed, "validation", number),
        attempt         = 1,
        slot            = number % batch_size,
        source_image_id = None,
    )


def _reduced(picture: np.ndarray) -> np.ndarray:
    factor = -(-max(picture.shape[:2]) // _LARGEST)
    return np.asarray(Image.fromarray(picture).reduce(factor)) if factor > 1 else picture


def _save(path: Path, pictures: np.ndarray) -> None:
    with path.open("wb") as file:                                   # a name without .npy at its end would get one
        np.save(file, pictures)
