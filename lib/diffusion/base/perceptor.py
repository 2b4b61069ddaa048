"""A small network whose features say how alike two drawn pictures look: the perceptual loss of the autoencoder of phantom-sd.

It learns diagnosis, tone and domain from a pool of its own. It is no judge: the oracle has another pool and other weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from lib.diffusion.base.batches import pick, to_network, turned
from lib.diffusion.base.loop import train
from lib.diffusion.base.pool import SEED_PERCEPTOR, Pool
from lib.phantom.camera import DOMAINS
from lib.phantom.lesions import USUAL
from lib.phantom.tone import TYPES
from lib.training.seeds import derive_seed, seeded, torch_generator

_ANSWERS = {"diagnosis": USUAL, "tone": TYPES, "domain": tuple(DOMAINS)}


class Perceptor(nn.Module):
    """Pixels [N, 3, S, S] in −1…1 → one feature map per scale (S, S/2, S/4, S/8); `classify` gives the logits it is trained by."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)):
        super().__init__()
        self.scales = nn.ModuleList()
        for narrow, wide in zip((3, *widths), widths, strict=False):
            stride = 1 if narrow == 3 else 2
            self.scales.append(nn.Sequential(
                nn.Conv2d(narrow, wide, 3, stride, 1), nn.GroupNorm(8, wide), nn.ReLU(),
                nn.Conv2d(wide, wide, 3, 1, 1), nn.GroupNorm(8, wide), nn.ReLU(),
            ))
        self.head = nn.Linear(widths[-1], sum(map(len, _ANSWERS.values())))

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        maps = []
        for scale in self.scales:
            pixels = scale(pixels)
            maps.append(pixels)
        return maps

    def classify(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.head(self(pixels)[-1].mean(dim=(2, 3))).split([len(known) for known in _ANSWERS.values()], dim=1)


def perceptual_distance(
    perceptor: Perceptor,
    drawn:     torch.Tensor,        # [N, 3, S, S] in −1…1
    rebuilt:   torch.Tensor,        # the same shape; the gradient flows through this one only
) -> torch.Tensor:
    """Mean over scales of the squared distance of features, normalised over channels at each place (as LPIPS, arXiv 1801.03924, eq. 1).

    The scales have equal weights, which nobody fitted: it is not LPIPS.
    """
    with torch.no_grad():
        wanted = [_unit(features) for features in perceptor(drawn)]
    found = [_unit(features) for features in perceptor(rebuilt)]
    return torch.stack([(a - b).square().sum(1).mean() for a, b in zip(wanted, found, strict=True)]).mean()


def fit(
    pool:  Pool,                    # of seed SEED_PERCEPTOR
    *,
    state: Path,                    # folder for checkpoints
    steps: int = 600,
    batch: int = 64,
    seed:  int = SEED_PERCEPTOR,
) -> Perceptor:
    """A perceptor trained on the pool, its weights fixed. It sees dim pictures too (see `dimmed`), as the autoencoder does."""
    with seeded(seed, "weights"):
        perceptor = Perceptor()
    scenes = pool.scenes
    answers = [torch.tensor([list(known).index(value) for value in scenes[column]]) for column, known in _ANSWERS.items()]

    def loss_of(step: int) -> torch.Tensor:
        rows = pick(len(pool), batch, step, seed=seed)
        pixels = turned(to_network(pool.pixels[rows]), torch_generator(seed, "turns", step))
        said = perceptor.classify(dimmed(pixels, torch_generator(seed, "light", step)))
        return sum(functional.cross_entropy(logits, right[rows]) for logits, right in zip(said, answers, strict=True))

    fingerprint = str(derive_seed(seed, steps, batch, len(pool)))
    train(perceptor, loss_of, steps=steps, folder=state, fingerprint=fingerprint, learning_rate=2e-3, weight_decay=0.02)
    return perceptor.eval().requires_grad_(False)


def dimmed(
    pixels:    torch.Tensor,        # [N, 3, S, S] in −1…1
    generator: torch.Generator,
) -> torch.Tensor:
    """Half of the pictures at another exposure (gain 0.25–1.2 of the sRGB values): dim pictures, not dark skin."""
    chances = torch.rand(2, len(pixels), 1, 1, 1, generator=generator)
    gain = torch.where(chances[0] < 0.5, 0.25 + 0.95 * chances[1], torch.ones(()))
    return ((pixels + 1) * gain - 1).clamp(-1, 1)


def _unit(features: torch.Tensor) -> torch.Tensor:
    return functional.normalize(features.float(), dim=1, eps=1e-3)
