"""Any image model of `transformers` as an encoder: SigLIP, CLIP, DINOv2, ViT, and through its TimmWrapper those of timm."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image

from lib.data.embedding import pooled
from lib.encoders.encoder import Encoder
from lib.encoders.weights import weights_hash

_BATCH = 32             # images seen at once


class TransformersEncoder(Encoder):
    """Frozen: what it sees in a picture as one vector of length 1, or layer by layer."""

    def __init__(
        self,
        name:      str,
        processor: Any,                                     # makes pictures ready
        model:     torch.nn.Module,
        revision:  str | None      = None,                  # commit of a Hub model
        *,
        without:   Collection[str] = (),                    # weights that the model's files lack (a pooler, as a rule): random, unused
    ):
        self.name, self.revision, self._processor, self._model, self._without = name, revision, processor, model, without

    @cached_property
    def identity(self) -> dict[str, str | None]:
        """The model as the study names it, the commit of a Hub model, and sha256 of the weights and of how pictures are made ready."""
        config = {name: value for name, value in self._model.config.to_dict().items() if name[0] != "_" and name != "transformers_version"}
        ready = weights_hash(self._model.state_dict(), self._processor.to_dict(), config, without=self._without)
        return {"model": self.name, "revision": self.revision, "sha256": ready}

    @property
    def device(self) -> torch.device:
        return self._model.device

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, D], each of length 1. Pictures are made ready as the model's own processor does it."""
        with torch.inference_mode():
            parts = [_unit(pooled(self._model, ready)).cpu().numpy() for ready in self._ready(pixels)]
        return np.concatenate(parts)

    def embed_images(self, images: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] in −1 … 1 → float32 [N, D], each of length 1, with gradient."""
        ready = self._processor(images=(images.float() + 1) / 2, do_rescale=False, return_tensors="pt")["pixel_values"]
        return _unit(pooled(self._model, ready.to(self._model.dtype)))

    def feature_maps(self, pixels: np.ndarray) -> list[np.ndarray]:
        """uint8 [N, H, W, 3] → the hidden states [N, L, D] after each layer, float32; for a perceptual distance."""
        tower = getattr(self._model, "vision_model", self._model)       # of a two-tower model
        with torch.inference_mode():
            parts = [tower(pixel_values=ready, output_hidden_states=True).hidden_states for ready in self._ready(pixels)]
        return [_positions(torch.cat(layer)).float().cpu().numpy() for layer in zip(*parts, strict=True)]

    def _ready(self, pixels: np.ndarray) -> Iterator[torch.Tensor]:
        for start in range(0, len(pixels), _BATCH):
            images = np.array(pixels[start:start + _BATCH])
            if hasattr(self._processor, "val_transforms"):              # timm's own transforms, which take no batch of bytes
                images = [Image.fromarray(image) for image in images]
            else:
                images = torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device)
            yield self._processor(images=images, return_tensors="pt")["pixel_values"].to(self.device, self._model.dtype)


def _positions(hidden: torch.Tensor) -> torch.Tensor:
    """[N, positions, channels] of a transformer's state as it is, and of a convolutional [N, channels, height, width]."""
    return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors.float(), dim=1)
