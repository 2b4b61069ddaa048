"""What test_parallel runs in several processes; a spawned process can import it, unlike a test."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from lib.diffusion.base.parallel import Part, share_gradients
from lib.training.seeds import seeded, torch_generator


def one_step(folder: Path, part: Part) -> None:
    with seeded(1, "weights"):
        model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))
    share_gradients(model, part)
    for step in range(2):
        inputs = torch.randn(8, 3, generator=torch_generator(1, "x", step))[part.rank::part.of]
        model.zero_grad()
        model(inputs).square().mean().backward()
    save_file({name: value.grad for name, value in model.named_parameters()}, folder / f"{part.rank}-of-{part.of}.safetensors")
