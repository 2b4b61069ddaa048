"""WGAN-GP training against the plain loop and the ceiling, and what each saving gains: same networks, batches and noise, in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn

from lib.gan.ceiling import train_bare
from lib.gan.crops import lesion_crops
from lib.gan.draws import CriticDraw, Draws, turned
from lib.gan.instance_norm import InstanceNorm
from lib.gan.networks import Critic, Generator
from lib.gan.plain_loop import PlainLoop
from lib.gan.savings import SAVINGS, ChannelsLast, Compiled, can_compile
from lib.gan.step import Duel
from lib.study.gan import Gan
from lib.study.generate import Benchmarks
from lib.training.runtime import prepare_machine
from lib.training.seeds import seeded
from lib.training.stopwatch import Stopwatch, time_in_turn

Contestants = dict[str, Callable[[Stopwatch], int]]


@dataclass(frozen=True)
class GanSetup:
    """What all contestants share. One class, no augmentation, no compilation but where it is what is timed."""

    pixels:      np.ndarray     # uint8 [N, S, S, 3] at options.image_size
    options:     Gan
    benchmarks:  Benchmarks
    accelerator: Accelerator

    def __post_init__(self):
        plain = {"conditional": False, "augmentation": "none", "compile": False}
        object.__setattr__(self, "options", self.options.model_copy(update=plain))

    @property
    def warmup(self) -> int:
        """Iterations before the clock starts."""
        return self._iterations(self.benchmarks.warmup)

    @property
    def iterations(self) -> int:
        """Of a run, all of them; as many are timed as hold the study's optimiser steps, critic and generator counted alike."""
        return self.warmup + self._iterations(self.benchmarks.steps)

    @property
    def images(self) -> int:
        """Real images that the critic sees while it is timed."""
        return (self.iterations - self.warmup) * self.options.critic_steps * self.options.batch_size

    def _iterations(self, steps: int) -> int:
        return -(-steps // (self.options.critic_steps + 1))

    def networks(self, norm: type[nn.GroupNorm] = InstanceNorm) -> tuple[Generator, Critic]:
        """Fresh ones for every run, with equal weights."""
        with seeded(self.options.seed, "weights"):
            return (Generator(self.options.image_size, self.options.latent, self.options.features_g),
                    Critic(self.options.image_size, self.options.features_d, norm=norm))

    def draws(self) -> Draws:
        """Batches and noise, the same in every run; drawn on the clock."""
        return Draws(np.zeros(len(self.pixels), dtype=int), self.options)

    def real(self, draw: CriticDraw) -> torch.Tensor:
        """The real images of a batch, as the trainer reads them."""
        return turned(self.pixels, draw, self.accelerator.device)

    def in_rows(self, draw: CriticDraw) -> torch.Tensor:
        """The same for the plain loop, which knows one memory layout."""
        return self.real(draw).contiguous()


def open_gan_setup(
    samples: pd.DataFrame,
    roots:   Mapping[str, Path],        # source → its folder
    study:   Any,                       # what a stage may see of the study: gan, benchmarks, labels.names, compute, data.remove_hair
    *,
    cache:   Path,
    threads: int,
) -> GanSetup:
    """Train on the images of all classes that get a generator, as if they were one class: what is on them does not change the time."""
    crops = lesion_crops(samples, roots, study.gan, study.labels.names, split="train", cache=cache, remove_hair=study.data.remove_hair,
                         threads=threads)
    return GanSetup(crops.pixels, study.gan, study.benchmarks, prepare_machine(study.compute))


def time_gan(setup: GanSetup, *, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """A row per run: task (gan), contestant (ours, plain, ceiling, and each of SAVINGS), repetition, images, seconds.

    Timed are whole iterations: batches, noise, both updates and the averaged weights. Rows of the history (every ten iterations or more),
    grids and checkpoints, which the plain loop has not, are left out.
    """
    timings = time_in_turn(contestants(setup), repetitions=setup.benchmarks.repetitions, device=setup.accelerator.device,
                           warmup=setup.warmup, progress=progress)
    return timings.assign(task="gan")[["task", "contestant", "repetition", "images", "seconds"]]


def contestants(setup: GanSetup) -> Contestants:
    """Name → runs once. Nothing is compiled where there is no compiler."""
    savings = {name: loop for name, loop in SAVINGS.items() if loop is not Compiled or can_compile()}

    def ours(watch: Stopwatch) -> int:
        duel = Duel(*setup.networks(), setup.real, setup.draws(), setup.options, setup.accelerator)
        return run(duel.iterate, watch)

    def ceiling(watch: Stopwatch) -> int:
        train_bare(*setup.networks(), setup.options, iterations=setup.iterations, device=setup.accelerator.device, progress=watch)
        return setup.images

    def plain(loop: type[PlainLoop]) -> Callable[[Stopwatch], int]:
        # torch's kernel for norms is the quickest on rows, the written-out one on channels-last memory: each has what suits it
        read, norm = (setup.real, InstanceNorm) if loop is ChannelsLast else (setup.in_rows, nn.GroupNorm)
        return lambda watch: run(loop(*setup.networks(norm), read, setup.draws(), setup.options, setup.accelerator.device).iterate, watch)

    def run(iterate: Callable[[int], object], watch: Stopwatch) -> int:
        for iteration in range(setup.iterations):
            iterate(iteration)
            watch(iteration + 1, setup.iterations)
        return setup.images

    return {"ours": ours, "plain": plain(PlainLoop), "ceiling": ceiling} | {name: plain(loop) for name, loop in savings.items()}
