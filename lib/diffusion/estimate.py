"""What drawing will take, before any model is loaded: images, batches, time and disk, for `--dry-run`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.diffusion.quota import quota
from lib.study import Generation

_PNG_SHARE = 0.7        # of width × height × 3 bytes; skin has fine texture, and PNG keeps all of it (phantoms 0.7, photographs 0.5–0.7)
_ROW_BYTES = 400        # of an attempt in journal, table and metadata.csv


@dataclass(frozen=True)
class Estimate:
    """Of one study's generation, all shards together."""

    images:        int              # requests
    cells:         int
    batches:       int              # when no image is refused
    most_batches:  int              # when every image uses all its attempts
    bytes:         int              # of the images and their rows
    seconds:       float | None     # when no image is refused; None where no batch was timed
    shards:        int

    def sentence(self) -> str:
        """In words, for the terminal."""
        time = "time unknown until a first batch is drawn" if self.seconds is None else f"about {_duration(self.seconds)}"
        several = f" ({_duration(self.seconds / self.shards)} for each of {self.shards} shards)" if self.seconds and self.shards > 1 else ""
        return (f"{self.images:,} images of {self.cells} cells in {self.batches:,} batches, {time}{several}, about {_size(self.bytes)}; "
                f"refused images are drawn again, {self.most_batches:,} batches at most")


def estimate(
    generation: Generation,
    classes:    Sequence[str],
    tones:      Sequence[str],                      # as for `quota`
    *,
    image_size:        int,                         # pixels per side; see `size_of_base`
    seconds_per_batch: float | None = None,         # measured, e.g. by an earlier run
    bytes_per_image:   float | None = None,         # measured
) -> Estimate:
    """Counts are exact (largest remainder, as they will be drawn); disk is within a third. Raises ValueError as `quota` does."""
    cells = quota(generation, classes, tones)
    images = int(cells["images"].sum())
    batches = math.ceil(images / generation.batch_size)
    each = bytes_per_image or _PNG_SHARE * 3 * image_size**2
    return Estimate(images, len(cells), batches, batches * generation.attempts, round(images * (each + _ROW_BYTES)),
                    None if seconds_per_batch is None else batches * seconds_per_batch, generation.shards)


def size_of_base(
    folder:  Path,          # of a diffusers pipeline
    default: int = 512,     # where it is not here yet: a Stable Diffusion 1.x model draws 512 px
) -> int:
    """Pixels per side that a base model draws, from its configuration files alone."""
    try:
        unet = json.loads((Path(folder) / "unet" / "config.json").read_text(encoding="utf-8"))
        vae = json.loads((Path(folder) / "vae" / "config.json").read_text(encoding="utf-8"))
        return unet["sample_size"] * 2 ** (len(vae["block_out_channels"]) - 1)
    except (OSError, ValueError, KeyError):
        return default


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _size(count: int) -> str:
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000 or unit == "GB":
            return f"{count:.3g} {unit}"
    raise AssertionError
