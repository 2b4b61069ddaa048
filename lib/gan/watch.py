"""Looking at a generator in training: what it draws from the same noise every time, and how much that varies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from lib.files import remove_leftovers, write_atomically
from lib.gan.model import GanModel
from lib.gan.networks import Generator
from lib.study.gan import Gan
from lib.training.seeds import torch_generator

_SIDE, _PER_CLASS = 5, 8            # images along a grid of one class; in the row of each class of several
_WATCHED = 64                       # images of a fixed batch, of each class of several at least _PER_CLASS
_BATCHES, _BATCH = 8, 32            # that the averaged generator's statistics are taken from


class Watch:
    """The averaged generator of a run, made ready to draw, with its fixed noise."""

    def __init__(self, average: Generator, classes: Sequence[str], options: Gan):
        self.model = GanModel(average.eval(), tuple(classes))
        count, several = max(_WATCHED, _PER_CLASS * len(classes)), len(classes) > 1
        self._labels = [classes[number % len(classes)] for number in range(count)]
        self._noise = torch.randn((count, options.latent), generator=torch_generator(options.seed, "grid"))
        self._across, shown = (_PER_CLASS, _PER_CLASS) if several else (_SIDE, _SIDE**2)
        self._shown = [place for number in range(len(classes)) for place in range(number, count, len(classes))[:shown]]
        self._settling = torch.randn((_BATCHES, _BATCH, options.latent), generator=torch_generator(options.seed, "statistics"))

    @torch.no_grad()
    def settle(self) -> None:
        """Take the means and variances of the BatchNorms anew, for the averaged weights: those of the training belong to other weights.

        Over 256 drawn images (standing statistics, Brock et al. 2019, arXiv 1809.11096, appendix D).
        """
        generator = self.model.generator
        norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None                    # the plain mean over all that follow
        generator.train()
        device, classes = next(generator.parameters()).device, self.model.classes
        for noise in self._settling:
            labels = self.model.numbers([classes[number % len(classes)] for number in range(_BATCH)], _BATCH)
            generator(noise.to(device), None if labels is None else labels.to(device))
        generator.eval()

    def diversity(self) -> float:
        """`diversity` of the fixed batch as it is drawn now."""
        return diversity(self._draw(range(len(self._noise))), self._labels)

    def save_grid(self, folder: Path, iteration: int) -> None:
        """`folder`/iteration-00001000.png: 5 × 5 images, or a row of 8 for each class of several."""
        self.settle()
        images = self._draw(self._shown)
        size = images.shape[1]
        table = images.reshape(-1, self._across, size, size, 3).swapaxes(1, 2).reshape(-1, self._across * size, 3)
        write_atomically(_place(folder, iteration), lambda temporary: Image.fromarray(table).save(temporary, format="PNG"))

    def _draw(self, places: Sequence[int]) -> np.ndarray:
        places = list(places)
        parts = [places[start:start + _BATCH] for start in range(0, len(places), _BATCH)]       # large images need much room
        return np.concatenate([self.model.draw(self._noise[part], [self._labels[place] for place in part]) for part in parts])


def diversity(
    images: np.ndarray,                     # uint8 [N, S, S, 3]
    labels: Sequence[str] | None = None,    # one per image; images are compared within their class
) -> float:
    """How far images lie apart: root of the mean variance of a pixel over the images, in 0–1 units; 0 where all are the same.

    Times √2 it is the root mean square difference of two of them. NaN where no class has two images.
    """
    labels = np.zeros(len(images)) if labels is None else np.asarray(labels)
    groups = [images[labels == label] for label in sorted(set(labels))]
    variances = [np.var(group, axis=0, ddof=1, dtype=np.float32).mean(dtype=np.float64) for group in groups if len(group) > 1]
    return float(np.sqrt(np.mean(variances)) / 255) if variances else float("nan")


def saved_grids(folder: Path) -> dict[int, Path]:
    """Iterations done → the grid that was drawn then, in order."""
    found = {int(match[1]): path for path in folder.glob("iteration-*.png") if (match := re.fullmatch(r"iteration-(\d+)\.png", path.name))}
    return dict(sorted(found.items()))


def keep_grids(folder: Path, done: int) -> None:
    """Delete the grids of iterations after `done`: of another run, or drawn again when this one gets there."""
    if folder.is_dir():
        remove_leftovers(folder)
    for iteration, path in saved_grids(folder).items():
        if iteration > done:
            path.unlink()


def _place(folder: Path, iteration: int) -> Path:
    return folder / f"iteration-{iteration:08d}.png"
