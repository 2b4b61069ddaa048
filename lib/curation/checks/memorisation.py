"""Is the picture a copy of a training image: shifted, turned, mirrored or saved anew?

Three looks, and the nearest counts, so that one of them is enough to call a picture a copy: two encoders, and the pixels themselves. An
encoder that knows what a picture means puts two lesions of one kind as near to each other as a lesion to its own shifted copy, so pixels
are compared after every turn and small shift.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, finite
from lib.metrics.memorisation import memorisation
from lib.metrics.nearest import nearest
from lib.study import Check

META = Meta("distance to the nearest training image, least of three looks; 5 % of held-out real images lie under 1, ≥ 0",
            (0, np.inf), "low", "copies of training images, also shifted, turned, mirrored or through JPEG")
_USUAL = 5              # per cent
_SIDE  = 64             # pixels: larger pictures are reduced to this before they are shifted
_GRID  = 16             # cells per side of what is compared
_PARTS = 64             # principal components that are kept
_REACH = 1 / 16         # of the side: the furthest shift that is looked for
_STEP  = 2              # pixels of a first look; the best of each turn is then looked at pixel by pixel
_BLOCK = 256            # pictures at once
_LUMA  = np.array([0.299, 0.587, 0.114], dtype=np.float32)          # ITU-R BT.601


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] see META; NaN where a vector holds NaN, and everywhere where there are fewer than two training images.

    Each look is divided by the distance within which 5 % of held-out images come, and so is the least of the three: of held-out images
    more than 5 % come as near as that in one look or another.
    """
    return _nearest(candidates, reference, check)[0]


def closest(
    candidates: Candidates,
    reference:  Reference,
    check:      Check | None = None,        # None: the first of the study that looks for copies
) -> np.ndarray:
    """[N] place of the training image that `score` is the distance to, for a gallery of pairs."""
    known = (one for one in reference.options.checks if one.check == "memorisation")
    return _nearest(candidates, reference, check or next(known, Check(check="memorisation", least=0)))[1]


def authenticity(
    candidates: Candidates,
    reference:  Reference,
) -> pd.DataFrame:
    """encoder, images, authenticity, held_out, authenticity_held_out, reason: a row per encoder (see `lib.metrics.memorisation`).

    The shares of images that lie further from their nearest training image than that one does from other training images.
    """
    rows = []
    for name in dict.fromkeys((reference.options.encoder, reference.options.second_encoder)):
        row = {"encoder": name, "images": len(candidates), "authenticity": None, "held_out": len(reference.held_out),
               "authenticity_held_out": None, "reason": ""}
        try:
            row["encoder"] = candidates.encoders(name).name
            vectors = [side.vectors(name) for side in (candidates, reference.held_out, reference.train)]
            found = memorisation(*(side[finite(side)] for side in vectors))
            row |= {"authenticity": found.authenticity, "authenticity_held_out": found.held_out_authenticity}
        except ValueError as error:
            row["reason"] = str(error)
        rows.append(row)
    return pd.DataFrame(rows)


def _nearest(candidates: Candidates, reference: Reference, check: Check) -> tuple[np.ndarray, np.ndarray]:
    """Score [N] and place of the training image [N]; once for each set."""
    if len(reference.train) < 2 or not len(reference.held_out):
        return np.full(len(candidates), np.nan), np.zeros(len(candidates), dtype=int)
    looks, of_real = _looks(candidates, reference, check), _looks(reference.held_out, reference, check)
    usual = np.array([[_usual(distance)] for distance, _ in of_real])
    scaled, real = (np.stack([distance for distance, _ in found]) / usual for found in (looks, of_real))
    places = np.stack([place for _, place in looks])[scaled.argmin(axis=0), np.arange(len(candidates))]
    return scaled.min(axis=0) / _usual(real.min(axis=0)), places


def _looks(candidates: Candidates, reference: Reference, check: Check) -> list[tuple[np.ndarray, np.ndarray]]:
    """Distance [N] and place of the nearest training image [N], by two encoders and by the pixels."""
    encoders = reference.encoder_of(check), reference.options.second_encoder
    return [
        *(reference.keep_of(candidates, ("apart", name), lambda name=name: _apart(candidates, reference, name)) for name in encoders),
        reference.keep_of(candidates, "pixels apart", lambda: pixel_distance(candidates, reference)),
    ]


def _usual(distances: np.ndarray) -> float:
    """Nearer than which at most 5 % of held-out images come; never 0. NaN where none was measured."""
    known = distances[np.isfinite(distances)]
    return max(float(np.percentile(known, _USUAL, method="lower")), 1e-9) if len(known) else np.nan


