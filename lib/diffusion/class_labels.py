"""Label and tone told to the UNet as vectors beside the prompt: learnt rows added to its time embedding (Nichol & Dhariwal 2021, §2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from lib.files import write_atomically

FILE = "class_labels.safetensors"


class ClassLabels(nn.Module):
    """A row per label and a row per tone, summed. All start at zero, so an untrained one changes nothing.

    Number 0 is "not told": its rows stay zero and never train. Training tells nothing to a share of the images (classifier-free
    guidance, Ho & Salimans 2022), sampling tells nothing in the unconditional half and where the tone is unknown.
    """

    def __init__(
        self,
        labels: Sequence[str],
        tones:  Sequence[str],      # "1" … "6", or names of groups
        width:  int,                # of the UNet's time embedding
    ):
        super().__init__()
        self.labels, self.tones = tuple(labels), tuple(tones)
        self.label_rows = nn.Embedding(len(labels) + 1, width, padding_idx=0)
        self.tone_rows = nn.Embedding(len(tones) + 1, width, padding_idx=0)
        for rows in (self.label_rows, self.tone_rows):
            nn.init.zeros_(rows.weight)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """int64 [B, 2] from `numbers` → [B, width]."""
        return self.label_rows(numbers[:, 0]) + self.tone_rows(numbers[:, 1])

    def numbers(self, cells: Iterable[tuple[str | None, str | None]]) -> torch.Tensor:
        """(label, tone) pairs → int64 [B, 2], on the CPU; None is "not told". ValueError for a label or tone that it was not made for."""
        pairs = [(_number(label, self.labels, "label"), _number(tone, self.tones, "tone")) for label, tone in cells]
        return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)


def add_class_labels(unet: nn.Module, labels: Sequence[str], tones: Sequence[str]) -> ClassLabels:
    """Give the UNet an untrained ClassLabels; from then on it wants `class_labels=` in every call.

    ValueError for a UNet that already has a class embedding of its own.
    """
    if unet.class_embedding is not None and not isinstance(unet.class_embedding, ClassLabels):
        raise ValueError("class_labels: the base's UNet already takes class labels of its own; set diffusion.lora.class_labels: false")
    module = ClassLabels(labels, tones, unet.time_embedding.linear_2.out_features)
    unet.class_embedding = module.to(unet.device)
    return module


def remove_class_labels(unet: nn.Module) -> None:
    """Leave the UNet as it was before `add_class_labels`."""
    if isinstance(unet.class_embedding, ClassLabels):
        unet.class_embedding = None


def save_class_labels(module: ClassLabels, path: Path) -> None:
    """Rows as safetensors, names of labels and tones in its header, atomically."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    names = json.dumps({"labels": module.labels, "tones": module.tones}, ensure_ascii=False)
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata={"names": names}))


def load_class_labels(unet: nn.Module, path: Path) -> ClassLabels:
    """Give the UNet the rows saved in `path`. ValueError when they were trained for a UNet of another width."""
    with safe_open(path, framework="pt") as file:
        names = json.loads(file.metadata()["names"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}     # noqa: SIM118 (not a mapping)
    width, needed = tensors["label_rows.weight"].shape[1], unet.time_embedding.linear_2.out_features
    if width != needed:
        raise ValueError(f"{path}: rows of {width} numbers, the base's UNet takes {needed}; they were trained with another base")
    module = add_class_labels(unet, names["labels"], names["tones"])
    module.load_state_dict(tensors)
    return module


def _number(name: str | None, known: tuple[str, ...], what: str) -> int:
    if name is None:
        return 0
    if name not in known:
        raise ValueError(f"class_labels: {what} {name!r} was not trained; trained are {', '.join(known)}")
    return known.index(name) + 1
