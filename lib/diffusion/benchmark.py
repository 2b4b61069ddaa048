"""Token training, LoRA training and drawing against the plain loop and the ceiling: same model, shapes, batch and precision, in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from diffusers import StableDiffusionPipeline

from lib.diffusion.ceiling import denoise_bare, train_lora_bare, train_tokens_bare
from lib.diffusion.generate import basic_checks, generate
from lib.diffusion.hub import load_pipeline
from lib.diffusion.latents import Latents
from lib.diffusion.lora import train_lora
from lib.diffusion.plain_loop import draw_plainly, train_lora_plainly, train_tokens_plainly
from lib.diffusion.quota import quota
from lib.diffusion.requests import Requests
from lib.diffusion.resample import Batches
from lib.diffusion.sampler import DiffusionSampler, make_scheduler
from lib.diffusion.studio import Studio
from lib.diffusion.tokens import plan_tokens, train_tokens
from lib.diffusion.words import cells_of, prompts_of
from lib.study import Groups
from lib.study.generate import Benchmarks, Diffusion, Generation, Tokens, Training
from lib.training.stopwatch import Stopwatch, time_in_turn

Contestants = dict[str, Callable[[Stopwatch], int]]


@dataclass(frozen=True)
class Setup:
    """What all contestants share."""

    studio:     Studio
    diffusion:  Diffusion               # with tokens and LoRA
    generation: Generation
    benchmarks: Benchmarks
    groups:     Groups
    roots:      Mapping[str, Path]      # source → its folder

    @cached_property
    def examples(self) -> pd.DataFrame:
        """The training images."""
        return self.studio.examples()

    @cached_property
    def latents(self) -> Latents:
        """Of the training images."""
        return self.studio.latents(self.examples)

    @cached_property
    def paths(self) -> list[Path]:
        """Files of the training images, which the plain loops open at every step."""
        samples = self.studio.samples.iloc[self.examples["row"]]
        return [self.roots[dataset] / path for dataset, path in zip(samples["dataset"], samples["path"], strict=True)]

    @property
    def machine(self) -> dict[str, Any]:
        """Of every training: pixels per side, and where it runs."""
        return {"image_size": self.studio.size, "accelerator": self.studio.accelerator}

    def pipeline(self) -> StableDiffusionPipeline:
        """A fresh one for every run: trainings change it."""
        return load_pipeline(self.diffusion.base, device=self.studio.accelerator.device)

    def plain_pipeline(self) -> StableDiffusionPipeline:
        """A fresh one as `from_pretrained` gives it, which is what the published scripts use: kernels not channels last."""
        pipeline = self.pipeline()
        for part in (pipeline.unet, pipeline.vae):
            part.to(memory_format=torch.contiguous_format)
        return pipeline

    def timed(self, options: Training) -> Training:
        """The study's options with as many steps as are timed and no validation; the checkpoint at the end is timed as well."""
        return options.model_copy(update={"steps": self.benchmarks.warmup + self.benchmarks.steps, "validate_every": 0})

    def images(self, options: Training) -> int:
        """Images that a training sees while it is timed."""
        return self.benchmarks.steps * options.accumulation * options.batch_size