def pixel_distance(candidates: Candidates, reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """1 − correlation of whitened thumbnails with those of the nearest training image, over turns and shifts [N], and its place [N].

    Whitening by the training images' principal components (square root of their variance) takes away what all lesions share: a dark spot
    in the middle.
    """
    train = reference.keep("thumbnails", lambda: _Thumbnails(reference.train.pixels))
    parts = [train.nearest(candidates.pixels[start:start + _BLOCK]) for start in range(0, len(candidates), _BLOCK)]
    if not parts:
        return np.empty(0), np.empty(0, dtype=int)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _apart(images: Candidates, reference: Reference, encoder: str) -> tuple[np.ndarray, np.ndarray]:
    real, ours = reference.train.vectors(encoder), images.vectors(encoder)
    out, place, sound = np.full(len(images), np.nan), np.zeros(len(images), dtype=int), finite(ours)
    known = np.flatnonzero(finite(real))
    if len(known) and sound.any():
        distance, near = nearest(ours[sound], real[known])
        out[sound], place[sound] = distance[:, 0], known[near[:, 0]]
    return out, place


class _Thumbnails:
    """Training images as directions in the space of their principal components."""

    def __init__(self, pixels: np.ndarray):
        grey = _grey(pixels)
        self.margin = max(1, round(_REACH * grey.shape[1]))
        self._mean = _cells(grey.shape[1] - 2 * self.margin)
        turned = np.concatenate([self._thumbnails(view, 0, 0) for view in _turns(grey)])
        values, axes = np.linalg.eigh(turned.T @ turned / len(turned))
        values, axes = values[::-1][:_PARTS], axes[:, ::-1][:, :_PARTS]
        self._axes = axes * np.maximum(values, 1e-3 * values[0] + 1e-12) ** -0.25
        self._known = self._directions(grey, 0, 0)

    def nearest(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """1 − correlation [N] and place [N]: coarsely over all shifts, then around the best shift of each turn."""
        grey = _grey(pixels)
        best, place = np.full(len(grey), -np.inf), np.zeros(len(grey), dtype=int)
        steps = range(-self.margin, self.margin + 1, min(_STEP, self.margin))
        for view in _turns(grey):
            found, where = np.full(len(grey), -np.inf), np.zeros((len(grey), 3), dtype=int)
            for right in steps:
                for down in steps:
                    cosine = self._directions(view, right, down) @ self._known.T
                    at = cosine.argmax(axis=1)
                    top = cosine[np.arange(len(grey)), at]
                    better = top > found
                    found[better] = top[better]
                    where[better] = np.stack([np.full(len(at), right), np.full(len(at), down), at], axis=1)[better]
            for right, down in ((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)):
                shifted = where[:, :2] + (right, down)
                inside = np.abs(shifted).max(axis=1) <= self.margin
                for x, y in np.unique(shifted[inside], axis=0):
                    rows = np.flatnonzero(inside & (shifted == (x, y)).all(axis=1))
                    top = (self._directions(view[rows], x, y) * self._known[where[rows, 2]]).sum(axis=1)
                    found[rows] = np.maximum(found[rows], top)
            better = found > best
            best[better], place[better] = found[better], where[better, 2]
        return 1 - best, place

    def _directions(self, grey: np.ndarray, right: int, down: int) -> np.ndarray:
        return _unit(self._thumbnails(grey, right, down) @ self._axes)

    def _thumbnails(self, grey: np.ndarray, right: int, down: int) -> np.ndarray:
        """[N, cells] of the middle, moved by so many pixels; without mean and contrast."""
        low, high = self.margin, grey.shape[1] - self.margin
        middle = grey[:, low + down:high + down, low + right:high + right]
        cells = (self._mean @ middle @ self._mean.T).reshape(len(grey), -1)
        return _unit(cells - cells.mean(axis=1, keepdims=True))


def _grey(pixels: np.ndarray) -> np.ndarray:
    """float32 [N, S, S] with S ≤ 64."""
    factor = -(-pixels.shape[1] // _SIDE)
    if factor > 1:
        pixels = np.stack([np.asarray(Image.fromarray(np.asarray(picture)).reduce(factor)) for picture in pixels])
    return np.asarray(pixels, dtype=np.float32) @ _LUMA


def _cells(side: int) -> np.ndarray:
    """float32 [cells, side]: the weights of means over cells that need not be whole pixels."""
    grid = min(_GRID, side)
    edges = np.linspace(0, side, grid + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, side + 1)) - np.maximum(edges[:-1, None], np.arange(side))
    weights = np.maximum(overlap, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _turns(grey: np.ndarray) -> Iterator[np.ndarray]:
    """The eight turns and mirror images."""
    for view in (grey, grey.transpose(0, 2, 1)):
        yield from (view, view[:, ::-1], view[:, :, ::-1], view[:, ::-1, ::-1])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-3)
