"""The straightforward way to train and to draw, which benchmarks measure against: published example loops, written out step by step.

`train_tokens_plainly` follows examples/textual_inversion/textual_inversion.py and `train_lora_plainly` follows
examples/text_to_image/train_text_to_image_lora.py of huggingface/diffusers (Apache-2.0), both as they stand at commit 1eeddd0bff13,
which asks for diffusers ≥ 0.36.0.dev0; here they run with the diffusers and transformers that are installed. Every step opens the
image files, encodes images and prompts, and reads the loss. Left out is what the scripts do around the loop: logging, checkpoints,
validation. `draw_plainly` calls a StableDiffusionPipeline for one image at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.optimization import get_scheduler
from diffusers.training_utils import cast_training_params, compute_snr
from peft import LoraConfig
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from lib.study.generate import Lora, Tokens, Training
from lib.training.seeds import seeded

Progress = Callable[[int, int], None]           # optimiser steps (or images) done, of how many


class PlainImages(Dataset):
    """Image files and their prompts; each is opened, resized and tokenised whenever it is asked for."""

    def __init__(self, paths: Sequence[Path], prompts: Sequence[str], tokenizer: Callable, prepare: Callable[[Image.Image], torch.Tensor]):
        self.paths, self.prompts, self.tokenizer, self.prepare = list(paths), list(prompts), tokenizer, prepare

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        with Image.open(self.paths[i]) as image:
            pixels = self.prepare(image.convert("RGB"))
        words = self.tokenizer(self.prompts[i], padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
                               return_tensors="pt")
        return {"pixel_values": pixels, "input_ids": words.input_ids[0]}


def train_tokens_plainly(
    pipeline: StableDiffusionPipeline,          # changed: new rows in its embedding matrix
    paths:    Sequence[Path],                   # of the training images
    prompts:  Sequence[str],                    # one per image, with the placeholder tokens in them
    words:    Mapping[str, str],                # placeholder token → word it starts from (the script takes one; of several the first)
    options:  Tokens,
    *,
    image_size: int,
    accelerator: Accelerator,
    progress:   Progress | None = None,
) -> None:
    """textual_inversion.py: the whole embedding matrix trains, and after every batch the old rows are copied back."""
    accelerator.gradient_accumulation_steps = options.accumulation
    tokenizer, text_encoder, vae, unet = pipeline.tokenizer, pipeline.text_encoder, pipeline.vae, pipeline.unet
    noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    tokenizer.add_tokens(list(words))
    placeholder_ids = tokenizer.convert_tokens_to_ids(list(words))
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        rows = text_encoder.get_input_embeddings().weight
        for token_id, word in zip(placeholder_ids, words.values(), strict=True):
            rows[token_id] = rows[tokenizer.encode(word, add_special_tokens=False)[0]].clone()
    vae.requires_grad_(False)
    unet.requires_grad_(False)
    text_encoder.requires_grad_(False)
    text_encoder.get_input_embeddings().requires_grad_(True)
    if options.gradient_checkpointing:
        unet.train()
        text_encoder.gradient_checkpointing_enable()
        unet.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(text_encoder.get_input_embeddings().parameters(), lr=options.learning_rate,
                                  weight_decay=options.weight_decay)
    flip = transforms.RandomHorizontalFlip(0.5)

    def prepare(image: Image.Image) -> torch.Tensor:
        pixels = np.array(flip(image.resize((image_size, image_size), resample=Image.Resampling.BICUBIC)))
        return torch.from_numpy((pixels / 127.5 - 1.0).astype(np.float32)).permute(2, 0, 1)

    loader = DataLoader(PlainImages(paths, prompts, tokenizer, prepare), batch_size=options.batch_size, shuffle=True)
    lr_scheduler = _constant_rate(optimizer, options)
    text_encoder.train()
    text_encoder, optimizer, loader, lr_scheduler = accelerator.prepare(text_encoder, optimizer, loader, lr_scheduler)
    dtype = _cast(accelerator, unet, vae)
    original = accelerator.unwrap_model(text_encoder).get_input_embeddings().weight.data.clone()

    with seeded(options.seed, "plain tokens"):
        for batch in _until_done(loader, options, accelerator, progress):
            with accelerator.accumulate(text_encoder):
                latents = vae.encode(batch["pixel_values"].to(dtype=dtype)).latent_dist.sample().detach()
                latents = latents * vae.config.scaling_factor
                noise = torch.randn_like(latents)
                timesteps = torch.randint(0, noise_scheduler.config.num_train_timesteps, (len(latents),), device=latents.device)
                noisy = noise_scheduler.add_noise(latents, noise, timesteps)
                states = text_encoder(batch["input_ids"])[0].to(dtype=dtype)
                prediction = unet(noisy, timesteps, states).sample
                target = _target(noise_scheduler, latents, noise, timesteps)
                loss = F.mse_loss(prediction.float(), target.float(), reduction="mean")
                accelerator.backward(loss)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
                keep = torch.ones((len(tokenizer),), dtype=torch.bool)
                keep[min(placeholder_ids):max(placeholder_ids) + 1] = False
                with torch.no_grad():
                    accelerator.unwrap_model(text_encoder).get_input_embeddings().weight[keep] = original[keep]
            loss.detach().item()                # the script shows it in its progress bar


def train_lora_plainly(
    pipeline: StableDiffusionPipeline,          # changed: its UNet gets an adapter
    paths:    Sequence[Path],
    prompts:  Sequence[str],
    options:  Lora,
    *,
    image_size: int,
    accelerator: Accelerator,
    progress:   Progress | None = None,
) -> None:
    """train_text_to_image_lora.py; alpha, dropout and target layers are the study's, so that the trained graph is the same."""
    accelerator.gradient_accumulation_steps = options.accumulation
    tokenizer, text_encoder, vae, unet = pipeline.tokenizer, pipeline.text_encoder, pipeline.vae, pipeline.unet
    noise_scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    for model in (unet, vae, text_encoder):
        model.requires_grad_(False)
    dtype = _cast(accelerator, unet, vae, text_encoder)
    unet.add_adapter(LoraConfig(r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, init_lora_weights="gaussian",
                                target_modules=list(options.targets)))
    if accelerator.mixed_precision == "fp16":
        cast_training_params(unet, dtype=torch.float32)
    if options.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    # The script clips a generator that the optimiser has already used up, so nothing is clipped; that saves it time here as well.
    optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, unet.parameters()), lr=options.learning_rate,
                                  weight_decay=options.weight_decay)
    prepare = transforms.Compose([
        transforms.Resize(image_size, interpolation=transforms.InterpolationMode.LANCZOS),
        transforms.RandomCrop(image_size),
        transforms.ToTensor(),
        transforms.Normalize([0.5], [0.5]),
    ])
    loader = DataLoader(PlainImages(paths, prompts, tokenizer, prepare), batch_size=options.batch_size, shuffle=True)
    lr_scheduler = _constant_rate(optimizer, options)
    unet, optimizer, loader, lr_scheduler = accelerator.prepare(unet, optimizer, loader, lr_scheduler)
    unet.train()

    with seeded(options.seed, "plain LoRA"):
        for batch in _until_done(loader, options, accelerator, progress):
            with accelerator.accumulate(unet):
                latents = vae.encode(batch["pixel_values"].to(dtype=dtype)).latent_dist.sample()
                latents = latents * vae.config.scaling_factor
                noise = torch.randn_like(latents)
                if options.offset_noise:
                    noise += options.offset_noise * torch.randn((*latents.shape[:2], 1, 1), device=latents.device)
                timesteps = torch.randint(0, noise_scheduler.config.num_train_timesteps, (len(latents),), device=latents.device)
                noisy = noise_scheduler.add_noise(latents, noise, timesteps)
                states = text_encoder(batch["input_ids"], return_dict=False)[0]
                target = _target(noise_scheduler, latents, noise, timesteps)
                prediction = unet(noisy, timesteps, states, return_dict=False)[0]
                if options.min_snr_gamma is None:
                    loss = F.mse_loss(prediction.float(), target.float(), reduction="mean")
                else:
                    snr = compute_snr(noise_scheduler, timesteps)
                    weights = snr.clamp(max=options.min_snr_gamma)
                    weights = weights / (snr if noise_scheduler.config.prediction_type == "epsilon" else snr + 1)
                    errors = F.mse_loss(prediction.float(), target.float(), reduction="none")
                    loss = (errors.mean(dim=(1, 2, 3)) * weights).mean()
                accelerator.gather(loss.repeat(options.batch_size)).mean().item()
                accelerator.backward(loss)
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            loss.detach().item()


