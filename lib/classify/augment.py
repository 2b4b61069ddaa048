"""Classical augmentation of whole batches: one affine map and one colour matrix per image, each applied once."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from lib.study import Augmentation

GREY = (0.299, 0.587, 0.114)                                        # luma of ITU-R BT.601, as torchvision and YIQ use it
YIQ  = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))    # RGB → YIQ (NTSC 1953)


def augment(
    images:    torch.Tensor,       # [B, 3, H, W] float in 0–1
    options:   Augmentation,
    generator: torch.Generator,    # on the CPU: the numbers do not depend on the device
) -> torch.Tensor:
    """Each image turned, mirrored, moved, scaled and recoloured by amounts of its own; [B, 3, H, W] in 0–1.

    Every image takes the same ten random numbers whatever is switched off, so leaving out one change leaves the others as they were.
    Settings that change nothing return the very same tensor.
    """
    draws = torch.rand((10, len(images)), generator=generator, dtype=torch.float64)
    if options.rotation or options.flips or options.translate or options.scale != (1.0, 1.0):
        images = resample(images, affine_maps(options, draws[:6]))
    if options.brightness or options.contrast or options.saturation or options.hue:
        images = recolour(images, *colour_factors(options, draws[6:]))
    return images


def affine_maps(options: Augmentation, draws: torch.Tensor) -> torch.Tensor:
    """[6, B] uniform draws → [B, 2, 3]: from a place in the new picture to one in the old, in units of half the picture."""
    angle = _spread(draws[0], options.rotation) * math.pi / 180
    low, high = options.scale
    zoom = low + (high - low) * draws[1]
    move = _spread(draws[2:4], 2 * options.translate)                # a share of the whole picture is twice that of its half
    mirror = torch.where(draws[4:6] < 0.5, -1.0, 1.0) if options.flips else torch.ones_like(draws[4:6])
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = torch.stack([mirror[0] * cos, mirror[0] * sin, move[0], -mirror[1] * sin, mirror[1] * cos, move[1]], dim=1)
    return rows.view(-1, 2, 3)


def colour_factors(options: Augmentation, draws: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """[4, B] uniform draws → brightness, contrast and saturation factors around 1 and hue in turns around 0, [B] each."""
    return (1 + _spread(draws[0], options.brightness), 1 + _spread(draws[1], options.contrast), 1 + _spread(draws[2], options.saturation),
            _spread(draws[3], options.hue))


def recolour(
    images:     torch.Tensor,    # [B, 3, H, W] float in 0–1
    brightness: torch.Tensor,    # [B] factor on everything
    contrast:   torch.Tensor,    # [B] factor on the distance to the image's mean grey
    saturation: torch.Tensor,    # [B] factor on the distance to each pixel's own grey
    hue:        torch.Tensor,    # [B] turns of the colour plane of YIQ
) -> torch.Tensor:
    """The four changes in this order as one affine map of colours per image; the result is cut to 0–1 once, at the end."""
    grey = torch.tensor(GREY, dtype=torch.float64)
    mean_grey = (images.mean(dim=(2, 3)).double().cpu() @ grey) * brightness            # [B]
    to_yiq = torch.tensor(YIQ, dtype=torch.float64)
    saturate = saturation.view(-1, 1, 1) * torch.eye(3, dtype=torch.float64) + (1 - saturation).view(-1, 1, 1) * grey.expand(3, 3)
    turn = torch.linalg.inv(to_yiq) @ _turns(hue) @ to_yiq
    colours = turn @ saturate                                                           # [B, 3, 3]
    matrix = colours * (brightness * contrast).view(-1, 1, 1)
    offset = colours.sum(dim=2) * ((1 - contrast) * mean_grey).view(-1, 1)              # [B, 3]
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)                                   # [B, H·W, 3], no copy when channels-last
    changed = torch.baddbmm(offset.to(images)[:, None], pixels, matrix.to(images).transpose(1, 2)).clamp_(0, 1)
    return changed.view(len(images), *images.shape[2:], 3).permute(0, 3, 1, 2)


def resample(images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] seen through [B, 2, 3] maps; bilinear, mirrored at the border (black corners would tell which images were turned)."""
    grid = functional.affine_grid(maps.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _spread(draws: torch.Tensor, size: float) -> torch.Tensor:
    """Uniform on (0, 1) → uniform on (−size, size)."""
    return (2 * draws - 1) * size


def _turns(hue: torch.Tensor) -> torch.Tensor:
    """[B] turns → [B, 3, 3]: Y stays, (I, Q) rotates."""
    cos, sin, zero, one = torch.cos(2 * math.pi * hue), torch.sin(2 * math.pi * hue), torch.zeros_like(hue), torch.ones_like(hue)
    return torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
