"""Files of weights: read without running anything that they hold, and told apart by their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lib.pretrained import without_folders


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Name → tensor of a .safetensors file, or of what torch saved (FID's Inception comes as nothing else), of which only tensors are read.

    ValueError where the file is damaged or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.hub.load_state_dict_from_url(path.as_uri(), model_dir=str(path.parent), file_name=path.name, map_location="cpu",
                                                  weights_only=True)
    except (OSError, RuntimeError, EOFError, SafetensorError, UnpicklingError) as error:
        raise ValueError(first_line(error)) from None


def first_line(error: BaseException) -> str:
    """Of what it says, for messages, with the names of files and not of their folders."""
    return without_folders((str(error).strip().splitlines() or [type(error).__name__])[0])[:200]


def weights_hash(
    state: Mapping[str, torch.Tensor],
    *ready: Any,                                    # how pictures are made ready, as JSON can say it
    without: Collection[str] = (),                  # names that do not count
) -> str:
    """SHA-256 of the weights, wherever they lie, and of `ready`."""
    digest = hashlib.sha256(json.dumps(ready, sort_keys=True, default=str).encode())
    for name, values in sorted(state.items()):
        if name not in without:
            digest.update(name.encode() + values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
