"""From requests to images with trained generators: the same quota, journal and table as diffusion has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from lib.diffusion.requests import Request, in_slots
from lib.gan.model import GanModel
from lib.study import Generation
from lib.training.runtime import machine_columns

BASE = "wgan-gp"                        # in the column base_model: nothing pretrained stands behind a GAN
_NAMED = ("numpy", "pillow")


class GanSampler:
    """Draws requests, each class with the generator that was trained for it. Tones, prompts and domains are not asked of a GAN."""

    def __init__(
        self,
        models:     Mapping[str, GanModel],         # label → its generator; of a conditional model the same for each of its labels
        generation: Generation,
        *,
        domains:    Mapping[str, str | None] = MappingProxyType({}),     # label → domain of all images it learnt from; None: several
    ):
        """ValueError where the generators draw images of different sizes."""
        if len(sizes := {model.image_size for model in models.values()}) != 1:
            raise ValueError(f"the generators draw images of {len(sizes)} sizes ({', '.join(map(str, sorted(sizes)))} px); train them anew "
                             "with one gan.image_size")
        self.models, self.domains, self.batch_size, self.size = dict(models), domains, generation.batch_size, sizes.pop()

    def __call__(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """Images uint8 [size, size, 3] in the order of `requests`, of which up to `batch_size` have different slots.

        An image depends on its own request alone: a generator always draws the full batch, in which each image has its slot.
        ValueError where two requests share a slot, or for a label without a generator.
        """
        filled = in_slots(requests, self.batch_size)
        if unknown := sorted({request.label for request in requests} - set(self.models)):
            raise ValueError(f"no generator draws {', '.join(unknown)}; there are some for {', '.join(self.models)}")
        drawn: dict[str, np.ndarray] = {}
        for model in {id(model): model for model in (self.models[request.label] for request in requests)}.values():
            noise = torch.cat([torch.randn(1, model.latent, generator=torch.Generator().manual_seed(request.seed)) for request in filled])
            labels = [request.label if request.label in model.classes else model.classes[0] for request in filled]
            drawn |= dict.fromkeys(model.classes, model.draw(noise, labels))
        return [drawn[request.label][request.slot] for request in requests]

    def describe(self) -> dict[str, Any]:
        """Columns of the `synthetic` table that are the same for every image; what only diffusion has is left null."""
        weights = next(next(iter(self.models.values())).generator.parameters())
        return {"generator": "gan", "class_labels": False, "width": self.size, "height": self.size, "batch_size": self.batch_size,
                **machine_columns(weights.device, weights.dtype, _NAMED)}

    def deciding(self) -> Any:
        """The weights behind each label."""
        return {label: model.sha256 for label, model in self.models.items()}

    def trace(self, request: Request) -> dict[str, Any]:
        """Which weights drew it, and that it was asked for by its label alone."""
        return {"base_sha256": self.models[request.label].sha256, "domain": self.domains.get(request.label),
                "prompt": None, "negative_prompt": None}
