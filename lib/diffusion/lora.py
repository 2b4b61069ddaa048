"""Low-rank adapters on the UNet's attention, trained on cached latents and text embeddings (notebook 03)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from diffusers import StableDiffusionPipeline
from torch.nn import Parameter

from lib.diffusion.adapters import add_lora, lora_weights
from lib.diffusion.class_labels import ClassLabels, add_class_labels
from lib.diffusion.diversity import ClassDiversity
from lib.diffusion.fit import Fitted, Progress, fit, machine_of
from lib.diffusion.latents import Latents, encode_prompts
from lib.diffusion.losses import NoiseSchedule, denoising_loss, to_device
from lib.diffusion.resample import Batches
from lib.study import fingerprint as digest
from lib.study.generate import Lora, Resampling
from lib.training.schedules import cosine_with_restarts
from lib.training.seeds import derive_seed, torch_generator

Embed = Callable[[torch.Tensor], torch.Tensor]      # images [B, 3, S, S] in −1 … 1 → unit vectors [B, D], differentiable


@dataclass(frozen=True)
class LearntLora:
    """An adapter and how it came about; `lib.diffusion.adapters.save_lora(learnt.weights, folder, class_labels=…)` keeps it."""

    weights:      dict[str, torch.Tensor]       # under diffusers' names, alpha / rank multiplied in
    class_labels: ClassLabels | None
    history:      pd.DataFrame                  # see lib.diffusion.fit.Fitted
    best_step:    int
    stopped:      str


def train_lora(
    pipeline: StableDiffusionPipeline,  # frozen; the adapter is added to its UNet
    examples: pd.DataFrame,             # see training_examples
    latents:  Latents,                  # of those images, in the same order
    prompts:  Sequence[str],            # for those images, in the same order; learnt tokens in them are in the pipeline
    options:  Lora,
    *,
    resampling:  Resampling,
    folder:      Path,                                                      # for checkpoints
    fingerprint: str,                                                       # of what is not seen here: the base model and the pixels
    accelerator: Accelerator,
    embed:       Embed | None                         = None,               # image encoder of the diversity loss, where that is on
    validate:    Callable[[int], float | None] | None = None,               # steps done → score, lower is better, with the adapter as it is
    progress:    Progress | None                      = None,
    say:         Callable[[str], None] | None         = None,
) -> LearntLora:
    """Train an adapter (and class labels, if asked for); the best state is left at work in the pipeline's UNet.

    UNet, text encoder and VAE stay as they are, so texts are encoded once. A share of the images gets the empty prompt and no class
    label, which classifier-free guidance needs. AdamW, cosine with restarts. Errors: those of `fit`; AdapterError for targets that
    match no layer; ValueError for resampling that fits no image, and for a diversity loss without an encoder or in several processes.
    """
    pipeline.to(accelerator.device)
    adapter = add_lora(pipeline.unet, rank=options.rank, alpha=options.alpha, dropout=options.dropout, targets=options.targets,
                       seed=options.seed)
    labels = None
    if options.class_labels:
        labels = add_class_labels(pipeline.unet, sorted(set(examples["label"])), sorted({*tones_of(examples)} - {None}))
    texts = CachedTexts(pipeline, prompts, accelerator.device)
    step = LoraStep(pipeline, examples, latents, texts, options, resampling, purpose="lora", class_labels=labels, embed=embed, say=say)
    fitted = learn(
        step, adapter, rows_of(labels), lambda number: cosine_with_restarts(number, steps=options.steps, cycles=options.restarts,
                                                                            warmup=options.warmup),
        options=options, folder=folder, fingerprint=mark(fingerprint, step, prompts, accelerator, {"texts": texts.table}),
        accelerator=accelerator, validate=validate, progress=progress, say=say,
    )
    return LearntLora(lora_weights(pipeline.unet), labels, fitted.history, fitted.best_step, fitted.stopped)


# ── what joint refinement does as well ───────────────────────────────────────────────────────────────────────────

def learn(
    step:    LoraStep,
    adapter: Mapping[str, Parameter],
    rows:    Mapping[str, Parameter],           # trained as well, without weight decay: most have no gradient in most steps
    rate:    Callable[[int], float],
    *,
    options:  Lora,
    validate: Callable[[int], float | None] | None,
    **others: Any,                              # of `fit`
) -> Fitted:
    """Run `fit` with dropout at work, leave the best state in the weights, and freeze them."""
    unet, processes = step.unet, others["accelerator"].num_processes
    if step.memory and processes > 1:
        raise ValueError(f"diffusion.resampling.diversity.weight is {step.diversity_weight:g}, and {processes} processes share the "
                         "batches: each would remember only its own pictures. Train in one process, or set the weight to 0")
    optimizer = torch.optim.AdamW(
        [{"params": list(adapter.values())}, {"params": list(rows.values()), "weight_decay": 0.0}],
        lr=options.learning_rate, weight_decay=options.weight_decay, fused=True,
    )
    unet.train()
    if options.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    try:
        fitted = fit(step, {**adapter, **rows, **step.memory}, optimizer, rate, options=options, section="diffusion.lora",
                     validate=validate and _evaluating(unet, validate), **others)
    finally:
        unet.disable_gradient_checkpointing()
        unet.eval()
    with torch.no_grad():
        for name, weight in {**adapter, **rows}.items():
            weight.copy_(fitted.state[name])
            weight.requires_grad_(False)
    return fitted


def _evaluating(unet: torch.nn.Module, validate: Callable[[int], float | None]) -> Callable[[int], float | None]:
    """`validate` without dropout and gradients."""
    def validated(done: int) -> float | None:
        unet.eval()
        try:
            with torch.no_grad():
                return validate(done)
        finally:
            unet.train()

    return validated


def mark(given: str, step: LoraStep, prompts: Sequence[str], accelerator: Accelerator, start: Mapping[str, torch.Tensor]) -> str:
    """Fingerprint of all that decides the outcome; `start` are the weights that training begins with."""
    tensors = hashlib.sha256()
    for name, value in sorted(start.items()):
        tensors.update(name.encode() + value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest({
        "given": given, "step": step.description, "prompts": list(prompts), "start": tensors.hexdigest(),
        "machine": machine_of(accelerator, step.unet),
    })


def rows_of(labels: ClassLabels | None) -> dict[str, Parameter]:
    """The weights of class labels by name; none without."""
    return {} if labels is None else {f"class_labels.{name}": weight for name, weight in labels.named_parameters()}


def tones_of(examples: pd.DataFrame) -> list[str | None]:
    """The tone key of each example, None where it is not known."""
    return [None if pd.isna(tone) else tone for tone in examples["tone"]]


class CachedTexts:
    """Text embeddings of a frozen text encoder, each prompt encoded once."""

    def __init__(self, pipeline: StableDiffusionPipeline, prompts: Sequence[str], device: torch.device):
        different = ["", *sorted(set(prompts) - {""})]
        encoded = encode_prompts(pipeline.tokenizer, pipeline.text_encoder, different)
        numbers = {prompt: number for number, prompt in enumerate(different)}
        self.table = torch.stack([encoded[prompt] for prompt in different]).to(device)        # [P, L, D]; the first is the empty prompt
        self._number = torch.tensor([numbers[prompt] for prompt in prompts])

    def __call__(self, rows: np.ndarray, told: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, L, D] of the images' prompts; of the empty prompt where `told` (bool [B], CPU) is false."""
        return self.table[to_device(self._number[rows] * told, self.table.device)]


