"""Randomness derived from (seed, purpose, step): nothing depends on what was drawn before, so a resumed run draws the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """A seed in 0 … 2⁶³ − 1 from any words and whole numbers, e.g. `derive_seed(7, "order", epoch)`.

    Different parts give unrelated seeds (SHA-256 of the list as JSON, so ("a", "b") and ("ab",) differ).
    TypeError for other kinds of parts.
    """
    for part in parts:
        if isinstance(part, bool) or not isinstance(part, (int, str, np.integer)):
            raise TypeError(f"a seed is derived from whole numbers and words, got {part!r}")
    text = json.dumps([int(part) if isinstance(part, np.integer) else part for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """A NumPy generator for one purpose and step."""
    return np.random.default_rng(derive_seed(*parts))


def torch_generator(*parts: int | str) -> torch.Generator:
    """A torch generator on the CPU for one purpose and step (draw there, then move: every device sees the same numbers)."""
    return torch.Generator().manual_seed(derive_seed(*parts))


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Inside, torch's own generators (initial weights, dropout) start from the derived seed; afterwards they are as before."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(*parts))
        yield
