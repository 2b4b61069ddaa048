"""What chance decides in a GAN's training, from (seed, purpose, step) alone: images, turns, noise, mixing, augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lib.gan.augment import DRAWS
from lib.study.gan import Gan
from lib.training.seeds import numpy_generator, torch_generator


@dataclass(frozen=True)
class CriticDraw:
    """One batch of the critic; everything on the CPU."""

    rows:    np.ndarray             # [B] which real images
    turns:   torch.Tensor           # bool [3, B]: mirrored left–right, mirrored top–bottom, transposed
    labels:  torch.Tensor | None    # [B] class numbers of real and drawn images, where there are several
    noise:   torch.Tensor           # [B, latent]
    alpha:   torch.Tensor           # [B] share of the real image in x̂
    changes: torch.Tensor           # [2, B, 7] uniform numbers for the augmentation of real and of drawn images


@dataclass(frozen=True)
class GeneratorDraw:
    """One batch of the generator."""

    labels:  torch.Tensor | None    # [B]
    noise:   torch.Tensor           # [B, latent]
    changes: torch.Tensor           # [B, 7]


class Draws:
    """Batches of a run. Every class is shown equally often, in an order shuffled anew for each round through its images."""

    def __init__(
        self,
        numbers: np.ndarray,        # [N] class number of each image, 0 … K − 1; all 0 where there is one class
        options: Gan,
    ):
        self._options = options
        self._images = [np.flatnonzero(numbers == number) for number in range(int(numbers.max()) + 1)]
        self._orders: dict[int, tuple[int, np.ndarray]] = {}        # class → the round that was shuffled last, and its order

    def critic(self, step: int) -> CriticDraw:
        """The batch of critic step `step`, counted over the whole run from 0."""
        generator, batch = torch_generator(self._options.seed, "critic", step), self._options.batch_size
        turns = torch.rand((3, batch), generator=generator) < (0.5 if self._options.flips else 0.0)
        noise = torch.randn((batch, self._options.latent), generator=generator)
        alpha = torch.rand(batch, generator=generator)
        changes = torch.rand((2, batch, DRAWS), generator=generator)
        places = np.arange(step * batch, (step + 1) * batch)
        return CriticDraw(np.array([self._row(place) for place in places]), turns, self._labels(places), noise, alpha, changes)

    def generator(self, iteration: int) -> GeneratorDraw:
        """The batch of the generator step that ends an iteration."""
        generator, batch = torch_generator(self._options.seed, "generator", iteration), self._options.batch_size
        noise = torch.randn((batch, self._options.latent), generator=generator)
        changes = torch.rand((batch, DRAWS), generator=generator)
        return GeneratorDraw(self._labels(np.arange(iteration * batch, (iteration + 1) * batch)), noise, changes)

    def _row(self, place: int) -> int:
        """The image that comes at a place in the row of all that are ever shown: classes in turn, each shuffled round by round."""
        number = place % len(self._images)
        images = self._images[number]
        turn, place = divmod(place // len(self._images), len(images))
        if self._orders.get(number, (-1,))[0] != turn:
            self._orders[number] = turn, numpy_generator(self._options.seed, "order", number, turn).permutation(images)
        return int(self._orders[number][1][place])

    def _labels(self, places: np.ndarray) -> torch.Tensor | None:
        return torch.from_numpy(places % len(self._images)) if self._options.conditional else None


def turned(
    pixels: np.ndarray,             # uint8 [N, S, S, 3], also a memory map; only the rows that are asked for are read
    draw:   CriticDraw,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """The real images of a batch, mirrored and turned as drawn: [B, 3, S, S] in −1 … 1, channels-last."""
    images = torch.from_numpy(np.ascontiguousarray(pixels[draw.rows])).to(device)
    for turn, change in zip(draw.turns.to(device), (lambda one: one.flip(2), lambda one: one.flip(1), lambda one: one.transpose(1, 2)),
                            strict=True):
        images = torch.where(turn[:, None, None, None], change(images), images)
    return images.contiguous().permute(0, 3, 1, 2).float().div_(127.5).sub_(1)      # where() may have taken over the transposed layout
