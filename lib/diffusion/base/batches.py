"""Batches of pictures as the networks take them."""

from __future__ import annotations

import numpy as np
import torch

from lib.training.seeds import torch_generator


def pick(
    images: int,        # in the pool
    batch:  int,
    step:   int,
    *,
    seed:   int,
) -> np.ndarray:
    """The rows of one step [batch], from the step alone: every picture at most once an epoch, in an order of that epoch's own.

    ValueError when the pool is smaller than a batch.
    """
    if batch > images:
        raise ValueError(f"a batch of {batch} needs a pool of at least as many pictures; this one has {images}")
    epoch, place = divmod(step, images // batch)
    order = torch.randperm(images, generator=torch_generator(seed, "order", epoch))
    return order[place * batch:(place + 1) * batch].numpy()


def to_network(pixels: np.ndarray) -> torch.Tensor:
    """uint8 [N, S, S, 3] → float [N, 3, S, S] in −1…1."""
    return torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1


def turned(
    images:    torch.Tensor,        # [B, C, S, S]
    generator: torch.Generator,
) -> torch.Tensor:
    """Each picture in one of its eight turns and mirrorings, by chance; a lesion has no upper side."""
    kind = torch.randint(8, (len(images),), generator=generator)
    out = images.clone()
    for number in range(1, 8):
        chosen = kind == number
        part = torch.rot90(images[chosen], number % 4, (2, 3))
        out[chosen] = part.flip(3) if number >= 4 else part
    return out
