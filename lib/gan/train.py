"""Train a generator on images of one class, or of several with a conditional model: resumable, watched, saved (notebook 04)."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator

from lib.gan.draws import Draws, turned
from lib.gan.model import GanModel, GeneratorError, load_generator, read_card, save_generator
from lib.gan.networks import Critic, Generator
from lib.gan.step import MEASURES, Duel
from lib.gan.watch import Watch, keep_grids, saved_grids
from lib.study import Compute
from lib.study import fingerprint as digest
from lib.study.gan import Gan
from lib.training.checkpoints import delete_checkpoints, load_checkpoint, save_checkpoint, told_when_full, what_stays
from lib.training.errors import TrainingDivergedError
from lib.training.runtime import prepare_machine
from lib.training.seeds import seeded

_ROWS, _SHORTEST = 200, 10      # about so many rows of history, of at least so many iterations: reading a loss makes a GPU wait

Quality  = Callable[[GanModel, int], float | None]      # (the generator as it is, iterations done) → score, lower is better; None: no score
Log      = Callable[[str, dict], None]                  # a hash of all that decides the run's outcome, a row of the history
Progress = Callable[[int, int, dict | None], None]      # iterations done, of how many, where one is due a row of the history
Say      = Callable[[str], None]


@dataclass(frozen=True)
class TrainedGan:
    """A finished run."""

    history: pd.DataFrame       # iteration; MEASURES, means since the row before; diversity, of lib.gan.watch; quality (NaN: none taken)
    grids:   dict[int, Path]    # iterations done → PNG of what the averaged generator draws from the same noise every time
    model:   GanModel           # averaged weights, as they lie on disk
    reused:  bool               # it lay finished in the folder, nothing was trained


def train_gan(
    pixels:  np.ndarray,            # uint8 [N, S, S, 3], also a memory map
    labels:  Sequence[str] | None,  # of each image; None: one class, named by options.classes or "image"
    options: Gan,
    *,
    folder:      Path,              # of this run alone: checkpoints/, grids/, generator.safetensors, generator.json
    fingerprint: str,               # of what is seen neither in the images nor in the options: the sources of the stage
    compute:     Compute,
    quality:     Quality | None                = None,      # judges at every `quality_every` iterations, and at the end
    log:         Log | None                    = None,      # gets every row of the history, e.g. lib.gan.board.tensorboard
    progress:    Progress | None               = None,
    say:         Say | None                    = None,      # gets a sentence when something on disk is not used; default: the log
) -> TrainedGan:
    """Train for `options.iterations` generator steps, or go on from the last checkpoint, or load what is finished: the outcome is the same.

    All randomness comes from (seed, purpose, step): on the CPU a run that was killed anywhere ends bit-equal with one that was not.
    ValueError for images that cannot be trained on; TrainingDivergedError when a loss is no longer a number, OSError where the disk is full
    (earlier checkpoints stay).
    """
    folder, say = Path(folder), say or logging.getLogger(__name__).warning
    check_images(pixels, options.image_size)
    classes, numbers = _classes(labels, len(pixels), options)
    accelerator = prepare_machine(compute)
    if options.batch_size % accelerator.num_processes:
        raise ValueError(f"gan.batch_size is {options.batch_size} and {accelerator.num_processes} processes share each batch; "
                         f"make it a multiple of {accelerator.num_processes}")
    mark = _mark(fingerprint, pixels, numbers, classes, options, accelerator)
    reused = _finished(folder, mark, say)
    accelerator.wait_for_everyone()
    if not reused:
        _Run(pixels, numbers, classes, options, folder, mark, accelerator, quality, log, progress, say).train()
    accelerator.wait_for_everyone()
    history = pd.DataFrame(read_card(folder)["config"]["history"]).astype(float).astype({"iteration": int})
    return TrainedGan(history, saved_grids(folder / "grids"), load_generator(folder, accelerator.device), reused)


def check_images(pixels: np.ndarray, image_size: int) -> None:
    """ValueError, with what to do, unless `pixels` is uint8 [N ≥ 2, image_size, image_size, 3]."""
    if not isinstance(pixels, np.ndarray):
        sizes = sorted({"×".join(map(str, np.shape(one)[:2])) for one in pixels})
        found = f"images of {len(sizes)} sizes ({', '.join(sizes[:3])})" if len(sizes) > 1 else f"a {type(pixels).__name__}"
        raise ValueError(f"gan: got {found}; expected one array of equal squares, as lib.gan.crops.lesion_crops makes it")
    if np.issubdtype(pixels.dtype, np.floating) and np.isnan(pixels).any():
        bad = int(np.flatnonzero(np.isnan(pixels).reshape(len(pixels), -1).any(axis=1))[0])
        raise ValueError(f"gan: image {bad} holds NaN; expected uint8 pixels. Take the image out, or read it again from its file")
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"gan: expected pixels uint8 [N, S, S, 3], got {pixels.dtype} {list(pixels.shape)}")
    if pixels.shape[1:3] != (image_size, image_size):
        raise ValueError(f"gan: images have {pixels.shape[1]}×{pixels.shape[2]} pixels and gan.image_size is {image_size}; "
                         f"crop them to {image_size}×{image_size}, or set gan.image_size")
    if len(pixels) < 2:
        raise ValueError(f"gan: {len(pixels)} image to learn from, at least 2 are needed (and dozens for a generator worth having); "
                         "add images, or leave the class out of gan.classes")


def _classes(labels: Sequence[str] | None, count: int, options: Gan) -> tuple[list[str], np.ndarray]:
    """Names in the order of class numbers, and the number of each image."""
    labels = list(options.classes[:1] or ["image"]) * count if labels is None else list(labels)
    if len(labels) != count:
        raise ValueError(f"gan: {len(labels)} labels for {count} images; give one label per image")
    classes = sorted(set(labels))
    if len(classes) > 1 and not options.conditional:
        raise ValueError(f"gan: images of {len(classes)} classes ({', '.join(classes)}); train each alone, or set gan.conditional: true")
    if lonely := [name for name in classes if labels.count(name) < 2]:
        raise ValueError(f"gan: 1 image of {lonely[0]} to learn from, at least 2 are needed; add images, or leave it out of gan.classes")
    return classes, np.array([classes.index(label) for label in labels])


def _mark(given: str, pixels: np.ndarray, numbers: np.ndarray, classes: list[str], options: Gan, accelerator: Accelerator) -> str:
    """A hash of all that decides the outcome and nothing else: not how often a checkpoint is written, nor what chose the images."""
    content = hashlib.sha256()
    for start in range(0, len(pixels), 256):
        content.update(np.ascontiguousarray(pixels[start:start + 256]))
    used = options.model_dump(mode="json", exclude={"classes", "sources", "crop", "margin", "checkpoint_every"})
    machine = [torch.__version__, torch.get_num_threads(), accelerator.device.type, accelerator.mixed_precision, accelerator.num_processes]
    return digest({"given": given, "pixels": content.hexdigest(), "numbers": numbers.tolist(), "classes": classes, "options": used,
                   "machine": machine})


def _finished(folder: Path, mark: str, say: Say) -> bool:
    """Whether this very run lies complete in `folder`."""
    if not (folder / "generator.json").is_file():
        return False
    try:
        found = read_card(folder)["config"].get("fingerprint")
    except GeneratorError as error:
        say(f"{error} (training again)")
        return False
    if found != mark:
        say(f"{folder}: trained under another configuration (fingerprint {found}, now {mark}); training again")
    return found == mark


class _Run:
    """What changes from iteration to iteration."""

    def __init__(
        self,
        pixels:      np.ndarray,
        numbers:     np.ndarray,            # class number of each image
        classes:     list[str],
        options:     Gan,
        folder:      Path,
        mark:        str,
        accelerator: Accelerator,
        quality:     Quality | None,
        log:         Log | None,
        progress:    Progress | None,
        say:         Say,
    ):
        self.options, self.folder, self.mark, self.accelerator, self.classes = options, folder, mark, accelerator, classes
        self.quality, self.log, self.progress, self.say = quality, log, progress, say
        self.checkpoints = folder / "checkpoints"
        count = len(classes) if options.conditional else 0
        with seeded(options.seed, "weights"):
            generator = Generator(options.image_size, options.latent, options.features_g, count)
            critic = Critic(options.image_size, options.features_d, count)
        self.duel = Duel(generator, critic, lambda draw: turned(pixels, draw, accelerator.device), Draws(numbers, options), options,
                         accelerator)
        self.watch = Watch(self.duel.average, classes, options)
        self.done, self.saved = 0, None                     # iterations; that of the newest checkpoint
        self.history: list[dict] = []
        self.measured: list[torch.Tensor] = []              # [5] per iteration since the last row, on the device

    def train(self) -> None:
        options, main = self.options, self.accelerator.is_main_process
        self._resume()
        while self.done < options.iterations:
            self.measured.append(self.duel.iterate(self.done))
            self.done += 1
            last = self.done == options.iterations
            row = self._close_row() if last or self.done % max(_SHORTEST, options.iterations // _ROWS) == 0 or self._judged() else None
            if main and (last or self.done % options.grid_every == 0):
                with self._told_when_full():
                    self.watch.save_grid(self.folder / "grids", self.done)
            if last or self.done % options.checkpoint_every == 0:
                self._save()
            if self.progress:
                self.progress(self.done, options.iterations, row)
        if main:
            self.watch.settle()
            with self._told_when_full():
                save_generator(self.folder, self.duel.average, {
                    "fingerprint": self.mark, "options": options.model_dump(mode="json"),
                    "history": [{key: None if value != value else value for key, value in row.items()} for row in self.history],    # NaN
                }, self.classes)
            delete_checkpoints(self.checkpoints)

    def _judged(self) -> bool:
        every = self.options.quality_every
        return self.quality is not None and (self.done == self.options.iterations or bool(every and self.done % every == 0))

    def _close_row(self) -> dict:
        """Read what was measured since the last row, refuse it if it is no number, and look at what is drawn now."""
        measured = self._read()
        row = {"iteration": self.done, **dict(zip(MEASURES, measured.mean(dim=0).tolist(), strict=True))}
        self.watch.settle()
        row["diversity"], row["quality"] = self.watch.diversity(), math.nan
        if self._judged() and self.accelerator.is_main_process:
            score = self.quality(self.watch.model, self.done)
            row["quality"] = math.nan if score is None else float(score)
        self.measured = []
        self.history.append(row)
        if self.log and self.accelerator.is_main_process:
            self.log(self.mark, row)
        return row

    def _read(self) -> torch.Tensor:
        """[n, 5] on the CPU. TrainingDivergedError where something is not finite."""
        measured = torch.stack(self.measured)
        if self.accelerator.num_processes > 1:
            measured = self.accelerator.reduce(measured, reduction="mean")
        measured = measured.double().cpu()
        finite = measured.isfinite()
        if not finite.all():
            place, what = (int(number) for number in (~finite).nonzero()[0])
            mixed = self.accelerator.mixed_precision
            advice = "" if mixed == "no" else f", or set compute.precision: no (now {mixed})"
            kept = what_stays(self.checkpoints, self.saved, "iteration")
            raise TrainingDivergedError(
                f"gan: the {MEASURES[what].replace('_', ' ')} is {float(measured[place, what])} in iteration "
                f"{self.done - len(measured) + place + 1}; lower gan.learning_rate (now {self.options.learning_rate:g}){advice}. {kept}"
            )
        return measured

    # ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────

    def _save(self) -> None:
        measured = self._read().float() if self.measured else torch.zeros(0, len(MEASURES))
        if self.accelerator.is_main_process:
            state = {"duel": self.duel.state(), "history": self.history, "measured": measured}
            with self._told_when_full():
                save_checkpoint(self.checkpoints, self.done, state, fingerprint=self.mark)
        self.saved = self.done

    def _told_when_full(self) -> AbstractContextManager[None]:
        return told_when_full("gan", self.done, self.checkpoints, self.saved, "iteration")

    def _resume(self) -> None:
        checkpoint = load_checkpoint(self.checkpoints, fingerprint=self.mark, say=self.say)
        self.accelerator.wait_for_everyone()
        if checkpoint:
            self.duel.load(checkpoint.state["duel"])
            self.history, self.done, self.saved = checkpoint.state["history"], checkpoint.step, checkpoint.step
            self.measured = list(checkpoint.state["measured"].to(self.accelerator.device))
        if self.accelerator.is_main_process:
            keep_grids(self.folder / "grids", self.done)
