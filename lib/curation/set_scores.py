"""How far generated images are from real ones as a set, per class and group, and how far real ones are from each other.

Most figures are means over draws. A draw halves the real images, by patients where these are given, and takes half of the generated ones;
the statistic of the first real half with the generated images, and of the first with as many of the second real half, are taken side by
side at the same sizes. So the second says what the first would be if the generated images were real (the floor), which matters where a
statistic depends on size. Half samples without repetition spread as the estimate from all images does (delete-d jackknife with d = n/2:
Shao & Wu 1989, Ann. Stat. 17:1176), and unlike a bootstrap's they hold no image twice, which neighbour statistics would take for a copy.

The floor is that of half the images, so a set can lie inside it and still differ. The kernel distances have no bias at any size, so
theirs are of all images, with a test (`lib.metrics.set_distance`). What a check says of an image needs no image beside it: those shares
and medians are of all generated images, and of all real ones of the label as their floor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from lib.curation.candidates import Material
from lib.curation.curate import Curated
from lib.curation.image_set import ImageSet, image_set, strata, without_groups
from lib.curation.set_statistics import Family, counted, families
from lib.metrics.set_distance import SetDistance
from lib.study import Curation
from lib.training.seeds import numpy_generator

COLUMNS = ("encoder", "statistic", "label", "group", "n_real", "n_generated", "unmatched", "size",
           "value", "low", "high", "p_value", "floor", "floor_low", "floor_high", "reason", "floor_note")
_COSTLY = 10                        # draws of the Fréchet distance, whose matrices are large
_FEWEST = 0.8                       # of the draws must give a number
_WHOLE  = 1_000                     # images of each kind that a kernel distance is of


def set_scores(
    real:       ImageSet,                           # of train and validation, never of test
    generated:  ImageSet,                           # before curation: this judges the generator
    *,
    neighbours: int = 3,                            # k of precision, recall, density and coverage
    draws:      int = 100,                          # halvings
    most:       int = 400,                          # images of each kind in a draw
    seed:       int = 0,
    progress:   Callable[[int, int], None] | None = None,                   # called with (cells done, cells)
) -> pd.DataFrame:
    """A row of COLUMNS per encoder, statistic and cell: all images (label null), each label (group null), each label × group.

    In rows over several groups or labels both kinds have the same mix; `unmatched` counts generated images of groups that no real image
    shows. Where the generator was asked for no group at all, the real groups are merged. `size`: images that the generated side and its
    real counterpart have in a draw. `low` to `high` holds the middle 95 % of the draws, `floor_low` to `floor_high` of real against real.

    Kernel distances: value and bootstrap interval of all images (1,000 of each kind at most), and `p_value`, one-sided, of "real and
    generated ones come from one distribution"; NaN for the others. Figures of the checks: `size` is how many generated images were
    measured; Wilson's interval of a share, the exact one of a median, on both sides; `floor_note` where the floor is missing or of
    another mix of groups. Where something is not estimable the value is NaN, `reason` says why, and the others go on; a Fréchet distance
    of fewer images than features has a value and a reason.
    """
    real = without_groups(real, generated)
    measured, said = families(real, generated, neighbours, seed), counted(real, generated)
    places = [strata(images) for images in (real, generated)]
    kinds = _numbered(places, (len(real), len(generated)))
    cells, rows, known = _cells(places[1]), [], {}
    for number, (label, group) in enumerate(cells, 1):
        here = [{key: found for key, found in part.items() if label in (None, key[0]) and group in (None, key[1])} for part in places]
        cell = _Cell(here, len(real), real.clusters, kinds)
        if cell.key not in known:                                           # a label of which one group was generated is that cell
            rngs = [numpy_generator(seed, "halves", cell.key, draw) for draw in range(draws)]
            usual, whole = [cell.draw(rng, most) for rng in rngs], [cell.draw(rng, None) for rng in rngs[:_COSTLY]]
            known[cell.key] = [row for family in measured
                               for row in _score(cell, family, whole if family.costly else usual, (*real.image_id, *generated.image_id),
                                                 seed)]
        place = {"label": label, "group": group, "unmatched": cell.unmatched}
        rows += [row | place | {"n_real": cell.found[0]} for row in known[cell.key]]
        rows += [one.row(places, label, group) | place for one in said]
        if progress:
            progress(number, len(cells))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compare_sets(
    material: Material,
    curated:  Curated,
    options:  Curation,
    *,
    progress: Callable[[int, int], None] | None = None,                     # as of `set_scores`
) -> pd.DataFrame:
    """`set_scores` of what was generated, against train and held out together; of the checks' scores against held out alone.

    The checks learnt from the training images, so these would look too good.
    """
    seen = {"encoders": [options.encoder, options.second_encoder], "perceptual": options.perceptual}
    sets = set_scores(image_set(material.train, material.held_out, **seen), image_set(material.generated, **seen), seed=options.seed,
                      progress=progress)
    checked = [image_set(part, encoders=[], scores=scores) for part, scores in
               ((material.held_out, curated.held_out), (material.generated, curated.table))]
    return pd.concat([sets, set_scores(*checked, seed=options.seed)], ignore_index=True)


class _Cell:
    """The images of a label and group, or of several, and how they are drawn in the same mix."""

    def __init__(
        self,
        both:     Sequence[Mapping[tuple[str, str], np.ndarray]],           # (label, group) → rows, of real and of generated images
        offset:   int,                                                      # real images in all: where rows of generated ones start
        clusters: Sequence[str] | None,
        kinds:    np.ndarray,                                               # [N + M] label × group of each image, as a number
    ):
        self.clusters, self.kinds = None if clusters is None else np.asarray(clusters), kinds
        shared = sorted(set(both[0]) & set(both[1]))
        self.key = json.dumps([shared, sorted(both[1])])
        counts = [min(len(both[0][key]), len(both[1][key])) for key in shared]
        ratio = min((len(both[0][key]) // n for key, n in zip(shared, counts, strict=True)), default=0)
        self._real = [(both[0][key], ratio * n) for key, n in zip(shared, counts, strict=True)]
        self._generated = [(both[1][key] + offset, n) for key, n in zip(shared, counts, strict=True)]
        self.rows = np.concatenate([rows for rows, _ in [*self._real, *self._generated]] or [np.empty(0, dtype=int)])
        self.real, self.generated = ratio * sum(counts), sum(counts)
        self.unmatched = sum(len(rows) for key, rows in both[1].items() if key not in shared)
        self.found = tuple(sum(map(len, known.values())) for known in both)

    def draw(self, rng: np.random.Generator, most: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of the first real half, of the second cut to the size of the generated ones, and of these; all without repetition."""
        real, generated = self._mix(rng, most)
        first, second = self._halve(real, rng)
        size = min(len(second), len(generated) // 2)
        return first, second[:size], generated[:size]

    def measure(self, family: Family, seed: int) -> SetDistance:
        """The family's figure of all images, in the same mix."""
        real, generated = self._mix(numpy_generator(seed, "whole", self.key), _WHOLE)
        clusters = np.arange(len(self.kinds)) if self.clusters is None else self.clusters
        return family.whole(real, generated, clusters, self.kinds, seed)

    def _mix(self, rng: np.random.Generator, most: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Rows of real and of generated images with as many of each label and group in proportion, in random order."""
        real, generated = (np.concatenate([rng.permutation(rows)[:n] for rows, n in side] or [np.empty(0, dtype=int)])
                           for side in (self._real, self._generated))
        return rng.permutation(real)[:most], rng.permutation(generated)[:most]

    def _halve(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two parts that share no cluster, as equal as clusters allow."""
        if self.clusters is None:
            return rows[:len(rows) // 2], rows[len(rows) // 2:]
        names, number = np.unique(self.clusters[rows], return_inverse=True)
        halves: tuple[list, list] = [], []
        for name in rng.permutation(len(names)):
            min(halves, key=len).extend(rows[number == name])
        shuffled = [rng.permutation(np.array(half, dtype=int)) for half in halves]
        return shuffled[0], shuffled[1]

    def lack(self, least: int, draws: Sequence[tuple[np.ndarray, ...]]) -> str:
        """Why a statistic that needs `least` images on each side has no figure here; empty where it has one."""
        for kind, found in zip(("real", "generated"), self.found, strict=True):
            if not found:
                return f"no {kind} image"
        if not self.generated:
            return "no real image of the groups that were generated"
        sizes = [min(map(len, draw)) for draw in draws]
        if max(sizes) < least:
            return (f"{max(sizes)} images on each side of a half of {self.real} real and {self.generated} generated ones; "
                    f"it needs {least}")
        return ""


def _score(cell: _Cell, family: Family, draws: Sequence[tuple[np.ndarray, ...]], names: Sequence[str], seed: int) -> list[dict]:
    found, whole = {name: [] for name in family.names}, None
    reason = cell.lack(family.least, draws)
    broken = cell.rows[family.broken[cell.rows]]
    if not reason and len(broken):
        reason = f"{len(broken)} images give NaN or infinity (first: {names[broken[0]]}); look at them"
    if not reason:
        try:
            for first, second, generated in draws:
                if min(map(len, (first, second, generated))) >= family.least:
                    pair = family.call(first, generated), family.call(first, second)
                    for name in family.names:
                        found[name].append([one[name] for one in pair])
            whole = cell.measure(family, seed) if family.whole else None
        except ValueError as error:
            reason = str(error)
    if whole and not whole.estimate.estimable:
        reason = whole.estimate.reason
    rows = [_row(cell, family, name, found[name], reason, draws) for name in family.names]
    if whole and not reason:
        of_all = {"value": whole.estimate.value, "low": whole.estimate.low, "high": whole.estimate.high, "p_value": whole.p_value}
        rows = [row | of_all if np.isfinite(row["value"]) else row for row in rows]
    return rows


def _row(cell: _Cell, family: Family, name: str, pairs: list, reason: str, draws: Sequence) -> dict:
    sizes = [len(generated) for _, _, generated in draws]
    row = dict.fromkeys(COLUMNS, np.nan) | {
        "encoder": family.encoder, "statistic": name, "n_generated": cell.found[1],
        "size": int(np.median(sizes)) if sizes else 0, "reason": reason, "floor_note": ""}
    values = np.array(pairs, dtype=float).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    if reason:
        return row
    if len(values) < max(1, _FEWEST * len(draws)):
        return row | {"reason": f"{len(values)} of {len(draws)} halvings give a number"}
    if row["size"] < family.wanted:
        row["reason"] = f"flagged: {row['size']} images on each side, and under {family.wanted} it says little"
    ends = np.quantile(values, (0.025, 0.975), axis=0)
    return row | {"value": values[:, 0].mean(), "low": ends[0, 0], "high": ends[1, 0],
                  "floor": values[:, 1].mean(), "floor_low": ends[0, 1], "floor_high": ends[1, 1]}


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────

def _cells(keys: Iterable[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
    """All, then every label that was generated, then every label × group that was."""
    return [(None, None), *((label, None) for label in dict.fromkeys(label for label, _ in keys)), *keys]


def _numbered(places: Sequence[Mapping[tuple[str, str], np.ndarray]], sizes: tuple[int, int]) -> np.ndarray:
    """[N + M] label × group of each image as 0, 1, …"""
    numbers = {key: number for number, key in enumerate(sorted({*places[0], *places[1]}))}
    kinds = [np.zeros(size, dtype=int) for size in sizes]
    for known, part in zip(kinds, places, strict=True):
        for key, rows in part.items():
            known[rows] = numbers[key]
    return np.concatenate(kinds)
