"""The rate that no training here can beat: the networks alone, forward and backward, on ready tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lib.gan.penalty import between, gradient_norms, penalty_of
from lib.study.gan import Gan


def train_bare(
    generator: nn.Module,
    critic:    nn.Module,
    options:   Gan,
    *,
    iterations: int,
    device:     torch.device,
    progress:   Callable[[int, int], None] | None = None,       # iterations that would be done, of how many
) -> None:
    """The graph of lib/gan/step.py in fp32, channels-last: no optimiser, no averaged weights, no images to read, no random numbers."""
    generator, critic = (network.to(device, memory_format=torch.channels_last) for network in (generator, critic))
    random = torch.Generator().manual_seed(0)
    size = (options.batch_size, 3, options.image_size, options.image_size)
    real = torch.rand(size, generator=random).mul(2).sub(1).to(device, memory_format=torch.channels_last)
    noise = torch.randn(options.batch_size, options.latent, generator=random).to(device)
    alpha = torch.rand(options.batch_size, 1, 1, 1, generator=random).to(device)
    for iteration in range(iterations):
        for _ in range(options.critic_steps):
            with torch.no_grad():
                fake = generator(noise)
            on_real, on_fake = critic(torch.cat([real, fake])).chunk(2)
            norms = gradient_norms(critic, between(real, fake, alpha))
            _backward(penalty_of(norms, options.penalty) + on_fake.mean() - on_real.mean(), critic)
        critic.requires_grad_(False)
        _backward(-critic(generator(noise)).mean(), generator)
        critic.requires_grad_(True)
        if progress:
            progress(iteration + 1, iterations)


def _backward(loss: torch.Tensor, network: nn.Module) -> None:
    loss.backward()
    network.zero_grad(set_to_none=True)
