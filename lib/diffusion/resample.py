"""Which training images a batch holds: as they come, or so that each tone (or group) gets the share the study gives it (level 1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from lib.training.seeds import numpy_generator

UNKNOWN = "unknown"         # key of the images whose tone is not known


class Batches:
    """Batches as a pure function of the step, so a resumed run sees the images that an uninterrupted one sees.

    Without shares every image is seen once per epoch, in an order shuffled anew each time. With shares each place in a batch draws
    a key by its share, then one of the key's labels (all alike), then one of its images (all alike): within a tone a rare diagnosis
    is shown as often as a common one. Shares need not add up to 1; those of keys without images fall to the others.
    """

    def __init__(
        self,
        examples:     pd.DataFrame,             # columns label, tone ("1" … "6" or None), group (or None)
        shares:       Mapping[str, float],      # tone, name of a group, or "unknown" → share; empty: images as they come
        *,
        batch_size:   int,
        accumulation: int = 1,
        seed:         int,
        say:          Callable[[str], None] | None = None,      # gets a sentence on keys without images; default: the log
    ):
        if not len(examples):
            raise ValueError("there are no training images; see the sources and classes of the study")
        self._count, self._size, self._per_step, self._seed = len(examples), batch_size, accumulation, seed
        self._epoch = (-1, np.empty(0, int))
        self._cells: list[list[np.ndarray]] = []        # key → label → positions in `examples`
        if shares:
            keys = keys_of(examples, shares)
            present = [key for key in shares if shares[key] > 0 and (keys == key).any()]
            _tell(keys, shares, present, say or logging.getLogger(__name__).warning)
            self._shares = np.array([shares[key] for key in present], float)
            self._shares /= self._shares.sum()
            self._cells = [_by_label(examples["label"].to_numpy(), np.flatnonzero(keys == key)) for key in present]

    def rows(self, step: int, micro: int = 0) -> np.ndarray:
        """Positions in `examples` of one batch: micro batch `micro` (0 … accumulation − 1) of optimiser step `step` (0 …)."""
        number = step * self._per_step + micro
        return self._drawn(number) if self._cells else self._in_order(number)

    def _drawn(self, number: int) -> np.ndarray:
        rng = numpy_generator(self._seed, "batch", number)
        keys = rng.choice(len(self._cells), self._size, p=self._shares)
        within = rng.random((self._size, 2))            # which label of the key, which image of the label
        rows = np.empty(self._size, int)
        for place, (key, (label, image)) in enumerate(zip(keys, within, strict=True)):
            labels = self._cells[key]
            images = labels[int(label * len(labels))]
            rows[place] = images[int(image * len(images))]
        return rows

    def _in_order(self, number: int) -> np.ndarray:
        places = np.arange(number * self._size, (number + 1) * self._size)
        epochs = places // self._count
        return np.concatenate([self._order(epoch)[places[epochs == epoch] % self._count] for epoch in np.unique(epochs)])

    def _order(self, epoch: int) -> np.ndarray:
        if self._epoch[0] != epoch:
            self._epoch = (epoch, numpy_generator(self._seed, "order", int(epoch)).permutation(self._count))
        return self._epoch[1]


def keys_of(examples: pd.DataFrame, shares: Mapping[str, float]) -> np.ndarray:
    """The key of `shares` that each example falls under: its tone, else its group, else "unknown" where it has neither; None for no key."""
    def key(tone: str | None, group: str | None) -> str | None:
        known = [word for word in (tone, group) if word is not None] or [UNKNOWN]
        return next((word for word in known if word in shares), None)

    return np.array([key(tone, group) for tone, group in zip(_words(examples["tone"]), _words(examples["group"]), strict=True)], object)


def count_showings(
    examples: pd.DataFrame,                 # columns tone and group
    shares:   Mapping[str, float],          # as for Batches
    *,
    images:   int,                          # shown in all: steps × accumulation × batch size
) -> pd.DataFrame:
    """A row per key: key, images, share of what is shown, and showings, how often one of its images is shown on average."""
    keys = keys_of(examples, shares) if shares else examples["tone"].fillna(UNKNOWN)
    counts = pd.Series(keys, dtype=object).value_counts()
    present = [key for key in shares if shares[key] > 0 and key in counts] if shares else sorted(counts.index)
    whole = sum(shares[key] for key in present) if shares else len(keys)
    table = pd.DataFrame({"key": present, "images": [int(counts[key]) for key in present],
                          "share": [(shares[key] if shares else counts[key]) / whole for key in present]})
    return table.assign(showings=table["share"] * images / table["images"])


def _by_label(labels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """The rows of each label that occurs among them."""
    return [rows[labels[rows] == label] for label in sorted(set(labels[rows]))]


def _tell(keys: np.ndarray, shares: Mapping[str, float], present: list[str], say: Callable[[str], None]) -> None:
    if not present:
        raise ValueError(f"resampling.batches: no training image falls under {', '.join(shares)}; "
                         "keys are tones 1–6, names of groups, or unknown")
    missing = [key for key in shares if shares[key] > 0 and key not in present]
    if missing:
        say(f"resampling.batches: no training image falls under {', '.join(missing)}; the other keys take their share")
    left_out = int((~np.isin(keys.astype(str), present)).sum())
    if left_out:
        say(f"resampling.batches: {left_out:,} of {len(keys):,} training images fall under no key with a share and are not shown")


def _words(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]
