"""Laying one small picture over another, and saying how far they are then the same picture.

Per axis a stretch and a shift are fitted (a crop followed by squeezing to a square is just that), by Gauss–Newton steps on the
difference of the pictures (Lucas & Kanade 1981) with brightness and contrast free, first coarsely, then in detail.
"""

from __future__ import annotations

import numpy as np

from lib.data.perceptual import COARSE, DETAIL, VERY_SIMILAR, Fingerprints, best_orientation, even_contrast, sampling, turn

SAME          = 0.1         # sameness from which on two pictures count as one; see `sameness`
_ROUGH        = 0.6         # difference in colour, in units of contrast, from which on pairs are given up without a fit
_COARSE_SAME  = 0.08        # pairs under it after the coarse fit are given up
_STRETCH, _SHIFT = 0.16, 0.09   # largest fitted, as shares of the side; a crop by 5 % on each side needs 0.11 and 0.06
_PER_LEVEL, _MOST = 0.1, 0.8    # what a grey level of difference in colour takes from the sameness, and the most that colour takes
_PER_SIDE     = 2.0         # what moving an edge of the picture takes, per side's length: round blobs can be stretched to fit
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def sameness(
    prints:     Fingerprints,
    signatures: np.ndarray,         # float32 [N, 10, 10] of lib.data.perceptual.make_signatures
    one:        np.ndarray,         # int [B] row numbers
    other:      np.ndarray,         # int [B]
) -> np.ndarray:
    """How far each pair is one picture, float64 [B]: 1 for the same pixels, above SAME for copies, −inf where the coarse fit fails.

    It is the correlation of the detail, less the difference in colour in grey levels / 10, less that difference in units of the
    picture's contrast (the two together take 0.8 at most, so that detail correlated by 0.95 tells whatever the colours), less twice
    how far an edge had to be moved. Distinct lesions may do well in one of these, but hardly in all. Weights and limit were set on
    copies of HAM10000 and of phantoms planted among the originals.
    """
    result = np.full(len(one), -np.inf)
    turns, likeness = best_orientation(signatures[one], signatures[other])
    left, right = (picture.transpose(0, 3, 1, 2).astype(np.float32)
                   for picture in (prints.colour[one], _turned(prints.colour[other], turns)))
    contrast = left.std(axis=(2, 3)).mean(axis=1) + 3       # 3 grey levels of noise are no contrast
    (rows,) = np.nonzero((_apart(left, right) / contrast <= _ROUGH) | (likeness >= VERY_SIMILAR))
    left, right, contrast = left[rows], right[rows], contrast[rows]
    coarse = (even_contrast(np.einsum("bcyx,c->byx", picture, _GREY), 0.09 * COARSE, 4.0) for picture in (left, right))
    place, agreement = _fit(*coarse, np.zeros((len(rows), 4)), steps=4)
    (hopeful,) = np.nonzero(agreement - _price(_apart(left, right, place), contrast) >= _COARSE_SAME)
    rows, left, right, contrast = rows[hopeful], left[hopeful], right[hopeful], contrast[hopeful]
    detail = (even_contrast(picture, 0.05 * DETAIL, 3.0)
              for picture in (prints.grey[one[rows]], _turned(prints.grey[other[rows]], turns[rows])))
    place, agreement = _fit(*detail, place[hopeful], steps=4)
    moved = (np.abs(place[:, 0::2]) / 2 + np.abs(place[:, 1::2])).max(axis=1, initial=0)
    result[rows] = agreement - _price(_apart(left, right, place), contrast) - _PER_SIDE * moved
    return result.round(6)


def _fit(
    still:  np.ndarray,             # float32 [B, S, S]
    moving: np.ndarray,             # float32 [B, S, S]
    start:  np.ndarray,             # [B, 4]: stretch and shift down, stretch and shift across
    *,
    steps:  int,
) -> tuple[np.ndarray, np.ndarray]:
    """The best place found for each moving picture, and the correlation of the two there, on the part that both show."""
    size = still.shape[1]
    along = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    place, best_place, best = start, start.copy(), np.full(len(still), -np.inf)
    for step in range(steps + 1):
        moved, shown = _lay(moving, place)
        agreement = _correlation(still, moved, shown)
        better = agreement > best
        best[better], best_place[better] = agreement[better], place[better]
        if step == steps:
            break
        down, across = np.gradient(moved, axis=1) * size, np.gradient(moved, axis=2) * size
        slopes = np.stack([down * along[:, None], down, across * along, across, moved, np.ones_like(moved)], axis=1)
        slopes = (slopes * shown[:, None]).reshape(len(still), 6, size * size)
        square = slopes @ slopes.transpose(0, 2, 1)
        square += (1e-4 * np.trace(square, axis1=1, axis2=2)[:, None, None] + 1e-6) * np.eye(6, dtype=np.float32)
        change = np.linalg.solve(square, slopes @ ((still - moved) * shown).reshape(len(still), size * size, 1))
        limit = np.array([_STRETCH, _SHIFT] * 2)
        place = np.clip(place + change[:, :4, 0], -limit, limit)
    return best_place, best


def _lay(moving: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moving pictures [B, S, S] or [B, 3, S, S] resampled where the still ones have their pixels, and which they show [B, S, S]."""
    size = moving.shape[-1]
    (down, rows), (across, columns) = sampling(size, *place.T[:2]), sampling(size, *place.T[2:])
    shape = (-1, *[1] * (moving.ndim - 3), size, size)
    laid = down.reshape(shape) @ moving @ across.transpose(0, 2, 1).reshape(shape)
    return laid, (rows[:, :, None] & columns[:, None, :]).astype(np.float32)


def _correlation(one: np.ndarray, other: np.ndarray, shown: np.ndarray) -> np.ndarray:
    count = shown.sum(axis=(1, 2), keepdims=True)
    one, other = ((picture - (picture * shown).sum(axis=(1, 2), keepdims=True) / count) * shown for picture in (one, other))
    return (one * other).sum(axis=(1, 2)) / np.sqrt((one * one).sum(axis=(1, 2)) * (other * other).sum(axis=(1, 2)) + 1e-9)


def _apart(one: np.ndarray, other: np.ndarray, place: np.ndarray | None = None) -> np.ndarray:
    """The difference in colour, in grey levels, of pictures [B, 3, 16, 16] where both are shown."""
    laid, shown = (other, np.ones((1, 1, 1), np.float32)) if place is None else _lay(other, place)
    apart = ((laid - one) ** 2).mean(axis=1)
    return np.sqrt((apart * shown).mean(axis=(1, 2)) / shown.mean(axis=(1, 2)))


def _price(levels: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """What the difference in colour takes from the sameness."""
    return np.minimum(_PER_LEVEL * levels + levels / contrast, _MOST)


def _turned(pictures: np.ndarray, turns: np.ndarray) -> np.ndarray:
    result = np.empty_like(pictures)
    for orientation in np.unique(turns):
        result[turns == orientation] = turn(pictures[turns == orientation], int(orientation))
    return result
