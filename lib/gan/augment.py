"""Colour, translation and cutout of what the critic sees, real and drawn alike (Zhao et al. 2020, arXiv 2006.10738).

Where both are changed in the same way the critic cannot learn the few real images by heart, and the generator does not learn the changes.
"""

from __future__ import annotations

import torch

DRAWS = 7                   # uniform random numbers that each image takes
_SHIFT = 1 / 8              # of the side: the largest translation
_HOLE  = 1 / 2              # of the side: the hole's


def differentiable(
    images: torch.Tensor,   # [B, 3, S, S] in −1 … 1
    draws:  torch.Tensor,   # [B, 7] uniform in 0–1: brightness, saturation, contrast, shift down and right, hole down and right
) -> torch.Tensor:
    """The three changes with the authors' strengths, in their order; gradients pass. What is shifted in or cut out is 0 (mid-grey)."""
    draws = draws.to(images)
    return _cut_out(_shift(_recolour(images, *draws[:, :3].T), *draws[:, 3:5].T), *draws[:, 5:].T)


def _recolour(images: torch.Tensor, brightness: torch.Tensor, saturation: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Brightness ± 0.5, saturation × 0–2 around each pixel's mean, contrast × 0.5–1.5 around the image's mean."""
    images = images + (brightness - 0.5).view(-1, 1, 1, 1)
    grey = images.mean(dim=1, keepdim=True)
    images = torch.lerp(grey, images, 2 * saturation.view(-1, 1, 1, 1))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, (contrast + 0.5).view(-1, 1, 1, 1))


def _shift(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """By whole pixels up to an eighth of the side each way."""
    size = images.shape[-1]
    most = round(size * _SHIFT)
    places = torch.arange(size, device=images.device)
    rows, columns = (places - _whole(draw, 2 * most + 1)[:, None] + most for draw in (down, right))     # [B, S], where a pixel comes from
    batch = torch.arange(len(images), device=images.device)
    moved = images.permute(0, 2, 3, 1)[batch[:, None, None], rows.clamp(0, size - 1)[:, :, None], columns.clamp(0, size - 1)[:, None, :]]
    inside = (rows == rows.clamp(0, size - 1))[:, None, :, None] & (columns == columns.clamp(0, size - 1))[:, None, None, :]
    return moved.permute(0, 3, 1, 2) * inside


def _cut_out(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A square of half the side, centred anywhere in the image."""
    size = images.shape[-1]
    hole = round(size * _HOLE)
    places = torch.arange(size, device=images.device)
    rows, columns = ((places >= centre - hole // 2) & (places < centre - hole // 2 + hole)
                     for centre in (_whole(draw, size + 1)[:, None] for draw in (down, right)))          # [B, S]
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _whole(draws: torch.Tensor, count: int) -> torch.Tensor:
    """Uniform in 0–1 → a whole number under `count`."""
    return (draws * count).long().clamp_(max=count - 1)
