"""Tone-anchored start: sampling begins on the asked skin colour instead of on zero-mean noise (DECISIONS 18).

Stable Diffusion's training schedule never reaches pure noise, so its network reads an image's mean colour from what is left of the
signal at the last timestep (Lin et al. 2023, arXiv 2305.08891, §3.1). Starting from x_T = √ā_T · z + √(1 − ā_T) · ε, with z the encoding
of an image in a skin colour of the asked tone, gives it that colour to read. Nothing is trained. The mean of ε is read as a colour as well:
the start keeps a part of it, and shades lie nearer together than the photographs', so that what is drawn spreads as the tone does.

Where that image is flat, the network reads as well that there is no lesion, and draws pale ones or none on skin that it has just learnt.
So the colour carries a shape of the cell: how some of its training images differ from their own skin, on average, on a grid of 8 × 8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from lib.training.seeds import derive_seed

Colour = tuple[int, int, int]       # sRGB, 0–255
Shape  = bytes                      # [8, 8, 3] of sRGB levels beside the skin's, 128 where they are alike

GRID       = 8          # places per side of a shape: too coarse to hold an image
OWN_MEAN   = 0.8        # of the mean of the noise over an anchor stays: with all of it ITA spreads by 10° in a tone that has 7°

_RING      = 0.12       # of the side: the border, where skin lies beside the lesion
_DARK      = 20         # a pixel whose brightest channel is under this is a dermoscope's vignette
_BRIGHT    = 250        # a pixel whose darkest channel is over this is a highlight or paper
_LEAST     = 20         # pixels of a ring that count; with fewer the whole ring does
_SHADES    = 7          # colours kept per tone and domain, so that images of a tone do not all get one shade
_NEARER    = 0.5        # of its distance from the tone's median is left to a shade (measured on phantoms, as OWN_MEAN is)
_ENOUGH    = 12         # training images of a tone in a domain; with fewer, all domains of the tone count
_SHAPED    = 8          # training images of a label × tone that shapes need; with fewer, all tones of the label count
_AVERAGED  = 4          # images under a shape at least: a grid of one image would be a small copy of it


@dataclass(frozen=True)
class Anchors:
    """Skin colours of the training images of each tone, from light to dark; by domain where a domain has enough images."""

    colours: Mapping[tuple[str, str | None], tuple[Colour, ...]]       # (tone key or group, domain or None for all) → shades
    images:  Mapping[tuple[str, str | None], int]                      # how many images they were measured on
    shapes:  Mapping[tuple[str, str | None], tuple[Shape, ...]] = field(default_factory=dict)      # (label, tone or None for all) → shapes

    def colour(self, tone: str | None, group: str | None, domain: str, seed: int) -> Colour | None:
        """One of the shades of a tone, chosen by the image's seed; of its group where the tone has no training images.

        None where no tone is asked for, or where its group has none either.
        """
        if tone is None:
            return None
        places = [(tone, domain), (tone, None), (group, domain), (group, None)]
        shades = next((self.colours[place] for place in places if place in self.colours), None)
        return shades and shades[derive_seed(seed, "anchor") % len(shades)]

    def shape(self, label: str, tone: str | None, seed: int) -> Shape | None:
        """One of the shapes of the label's training images of a tone, or of all its images, chosen by the image's seed.

        None where there are too few.
        """
        shapes = self.shapes.get((label, tone), self.shapes.get((label, None)))
        return shapes and shapes[derive_seed(seed, "shape") % len(shapes)]

    def table(self) -> pd.DataFrame:
        """tone, domain (null: all), images, shades ("#rrggbb #rrggbb …", light to dark)."""
        return pd.DataFrame([
            {"tone": tone, "domain": domain, "images": self.images[tone, domain], "shades": " ".join(map(hex_of, shades))}
            for (tone, domain), shades in self.colours.items()
        ], columns=["tone", "domain", "images", "shades"])


def measure_anchors(
    pixels:   np.ndarray,           # uint8 [N, S, S, 3]
    examples: pd.DataFrame,         # training images alone: row (place in `pixels`), label, tone (key or null), group, domain
) -> Anchors:
    """The colours of skin at the border of the training images, for tones and for groups, and the shapes of labels.

    An image's colour is the median over its border ring without vignette and highlights. Of a tone's images the medians of seven equal
    parts, ordered by brightness, are kept: their spread is the tone's, and a lesion that reaches the border does not count.
    """
    known = examples[examples["tone"].notna() | examples["group"].notna()].reset_index(drop=True)
    looks = [(skin_colour(image), _averaged(image)) for image in (pixels[row] for row in known["row"])]         # each image is read once
    measured = np.array([colour for colour, _ in looks])
    colours, images = {}, {}
    for column in ("tone", "group"):        # a group's own cell holds only its images without a type; the group is all of them
        for key, of_key in known.groupby(column):
            parts = {None: of_key} | {domain: part for domain, part in of_key.groupby("domain") if len(part) >= _ENOUGH}
            for domain, part in parts.items():
                colours[key, domain] = _shades(measured[part.index])
                images[key, domain] = len(part)
    return Anchors(colours, images, _shapes(known, [coarse - colour for colour, coarse in looks]))


def skin_colour(image: np.ndarray) -> np.ndarray:       # uint8 [S, S, 3] → float [3]
    """Median sRGB of the border ring, without what is too dark or too bright to be skin."""
    width = max(1, round(_RING * image.shape[0]))
    inner = np.zeros(image.shape[:2], dtype=bool)
    inner[width:-width, width:-width] = True
    ring = np.asarray(image)[~inner]
    skin = ring[(ring.max(axis=1) >= _DARK) & (ring.min(axis=1) < _BRIGHT)]
    return np.median(skin if len(skin) >= _LEAST else ring, axis=0)


def anchor_image(
    colour: Colour,
    shape:  Shape | None,           # None: a flat image
    size:   int,                    # pixels per side
) -> np.ndarray:
    """What the start is over: uint8 [size, size, 3], the shape drawn out smoothly on the colour."""
    flat = np.broadcast_to(np.array(colour, dtype=np.uint8), (size, size, 3))
    if shape is None:
        return flat
    offsets = np.frombuffer(shape, dtype=np.uint8).reshape(GRID, GRID, 3).astype(np.float32) - 128
    drawn_out = np.stack([np.asarray(Image.fromarray(channel).resize((size, size), Image.Resampling.BILINEAR))
                          for channel in offsets.transpose(2, 0, 1)], axis=2)
    return (flat + drawn_out).round().clip(0, 255).astype(np.uint8)


def hex_of(colour: Colour) -> str:
    """"#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colour_of(text: str) -> Colour:
    """The colour that `hex_of` wrote."""
    return tuple(bytes.fromhex(text.removeprefix("#")))


