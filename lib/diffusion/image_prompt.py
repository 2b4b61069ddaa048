"""Reference images beside the prompt: the IP-Adapter that reads them, and what tells one adapter and one picture from another."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from lib.study import Generation


def attach_ip_adapter(pipeline: StableDiffusionPipeline, generation: Generation) -> None:
    """Load the IP-Adapter that `generation.image_prompt` names (Ye et al. 2023, arXiv 2308.06721) and set its weight.

    ValueError where none is named, or where it cannot be loaded or brings no image encoder for this base.
    """
    options = generation.image_prompt
    if not options.adapter or not options.weights:
        raise ValueError("generation.image_prompt.mode is ip_adapter; name the adapter (Hub id or folder) and its file: "
                         "image_prompt.adapter and image_prompt.weights")
    folder, _, name = options.weights.rpartition("/")
    try:
        pipeline.load_ip_adapter(options.adapter, subfolder=folder, weight_name=name)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"generation.image_prompt: {options.weights} of {options.adapter} cannot be loaded ({error}); it must fit the "
                         "base and lie beside its image_encoder folder") from None
    if pipeline.image_encoder is None:
        raise ValueError(f"generation.image_prompt: neither the base nor {options.adapter} has an image encoder; add its folder "
                         "image_encoder")
    pipeline.set_ip_adapter_scale(options.scale)


def image_adapter_hash(pipeline: StableDiffusionPipeline) -> str:
    """SHA-256 of the loaded IP-Adapter: name and bytes of each of its weights, then of its image encoder's."""
    unet, digest = pipeline.unet, hashlib.sha256()
    attention = {name: one for name, one in unet.attn_processors.items() if isinstance(one, torch.nn.Module)}
    for part, module in {"projection": unet.encoder_hid_proj, **attention, "encoder": pipeline.image_encoder}.items():
        for name, weight in sorted(module.state_dict().items()):
            digest.update(f"{part} {name}".encode() + weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def picture_hash(picture: np.ndarray) -> str:
    """SHA-256 of the pixels uint8 [S, S, 3] of a reference image."""
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()