class LoraStep:
    """The loss of one batch, from (optimiser step, micro batch) alone but for the memory of the diversity loss."""

    def __init__(
        self,
        pipeline:   StableDiffusionPipeline,
        examples:   pd.DataFrame,
        latents:    Latents,
        texts:      Callable[[np.ndarray, torch.Tensor], torch.Tensor],     # like CachedTexts
        options:    Lora,
        resampling: Resampling,
        *,
        purpose:      str,                                                  # sets its random numbers apart from those of other phases
        class_labels: ClassLabels | None,
        embed:        Embed | None,
        say:          Callable[[str], None] | None,
    ):
        self.unet, self._latents, self._texts, self._options, self._purpose = pipeline.unet, latents, texts, options, purpose
        self._device = pipeline.unet.device
        self._schedule = NoiseSchedule.of(pipeline.scheduler, self._device)
        self._batches = Batches(examples, resampling.batches, batch_size=options.batch_size, accumulation=options.accumulation,
                                seed=derive_seed(options.seed, purpose), say=say)
        self._labels = examples["label"].to_numpy()
        self.description = {                # for the fingerprint of a run
            "options": options.model_dump(mode="json"), "purpose": purpose, "batches": resampling.batches,
            "diversity": resampling.diversity.model_dump(mode="json"), "labels": self._labels.tolist(), "tones": tones_of(examples),
            "groups": [None if pd.isna(group) else group for group in examples["group"]],
        }
        self._numbers = None if class_labels is None else class_labels.numbers(zip(self._labels, tones_of(examples), strict=True))
        self.diversity_weight, self._diversity = resampling.diversity.weight, None
        if self.diversity_weight:
            if embed is None:
                raise ValueError("resampling.diversity.weight is above 0 and no image encoder was given; pass embed=, or set it to 0")
            classes = sorted(set(self._labels))
            self._diversity = ClassDiversity(pipeline.vae, embed, classes, pool=resampling.diversity.pool, device=self._device)

    @property
    def memory(self) -> dict[str, Parameter]:
        """What checkpoints must hold beside the weights."""
        return self._diversity.state if self._diversity else {}

    def __call__(self, step: int, micro: int) -> torch.Tensor:
        rows = self._batches.rows(step, micro)
        generator = torch_generator(self._options.seed, self._purpose, step, micro)
        clean = to_device(self._latents.sample(rows, generator), self._device)
        told = torch.rand(len(rows), generator=generator) >= self._options.prompt_dropout
        numbers = None if self._numbers is None else to_device(self._numbers[rows] * told[:, None], self._device)
        denoised = denoising_loss(
            self.unet, self._schedule, clean, self._texts(rows, told), generator=generator, class_labels=numbers,
            min_snr_gamma=self._options.min_snr_gamma, noisy_end=self._options.noisy_end, offset_noise=self._options.offset_noise,
        )
        if self._diversity is None:
            return denoised.loss
        return denoised.loss + self.diversity_weight * self._diversity.loss(denoised, self._labels[rows])
