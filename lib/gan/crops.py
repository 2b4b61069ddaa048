"""The images that a GAN learns from, and those held out: square crops around the lesion, each class in one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lib.data.pixels import load_pixels_and_account
from lib.study import Gan


@dataclass(frozen=True)
class Crops:
    """Images of one split; those of a class lie side by side, in the study's order of classes."""

    rows:     pd.DataFrame          # of `samples`, in the order of the pixels
    pixels:   np.ndarray            # uint8 [N, S, S, 3], read in place
    followed: int                   # crops that follow a lesion's mask
    whole:    int                   # fallback: whole images, where the mask is missing or cannot be read (all, with crop: whole)

    def of(self, label: str) -> np.ndarray:
        """uint8 [n, S, S, 3] of one class, not copied; n may be 0."""
        places = np.flatnonzero(self.rows["label"].eq(label))
        return self.pixels[places[0]:places[-1] + 1] if len(places) else self.pixels[:0]


def lesion_crops(
    samples:  pd.DataFrame,             # the samples table
    roots:    Mapping[str, Path],       # source → its folder
    options:  Gan,
    names:    Sequence[str],            # labels of the study, in order
    *,
    split:       str,                   # train, or validation for what is held out
    cache:       Path,
    remove_hair: bool                              = False,
    threads:     int                               = 1,
    progress:    Callable[[int, int], None] | None = None,      # called with (images done, images)
) -> Crops:
    """Images of the classes that get a generator, at `gan.image_size`, whatever their own sizes are; cached as classifiers' pixels are.

    Test rows, and so data sets that only test, are never given out. ValueError for a class with fewer than two training images, for an
    unknown source, and for another split; DataError where an image is no longer the one that `samples` describes.
    """
    if split not in ("train", "validation"):
        raise ValueError(f"split is {split!r}; a GAN sees train and, to be judged, validation")
    held = samples[samples["split"] == split]
    if unknown := sorted(set(options.sources) - set(samples["dataset"])):
        known = ", ".join(sorted(samples["dataset"].unique()))
        raise ValueError(f"gan.sources names {', '.join(unknown)}, of which there is no image; there are some of {known}")
    if options.sources:
        held = held[held["dataset"].isin(options.sources)]
    labels = options.labels(list(names))
    parts = [held[held["label"] == label] for label in labels]
    few = [f"{label} ({len(part)})" for label, part in zip(labels, parts, strict=True) if len(part) < 2]
    if few and split == "train":
        where = f" in {', '.join(options.sources)}" if options.sources else ""
        raise ValueError(f"too few training images{where}: {', '.join(few)}; a GAN needs two at least and learns from a hundred on. "
                         "Add a source, or name other classes in gan.classes")
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        return Crops(rows, np.zeros((0, options.image_size, options.image_size, 3), dtype=np.uint8), 0, 0)
    pixels, account = load_pixels_and_account(rows, roots, options.image_size, options.crop, cache, margin=options.margin,
                                              remove_hair=remove_hair, threads=threads, progress=progress)
    return Crops(rows, pixels, account["lesion"], account["whole"])