def time_all(setup: Setup, *, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """A row per run: task (tokens, lora, drawing), contestant (ours, plain, ceiling), repetition, images, seconds."""
    tasks = {"tokens": (token_training, setup.benchmarks.warmup), "lora": (lora_training, setup.benchmarks.warmup), "drawing": (drawing, 0)}
    done, parts = 0, []
    for task, (contestants, warmup) in tasks.items():
        timings = time_in_turn(
            contestants(setup), repetitions=setup.benchmarks.repetitions, device=setup.studio.accelerator.device, warmup=warmup,
            progress=progress and (lambda runs, total, before=done: progress(before + runs, total * len(tasks))),
        )
        done += len(timings)
        parts.append(timings.assign(task=task))
    return pd.concat(parts, ignore_index=True)[["task", "contestant", "repetition", "images", "seconds"]]


def token_training(setup: Setup) -> Contestants:
    """Textual inversion: from a batch of row numbers to changed token rows."""
    options, examples = setup.timed(setup.diffusion.tokens), setup.examples
    tokens = plan_tokens(examples, setup.studio.words, options, say=_quiet)
    places = [place for place, cell in enumerate(cells_of(examples)) if cell in tokens]         # of the images that are learnt from
    learnt = examples.iloc[places]
    prompts = prompts_of(learnt, setup.studio.words, list(tokens.values()))

    def ours(watch: Stopwatch) -> int:
        with TemporaryDirectory() as folder:
            train_tokens(setup.pipeline(), examples, setup.latents, setup.studio.words, options, resampling=setup.diffusion.resampling,
                         folder=Path(folder), fingerprint="benchmark", accelerator=setup.studio.accelerator, progress=watch, say=_quiet)
        return setup.images(options)

    def plain(watch: Stopwatch) -> int:
        files = _one_epoch([setup.paths[place] for place in places], prompts, options)
        words = {token: setup.studio.words.diagnosis(cell.label) for cell, token in tokens.items()}
        train_tokens_plainly(setup.plain_pipeline(), *files, words, options, progress=watch, **setup.machine)
        return setup.images(options)

    def ceiling(watch: Stopwatch) -> int:
        texts = round(_different_prompts(learnt, prompts, options, setup))
        train_tokens_bare(setup.pipeline(), options, texts=texts, progress=watch, **setup.machine)
        return setup.images(options)

    return {"ours": ours, "plain": plain, "ceiling": ceiling}


def _different_prompts(learnt: pd.DataFrame, prompts: Sequence[str], options: Tokens, setup: Setup) -> float:
    """In a batch, on average: our trainer encodes each once, so the ceiling has no more of them."""
    batches = Batches(learnt, setup.diffusion.resampling.batches, batch_size=options.batch_size, accumulation=options.accumulation,
                      seed=options.seed, say=_quiet)
    return mean(len({prompts[row] for row in batches.rows(step)}) for step in range(options.steps))


def _one_epoch(paths: Sequence[Path], prompts: Sequence[str], options: Training) -> tuple[list[Path], list[str]]:
    """Repeated until a single epoch holds all steps: a short batch at an epoch's end would count as a full one."""
    times = -(-options.steps * options.accumulation * options.batch_size // len(paths)) + 1
    return list(paths) * times, list(prompts) * times


def lora_training(setup: Setup) -> Contestants:
    """LoRA: from a batch of row numbers to a changed adapter."""
    options = setup.timed(setup.diffusion.lora).model_copy(update={"joint_steps": 0, "class_labels": False})
    resampling = setup.diffusion.resampling.model_copy(update={"diversity": type(setup.diffusion.resampling.diversity)()})
    prompts = prompts_of(setup.examples, setup.studio.words)

    def ours(watch: Stopwatch) -> int:
        with TemporaryDirectory() as folder:
            train_lora(setup.pipeline(), setup.examples, setup.latents, prompts, options, resampling=resampling, folder=Path(folder),
                       fingerprint="benchmark", accelerator=setup.studio.accelerator, progress=watch, say=_quiet)
        return setup.images(options)

    def plain(watch: Stopwatch) -> int:
        train_lora_plainly(setup.plain_pipeline(), *_one_epoch(setup.paths, prompts, options), options, progress=watch, **setup.machine)
        return setup.images(options)

    def ceiling(watch: Stopwatch) -> int:
        train_lora_bare(setup.pipeline(), options, progress=watch, **setup.machine)
        return setup.images(options)

    return {"ours": ours, "plain": plain, "ceiling": ceiling}


def drawing(setup: Setup) -> Contestants:
    """From a plan of images to PNG files with journal (the plain loop and the ceiling write none); prompts are encoded on the clock."""
    studio, size, images = setup.studio, setup.generation.batch_size, setup.benchmarks.batches * setup.generation.batch_size
    generation = setup.generation.model_copy(update={"images": images, "over_generation": 1.0, "cells": {}, "start": "plain"})
    cells, domains = quota(generation, studio.words.classes, studio.words.tones), dict.fromkeys(sorted(set(setup.examples["domain"])), 1.0)
    requests = Requests(cells, studio.words, domains, generation, setup.groups, study="benchmarks")
    pipeline = setup.pipeline()
    scheduler = make_scheduler(generation.scheduler, pipeline.scheduler.config)
    sampler = DiffusionSampler(pipeline, generation, size=studio.size)
    sampler(list(requests)[:size])              # the first call of a shape is slower

    def ours(watch: Stopwatch) -> int:
        sampler = DiffusionSampler(pipeline, generation, size=studio.size)
        with TemporaryDirectory() as folder:
            watch.start()
            generate(requests, sampler, folder=Path(folder), accept=basic_checks(generation), attempts=1, provenance={}, progress=watch)
        return images

    def plain(watch: Stopwatch) -> int:
        one_by_one = setup.plain_pipeline()
        one_by_one.scheduler = scheduler
        watch.start()
        told = zip(*((request.prompt, request.negative_prompt, request.seed) for request in requests), strict=True)
        draw_plainly(one_by_one, *told, steps=generation.steps, guidance=generation.guidance, size=studio.size, progress=watch)
        return images

    def ceiling(watch: Stopwatch) -> int:
        watch.start()
        denoise_bare(pipeline, scheduler, batches=setup.benchmarks.batches, batch_size=size, steps=generation.steps,
                     guidance=generation.guidance, image_size=studio.size, progress=watch)
        return images

    return {"ours": ours, "plain": plain, "ceiling": ceiling}


def _quiet(_: str) -> None:
    """What training has to say, notebooks 02 and 03 show."""
