"""Networks by name: colours in 0–1 go in, one logit per class comes out."""

from __future__ import annotations

import re
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from lib.classify.architectures import Architecture, find_architecture
from lib.classify.arms import START
from lib.pretrained import locate

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD  = (0.229, 0.224, 0.225)
SMALLEST_SIDE = 64      # pixels; torchvision's networks shrink 32-fold, under this nothing but a point would be left


class ImageClassifier(nn.Module):
    """A network with ImageNet normalisation in front, so that whoever uses it only has to know that colours lie in 0–1."""

    def __init__(self, network: nn.Module, smallest_side: int):
        super().__init__()
        self.network, self.smallest_side = network, smallest_side
        mean, std = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
        self.register_buffer("scale", 1 / std,     persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in 0–1 → [B, K] logits. Smaller images are enlarged to `smallest_side`."""
        images = torch.addcmul(self.shift, images, self.scale)      # (images − mean) / std in one pass over memory
        if min(images.shape[2:]) < self.smallest_side:
            factor = self.smallest_side / min(images.shape[2:])
            images = functional.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)
        return self.network(images)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut that halves the picture (He et al. 2016, fig. 2, with projection)."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        halve         = nn.Conv2d(channels_in, channels_out, 3, 2, 1, bias=False)
        keep          = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.first    = nn.Sequential(halve, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))
        self.second   = nn.Sequential(keep, nn.BatchNorm2d(channels_out))
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


class MeanAndMaximum(nn.Module):
    """Each channel's mean (how much of it there is) beside its maximum (whether it is anywhere): a small sign is not averaged away."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)


class SmallCnn(nn.Sequential):
    """A 5×5 convolution and pooling to a quarter of the side, then residual blocks of 64 and 128 channels: quick on one CPU thread."""

    def __init__(self, classes: int):
        super().__init__(
            nn.Conv2d(3, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            ResidualBlock(16, 64),
            ResidualBlock(64, 128),
            MeanAndMaximum(), nn.Linear(2 * 128, classes),
        )


def build_model(
    name:       str,             # a key of lib.classify.architectures.ARCHITECTURES
    classes:    int,             # how many logits
    *,
    pretrained: bool = False,    # start from ImageNet weights; small_cnn has none and always starts from random ones
) -> ImageClassifier:
    """A network in channels-last layout; initial weights follow torch's present seed.

    ValueError for an unknown name, and when the ImageNet weights are neither on disk nor to be fetched.
    """
    entry = find_architecture(name)
    if name == "small_cnn":
        network, smallest_side = SmallCnn(classes), 1
    else:
        network, smallest_side = _torchvision(name, entry, classes, pretrained), SMALLEST_SIDE
    return ImageClassifier(network, smallest_side).to(memory_format=torch.channels_last)


def load_start(model: ImageClassifier, architecture: str, start: str) -> None:
    """Put shipped weights into a fresh network, all but those of its last layer. ValueError for another architecture than they are of."""
    if architecture != START:
        raise ValueError(f"{start} holds the weights of {START}, not of {architecture}; train {START} with arms that start there")
    saved = load_file(f"{locate(start)}/model.safetensors")
    saved = {name: value.float() if value.is_floating_point() else value for name, value in saved.items()}
    model.network.load_state_dict(model.network.state_dict() | saved)


def _torchvision(name: str, entry: Architecture, classes: int, pretrained: bool) -> nn.Module:
    from torchvision import models

    network = models.get_model(name, weights=None)
    if pretrained:
        network.load_state_dict(_imagenet_weights(name, entry))
    parent, _, last = entry.head.rpartition(".")
    holder = network.get_submodule(parent)
    setattr(holder, last, nn.Linear(network.get_submodule(entry.head).in_features, classes))
    return network


def _imagenet_weights(name: str, entry: Architecture) -> dict[str, torch.Tensor]:
    from torchvision import models

    weights = getattr(models, entry.weights).DEFAULT
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        place = f"{torch.hub.get_dir()}/checkpoints/{weights.url.rpartition('/')[2]}"
        advice = f"set classifier.pretrained: false, or place the file at {place}"
        raise ValueError(f"{name}: the ImageNet weights cannot be fetched ({error}); {advice}") from error
    if name == "densenet121":      # its published file predates a renaming of layers: norm.1 became norm1
        return {re.sub(r"(norm|relu|conv)\.([12])(?=\.)", r"\1\2", key): value for key, value in state.items()}
    return state
