"""The networks of LPIPS (Zhang et al. 2018, arXiv 1801.03924): torchvision's backbones with the `lpips` package's linear weights.

Feature maps are so weighted that plain squared distances between them, averaged over positions and summed over layers, are LPIPS
version 0.1: the weights w of eq. 1 stand as √w on the unit vectors. All pairs then cost one pass per picture and a matrix product.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch

from lib.encoders.encoder import Encoder, EncoderError
from lib.encoders.weights import first_line, weights_hash
from lib.pretrained import TORCH_CACHE
from lib.training.seeds import seeded

BACKBONES  = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}     # as LPIPS names them → as torchvision does
LEAST_SIDE = 32                                                                  # pixels; AlexNet pools a smaller picture to nothing
_BATCH     = 16                                                                  # pictures at once


class LpipsBackbone(Encoder):
    """"lpips-alex", "lpips-vgg" or "lpips-squeeze"; "lpips-alex-random-0" has the random backbone of seed 0, for tests and timings."""

    weighted_maps = True

    def __init__(self, name: str, network: torch.nn.Module, device: torch.device | str = "cpu"):
        self.name, self._device = name, device
        self.network = network.to(device)                   # the package's own, to hold distances against

    @cached_property
    def identity(self) -> dict[str, str | None]:
        """Model, and sha256 of backbone and linear weights."""
        return {"model": self.name, "revision": None, "sha256": weights_hash(self.network.state_dict(), "LPIPS 0.1")}

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, D] of length 1: the weighted maps' means over the picture, all layers."""
        with torch.inference_mode():
            parts = [torch.cat([layer.mean(dim=1) for layer in maps], dim=1) for maps in map(self._maps, _batches(pixels))]
        return torch.nn.functional.normalize(torch.cat(parts), dim=1).cpu().numpy()

    def feature_maps(self, pixels: np.ndarray) -> list[np.ndarray]:
        """uint8 [N, H, W, 3] → float32 [N, positions, channels] per layer, unit vectors times √w: to be compared as they are."""
        with torch.inference_mode():
            parts = [self._maps(batch) for batch in _batches(pixels)]
        return [torch.cat(layer).cpu().numpy() for layer in zip(*parts, strict=True)]

    def _maps(self, pixels: np.ndarray) -> list[torch.Tensor]:
        if min(pixels.shape[1:3]) < LEAST_SIDE:
            raise EncoderError(f"{self.name}: pictures of {pixels.shape[2]} × {pixels.shape[1]} pixels are too small for its layers; it "
                               f"needs {LEAST_SIDE} a side")
        images = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float() / 127.5 - 1
        layers = self.network.net(self.network.scaling_layer(images))
        roots = (linear.model[-1].weight.clamp_min(0).sqrt() for linear in self.network.lins)
        unit = (layer / (layer.norm(dim=1, keepdim=True) + 1e-10) for layer in layers)                     # 1e-10 as in LPIPS' code
        return [(of_layer * root).flatten(2).transpose(1, 2) for of_layer, root in zip(unit, roots, strict=True)]


def load_lpips(
    name:   str,
    device: torch.device | str,
    *,
    key:    str,                                # of the study, for messages
) -> LpipsBackbone:
    """EncoderError for an unknown backbone, and where its weights can neither be found nor fetched."""
    named = re.fullmatch(r"lpips-([a-z]+)(?:-random-(\d+))?", name)
    if not named or named[1] not in BACKBONES:
        known = ", ".join(f"lpips-{backbone}" for backbone in BACKBONES)
        raise EncoderError(f"{key}: there is no {name!r}; LPIPS has {known}, and each of them as lpips-alex-random-0 with random weights")
    try:
        import lpips
    except ImportError:
        raise EncoderError(f"{key}: {name!r} needs the package lpips; install it (pip install lpips), or use phantom-siglip") from None
    backbone = _fetched(name, BACKBONES[named[1]], key) if named[2] is None else None
    with seeded(int(named[2] or 0), "lpips", named[1]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torchvision")             # lpips asks torchvision for networks in its old words
        network = lpips.LPIPS(net=named[1], pnet_rand=True, verbose=False).requires_grad_(False)
    if backbone is not None:
        _set_backbone(network.net, backbone)
    return LpipsBackbone(name, network, device)


def _fetched(name: str, backbone: str, key: str) -> dict[str, torch.Tensor]:
    from torchvision.models import get_model_weights

    weights = get_model_weights(backbone).IMAGENET1K_V1
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        reason = first_line(error)
    raise EncoderError(f"{key}: {name!r} needs torchvision's {backbone}, which is not in torch's cache or is damaged, and cannot be "
                       f"fetched from here ({reason}). Fetch {weights.url} where there is a network and bring it into {TORCH_CACHE}; or "
                       "use phantom-siglip, whose distances are no LPIPS")


def _set_backbone(network: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """LPIPS cuts torchvision's `features` into slices whose layers keep their numbers: features.3.weight is slice2.3.weight."""
    network.load_state_dict({name: state[f"features.{name.partition('.')[2]}"] for name in network.state_dict()})


def _batches(pixels: np.ndarray) -> Iterator[np.ndarray]:
    return (np.array(pixels[start:start + _BATCH]) for start in range(0, len(pixels), _BATCH))
