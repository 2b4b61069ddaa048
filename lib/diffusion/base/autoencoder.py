"""The autoencoder of phantom-sd: 64 px pictures to 4 × 32 × 32 latents of zero mean and unit variance per channel, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional

from lib.diffusion.base.batches import pick, to_network, turned
from lib.diffusion.base.loop import Outcome, train
from lib.diffusion.base.parallel import WHOLE, Part, share_gradients
from lib.diffusion.base.perceptor import Perceptor, dimmed, perceptual_distance
from lib.diffusion.base.pool import SEED_SD, Pool
from lib.training.seeds import derive_seed, seeded, torch_generator

SIZE        = 64            # pixels per side
_WIDTHS     = (32, 48)      # channels at 64 and 32 px; with 16 × 16 latents network and skin texture were lost in the time there is
_GRADIENT   = 1.0           # weights beside the mean absolute error of the pixels, here and in the next lines
_HUE        = 1.0
_PERCEPTUAL = 0.5
_KL         = 1e-9          # divergence from the unit normal, summed over a picture's latents
_COARSE     = 150           # first steps without the perceptor: coarse structure needs no looking at


def new_autoencoder(seed: int = SEED_SD) -> AutoencoderKL:
    """Untrained, without attention (all structure of a lesion's skin is local)."""
    with seeded(seed, "autoencoder"), torch.no_grad():
        model = AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4, sample_size=SIZE, block_out_channels=_WIDTHS, layers_per_block=1,
            down_block_types=("DownEncoderBlock2D",) * len(_WIDTHS), up_block_types=("UpDecoderBlock2D",) * len(_WIDTHS),
            norm_num_groups=8, mid_block_add_attention=False, scaling_factor=1.0,
        )
        for name, layer in model.named_modules():       # every block starts as the identity (arXiv 1901.09321), or it trains slowly
            if name.endswith("conv2"):
                nn.init.zeros_(layer.weight)
        # At first the latents must carry more than noise, or the decoder learns to do without: their spread starts at e⁻⁴.
        model.quant_conv.weight[4:] *= 0.1
        model.quant_conv.bias[4:] -= 8.0
    return model


def fit(
    model:     AutoencoderKL,
    pool:      Pool,                    # types I–IV
    perceptor: Perceptor,
    *,
    state:        Path,                 # folder for checkpoints
    steps:        int,
    only_decoder: bool = False,         # the encoder stays as it is, and so do the latents that a UNet was trained on
    batch:        int  = 12,            # whole pictures over all processes; twice as many where only crops are shown
    seed:         int  = SEED_SD,
    part:         Part = WHOLE,
) -> Outcome:
    """Train in place by the pixels' absolute error, that of their differences and hues, and the perceptor's distance.

    Three steps of four see crops of a quarter of the picture: texture is local, and so they cost half and see twice as many lesions.
    """
    model.requires_grad_(not only_decoder).to(memory_format=torch.channels_last)
    trained = nn.ModuleList([model.decoder, model.post_quant_conv]).requires_grad_(True) if only_decoder else model
    perceptor = perceptor.to(memory_format=torch.channels_last)

    def loss_of(step: int) -> torch.Tensor:
        rows = pick(len(pool), 2 * batch, step, seed=seed)[part.rank::part.of]
        top, left, side = 0, 0, SIZE
        if step % 4:
            side = SIZE // 2
            top, left = (SIZE // 2 * torch.rand(2, generator=torch_generator(seed, "crop", step, part.rank))).int().tolist()
        else:
            rows = rows[:len(rows) // 2]
        pixels = to_network(pool.pixels[rows][:, top:top + side, left:left + side])
        pixels = dimmed(turned(pixels, torch_generator(seed, "turns", step, part.rank)), torch_generator(seed, "light", step, part.rank))
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        latents = model.encode(pixels).latent_dist
        rebuilt = model.decode(latents.sample(torch_generator(seed, "latents", step, part.rank))).sample
        loss = functional.l1_loss(rebuilt, pixels) + _GRADIENT * _edge_loss(rebuilt, pixels) + _HUE * _hue_loss(rebuilt, pixels)
        if not only_decoder:
            loss = loss + _KL * latents.kl().mean()
        if only_decoder or step >= _COARSE:
            loss = loss + _PERCEPTUAL * perceptual_distance(perceptor, pixels, rebuilt)
        return loss

    fingerprint = str(derive_seed(seed, "decoder" if only_decoder else "autoencoder", steps, batch, len(pool), part.of))
    share_gradients(trained, part)
    outcome = train(
        trained, loss_of, steps=steps, folder=state, fingerprint=fingerprint, learning_rate=1e-3, average=0.998,
        checkpoint_minutes=part.checkpoint_minutes(), say=part.say,
    )
    model.eval().requires_grad_(False)
    return outcome


@torch.no_grad()
def normalise_latents(model: AutoencoderKL, pixels: np.ndarray) -> None:
    """Make every latent channel of these pictures zero in mean and one in variance, in the quant convolutions (DECISIONS 19)."""
    mean, spread = encode(model, pixels)
    centre = mean.mean(dim=(0, 2, 3))
    scale = ((mean - centre[:, None, None]).square() + spread.square()).mean(dim=(0, 2, 3)).sqrt()
    channels = len(centre)
    into, back = model.quant_conv, model.post_quant_conv
    into.weight[:channels] /= scale[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - centre) / scale
    into.bias[channels:] -= 2 * scale.log()
    back.bias += back.weight[:, :, 0, 0] @ centre
    back.weight *= scale[None, :, None, None]


@torch.no_grad()
def encode(
    model:  AutoencoderKL,
    pixels: np.ndarray,             # uint8 [N, 64, 64, 3]
    *,
    batch:  int = 64,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the latents, float [N, 4, 32, 32] each."""
    parts = [model.encode(to_network(pixels[start:start + batch])).latent_dist for start in range(0, len(pixels), batch)]
    return torch.cat([part.mean for part in parts]), torch.cat([part.std for part in parts])


@torch.no_grad()
def decode(
    model:   AutoencoderKL,
    latents: torch.Tensor,          # [N, 4, 32, 32]
    *,
    batch:   int = 64,
) -> np.ndarray:
    """Pictures, uint8 [N, 64, 64, 3]."""
    parts = [model.decode(latents[start:start + batch]).sample for start in range(0, len(latents), batch)]
    pixels = (torch.cat(parts).clamp(-1, 1) + 1) * 127.5
    return pixels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _edge_loss(rebuilt: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the differences between neighbours, across and down."""
    error = rebuilt - pixels
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def _hue_loss(rebuilt: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of red − green and green − blue, which brightness drowns otherwise."""
    return (rebuilt - pixels).diff(dim=1).abs().mean()
