"""What a picture looks like in 3 KB, and which pictures look alike whichever way up: candidates for near-duplicates.

A picture is reduced to 48 × 48 grey values and 16 × 16 colours. Its signature is the low end of the cosine spectrum (as in pHash,
Zauner 2010) of the picture after local contrast normalisation: without that, any two dark blobs on pink skin would look alike.
Mirroring a picture only changes the signs of its odd frequencies and a quarter turn swaps rows and columns, so all eight
orientations are compared for the price of two.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

DETAIL        = 48          # pixels of the grey picture's side
COARSE        = 16          # pixels of the coloured picture's side
ORIENTATIONS  = 8           # bit 0: upside down, bit 1: left-right, bit 2: rows and columns swapped first
SIMILAR       = 0.77        # cosine of two signatures; a crop by 5 % of width and height stays above it in 98 of 100 pictures
VERY_SIMILAR  = 0.95        # from here on the colours are not asked for: a copy may have been given other ones
COLOUR_SHIFT  = 20.0        # grey levels by which a crop may change a channel's mean; re-encoding changes it by 2
_MIDDLE       = 0.94        # of width and height: a picture's middle is compared with the others' whole, too, for those that were cropped
_EDGE         = 0.1         # pixels beyond the last one's centre that still count as shown; further out nothing can be interpolated
_FREQUENCIES  = 10          # cycles per two sides; finer ones do not survive a crop without alignment
_SCALE        = 1_000       # signatures are whole numbers of this length: their products are exact in float32, whatever the threads
_ROWS, _COLUMNS = 128, 512      # of one block of the comparison of all with all: small enough for a processor's cache
_PORTION      = 4096        # pictures worked on at once


@dataclass(frozen=True)
class Fingerprints:
    """Small pictures for comparison, all squeezed to squares."""

    grey:   np.ndarray      # uint8 [N, 48, 48]
    colour: np.ndarray      # uint8 [N, 16, 16, 3]

    def __len__(self) -> int:
        return len(self.grey)

    def __getitem__(self, rows: np.ndarray) -> Fingerprints:
        return Fingerprints(self.grey[rows], self.colour[rows])

    @classmethod
    def empty(cls, count: int) -> Fingerprints:
        """Room for so many, to be filled row by row."""
        return cls(np.zeros((count, DETAIL, DETAIL), np.uint8), np.zeros((count, COARSE, COARSE, 3), np.uint8))


def fingerprint(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """One RGB picture of any size as (grey, colour) of `Fingerprints`."""
    small = image.resize((DETAIL, DETAIL), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small.convert("L")), np.asarray(small.reduce(DETAIL // COARSE))


def even_contrast(
    pictures: np.ndarray,   # [N, S, S] grey levels
    reach:    float,        # pixels; standard deviation of the neighbourhood
    floor:    float,        # grey levels; contrast under it is noise and is not raised to full
) -> np.ndarray:
    """Local contrast normalisation: each pixel's difference from its neighbourhood in units of the neighbourhood's spread, float32."""
    pictures = pictures.astype(np.float32)
    pictures -= gaussian_filter(pictures, (0, reach, reach))
    return pictures / np.sqrt(gaussian_filter(pictures * pictures, (0, reach, reach)) + np.float32(floor * floor))


def sampling(
    size:    int,           # pixels
    stretch: np.ndarray,    # [B] 0: as it is, 0.1: what is shown is 1.1 times as long as the picture
    shift:   np.ndarray,    # [B] in sides
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices [B, size, size] for linear interpolation along one axis, and which points [B, size] lie inside the picture."""
    along = (np.arange(size) + 0.5) / size - 0.5
    where = ((along * (1 + stretch[:, None]) + shift[:, None] + 0.5) * size - 0.5).astype(np.float32)
    inside = (where > -_EDGE) & (where < size - 1 + _EDGE)
    where = where.clip(0, size - 1)
    return np.maximum(0, 1 - np.abs(where[:, :, None] - np.arange(size, dtype=np.float32))), inside


