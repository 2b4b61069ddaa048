"""How certain is a number: a bootstrap that draws patients and training seeds, not images.

Patients. Images of one patient resemble each other, so whole clusters (`cluster_id`) are drawn, never images (Davison &
Hinkley 1997, §3.8). They are drawn within strata, label × group, so that no resample loses a class or a skin tone; the
interval is therefore one for test sets of this composition. Of a stratum's n clusters, n − 1 are drawn with replacement and
weighted by n/(n − 1) (Rao & Wu 1988, JASA 83:231): drawing n would understate the variance by (n − 1)/n, which matters in
strata of five. The result is a matrix of weights [B, N]; every arm is measured under the same weights, which makes
differences paired.

Training seeds. Another training run would have given other numbers, so seeds are drawn as well, independently of the
patients, again n − 1 of n, and the same for every arm (the two-way "pigeonhole" bootstrap; Owen 2007, Ann. Appl. Stat.
1:386, who shows it to be mildly conservative). The limit: few seeds tell the spread between runs only roughly. Where
nothing but training varies, a 95 % interval holds the truth 50 % of the time with 2 seeds, 75 % with 3, 87 % with 5, 91 %
with 8, 94 % with 20 (simulated, 4,000 studies); the more patients contribute, the less it matters. One seed tells
nothing: the interval then holds for these trained networks, not for the way of training them, and the tables say so.

Everything is deterministic in `seed`. Clusters are sorted by name first, and resamples are made in lots of fixed size
with a generator each, so neither the order of rows nor the block size changes a draw, and the first 500 of 2,000
resamples are the 500 that one would get by asking for 500.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LOT = 250                   # resamples per random generator
_PATIENTS, _SEEDS = 0, 1    # independent streams of one seed


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
        rng = np.random.default_rng([seed, _PATIENTS, start // LOT])
        drawn = np.ones((LOT, design.clusters))
        for stratum in design.strata:
            drawn[:, stratum] = _draw(len(stratum), LOT, rng)
        stop = min(LOT, resamples - start)
        for i in range(0, stop, rows):
            j = min(i + rows, stop)
            yield slice(start + i, start + j), drawn[i:j, design.cluster]


def seed_weights(
    seeds:     int,        # S, training repetitions
    *,
    resamples: int,        # B
    seed:      int = 0,
) -> np.ndarray:
    """How much each training seed counts in each resample, [B, S], rows sum to 1; the same for all arms."""
    lots = [_draw(seeds, LOT, np.random.default_rng([seed, _SEEDS, start // LOT])) for start in range(0, resamples, LOT)]
    return np.concatenate(lots)[:resamples] / seeds


def _draw(size: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rao–Wu weights of `size` units, [rows, size]; each row sums to `size`."""
    if size == 1:
        return np.ones((rows, 1))
    return rng.multinomial(size - 1, np.full(size, 1 / size), size=rows) * (size / (size - 1))


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
