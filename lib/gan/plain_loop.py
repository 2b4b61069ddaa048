"""Algorithm 1 of Gulrajani et al. 2017 (arXiv 1704.00028) written plainly: the reference of a test, and what benchmarks measure against.

Where the paper leaves the way open it follows implementations/wgan_gp/wgan_gp.py of eriklindernoren/PyTorch-GAN (MIT), at commit
0484f457a013: real, drawn and mixed images pass the critic one after the other with a backward pass each, the drawn ones with the
generator's graph behind them, through which the critic's loss runs back as well; images lie in rows. Unlike that script it does as
algorithm 1 says: one ε per image, fresh noise for the generator's step. Networks, batches and noise are the trainer's, so both learn alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lib.gan.draws import CriticDraw, Draws
from lib.study.gan import Gan


class PlainLoop:
    """Generator, critic and their optimisers. No augmentation, no averaged weights, one class: what algorithm 1 has."""

    def __init__(
        self,
        generator: nn.Module,                               # noise [B, latent] → [B, …]; trained in place
        critic:    nn.Module,                               # [B, …] → [B]; trained in place
        real:      Callable[[CriticDraw], torch.Tensor],    # the real points of a batch, on the device
        draws:     Draws,
        options:   Gan,
        device:    torch.device,
    ):
        self.generator, self.critic = generator.to(device), critic.to(device)
        self.real, self.draws, self.options, self.device = real, draws, options, device
        self.optimizer_g = self.make_optimizer(self.generator)
        self.optimizer_d = self.make_optimizer(self.critic)

    def iterate(self, iteration: int) -> None:
        """Lines 2 to 12: `critic_steps` steps of the critic, then one of the generator."""
        for k in range(self.options.critic_steps):
            self.critic_step(iteration * self.options.critic_steps + k)
        self.generator_step(iteration)

    def critic_step(self, step: int) -> None:
        """Lines 3 to 9."""
        draw = self.draws.critic(step)
        real, alpha = self.real(draw), draw.alpha.to(self.device)
        self.optimizer_d.zero_grad()
        fake = self.draw(draw.noise.to(self.device))
        self.judge(real, fake)
        mixed = self.mix(real, fake.detach(), alpha)
        (self.options.penalty * ((self.gradient_norms(mixed) - 1) ** 2).mean()).backward()
        self.optimizer_d.step()

    def generator_step(self, iteration: int) -> None:
        """Lines 10 and 11. Drops the gradients that the critic's steps left in the generator."""
        noise = self.draws.generator(iteration).noise.to(self.device)
        self.optimizer_g.zero_grad()
        (-self.critic(self.generate(noise)).mean()).backward()
        self.optimizer_g.step()

    # ── what lib/gan/savings.py does in other ways, one at a time ────────────────────────────────────────────────

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=self.options.learning_rate, betas=self.options.betas)

    def generate(self, noise: torch.Tensor) -> torch.Tensor:
        """G(z) in rows, which torch's own norms of the critic take quickest; the generator leaves its images channels-last."""
        return self.generator(noise).contiguous()

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        """x̃ ← G(z), line 5."""
        return self.generate(noise)

    def judge(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        """The gradient of D(x̃) − D(x), first two terms of line 7."""
        (-self.critic(real).mean()).backward()
        self.critic(fake).mean().backward()

    def mix(self, real: torch.Tensor, fake: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """x̂ ← ε x + (1 − ε) x̃, line 6."""
        alpha = alpha.view(-1, *[1] * (real.dim() - 1))
        return alpha * real + (1 - alpha) * fake

    def gradient_norms(self, mixed: torch.Tensor) -> torch.Tensor:
        """‖∇ D(x̂)‖ of each image, third term of line 7."""
        mixed = mixed.detach().requires_grad_()
        gradient, = torch.autograd.grad(self.critic(mixed).sum(), mixed, create_graph=True)
        return gradient.flatten(1).norm(2, dim=1)
