"""What is asked for, image by image: prompt, seed and place follow from the number alone, so memory does not grow with the quota."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from lib.diffusion.words import TYPES, Cell, Words
from lib.study import Generation, Groups
from lib.training.seeds import derive_seed

_GOLDEN = (5 ** 0.5 - 1) / 2


@dataclass(frozen=True)
class Request:
    """One image that is to be drawn, in one attempt."""

    number:          int            # 0 … images − 1, over all shards
    image_id:        str            # "demo-melanoma-fst-vi-000123"
    cell:            Cell           # label and tone key
    tone_type:       int | None     # Fitzpatrick type that is asked for, where tones are asked by type
    group:           str | None
    domain:          str
    prompt:          str
    negative_prompt: str
    seed:            int            # of (study's seed, cell, place in the cell, attempt); neither batch nor shard changes it
    attempt:         int            # from 1
    slot:            int            # place in the padded batch, the same in every attempt
    source_image_id: str | None     # reference image, where generation.image_prompt asks for one

    @property
    def label(self) -> str:
        return self.cell.label

    @property
    def tone(self) -> str | None:
        """The tone key: a type "1" … "6", or a group's name."""
        return self.cell.tone


class Requests:
    """All requests of a quota, or of one shard of it; nothing is kept per image.

    Domains are dealt within a cell by place: the fractional parts of place × golden ratio, from an offset of the cell's own, are cut at
    the cumulative shares. That keeps every stretch of a cell within two images of its shares, treats small cells fairly, and leaves
    what an image shows unchanged when the quota grows.
    """

    def __init__(
        self,
        cells:      pd.DataFrame,                   # of `quota`: label, tone, images
        words:      Words,
        domains:    Mapping[str, float],            # domain → share, with a sum above 0
        generation: Generation,
        groups:     Groups,
        *,
        study:      str,                            # its name, the start of every image_id
        tokens:     Collection[str] = (),           # learnt tokens the pipeline knows
        references: Mapping[Cell, Sequence[str]] | None = None,     # training images of each cell, where an image prompt is used
    ):
        """ValueError where there are no domains, or where a cell lacks the reference image that `generation.image_prompt` needs."""
        if not domains or sum(domains.values()) <= 0:
            raise ValueError("no domain to draw in; set generation.domains, or take in training images")
        self.cells = [Cell(label, None if pd.isna(tone) else tone) for label, tone in zip(cells["label"], cells["tone"], strict=True)]
        self.words, self.generation, self.groups, self.study, self.tokens = words, generation, groups, study, frozenset(tokens)
        self.domains = [domain for domain, share in domains.items() if share > 0]
        shares = np.cumsum([domains[domain] for domain in self.domains])
        self._cuts = (shares / shares[-1])[:-1].tolist()
        self._ends = list(itertools.accumulate(int(count) for count in cells["images"]))
        self._offsets = [derive_seed(generation.seed, "domains", *_words_of(cell)) / 2**63 for cell in self.cells]
        self.references = self._checked(references or {}) if generation.image_prompt.mode != "none" else {}
        self.numbers = range(self._ends[-1] if self._ends else 0)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> Request:
        """The request at a place in this shard, first attempt."""
        return self.request(self.numbers[place])

    def __iter__(self) -> Iterator[Request]:
        return map(self.request, self.numbers)

    def request(self, number: int, attempt: int = 1) -> Request:
        """The request of a number. IndexError outside the quota."""
        if not 0 <= number < (self._ends[-1] if self._ends else 0):
            raise IndexError(f"image {number} of {self._ends[-1] if self._ends else 0}")
        which = bisect.bisect_right(self._ends, number)
        cell, place = self.cells[which], number - (self._ends[which - 1] if which else 0)
        domain = self.domains[bisect.bisect_right(self._cuts, (self._offsets[which] + place * _GOLDEN) % 1)]
        sources = self.references.get(cell, ())
        return Request(
            number          = number,
            image_id        = f"{self.study}-{cell.slug}-{place:06d}",
            cell            = cell,
            tone_type       = int(cell.tone) if cell.tone in TYPES else None,
            group           = self.group_of(cell),
            domain          = domain,
            prompt          = self.words.prompt(cell, domain, self.tokens),
            negative_prompt = self.words.negative(cell, domain),
            seed            = derive_seed(self.generation.seed, "image", *_words_of(cell), place, attempt),
            attempt         = attempt,
            slot            = number % self.generation.batch_size,
            source_image_id = sources[place % len(sources)] if sources else None,
        )

    def group_of(self, cell: Cell) -> str | None:
        """The study's group that a cell belongs to."""
        for name, values in self.groups.values.items():
            if cell.tone is not None and (cell.tone == name or (self.groups.column == "tone" and cell.tone in map(str, values))):
                return name
        return None

    def shard(self, index: int, shards: int) -> Requests:
        """Shard `index` of 0 … shards − 1: whole batches in a row, so the shards together are the unsharded set byte for byte."""
        if not 0 <= index < shards:
            raise ValueError(f"shard {index} of {shards}: shards count from 0")
        size = self.generation.batch_size
        batches = -(-len(self.numbers) // size)
        part = object.__new__(Requests)
        part.__dict__.update(self.__dict__, numbers=self.numbers[index * batches // shards * size:(index + 1) * batches // shards * size])
        return part

    def count(self) -> pd.DataFrame:
        """Images of this shard by cell: label, tone, images."""
        first, stop = self.numbers.start, self.numbers.stop
        counts = [max(0, min(end, stop) - max(start, first)) for start, end in itertools.pairwise([0, *self._ends])]
        table = pd.DataFrame({"label": [cell.label for cell in self.cells], "tone": [cell.tone for cell in self.cells], "images": counts})
        return table[table["images"] > 0].reset_index(drop=True)

    def describe(self) -> dict:
        """Everything that decides the requests, as plain values (see `lib.study.fingerprint`)."""
        ends = [0, *self._ends]
        return {
            "numbers": [self.numbers.start, self.numbers.stop], "study": self.study, "seed": self.generation.seed,
            "batch_size": self.generation.batch_size, "negative": self.words.prompts.negative,
            "domains": [self.domains, self._cuts], "references": [[*_words_of(cell), *ids] for cell, ids in self.references.items()],
            "cells": [[*_words_of(cell), end - start, *(self.words.prompt(cell, domain, self.tokens) for domain in self.domains)]
                      for cell, start, end in zip(self.cells, ends, ends[1:], strict=False)],
        }

    def _checked(self, references: Mapping[Cell, Sequence[str]]) -> dict[Cell, list[str]]:
        """The images of each cell in an order of the study's seed."""
        lacking = [cell for cell in self.cells if not references.get(cell)]
        if lacking:
            names = ", ".join(cell.slug for cell in lacking[:5])
            mode, more = self.generation.image_prompt.mode, ", …" if len(lacking) > 5 else ""
            raise ValueError(f"generation.image_prompt.mode is {mode}, and {len(lacking)} cells have no training image to start from "
                             f"({names}{more}); set mode: none, or leave these cells out of the quota")

        def rank(cell: Cell, image: str) -> int:
            return derive_seed(self.generation.seed, "reference", *_words_of(cell), image)

        return {cell: sorted(references[cell], key=partial(rank, cell)) for cell in self.cells}


def in_slots(requests: Sequence[Request], batch_size: int) -> list[Request]:
    """A full batch, each request at its slot and the rest filled up with the first. ValueError where two requests share a slot."""
    slots = [request.slot for request in requests]
    if len(set(slots)) < len(slots) or not set(slots) <= set(range(batch_size)):
        raise ValueError(f"a batch has {batch_size} places, one for each request; got slots {slots}")
    filled = [requests[0]] * batch_size
    for request in requests:
        filled[request.slot] = request
    return filled


def _words_of(cell: Cell) -> tuple[str, str]:
    return cell.label, cell.tone or ""
