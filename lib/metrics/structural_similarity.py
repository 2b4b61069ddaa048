"""Structural similarity of grey images (SSIM; Wang et al. 2004, IEEE Trans. Image Process. 13:600, eq. 13) with scikit-image's defaults.

Windows of 7 × 7 pixels, all that lie inside the image, each pixel counting alike; sample variances. Similarity to an unrelated real image
rewards copying: it is a thing to report and to keep within a band, not to maximise.

The search for the most similar image rests on a bound. With p and q the pixels of one window minus their means,
1 − (contrast·structure) = |p − q|²/(σp² + σq² + C₂), and a sum of |p − q|² over neighbouring windows is a dot product: one product of
matrices gives it for all pairs. Dividing it by the largest denominator of these windows can only make images look more alike.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

WINDOW = 7              # pixels
BLOCK = 128             # images of each set at once; twice as many of 128 pixels a side or less
_LUMA = np.array([0.299, 0.587, 0.114])             # ITU-R BT.601, as for a grey PIL image
_AREA = WINDOW * WINDOW
_C1, _C2 = (0.01 * 255) ** 2 * _AREA ** 2, (0.03 * 255) ** 2 * _AREA * (_AREA - 1)      # for sums over windows instead of means
_CELL = 4               # windows along the side of a cell of the bound
_PATCH = 8              # windows along the side of a patch, whose luminance is bounded as a whole: cells of it
_STRIP = 4              # cells down a strip: what is compared in full before a pair is looked at again
_CHUNK = 16_384         # windows compared at once: what a processor's cache holds
_FIRST = 4              # pairs that are compared before all others: one of them is mostly the most similar, and ends the search
_MIDDLE = 128           # taken off grey values where only differences count, so that float32 loses fewer digits
_ROUNDING = 1e-4        # of a similarity in float32


def nearest_similar(
    generated: np.ndarray,          # uint8 [N, S, S, 3], or grey [N, S, S]
    real:      np.ndarray,          # uint8 [M, S, S, 3], or grey [M, S, S]
    *,
    block:     int | None = None,   # images of each set at once, on each thread: memory is 30 numbers a pixel of these; changes nothing
    threads:   int        = 1,      # changes nothing
) -> tuple[np.ndarray, np.ndarray]:
    """The highest similarity of each generated image to any real one [N], −1 … 1, and where that is [N]; the first of equals.

    Exact: a pair is left only when its bound, of what is not compared yet, falls below a similarity already found. The search runs in
    float32; whatever comes as near as its rounding is computed again in float64. Raises ValueError where sizes differ, an image is smaller
    than a window, or there is no real image.
    """
    _check(generated, real)
    best, place = np.full(len(generated), -np.inf), np.zeros(len(generated), dtype=np.int64)
    block = block or (BLOCK if generated.shape[1] > 128 else 2 * BLOCK)

    def compare(top: int) -> None:
        ours = _Windows(_grey(generated[top:top + block]))
        bounds = _bounds(ours, theirs)
        for row in range(len(ours)):
            for near in _search(ours, row, theirs, bounds[:, row], best[top + row]):
                value = float(_similarity(ours.grey[row], theirs.grey[near]))
                if value > best[top + row]:
                    best[top + row], place[top + row] = value, start + near

    with ThreadPoolExecutor(max(1, threads)) as pool, threadpool_limits(1 if threads > 1 else None, user_api="blas"):
        for start in range(0, len(real), block):
            theirs = _Windows(_grey(real[start:start + block]))
            list(pool.map(compare, range(0, len(generated), block)))            # the list raises what a thread raised
    return best, place


def similarities(
    first:  np.ndarray,             # uint8 [N, S, S, 3], or grey [N, S, S]
    second: np.ndarray,             # the same number and size
) -> np.ndarray:
    """[N] similarity of each pair."""
    _check(first, second)
    if len(first) != len(second):
        raise ValueError(f"pairs need as many first as second images, got {len(first)} and {len(second)}")
    return np.array([_similarity(*(_grey(one[None])[0] for one in pair)) for pair in zip(first, second, strict=True)])


def mean_similarity(
    pixels: np.ndarray,             # uint8 [N, S, S, 3], or grey [N, S, S]
    *,
    pairs:  int = 2_000,            # at most; beyond that they are drawn
    seed:   int = 0,
) -> float:
    """Mean over pairs of different images: how alike a set is. Raises ValueError for fewer than two images."""
    count = len(pixels)
    if count < 2:
        raise ValueError(f"a mean over pairs needs two images, got {count}")
    first, second = np.triu_indices(count, 1)
    if len(first) > pairs:
        drawn = np.random.default_rng(seed).choice(len(first), pairs, replace=False)
        first, second = first[drawn], second[drawn]
    _check(pixels, pixels)
    grey = _grey(pixels)
    return float(np.mean([_similarity(grey[one], grey[other]) for one, other in zip(first, second, strict=True)]))


def _check(first: np.ndarray, second: np.ndarray) -> None:
    for pixels in (first, second):
        if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] != 3):
            raise ValueError(f"expected uint8 [N, H, W, 3] or [N, H, W], got {pixels.dtype} {pixels.shape}")
    if first.shape[1:3] != second.shape[1:3]:
        raise ValueError(f"images of {first.shape[1:3]} and of {second.shape[1:3]} pixels cannot be compared; bring them to one size")
    if min(first.shape[1:3]) < WINDOW:
        raise ValueError(f"images of {first.shape[1:3]} pixels are smaller than a window of {WINDOW}")
    if not len(second):
        raise ValueError("there is no image to compare with")


def _grey(pixels: np.ndarray) -> np.ndarray:
    """float32 [N, H, W] of whole numbers 0–255, so that all sums over windows are exact."""
    return np.rint(pixels @ _LUMA if pixels.ndim == 4 else pixels).astype(np.float32)


def _similarity(one: np.ndarray, other: np.ndarray) -> np.float64:
    """Of two grey images, in float64."""
    sums, other_sums, squares, other_squares, products = (_over_windows(values).astype(np.float64) for values in (
        one, other, one * one, other * other, one * other))
    means = 2 * sums * other_sums
    sums, other_sums = sums ** 2, other_sums ** 2
    spreads = _AREA * (squares + other_squares) - sums - other_sums
    return ((means + _C1) * (2 * _AREA * products - means + _C2) / ((sums + other_sums + _C1) * (spreads + _C2))).mean()


def _over_windows(values: np.ndarray) -> np.ndarray:
    """[N, H, W] or [H, W] → sums over windows, [N, H − 6, W − 6] or [H − 6, W − 6]."""
    return _sum_ahead(values)[..., :1 - WINDOW, :1 - WINDOW]


def _sum_ahead(values: np.ndarray) -> np.ndarray:
    """Sums over the 7 × 7 pixels from each pixel on, in the shape of `values`; the last 6 rows and columns mean nothing.

    By doubling, four additions for seven terms, and on all images as one long row, which is what a processor does fastest.
    """
    width = values.shape[-1]
    row = np.zeros(values.size + (WINDOW - 1) * (width + 1), dtype=values.dtype)
    row[:values.size] = values.ravel()
    for step in (1, width):
        two = row[:-step] + row[step:]
        seven = two[:-2 * step] + two[2 * step:]
        seven = seven[:-3 * step]
        seven += two[4 * step:-step]
        seven += row[6 * step:]
        row = seven
    return row.reshape(values.shape)


class _Windows:
    """Grey images [N, H, W] and, for each of their windows, what the similarity needs, in float32.

    Windows lie in [N, H − 6, W]: the last 6 columns are there for long rows and mean nothing.
    """

    def __init__(self, grey: np.ndarray):
        self.grey, self.centred = grey, grey - np.float32(_MIDDLE)
        centre, squares = (_sum_ahead(values)[:, :1 - WINDOW] for values in (self.centred, self.centred ** 2))
        self.shape = centre.shape[1], centre.shape[2] - WINDOW + 1
        self.sums = centre + np.float32(_AREA * _MIDDLE)
        self.spread = ((_AREA * squares.astype(np.float64) - centre.astype(np.float64) ** 2) / (2 * _AREA)).astype(np.float32)
        self.spread[..., self.shape[1]:] = 1                # never divided by zero
        self.centre = centre / np.float32(WINDOW)
        self.square = self.sums ** 2 + np.float32(_C1 / 2)

    def __len__(self) -> int:
        return len(self.grey)


def _search(ours: _Windows, row: int, theirs: _Windows, bounds: np.ndarray, best: float) -> list[int]:
    """Places of all that may exceed `best` and everything else here, ascending. `bounds` [strips, M] are sums over a strip's windows."""
    windows, high = ours.shape[0] * ours.shape[1], _STRIP * _CELL
    whole = bounds.sum(axis=0)
    order = np.argsort(-whole, kind="stable")
    step = max(1, _CHUNK // (high * ours.shape[1]))
    places, values = [], []
    for part in np.split(order, range(_FIRST, len(order), step)):
        least = (best - _ROUNDING) * windows
        if whole[part[0]] < least:
            break
        value, rest = np.zeros(len(part)), whole[part]
        for strip, bound in enumerate(bounds):
            kept = value + rest >= least
            if not kept.any():
                break
            part, value, rest = part[kept], value[kept], rest[kept]
            value += _sums_of(ours, row, theirs, part, slice(strip * high, (strip + 1) * high))
            rest = rest - bound[part]
        else:
            places.extend(part.tolist())
            values.extend((value / windows).tolist())
            best = max(best, *values)
    return sorted(place for place, value in zip(places, values, strict=True) if value >= best - 2 * _ROUNDING)


def _sums_of(ours: _Windows, row: int, theirs: _Windows, places: np.ndarray, rows: slice) -> np.ndarray:
    """[P] similarities of one image with those at `places`, summed over rows of windows."""
    above = theirs.sums[places, rows]
    above *= 2 * ours.sums[row, rows]
    above += np.float32(_C1)
    pixels = slice(rows.start, rows.stop + WINDOW - 1)
    shared = theirs.centred[places, pixels]
    shared *= ours.centred[row, pixels]
    shared = _sum_ahead(shared)[:, :above.shape[1]]
    product = theirs.centre[places, rows]
    product *= ours.centre[row, rows]
    shared -= product
    shared += np.float32(_C2 / (2 * _AREA))
    above *= shared
    below = theirs.square[places, rows]
    below += ours.square[row, rows]
    above /= below
    below = theirs.spread[places, rows]
    below += ours.spread[row, rows] + np.float32(_C2 / (2 * _AREA))
    above /= below
    return above[..., :ours.shape[1]].sum(axis=2).sum(axis=1, dtype=np.float64)


# ── the bound ────────────────────────────────────────────────────────────────────────────────────────────────────

def _bounds(ours: _Windows, theirs: _Windows) -> np.ndarray:
    """[strips, N, M] above the sum of similarities over a strip of windows, but for rounding."""
    height, width = ours.shape
    strips = np.zeros((-(-height // (_CELL * _STRIP)), len(ours), len(theirs)), dtype=np.float32)
    first, second = _Cells(ours), _Cells(theirs)
    unlike, share, other = (np.empty(strips.shape[1:], dtype=np.float32) for _ in range(3))
    for top in range(0, height, _PATCH):
        total = strips[top // (_CELL * _STRIP)]
        for left in range(0, width, _PATCH):
            unlike[:] = 0
            for down in range(top, min(top + _PATCH, height), _CELL):
                for across in range(left, min(left + _PATCH, width), _CELL):
                    (vectors, most), (their_vectors, their_most) = first.at(down, across, -1), second.at(down, across, 1)
                    np.matmul(vectors.T, their_vectors, out=share)                      # Σ |p − q|² over the cell's windows
                    share /= np.add(most[:, None], their_most, out=other)
                    unlike += share
            # with a and b the sums of a window, its luminance term is 1 − (a − b)²/(a² + b² + C₁): from ranges, at least and at most
            (low, high), (their_low, their_high) = first.range(top, left), second.range(top, left)
            np.subtract(high[:, None], their_low, out=share)
            np.subtract(their_high, low[:, None], out=other)
            nearest = np.minimum(np.minimum(share, other), 0)
            np.maximum(share, other, out=share)
            share *= share
            share /= np.add(low[:, None] ** 2, their_low ** 2 + np.float32(_C1), out=other)
            np.subtract(1, share, out=share)
            unlike *= np.maximum(share, 0, out=share)
            nearest *= nearest
            nearest /= np.add(high[:, None] ** 2, their_high ** 2 + np.float32(_C1), out=other)
            windows = np.float32(min(_PATCH, height - top) * min(_PATCH, width - left))
            nearest *= -windows
            nearest += windows
            nearest -= unlike
            total += nearest
    return strips


class _Cells:
    """The windows of images cell by cell, with the images in the last dimension."""

    def __init__(self, images: _Windows):
        self._pixels, self._sums, self._spread = (np.ascontiguousarray(values.transpose(1, 2, 0)) for values in (
            images.centred, images.sums[..., :images.shape[1]], images.spread[..., :images.shape[1]]))

    def range(self, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest sum [N] among the windows of a patch."""
        sums = self._sums[top:top + _PATCH, left:left + _PATCH]
        return sums.min(axis=(0, 1)), sums.max(axis=(0, 1))

    def at(self, top: int, left: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Vectors [D, N] of a cell, whose dot products (side −1 with side 1) are Σ |p − q|²; the largest spread with half of C₂ [N]."""
        where = slice(top, top + _CELL), slice(left, left + _CELL)
        sums, spread = self._sums[where], self._spread[where]
        pixels = self._pixels[top:top + len(sums) + WINDOW - 1, left:left + sums.shape[1] + WINDOW - 1]
        often = _often(*sums.shape[:2])
        vectors = np.empty((often.size + sums.shape[0] * sums.shape[1] + 2, sums.shape[2]), dtype=np.float32)
        middle = pixels[len(pixels) // 2, pixels.shape[1] // 2]     # differences from means stay as they are, and fewer digits are lost
        of_pixels, of_windows = vectors[:often.size].reshape(pixels.shape), vectors[often.size:-2].reshape(sums.shape)
        np.subtract(pixels, middle, out=of_pixels)
        of_pixels *= side * np.sqrt(often)
        np.subtract(sums, _AREA * (middle + np.float32(_MIDDLE)), out=of_windows)
        of_windows *= np.float32(1 / WINDOW)
        total, one = (-2, -1) if side < 0 else (-1, -2)
        vectors[total], vectors[one] = spread.sum(axis=(0, 1)), 1
        return vectors, spread.max(axis=(0, 1)) + np.float32(_C2 / (4 * _AREA))


@cache
def _often(down: int, across: int) -> np.ndarray:
    """[down + 6, across + 6, 1] how many of a cell's windows hold each of its pixels."""
    edge = WINDOW - 1
    return _over_windows(np.pad(np.ones((down, across), dtype=np.float32), edge))[..., None]
