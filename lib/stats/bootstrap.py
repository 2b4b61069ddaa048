"""How certain is a number: a bootstrap that draws patients, not images.

Images of one patient resemble each other, so whole clusters (`cluster_id`) are drawn, never images (Davison & Hinkley 1997,
§3.8). They are drawn within strata, label × group, so that no resample loses a class or a skin tone; the interval is therefore
one for test sets of this composition. Of a stratum's n clusters, n − 1 are drawn with replacement and weighted by n/(n − 1)
(Rao & Wu 1988, JASA 83:231): drawing n would understate the variance by (n − 1)/n, which matters in strata of five. The result
is a matrix of weights [B, N]; every run of every arm is measured under the same weights, which makes differences paired.

Training seeds are not drawn: with three of them, drawing again knows far too little of how runs differ (its 95 % interval
holds the truth 75 % of the time where nothing but training varies). Their part is a t interval; lib/stats/interval.py puts
both together.

Everything is deterministic in `seed`. Clusters are sorted by name first, and resamples are made in lots of fixed size
with a generator each, so neither the order of rows nor the block size changes a draw, and the first 500 of 2,000
resamples are the 500 that one would get by asking for 500.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

LOT = 250    # resamples per random generator


@dataclass(frozen=True)
class Design:
    """Which images are drawn together, and among whom."""

    cluster: np.ndarray              # [N] int, each image's cluster, 0 … C − 1 in the order of sorted names
    strata:  tuple[np.ndarray, ...]  # cluster numbers of each stratum; together all C, each once

    @property
    def clusters(self) -> int:
        """How many clusters there are."""
        return sum(len(stratum) for stratum in self.strata)


def make_design(
    cluster_ids: np.ndarray,                  # [N] names of clusters
    labels:      np.ndarray | None = None,    # [N] the class of each image
    groups:      np.ndarray | None = None,    # [N] the group of each image; None where unknown (a stratum of its own)
) -> Design:
    """Clusters and strata of a test set.

    A cluster has one stratum though its images may differ: its label is the rarest of its labels (fewest images in the
    whole set: a patient with one melanoma and five nevi counts where melanomas are scarce), its group the rarest among
    the images of that label. A stratum of a single cluster has no variance to draw from, so it joins the smallest stratum
    of the same label; if there is none it stays, and its weight is always 1.
    Raises ValueError when lengths differ or there is no image.
    """
    ids = np.asarray(cluster_ids).astype(str)
    size = len(ids)
    if not size:
        raise ValueError("no images to resample")
    label, group = (np.full(size, "") if column is None else _as_text(column) for column in (labels, groups))
    if not len(label) == len(group) == size:
        raise ValueError(f"expected one label and group per image; got {size} images, {len(label)} labels, {len(group)} groups")
    _, cluster = np.unique(ids, return_inverse=True)
    order = np.lexsort((group, _how_many(group), label, _how_many(label), cluster))    # within a cluster: the rarest first
    first = order[np.unique(cluster[order], return_index=True)[1]]
    members: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(first):
        members.setdefault((label[row], group[row]), []).append(number)
    return Design(cluster, tuple(np.array(numbers) for numbers in _join_lone(members)))


def image_weights(
    design:    Design,
    *,
    resamples: int,                  # B
    seed:      int = 0,
    cells:     int = 1_000_000,       # numbers per block at most; bounds memory, changes nothing else
) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of weights: which resamples, and how much each image counts in them [b, N]."""
    rows = max(1, min(LOT, cells // len(design.cluster)))
    for start in range(0, resamples, LOT):
        rng = np.random.default_rng([seed, 0, start // LOT])
        drawn = np.ones((LOT, design.clusters))
        for stratum in design.strata:
            drawn[:, stratum] = _draw(len(stratum), LOT, rng)
        stop = min(LOT, resamples - start)
        for i in range(0, stop, rows):
            j = min(i + rows, stop)
            yield slice(start + i, start + j), drawn[i:j, design.cluster]


def degrees_of_freedom(
    design: Design,
    kinds:  Sequence[np.ndarray],    # rows of each kind of image that a measure contrasts, e.g. of positives and of negatives
) -> float:
    """On how many independent deviations the bootstrap's variance of a measure rests, at least 1.

    Each kind adds a variance in inverse proportion to its clusters (Satterthwaite 1946, with equal spread in all kinds), so the
    scarcest kind decides: 29 melanomas and 1,300 nevi have 29. A stratum of n clusters lends its share (n − 1)/n of each.
    """
    free = np.zeros(design.clusters)
    for stratum in design.strata:
        free[stratum] = 1 - 1 / len(stratum)
    found = [np.unique(design.cluster[rows]) for rows in kinds]
    variance = np.array([1 / len(members) for members in found if len(members)])
    degrees = np.array([max(1.0, free[members].sum()) for members in found if len(members)])
    return float(variance.sum() ** 2 / (variance**2 / degrees).sum()) if len(variance) else 1.0


def _draw(size: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rao–Wu weights of `size` units, [rows, size]; each row sums to `size`."""
    if size == 1:
        return np.ones((rows, 1))
    drawn = rng.integers(size, size=(rows, size - 1)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size) * (size / (size - 1))


def _join_lone(members: dict[tuple[str, str], list[int]]) -> list[list[int]]:
    strata = {key: members[key] for key in sorted(members)}
    for key in [key for key in strata if len(strata[key]) == 1]:
        if len(strata[key]) > 1:                                     # another lone one has joined it meanwhile
            continue
        same_label = [other for other in strata if other[0] == key[0] and other != key]
        if same_label:
            smallest = min(same_label, key=lambda other: (len(strata[other]), other))
            strata[smallest] = sorted(strata[smallest] + strata.pop(key))
    return list(strata.values())


def _how_many(values: np.ndarray) -> np.ndarray:
    """[N] how often each value occurs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return counts[inverse]


def _as_text(values: np.ndarray) -> np.ndarray:
    """[N] str, "" for None and NaN."""
    return np.array(["" if value is None or value != value else str(value) for value in np.asarray(values, dtype=object)], dtype=str)
