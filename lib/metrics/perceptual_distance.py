"""Perceptual distance on an encoder's feature maps (Zhang et al. 2018, arXiv 1801.03924, eq. 1 with all channel weights 1).

It is LPIPS only on LPIPS' own networks and weights; on any other encoder name the encoder with the figure. LPIPS' weights come inside the
maps: of unit vectors times the root of the weights, `unit=False` takes the plain squared distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

Maps = Sequence[np.ndarray]                 # per layer [N, positions, channels]
BLOCK = 256                                 # images of each set at once: 0.7 GB of AlexNet maps of 256 px pictures
_ROUNDING = 1e-4                            # of a distance in float32; layers of unit vectors are worth at most 4 each


def perceptual_distances(
    first:  Maps,                           # per layer [N, positions, channels]
    second: Maps,                           # per layer [M, positions, channels], same encoder
    *,
    unit:   bool = True,                    # bring each position's vector to length one first
) -> np.ndarray:
    """float64 [N, M]: squared distance of the unit vectors at each position, averaged over positions, summed over layers."""
    first, second = _vectors(first, unit), _vectors(second, unit)
    _check_same(first, second)
    lengths = (sum((layer ** 2).sum(axis=1) for layer in layers) for layers in (first, second))
    both = sum(one @ other.T for one, other in zip(first, second, strict=True))
    ones, others = lengths
    return np.maximum(ones[:, None] + others[None, :] - 2 * both, 0.0)


def mean_distance(
    maps: Maps,                             # per layer [N, positions, channels]
    *,
    unit: bool = True,                      # bring each position's vector to length one first
) -> float:
    """Mean of the distance over all pairs of different images: how varied a set is. Raises ValueError for fewer than two images.

    From the spread around the mean, so no pair is formed: the mean of |x − y|² over pairs is 2·n/(n − 1) times the variance.
    """
    layers = _vectors(maps, unit)
    n = len(layers[0])
    if n < 2:
        raise ValueError(f"a mean over pairs needs two images, got {n}")
    return float(sum(2 / (n - 1) * ((layer - layer.mean(axis=0)) ** 2).sum() for layer in layers))


def nearest_perceptual(
    first:  Maps | Callable[[slice], Maps],         # of N images, or what gives those of a part of them
    second: Maps | Callable[[slice], Maps],         # of M images, same encoder
    *,
    counts: tuple[int, int] | None = None,          # N and M; needed where maps come by parts
    block:  int  = BLOCK,                           # images of each set at once; changes nothing
    unit:   bool = True,                            # bring each position's vector to length one first
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each of the first images to its nearest second one [N], and where that is [N]; the first of equals.

    One product of matrices in float32 for each pair of blocks; whatever comes as near as its rounding is computed again from differences in
    float64, so values are those of `perceptual_distances`. Of sets that come by parts the first is asked for once, the second once where it
    fits a block, else once for each block of the first; no more than a block of each is held. Raises ValueError where the sets differ in
    their maps or the second is empty.
    """
    if counts is None and (callable(first) or callable(second)):
        raise ValueError("maps that come by parts need counts=(N, M)")
    sizes = counts or (len(first[0]), len(second[0]))
    if not sizes[1]:
        raise ValueError("there is no image to compare with")
    best, place = np.full(sizes[0], np.inf), np.zeros(sizes[0], dtype=np.int64)
    kept = None if callable(second) and sizes[1] > block else list(_parts(second, sizes[1], block, unit))
    for top, ours in _parts(first, sizes[0], block, unit):
        rows = slice(top, top + len(ours[0]))
        for start, theirs in kept or _parts(second, sizes[1], block, unit):
            _check_same(ours, theirs)
            near = _products(ours, theirs)
            limit = np.minimum(near.min(axis=1), best[rows]) + _ROUNDING
            for row, column in zip(*np.nonzero(near <= limit[:, None]), strict=True):
                apart = sum(((one[row].astype(np.float64) - other[column]) ** 2).sum() for one, other in zip(ours, theirs, strict=True))
                if apart < best[top + row]:
                    best[top + row], place[top + row] = apart, start + column
    return best, place


def _parts(maps: Maps | Callable[[slice], Maps], count: int, block: int, unit: bool) -> Iterator[tuple[int, list[np.ndarray]]]:
    """First image and vectors of each block."""
    for start in range(0, count, block):
        rows = slice(start, min(start + block, count))
        yield start, _vectors(maps(rows) if callable(maps) else [layer[rows] for layer in maps], unit, np.float32)


def _products(first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
    """[N, M] squared distances, rounded."""
    ones, others = (sum(np.einsum("nd,nd->n", layer, layer) for layer in layers) for layers in (first, second))
    return ones[:, None] + others - 2 * sum(one @ other.T for one, other in zip(first, second, strict=True))


def _check_same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    if [layer.shape[1] for layer in first] != [layer.shape[1] for layer in second]:
        raise ValueError("the two sets of feature maps differ in layers, positions or channels; take both from one encoder")


def _vectors(maps: Maps, unit: bool, dtype: type = np.float64) -> list[np.ndarray]:
    """Per layer [N, positions·channels], scaled so that plain squared distances are those of the definition."""
    if not len(maps) or any(np.ndim(layer) != 3 for layer in maps) or len({len(layer) for layer in maps}) > 1:
        raise ValueError(f"expected layers [N, positions, channels] of the same N, got shapes {[np.shape(layer) for layer in maps]}")
    out = []
    for layer in maps:
        layer = np.asarray(layer, dtype=dtype)
        if not np.isfinite(layer).all():
            raise ValueError("feature maps hold NaN or infinity; look at the images that were encoded")
        scale = 1 / np.sqrt(layer.shape[1])
        if unit:
            lengths = np.sqrt(np.einsum("npc,npc->np", layer, layer))[..., None]
            vectors = layer * (scale / (lengths + 1e-10)).astype(dtype)                     # 1e-10 as in LPIPS' code
        else:
            vectors = layer * dtype(scale)
        out.append(vectors.reshape(len(vectors), vectors.shape[1] * vectors.shape[2]))
    return out
