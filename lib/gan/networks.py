"""Generator and critic for square images of 32 to 512 px: transposed convolutions up from 4 × 4, strided ones down to it."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from lib.gan.input_gradient import input_gradient
from lib.gan.instance_norm import InstanceNorm
from lib.study.gan import SIZES

FIRST = 4                                           # pixels per side where the generator starts and the critic ends
_SPREAD = 0.02                                      # standard deviation of initial weights (Radford et al. 2016, §3)


def widths(
    image_size: int,                                # a power of two, 32 to 512
    features:   int,
) -> list[int]:
    """Channels from the 4 × 4 layer to the one before the image: twice `features` at the image, doubling towards 4 × 4.

    With 16 features at 256 px: 1024, 512, 256, 128, 64, 32. ValueError for a size that cannot be reached by doubling.
    """
    if image_size not in SIZES:
        nearest = min(SIZES, key=lambda size: abs(size - image_size))
        raise ValueError(f"image_size is {image_size}; the networks double from 4 px, so it must be one of {', '.join(map(str, SIZES))}; "
                         f"the nearest is {nearest}")
    return [2 * features * 2**k for k in reversed(range(int(math.log2(image_size // FIRST))))]


class Generator(nn.Module):
    """Noise [B, latent] (and class numbers [B]) → images [B, 3, S, S] in −1 … 1, channels-last.

    Linear layer to 4 × 4, then transposed convolutions (4 × 4, stride 2), each after BatchNorm and ReLU; tanh. No bias stands before a
    BatchNorm, which would take it out again. Several classes share all weights but the gains and offsets of the BatchNorms (conditional
    BatchNorm, de Vries et al. 2017, arXiv 1707.00683, as the projection critic's authors use it): a class costs a few hundred numbers and
    acts at every size, where an embedding beside the noise would act at 4 × 4 alone.
    """

    def __init__(self, image_size: int, latent: int = 100, features: int = 16, classes: int = 0):     # classes 0: not conditional
        super().__init__()
        self.image_size, self.latent, self.features, self.classes = image_size, latent, features, classes
        channels = widths(image_size, features)
        self.start = nn.Linear(latent, FIRST * FIRST * channels[0], bias=False)
        self.norms = nn.ModuleList(_ClassNorm(width, classes) for width in channels)
        self.up = nn.ModuleList(nn.ConvTranspose2d(into, out, 4, 2, 1, bias=False) for into, out in pairwise(channels))
        self.image = nn.ConvTranspose2d(channels[-1], 3, 4, 2, 1)
        _start_weights(self)

    def forward(self, noise: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.start(noise).view(len(noise), FIRST, FIRST, -1).permute(0, 3, 1, 2)      # channels-last without a copy
        for norm, layer in zip(self.norms, [*self.up, self.image], strict=True):
            hidden = layer(functional.relu(norm(hidden, labels), inplace=True))
        return torch.tanh(hidden)


class Critic(nn.Module):
    """Images [B, 3, S, S] (and class numbers [B]) → one number each, [B], not bounded.

    Strided convolutions (4 × 4, stride 2) to 4 × 4 and one over that to a number; LeakyReLU 0.2. InstanceNorm before all but the first
    and last: no image sees another of its batch, which the penalty on single gradients needs (Gulrajani et al. 2017, §4). Several
    classes: the class's vector times the summed features is added (projection, Miyato & Koyama 2018, arXiv 1802.05637, eq. 3).
    """

    def __init__(
        self,
        image_size: int,
        features:   int                = 16,
        classes:    int                = 0,                 # 0: not conditional
        norm:       type[nn.GroupNorm] = InstanceNorm,      # or torch's own, the same numbers
    ):
        super().__init__()
        self.image_size, self.features, self.classes = image_size, features, classes
        channels = widths(image_size, features)[::-1]
        self.image = nn.Conv2d(3, channels[0], 4, 2, 1)
        self.down = nn.ModuleList(nn.Conv2d(into, out, 4, 2, 1, bias=False) for into, out in pairwise(channels))
        self.norms = nn.ModuleList(norm(width, width) for width in channels[1:])
        # its bias would leave real − fake and every gradient as they are, and Adam would turn rounding errors into steps of it
        self.score = nn.Conv2d(channels[-1], 1, FIRST, bias=False)
        self.classify = nn.Embedding(classes, channels[-1]) if classes else None
        _start_weights(self)

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        hidden = functional.leaky_relu(self.image(images), 0.2, inplace=True)
        for layer, norm in zip(self.down, self.norms, strict=True):
            hidden = functional.leaky_relu(norm(layer(hidden)), 0.2, inplace=True)
        score = self.score(hidden).flatten()
        if self.classify is None:
            return score
        return score + (self.classify(_numbers(labels)) * hidden.sum(dim=(2, 3))).sum(dim=1)

    def input_gradient(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """The gradient of each number at its image, [B, 3, S, S], with a graph to the weights: see lib/gan/input_gradient.py."""
        return input_gradient(self, images, labels)


class _ClassNorm(nn.Module):
    """BatchNorm whose gain and offset may belong to the class."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=not classes)
        self.gain = nn.Embedding(classes, width) if classes else None
        self.offset = nn.Embedding(classes, width) if classes else None

    def forward(self, hidden: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        hidden = self.norm(hidden)
        if self.gain is None:
            return hidden
        labels = _numbers(labels)
        return torch.addcmul(self.offset(labels)[:, :, None, None], hidden, self.gain(labels)[:, :, None, None])


def _numbers(labels: torch.Tensor | None) -> torch.Tensor:
    if labels is None:
        raise ValueError("this network was made for several classes; give the class number of each image as labels")
    return labels


def _start_weights(network: nn.Module) -> None:
    """Weights from N(0, 0.02²), gains from N(1, 0.02²), offsets and biases 0, as DCGAN starts; a class's gains start at 1."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, _SPREAD)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, _SPREAD)
        elif isinstance(module, _ClassNorm) and module.gain is not None:
            nn.init.ones_(module.gain.weight)
            nn.init.zeros_(module.offset.weight)
        elif isinstance(module, Critic) and module.classify is not None:
            nn.init.normal_(module.classify.weight, 0.0, _SPREAD)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)
