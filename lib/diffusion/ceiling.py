"""Rates that no trainer or sampler here can beat: the network alone, on ready tensors, in the same shapes and precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import SchedulerMixin, StableDiffusionPipeline
from peft import LoraConfig

from lib.study.generate import Lora, Tokens, Training

Progress = Callable[[int, int], None]


def train_tokens_bare(
    pipeline: StableDiffusionPipeline,
    options:  Tokens,
    *,
    texts:       int,                           # different prompts in a batch
    image_size:  int,
    accelerator: Accelerator,
    progress:    Progress | None = None,        # optimiser steps that would be done, of how many
) -> None:
    """Forward and backward of text encoder + UNet; the gradient ends at the token embeddings. No optimiser, no data, no random numbers."""
    unet, text_encoder = pipeline.unet.requires_grad_(False), pipeline.text_encoder.requires_grad_(False)
    if options.gradient_checkpointing:
        unet.train().enable_gradient_checkpointing()
        text_encoder.train().gradient_checkpointing_enable()
    noisy, timesteps, target = _ready(pipeline, options.batch_size, image_size, accelerator.device)
    words = torch.zeros(texts, pipeline.tokenizer.model_max_length, dtype=torch.long, device=accelerator.device)
    of_image = torch.arange(options.batch_size, device=accelerator.device) % texts
    table = text_encoder.get_input_embeddings()
    hook = table.register_forward_hook(lambda module, inputs, output: output.detach().requires_grad_())

    def predict() -> torch.Tensor:
        states = text_encoder(words, return_dict=False)[0]
        return unet(noisy, timesteps, states[of_image], return_dict=False)[0]

    _repeat(predict, target, [], options, accelerator, progress)
    hook.remove()


def train_lora_bare(
    pipeline: StableDiffusionPipeline,          # changed: its UNet gets an adapter
    options:  Lora,
    *,
    image_size:  int,
    accelerator: Accelerator,
    progress:    Progress | None = None,
) -> None:
    """Forward and backward of the UNet with its adapter."""
    unet = pipeline.unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, init_lora_weights="gaussian",
                                target_modules=list(options.targets)))
    unet.train()
    if options.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    noisy, timesteps, target = _ready(pipeline, options.batch_size, image_size, accelerator.device)
    states = _states(pipeline, options.batch_size, accelerator.device)
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    _repeat(lambda: unet(noisy, timesteps, states, return_dict=False)[0], target, trained, options, accelerator, progress)


@torch.inference_mode()
def denoise_bare(
    pipeline:  StableDiffusionPipeline,
    scheduler: SchedulerMixin,
    *,
    batches:    int,
    batch_size: int,
    steps:      int,
    guidance:   float,
    image_size: int,
    progress:   Progress | None = None,         # images that would be done, of how many
) -> None:
    """The denoising loop: UNet on the doubled batch, guidance, scheduler step. No prompts, no decoding, no files."""
    unet, device = pipeline.unet, pipeline.unet.device
    start, _, _ = _ready(pipeline, batch_size, image_size, device)
    doubled = guidance > 1
    states = _states(pipeline, batch_size * (2 if doubled else 1), device)
    for batch in range(batches):
        scheduler.set_timesteps(steps)
        latents = start
        # the scheduler keeps its timesteps on the CPU, where it looks them up; the network gets its own
        for timestep, for_unet in zip(scheduler.timesteps, scheduler.timesteps.to(device), strict=True):
            inputs = torch.cat([latents, latents]) if doubled else latents
            prediction = unet(inputs, for_unet, encoder_hidden_states=states, return_dict=False)[0]
            if doubled:
                without, towards = prediction.chunk(2)
                prediction = without + guidance * (towards - without)
            latents = scheduler.step(prediction, timestep, latents, return_dict=False)[0]
        if progress:
            progress((batch + 1) * batch_size, batches * batch_size)


def _repeat(
    predict:     Callable[[], torch.Tensor],
    target:      torch.Tensor,
    trained:     list[torch.nn.Parameter],
    options:     Training,
    accelerator: Accelerator,
    progress:    Progress | None,
) -> None:
    for step in range(options.steps):
        for _ in range(options.accumulation):
            with accelerator.autocast():
                prediction = predict()
            F.mse_loss(prediction.float(), target).backward()
        for parameter in trained:
            parameter.grad = None
        if progress:
            progress(step + 1, options.steps)


def _ready(
    pipeline: StableDiffusionPipeline, batch_size: int, image_size: int, device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents [B, C, h, w], timesteps [B] and a target of the latents' shape."""
    generator = torch.Generator().manual_seed(0)
    side = image_size // pipeline.vae_scale_factor
    latents, target = torch.randn(2, batch_size, pipeline.unet.config.in_channels, side, side, generator=generator).to(device)
    timesteps = torch.randint(pipeline.scheduler.config.num_train_timesteps, (batch_size,), generator=generator).to(device)
    return latents, timesteps, target


def _states(pipeline: StableDiffusionPipeline, batch_size: int, device: torch.device) -> torch.Tensor:
    """Text embeddings [B, L, D]."""
    shape = (batch_size, pipeline.tokenizer.model_max_length, pipeline.unet.config.cross_attention_dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device, pipeline.unet.dtype)