def _shapes(examples: pd.DataFrame, offsets: Sequence[np.ndarray]) -> dict[tuple[str, str | None], tuple[Shape, ...]]:
    """Of every label × tone and every label with enough images; `offsets` [8, 8, 3] is how each example differs from its skin.

    A cell's images are ordered from the darkest lesion to the faintest and cut into parts, whose means are its shapes: a single mean
    would give all pictures of a cell one place and one size.
    """
    cells: dict[tuple[str, str | None], list[np.ndarray]] = {}
    for label, tone, offset in zip(examples["label"], examples["tone"], offsets, strict=True):
        for key in dict.fromkeys([(label, None), (label, None if pd.isna(tone) else tone)]):       # a set of None has no fixed order
            cells.setdefault(key, []).append(offset)
    return {key: tuple(map(_bytes_of, _parts(of_cell))) for key, of_cell in cells.items() if len(of_cell) >= _SHAPED}


def _parts(offsets: list[np.ndarray]) -> list[np.ndarray]:
    """Means of up to seven equal parts of at least four images."""
    ordered = np.array(sorted(offsets, key=np.sum))
    return [part.mean(axis=0) for part in np.array_split(ordered, min(_SHADES, len(ordered) // _AVERAGED))]


def _bytes_of(offset: np.ndarray) -> Shape:
    return (offset + 128).round().clip(0, 255).astype(np.uint8).tobytes()


def _averaged(image: np.ndarray) -> np.ndarray:         # uint8 [S, S, 3] → float [8, 8, 3]
    edges = np.linspace(0, len(image), GRID + 1).round().astype(int)
    rows = np.add.reduceat(image.astype(np.float64), edges[:-1], axis=0)
    areas = np.diff(edges)[:, None] * np.diff(edges)[None]
    return np.add.reduceat(rows, edges[:-1], axis=1) / areas[:, :, None]


def _shades(colours: np.ndarray) -> tuple[Colour, ...]:     # float [K, 3]
    ordered, middle = colours[np.argsort(-colours.sum(axis=1), kind="stable")], np.median(colours, axis=0)
    medians = [np.median(part, axis=0) for part in np.array_split(ordered, min(_SHADES, len(ordered)))]
    return tuple(tuple(round(value) for value in middle + _NEARER * (median - middle)) for median in medians)
