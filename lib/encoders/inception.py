"""FID's Inception (Heusel et al. 2017, arXiv 1706.08500): torch-fidelity's port of the network of 2015-12-05 and of its resizing.

Only with these weights is a Fréchet distance "FID" and a score "Inception Score"; `name` stands beside every figure.
"""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from lib.encoders.encoder import Encoder, EncoderError
from lib.encoders.weights import first_line, read_weights, weights_hash
from lib.pretrained import CHECKPOINTS, TORCH_CACHE

FILES  = CHECKPOINTS["inception"]       # of torch-fidelity, of pytorch-fid
_BATCH = 32                             # pictures at once, 299 px each


class InceptionEncoder(Encoder):
    """Its last pooled layer, and the logits behind it."""

    def __init__(
        self,
        name:   str,
        state:  dict[str, torch.Tensor],        # of the whole network, as both packages publish it
        device: torch.device | str = "cpu",
    ):
        """RuntimeError where the weights are not those of this network."""
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        file = io.BytesIO()                     # torch-fidelity unpickles what it is given, so it is given what we have just read safely
        torch.save(state, file)
        file.seek(0)
        self.name, self._device = name, device
        self._network = FeatureExtractorInceptionV3(name, ["2048", "logits_unbiased"], feature_extractor_weights_path=file).to(device)

    @cached_property
    def identity(self) -> dict[str, str | None]:
        """Model, and sha256 of the weights and of how pictures are made ready."""
        return {"model": self.name, "revision": None, "sha256": weights_hash(self._network.state_dict(), "bilinear as TensorFlow 1", 299)}

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, 2048], the pooled layer as it is: not of length 1."""
        return self._layers(pixels)[0]

    def scaled(self, vectors: np.ndarray) -> np.ndarray:
        """As they are: FID and KID are defined on these numbers."""
        return vectors

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] → float32 [N, 1008] without the bias, as the Inception Score's own code takes them."""
        return self._layers(pixels)[1]

    def _layers(self, pixels: np.ndarray) -> list[np.ndarray]:
        parts = [(torch.empty(0, 2048), torch.empty(0, 1008))]
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                images = torch.from_numpy(np.array(pixels[start:start + _BATCH])).permute(0, 3, 1, 2)
                parts.append(self._network(images.to(self._device)))
        return [torch.cat([layer.cpu() for layer in layers]).numpy() for layers in zip(*parts, strict=True)]


def load_inception(
    name:   str,                                # "inception", or "inception@FILE"
    device: torch.device | str,
    *,
    key:    str,                                # of the study, for messages
) -> InceptionEncoder:
    """From the named file, else from torch's cache, else fetched into it. EncoderError where that fails."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError:
        raise EncoderError(f"{key}: {name!r} needs the package torch-fidelity; install it (pip install torch-fidelity), or use "
                           "phantom-siglip") from None
    path = _file(name, key)
    try:
        state = read_weights(path) if path else torch.hub.load_state_dict_from_url(
            URL_INCEPTION_V3, map_location="cpu", progress=False, check_hash=True, weights_only=True)
        return InceptionEncoder(f"inception@{path.name}" if "@" in name else name, state, device)       # figures name no folder
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = first_line(error)
    if path:
        raise EncoderError(f"{key}: {path.name} does not hold the weights of FID's Inception ({reason}). Delete it, fetch "
                           f"{URL_INCEPTION_V3} again, or use phantom-siglip")
    raise EncoderError(f"{key}: the weights of FID's Inception are not in torch's cache and cannot be fetched from here ({reason}). "
                       f"Fetch {URL_INCEPTION_V3} where there is a network and bring it into {TORCH_CACHE}, or anywhere and write "
                       f"{key}: inception@FOLDER/{FILES[0]}; or use phantom-siglip, whose distances are no FID")


def _file(name: str, key: str) -> Path | None:
    _, at, given = name.partition("@")
    if not at:
        return next((path for path in (_cache() / file for file in FILES) if path.is_file()), None)
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        raise EncoderError(f"{key}: {name!r} names a file that is not there; expected inception@FOLDER/{FILES[0]}, or plain inception "
                           "for the one in torch's cache")
    return path


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"
