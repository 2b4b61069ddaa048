"""Contestants timed in turn, so that a machine that slows down for a while slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import torch


@dataclass
class Stopwatch:
    """A progress callback that takes the time from `warmup` units done to all done."""

    device:  torch.device
    warmup:  int   = 0                          # units before the clock starts; 0: it starts with `start()`
    seconds: float = field(default=0.0, init=False)
    _since:  float | None = field(default=None, init=False)

    def start(self) -> None:
        """Start now. Work queued on a GPU before is waited for, here and at the end."""
        self._since = self._now()

    def __call__(self, done: int, total: int, *_: object) -> None:
        if self._since is None and done >= self.warmup:
            self.start()
        elif done >= total:
            self.seconds = self._now() - self._since

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def time_in_turn(
    contestants: Mapping[str, Callable[[Stopwatch], int]],      # name → runs once and returns how many images were timed
    *,
    repetitions: int,
    device:      torch.device,
    warmup:      int = 0,
    progress:    Callable[[int, int], None] | None = None,      # (runs done, runs)
) -> pd.DataFrame:
    """A row per run: repetition, contestant, images, seconds. Every repetition runs all contestants, each time another one first."""
    names, rows = list(contestants), []
    for repetition in range(repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            watch = Stopwatch(device, warmup)
            images = contestants[name](watch)
            if not watch.seconds > 0:
                raise RuntimeError(f"{name} ended without telling that all was done, so nothing was timed")
            rows.append({"repetition": repetition, "contestant": name, "images": images, "seconds": watch.seconds})
            if progress:
                progress(len(rows), repetitions * len(names))
    return pd.DataFrame(rows)