def draw_plainly(
    pipeline:  StableDiffusionPipeline,         # with the scheduler of the study
    prompts:   Sequence[str],                   # one per image
    negatives: Sequence[str],
    seeds:     Sequence[int],
    *,
    steps:     int,
    guidance:  float,
    size:      int | None      = None,          # pixels per side; default: the base's own
    progress:  Progress | None = None,
) -> list[Image.Image]:
    """One pipeline call per image."""
    images = []
    for i, (prompt, negative, seed) in enumerate(zip(prompts, negatives, seeds, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        images += pipeline(prompt, negative_prompt=negative or None, num_inference_steps=steps, guidance_scale=guidance,
                           height=size, width=size, generator=generator).images
        if progress:
            progress(i + 1, len(prompts))
    return images


def _until_done(loader: DataLoader, options: Training, accelerator: Accelerator, progress: Progress | None) -> Iterator[dict]:
    """Batches, epoch after epoch, until the optimiser has made its steps."""
    done = 0
    while True:
        for batch in loader:
            yield batch
            if accelerator.sync_gradients:
                done += 1
                if progress:
                    progress(done, options.steps)
            if done >= options.steps:
                return


def _cast(accelerator: Accelerator, *models: torch.nn.Module) -> torch.dtype:
    """Frozen models to the device, and to half precision where the study trains in it."""
    dtype = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[accelerator.mixed_precision]
    for model in models:
        model.to(accelerator.device)
        if model.dtype != dtype:
            model.to(dtype)
    return dtype


def _target(scheduler: DDPMScheduler, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    return noise if scheduler.config.prediction_type == "epsilon" else scheduler.get_velocity(latents, noise, timesteps)


def _constant_rate(optimizer: torch.optim.Optimizer, options: Training) -> torch.optim.lr_scheduler.LRScheduler:
    return get_scheduler("constant", optimizer=optimizer, num_warmup_steps=options.warmup, num_training_steps=options.steps)
