"""Images that are drawn while a classifier trains: a block for each epoch, of which the newest are kept (switches on_the_fly and hybrid).

A process beside the trainer draws the block of the next epoch during this one, with the study's generator and as 05 draws. What epoch e is
trained on depends on the cell's seed and on e alone (hybrid: and on validation losses of earlier epochs), never on who was faster: the
trainer waits for a block that is late. What a block asks for is written down before it is drawn, so a run that was killed asks for the same
again, and finds on disk what was drawn.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow
from PIL import Image

from lib.classify.pool import Block
from lib.classify.stream_cells import Asked, Losses, deal, hardest
from lib.classify.stream_process import StreamError
from lib.data.images import read_image
from lib.data.pixels import square_pixels
from lib.diffusion.image_files import is_whole
from lib.files import write_json
from lib.study import Groups
from lib.study.work import Stream as Options
from lib.training.seeds import derive_seed


class Drawing(Protocol):
    """What draws in the background: `lib.classify.stream_process.Worker`, or a test's stub."""

    def ask(self, name: str, what: Mapping[str, Any]) -> None:
        """Have a block drawn after all that was asked before."""

    def asked(self, name: str) -> bool:
        """Whether it was asked, and nobody waited for it yet."""

    def wait(self, name: str) -> None:
        """Until its table and its images are on disk."""


@dataclass(frozen=True)
class Source:
    """What the cells of a chunk have in common."""

    worker:    Drawing
    options:   Options
    cells:     pd.DataFrame     # of `lib.classify.stream_cells.quota_cells`
    groups:    Groups
    generator: str              # diffusion or gan
    hybrid:    bool             # from the third epoch on, ask for the cells with the highest validation loss
    seed:      int              # of the study's generation
    size:      int              # pixels per side that the classifier sees
    epochs:    int              # of the budget
    mark:      str              # a hash of all that decides what is drawn for a given seed


