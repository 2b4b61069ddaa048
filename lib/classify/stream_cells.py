"""Which cells the images of a block are asked for: as the quota has it, or those that the classifier finds hardest."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lib.diffusion.quota import by_class, largest_remainder, quota
from lib.diffusion.words import asked_tones
from lib.study import Generation, Groups, Study
from lib.training.seeds import derive_seed

HARDEST = 0.25                          # of the cells with a loss are asked for, rounded up

_GOLDEN = (5 ** 0.5 - 1) / 2

Key    = tuple[str, str | None]         # label, and the tone or group that is asked for (None: no tone)
Asked  = list[tuple[str, str | None, int]]      # label, tone, images; in the order of the quota
Losses = Mapping[Key, float]            # mean validation loss of a label's images with a tone or group; None: of those with neither


def quota_cells(
    study:     Study,                   # or what a stage may see of it: generation, diffusion.prompts, gan, labels.names, groups
    generator: str,                     # diffusion or gan
) -> pd.DataFrame:
    """What 05 asks a generator for: label, tone (null where none is asked), images. ValueError as of `quota`, and where it is nothing."""
    cells = quota(study.generation, study.labels.names, asked_tones(study))
    if generator == "gan":
        cells = by_class(cells, study.gan.labels(study.labels.names))
    if cells.empty:
        raise ValueError(f"generation asks the {generator} for no image, so none can be drawn while a classifier trains; see "
                         "generation.classes and gan.classes")
    return cells


def deal(
    cells: pd.DataFrame,                # of `quota_cells`; its images are the shares
    first: int,                         # how many images earlier blocks asked for
    count: int,
    seed:  int,                         # where the sequence of cells begins
) -> Asked:
    """The cells of images `first` … `first` + `count` − 1 of an endless sequence.

    The fractional parts of place × golden ratio are cut at the cumulative shares, as `lib.diffusion.requests` deals domains: a block is
    too small for all cells, and so each stretch of blocks keeps to the shares within a few images.
    """
    shares = cells["images"].to_numpy(dtype=float).cumsum()
    cuts = (shares / shares[-1])[:-1].tolist()
    start = derive_seed(seed, "cells") / 2**63
    places = [bisect.bisect_right(cuts, (start + place * _GOLDEN) % 1) for place in range(first, first + count)]
    return _asked(_keys(cells), np.bincount(places, minlength=len(cells)).tolist())


def hardest(
    cells:  pd.DataFrame,
    losses: Losses,
    groups: Groups,
    count:  int,
) -> Asked:
    """`count` images dealt evenly over the quarter of the quota's cells with the highest loss; empty where no cell has a loss.

    A cell takes the loss of its own validation images, else that of its group's (a group: the mean over its types), else the mean over its
    label's. Equal losses keep the order of the quota; of fewer images than cells the hardest get one each.
    """
    keys = _keys(cells)
    known = {key: loss for key in keys if (loss := _loss(key, losses, groups)) is not None}
    chosen = sorted(known, key=lambda key: -known[key])[:math.ceil(HARDEST * len(known))]
    counts = dict(zip(chosen, largest_remainder([1] * len(chosen), count), strict=True)) if chosen else {}
    return _asked(keys, [counts.get(key, 0) for key in keys])


def generation_of(
    generation: Generation,             # the study's
    asked:      Asked,
    tones:      Sequence[str],          # that the study asks for; a GAN's cells have none, and any of these stands for all
    seed:       int,
) -> Generation:
    """The study's generation with exactly these images in place of its quota."""
    wanted = {"images": sum(count for *_, count in asked), "over_generation": 1.0, "classes": {}, "tones": {}, "cells": {}, "seed": seed}
    if tones:
        for label, tone, count in asked:
            wanted["cells"].setdefault(label, {})[tone or tones[0]] = count
    else:
        wanted["classes"] = {label: count for label, _, count in asked}
    return Generation.model_validate(generation.model_dump() | wanted)


def _keys(cells: pd.DataFrame) -> list[Key]:
    return [(label, None if pd.isna(tone) else tone) for label, tone in zip(cells["label"], cells["tone"], strict=True)]


def _asked(keys: Sequence[Key], counts: Sequence[int]) -> Asked:
    return [(*key, count) for key, count in zip(keys, counts, strict=True) if count]


def _loss(key: Key, losses: Losses, groups: Groups) -> float | None:
    label, tone = key
    of_label = {other: loss for (name, other), loss in losses.items() if name == label}
    if tone in of_label:
        return of_label[tone]
    types = {name: [str(value) for value in values] for name, values in groups.values.items()} if groups.column == "tone" else {}
    near = [loss for other, loss in of_label.items() if other in types.get(tone, ()) or tone in types.get(other, ())]
    found = near or list(of_label.values())
    return float(np.mean(found)) if found else None
