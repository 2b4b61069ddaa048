"""The denoiser of phantom-sd: a small Stable Diffusion UNet over 32 × 32 latents, trained together with its text encoder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from lib.diffusion.base.batches import pick
from lib.diffusion.base.captions import vary_caption
from lib.diffusion.base.loop import Outcome, train
from lib.diffusion.base.parallel import WHOLE, Part, share_gradients
from lib.diffusion.base.pool import SEED_SD
from lib.diffusion.base.text import WIDTH
from lib.training.seeds import derive_seed, numpy_generator, seeded, torch_generator

# The noise of Stable Diffusion 1.x (its scheduler_config.json), leak at the last step included (DECISIONS 18).
NOISE = {"num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
         "prediction_type": "epsilon"}

_HEAVIEST = 50.0    # weight of a time, at most


def new_unet(seed: int = SEED_SD) -> UNet2DConditionModel:
    """Untrained: attention to the text at 16 and 8 places a side and in the middle."""
    with seeded(seed, "unet"):
        return UNet2DConditionModel(
            sample_size=32, in_channels=4, out_channels=4, block_out_channels=(32, 64, 96, 128), layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH, attention_head_dim=4, norm_num_groups=16,
        )


def fit(
    unet:          UNet2DConditionModel,
    text_encoder:  CLIPTextModel,
    tokenizer:     CLIPTokenizer,
    latents:       tuple[torch.Tensor, torch.Tensor],   # mean and standard deviation [N, 4, 32, 32] of the pool's pictures
    scenes:        pd.DataFrame,                        # their scenes, for the captions
    *,
    state:         Path,                                # folder for checkpoints
    steps:         int,
    batch:         int   = 24,                          # over all processes
    learning_rate: float = 1e-3,
    even:          int   = 1_024,                       # first steps, in which all times weigh alike
    seed:          int   = SEED_SD,
    part:          Part  = WHOLE,
) -> Outcome:
    """Train both in place by the error of the predicted noise (Ho et al. 2020, arXiv 2006.11239, eq. 14), captions varied every time.

    The times of a batch are spread evenly over the schedule, which lowers the variance of the loss and leaves its mean. After `even`
    steps a time weighs by 1/ᾱ, which makes it the error of v (Salimans & Ho 2022, arXiv 2202.00512, appendix D): layout and colour,
    which the prompt decides, are learnt at the noisy end, where the plain error is small.
    """
    mean, spread = latents
    rows_of = scenes.to_dict("records")
    scheduler = DDPMScheduler(**NOISE)
    weights = (1 / scheduler.alphas_cumprod).clamp(max=_HEAVIEST)
    both = nn.ModuleDict({"unet": unet.to(memory_format=torch.channels_last), "text_encoder": text_encoder}).train()

    def loss_of(step: int) -> torch.Tensor:
        rows = pick(len(mean), batch, step, seed=seed)[part.rank::part.of]
        words, generator = numpy_generator(seed, "captions", step, part.rank), torch_generator(seed, "noise", step, part.rank)
        tokens = tokenizer(
            [vary_caption(rows_of[row], words) for row in rows], padding="max_length", truncation=True, return_tensors="pt",
        ).input_ids
        drawn, noise = torch.randn(2, len(rows), *mean.shape[1:], generator=generator)
        clean = mean[rows].float() + spread[rows].float() * drawn
        times = (torch.arange(len(rows)) + torch.rand(len(rows), generator=generator)) / len(rows)
        times = (times * scheduler.config.num_train_timesteps).long().clamp(max=scheduler.config.num_train_timesteps - 1)
        noisy = scheduler.add_noise(clean, noise, times).contiguous(memory_format=torch.channels_last)
        predicted = unet(noisy, times, text_encoder(tokens).last_hidden_state).sample
        error = (predicted - noise).square().mean(dim=(1, 2, 3))
        return (error if step < even else weights[times] * error).mean()

    fingerprint = str(derive_seed(seed, "unet", steps, batch, len(mean), part.of, repr(learning_rate), even))
    share_gradients(both, part)
    outcome = train(
        both, loss_of, steps=steps, folder=state, fingerprint=fingerprint, learning_rate=learning_rate, average=0.998,
        checkpoint_minutes=part.checkpoint_minutes(), say=part.say,
    )
    both.eval().requires_grad_(False)
    return outcome