class Stream:
    """The blocks of one cell, one after the other."""

    def __init__(
        self,
        source: Source,
        *,
        name:   str,                # of the cell
        seed:   int,                # of the cell
        folder: Path,               # of this stream alone: asks, journals, tables, images
    ):
        self.source, self.name, self.seed, self.folder = source, name, seed, folder
        self.waited: dict[int, float] = {}      # epoch → seconds that the trainer stood still for it
        self._kept:  dict[int, Block] = {}      # block → what is in the cache of it

    def block(
        self,
        epoch:  int,                # from 0
        losses: Losses,             # of the epoch before; empty at first
    ) -> Block:
        """The images that this epoch is trained on: the newest `cache`, the last block whole or in part among them.

        With it the next epoch's block is asked for. Losses therefore tell from the epoch after that on: while a block is drawn, one epoch
        goes by. StreamError where images cannot be drawn, and where the checks refused all of them.
        """
        newest = self._newest(epoch)
        self._plan(newest)
        self._ask(newest)
        if epoch + 1 < self.source.epochs and self._newest(epoch + 1) > newest:
            self._decide(newest + 1, losses if self.source.hybrid else {})
            self._ask(newest + 1)
        start = time.monotonic()
        images = self._cache(newest)
        self.waited[epoch] = time.monotonic() - start
        return images

    def end(self, epochs: int) -> None:
        """Keep what the first `epochs` epochs were trained on; a block that was drawn for one that never came is deleted."""
        unseen = self._newest(epochs - 1) + 1
        if self.source.worker.asked(self._name(unseen)):
            with contextlib.suppress(StreamError):      # nobody needs it
                self.source.worker.wait(self._name(unseen))
        self._forget(unseen)
        self._kept.clear()

    def tables(self, epochs: int) -> list[pd.DataFrame]:
        """The `synthetic` table of each block that `epochs` epochs saw, drawn again where lost.

        Its paths start from the block's own folder, `folder` / `block_name(number)`.
        """
        return [self._table(number) for number in range(self._newest(epochs - 1) + 1)]

    # ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────

    def _newest(self, epoch: int) -> int:
        """The number of the last block that an epoch may see; after `images` no more come."""
        limit, size = self.source.options.images, self.source.options.block
        return epoch if limit is None else min(epoch, -(-limit // size) - 1)

    def _plan(self, number: int) -> Asked:
        """What a block asks for, as it was decided."""
        if not self.source.hybrid or number < 2:        # before the third there were no losses
            return self._decide(number, {})
        plan = self._planned(number)
        if plan is None:
            raise StreamError(f"{self._place(number, '.json')} is missing or of another configuration, and what it asked for followed from "
                              f"losses that are gone; delete {self.folder.parent} and run the same command again")
        return plan

    def _decide(self, number: int, losses: Losses) -> Asked:
        """Write down what a block asks for. If it asked for something else before, that and what came after it is deleted."""
        source, first = self.source, number * self.source.options.block
        count = min(source.options.block, (source.options.images or first + source.options.block) - first)
        plan = hardest(source.cells, losses, source.groups, count) or deal(source.cells, first, count, self._seed())
        if plan != self._planned(number):
            self._forget(number)
            write_json(self._place(number, ".json"), {"mark": source.mark, "cells": plan})
        return plan

    def _planned(self, number: int) -> Asked | None:
        try:
            found = json.loads(self._place(number, ".json").read_text(encoding="utf-8"))
            return [tuple(one) for one in found["cells"]] if found["mark"] == self.source.mark else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _forget(self, first: int) -> None:
        """Delete a block and all after it."""
        for plan in self.folder.glob("block-*.json"):
            if (number := int(plan.stem.removeprefix("block-"))) >= first:
                for suffix in (".parquet", ".jsonl", ".json"):
                    self._place(number, suffix).unlink(missing_ok=True)
                shutil.rmtree(self._place(number), ignore_errors=True)
                self._kept.pop(number, None)

    # ── drawing and reading ──────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, number: int) -> None:
        """Have a block drawn, unless it is there or on its way."""
        if number in self._kept or self.source.worker.asked(self._name(number)) or self._whole(number) is not None:
            return
        self.source.worker.ask(self._name(number), {
            "cells": self._plan(number), "seed": self._seed(number) % 2**31, "mark": self.source.mark, "folder": str(self._place(number)),
            "journal": str(self._place(number, ".jsonl")), "table": str(self._place(number, ".parquet")),
        })

    def _table(self, number: int) -> pd.DataFrame:
        """A block's `synthetic` table, its files checked; waits where it is being drawn."""
        if not self.source.worker.asked(self._name(number)) and (table := self._whole(number)) is not None:
            return table
        self._ask(number)
        self.source.worker.wait(self._name(number))
        if (table := self._whole(number)) is None:
            raise StreamError(f"{self._place(number)}: the images are not the ones that were just drawn; is another run using this folder?")
        return table

    def _whole(self, number: int) -> pd.DataFrame | None:
        """What lies on disk of a block, if it is what was asked for and nothing of it is lost."""
        try:
            table = pd.read_parquet(self._place(number, ".parquet"))
        except (OSError, pyarrow.ArrowInvalid):
            return None
        if table.attrs != {"mark": self.source.mark, "cells": [list(one) for one in self._plan(number)]}:
            return None
        kept = table[table["accepted"]]
        return table if all(map(is_whole, self._place(number) / kept["path"], kept["sha256"])) else None

    def _cache(self, newest: int) -> Block:
        """The newest images, oldest first; blocks that are too old are dropped."""
        number, total = newest, 0
        while number >= 0 and total < self.source.options.cache:
            if number not in self._kept:
                self._kept[number] = self._read(number)
            total += len(self._kept[number].labels)
            number -= 1
        self._kept = {one: block for one, block in sorted(self._kept.items()) if one > number}
        if not total:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self._table(newest)["reason"].value_counts().items())
            raise StreamError(f"{self.name}: the checks of generation refused every image that was drawn ({reasons}); look at the images "
                              "of 05_generation, and at generation.brightness, minimum_contrast and attempts")
        blocks, start = list(self._kept.values()), max(0, total - self.source.options.cache)
        return Block(np.concatenate([one.pixels for one in blocks])[start:], *(
            [value for one in blocks for value in getattr(one, column)][start:] for column in ("labels", "keys", "groups")
        ), self.source.generator)

    def _read(self, number: int) -> Block:
        table, size = self._table(number), self.source.size
        kept = table[table["accepted"]]
        pictures = [square_pixels(Image.fromarray(read_image(self._place(number) / path)), size)[0] for path in kept["path"]]
        pixels = np.stack(pictures) if pictures else np.zeros((0, size, size, 3), dtype=np.uint8)
        named = kept[["label", "tone_key", "group"]].astype(object).where(kept[["label", "tone_key", "group"]].notna(), None)
        return Block(pixels, *(named[column].tolist() for column in named), self.source.generator)

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _name(self, number: int) -> str:
        return f"{self.name}-{block_name(number)}"

    def _place(self, number: int, suffix: str = "") -> Path:
        return self.folder / f"{block_name(number)}{suffix}"

    def _seed(self, *number: int) -> int:
        return derive_seed(self.source.seed, "stream", self.seed, *number)


def block_name(number: int) -> str:
    """Of a block's files: block-003."""
    return f"block-{number:03d}"
