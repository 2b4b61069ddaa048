"""What every encoder can be asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from lib.pretrained import ModelError


class EncoderError(ModelError):
    """An encoder is missing, unusable, or cannot give what it is asked for; the message says which, why and what to do."""


class Encoder(ABC):
    """Pictures in, numbers out, by batches of its own: how many pictures come at once changes nothing."""

    name: str                               # as the study names it
    note: str = ""                          # what a report has to say of it: that it stands in for one that is out of reach
    weighted_maps: bool = False             # whether feature maps are compared as they are; else each position as a vector of length 1

    @property
    def identity(self) -> dict[str, str | None]:
        """Model, revision, and sha256 of the weights and of how pictures are made ready: what tells one encoder from another."""
        return {"model": self.name, "revision": None, "sha256": None}

    @abstractmethod
    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, D]: a vector per picture, of length 1 unless the encoder says otherwise."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, D], as distances between sets use them."""
        return self.scaled(self.embed(pixels))

    def scaled(self, vectors: np.ndarray) -> np.ndarray:
        """`features` of what `embed` gave.

        Unit vectors × √D, so that the x·y/D of the kernel is the cosine; as they are they would make every distance some 1/D small.
        """
        return vectors * np.float32(np.sqrt(vectors.shape[1]))

    def feature_maps(self, pixels: np.ndarray) -> list[np.ndarray]:
        """uint8 [N, H, W, 3] → float32 [N, positions, channels] per layer, for a perceptual distance. EncoderError where it has none."""
        raise EncoderError(f"{self.name} has no feature maps; for a perceptual distance choose phantom-siglip, another image model of "
                           f"transformers, or lpips-alex (asked for those of {len(pixels):,} pictures)")
