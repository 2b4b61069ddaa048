"""How many images of each cell: shares of labels and tones, or counts, turned into whole numbers that add up exactly."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

import pandas as pd

from lib.names import look_up
from lib.study import Generation


def quota(
    generation: Generation,
    classes:    Sequence[str],      # labels, in the study's order
    tones:      Sequence[str],      # tones "1" … "6", or group names; empty where the study asks for none
) -> pd.DataFrame:
    """Images to draw: label, tone (null where none is asked), images, in the study's order; cells with none are left out.

    The total is `images` × `over_generation`, rounded up; with `cells`, the sum of their counts takes the place of `images`. It is
    dealt over label share × tone share by largest remainder (Hamilton), ties to the first, so a cell is never off by a whole image.
    Shares need not sum to 1. Raises ValueError for a label or a tone that the study does not have.
    """
    wanted = _shares(generation, classes, tones)
    images = Fraction(sum(wanted.values())) if generation.cells else Fraction(generation.images)
    counts = largest_remainder(list(wanted.values()), math.ceil(images * _exact(generation.over_generation)))
    rows = [(label, tone, count) for (label, tone), count in zip(wanted, counts, strict=True) if count]
    return pd.DataFrame(rows, columns=["label", "tone", "images"]).astype({"label": object, "tone": object, "images": int})


def by_class(
    cells: pd.DataFrame,            # of `quota`
    drawn: Collection[str],         # labels that have a generator
) -> pd.DataFrame:
    """The quota of a generator that is asked by class alone: the tones of a class summed, other classes left out; tone is null."""
    images = cells[cells["label"].isin(list(drawn))].groupby("label", sort=False)["images"].sum()
    rows = [(label, None, int(count)) for label, count in images.items()]
    return pd.DataFrame(rows, columns=["label", "tone", "images"]).astype({"label": object, "tone": object, "images": int})


def domain_shares(
    generation: Generation,
    trained:    Sequence[str],      # domain of each training image
    known:      Iterable[str],      # domains of all the study's images, and those that `diffusion.prompts.domains` has words for
) -> dict[str, float]:
    """Domain → share of the images: as the study says, else as in the training images.

    ValueError for a domain that is not known: a prompt would name it all the same, and nobody has seen it.
    """
    for domain in generation.domains:
        look_up("domain of generation", domain, dict.fromkeys(known))
    return generation.domains or pd.Series(trained).value_counts(normalize=True).to_dict()


def largest_remainder(
    shares: Sequence[float | Fraction],     # ≥ 0, with a sum above 0
    total:  int,
) -> list[int]:
    """Whole numbers that sum to `total`, each the floor or the ceiling of its exact part; equal remainders go to the first."""
    whole = sum(map(_exact, shares))
    parts = [_exact(share) * total / whole for share in shares]
    counts = [math.floor(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda i: (counts[i] - parts[i], i))
    for i in order[:total - sum(counts)]:
        counts[i] += 1
    return counts


def _shares(generation: Generation, classes: Sequence[str], tones: Sequence[str]) -> dict[tuple[str, str | None], Fraction]:
    """Weight of each cell, in the study's order."""
    known_tones: Sequence[str | None] = tones or [None]
    for label in (*generation.cells, *generation.classes):
        look_up("label of generation", label, dict.fromkeys(classes))
    for tone in (*generation.tones, *(tone for row in generation.cells.values() for tone in row)):
        if not tones:
            raise ValueError(f"generation asks for tone {tone!r}, and the study knows no tones; leave generation.tones and cells out")
        look_up("tone of generation", tone, dict.fromkeys(tones))
    if generation.cells:
        return {(label, tone): Fraction(generation.cells.get(label, {}).get(tone, 0)) for label in classes for tone in known_tones}
    by_label = {label: _exact(generation.classes.get(label, 0) if generation.classes else 1) for label in classes}
    by_tone = {tone: _exact(generation.tones.get(tone, 0) if generation.tones else 1) for tone in known_tones}
    return {(label, tone): by_label[label] * by_tone[tone] for label in classes for tone in known_tones}


def _exact(value: float | Fraction) -> Fraction:
    """The number as it is written: 0.1 is a tenth, so 60,000 × 1.1 is not one image more."""
    return value if isinstance(value, Fraction) else Fraction(str(value))