def make_signatures(
    grey:   np.ndarray,     # uint8 [N, 48, 48]
    middle: bool = False,   # of the pictures' middle instead
) -> np.ndarray:
    """Signatures, float32 [N, 10, 10] of whole numbers: the dot product of two, divided by 1,000,000, is the likeness (−1 to 1).

    Zero for a picture without structure.
    """
    across = sampling(DETAIL, np.array([_MIDDLE - 1]), np.zeros(1))[0][0]
    result = np.zeros((len(grey), _FREQUENCIES, _FREQUENCIES), np.float32)
    frequency = np.arange(_FREQUENCIES)
    unused = frequency[:, None] ** 2 + frequency ** 2 >= _FREQUENCIES ** 2
    unused[0, 0] = True                                     # brightness
    for start in range(0, len(grey), _PORTION):
        part = grey[start:start + _PORTION].astype(np.float32)
        part = across @ part @ across.T if middle else part
        halved = part.reshape(-1, DETAIL // 2, 2, DETAIL // 2, 2).mean(axis=(2, 4))
        flat = even_contrast(halved, 0.09 * DETAIL / 2, 4.0).astype(np.float64)
        spectrum = dctn(flat, axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES]
        spectrum[:, unused] = 0
        length = np.sqrt((spectrum ** 2).sum(axis=(1, 2), keepdims=True))
        result[start:start + _PORTION] = np.rint(_SCALE * spectrum / np.where(length > 1e-6, length, np.inf))
    return result


def similar_pairs(
    prints:     Fingerprints,
    signatures: np.ndarray,             # of make_signatures(prints.grey)
    *,
    threads:    int = 1,                # the result does not depend on it
) -> np.ndarray:
    """Pairs that may show one picture, int64 [2, P] with first < second; all are compared with all, a block at a time."""
    means, middles = prints.colour.mean(axis=(1, 2), dtype=np.float64), make_signatures(prints.grey, middle=True)

    def compare(corner: tuple[int, int]) -> np.ndarray:
        rows, columns = slice(corner[0], corner[0] + _ROWS), slice(corner[1], corner[1] + _COLUMNS)
        likeness = _likeness(signatures[rows], signatures[columns])
        np.maximum(likeness, _likeness(middles[rows], signatures[columns]), out=likeness)
        np.maximum(likeness, _likeness(signatures[rows], middles[columns]), out=likeness)
        i, j = np.nonzero(likeness >= SIMILAR * _SCALE ** 2)
        sure = likeness[i, j] >= VERY_SIMILAR * _SCALE ** 2
        i, j = i + corner[0], j + corner[1]
        fits = (i < j) & (sure | (np.abs(means[i] - means[j]).max(axis=1, initial=0) <= COLOUR_SHIFT))
        return np.stack([i[fits], j[fits]])

    count = len(signatures)
    corners = [(top, left) for top in range(0, count, _ROWS) for left in range(top - top % _COLUMNS, count, _COLUMNS)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        return np.concatenate([np.zeros((2, 0), np.int64), *pool.map(compare, corners)], axis=1)


def best_orientation(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:     # signatures [B, 10, 10] each
    """How the second of each pair must be turned to look most like the first, int [B] 0–7, and its likeness then, −1 to 1."""
    likeness = np.stack([(one * turn_signatures(other, orientation)).sum(axis=(1, 2)) for orientation in range(ORIENTATIONS)])
    return likeness.argmax(axis=0), likeness.max(axis=0) / _SCALE ** 2


def turn(pictures: np.ndarray, orientation: int) -> np.ndarray:             # [B, S, S, ...]
    """Pictures in another orientation."""
    if orientation & 4:
        pictures = pictures.swapaxes(1, 2)
    if orientation & 1:
        pictures = pictures[:, ::-1]
    return pictures[:, :, ::-1] if orientation & 2 else pictures


def turn_signatures(signatures: np.ndarray, orientation: int) -> np.ndarray:
    """The signatures of pictures in another orientation."""
    sign = (-1.0) ** np.arange(_FREQUENCIES, dtype=np.float32)
    if orientation & 4:
        signatures = signatures.swapaxes(1, 2)
    if orientation & 1:
        signatures = signatures * sign[:, None]
    return signatures * sign if orientation & 2 else signatures


def _likeness(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Dot products [R, C], each the largest over the eight orientations.

    The sum over even/even, even/odd, odd/even and odd/odd frequencies; mirroring changes the sign of two of the last three.
    """
    best = None
    for turned in (columns, columns.swapaxes(1, 2)):
        both, across, down, neither = (
            rows[:, u::2, v::2].reshape(len(rows), -1) @ turned[:, u::2, v::2].reshape(len(columns), -1).T for u in (0, 1) for v in (0, 1))
        upright = np.maximum(both + neither + np.abs(across + down), both - neither + np.abs(across - down))
        best = upright if best is None else np.maximum(best, upright, out=best)
    return best
