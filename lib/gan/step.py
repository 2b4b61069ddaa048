"""One iteration of WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, algorithm 1): several steps of the critic, one of the generator."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from lib.gan.augment import differentiable
from lib.gan.draws import CriticDraw, Draws
from lib.gan.penalty import between, gradient_norms, penalty_of
from lib.study.gan import Gan

MEASURES = ("critic_loss", "generator_loss", "wasserstein", "penalty", "gradient_norm")


class Duel:
    """Generator, critic, their optimisers and the averaged generator; what is drawn depends on the iteration's number alone.

    Real and drawn images pass the critic together (nothing in it looks across a batch), without a graph through the generator; the
    penalty has a pass of its own, in fp32 under any precision. Under several processes each takes its share of every batch.
    """

    def __init__(
        self,
        generator:   nn.Module,                                 # noise [B, latent] (and labels [B]) → [B, …]
        critic:      nn.Module,                                 # [B, …] (and labels [B]) → [B]
        real:        Callable[[CriticDraw], torch.Tensor],      # the real points of a batch, on the device
        draws:       Draws,
        options:     Gan,
        accelerator: Accelerator,
    ):
        self._real, self._draws, self._options, self.accelerator = real, draws, options, accelerator
        self.generator, self.critic = (network.to(accelerator.device, memory_format=torch.channels_last) for network in (generator, critic))
        self.average = copy.deepcopy(self.generator).requires_grad_(False)      # its weights; statistics of its norms are not kept
        self._optimizers = [accelerator.prepare(torch.optim.Adam(network.parameters(), lr=options.learning_rate, betas=options.betas,
                                                                 fused=True)) for network in (self.generator, self.critic)]
        compiled = torch.compile if options.compile else (lambda network: network)
        self._draw, self._score = compiled(self.generator), compiled(self.critic)   # the penalty's second derivative cannot be compiled
        self._augmented = options.augmentation == "differentiable"

    def iterate(self, iteration: int) -> torch.Tensor:
        """All steps of iteration `iteration`, from 0 → MEASURES [5], means over them, on the device: nothing waits for it."""
        steps = self._options.critic_steps
        critic = torch.stack([self.critic_step(iteration * steps + k) for k in range(steps)]).mean(dim=0)
        loss = self.generator_step(iteration)
        self._follow(iteration)
        return torch.stack([critic[0], loss, *critic[1:]])

    def critic_step(self, step: int) -> torch.Tensor:
        """Step `step` of the critic, counted over the run → loss, Wasserstein estimate, penalty and mean gradient norm."""
        draw = self._draws.critic(step)
        noise, labels, alpha = (self._share(part) for part in (draw.noise, draw.labels, draw.alpha))
        real = self._real(draw)[self._mine]
        with torch.no_grad(), self.accelerator.autocast():
            fake = _call(self._draw, noise, labels).float()
        if self._augmented:
            real, fake = (differentiable(images, self._share(change)) for images, change in zip((real, fake), draw.changes, strict=True))
        with self.accelerator.autocast():
            scores = _call(self._score, torch.cat([real, fake]), None if labels is None else labels.repeat(2))
        on_real, on_fake = scores.float().chunk(2)
        wasserstein = on_real.mean() - on_fake.mean()
        norms = gradient_norms(self.critic, between(real, fake, alpha.view(-1, *[1] * (real.dim() - 1))), labels)
        penalty = penalty_of(norms, self._options.penalty)
        loss = penalty - wasserstein
        self._learn(loss, self.critic, self._optimizers[1])
        return torch.stack([loss, wasserstein, penalty, norms.mean()]).detach()

    def generator_step(self, iteration: int) -> torch.Tensor:
        """The step that ends an iteration, on fresh noise → its loss. The critic's own gradients are not worked out."""
        draw = self._draws.generator(iteration)
        noise, labels = self._share(draw.noise), self._share(draw.labels)
        self.critic.requires_grad_(False)
        with self.accelerator.autocast():
            fake = _call(self._draw, noise, labels)
            if self._augmented:
                fake = differentiable(fake.float(), self._share(draw.changes))
            scores = _call(self._score, fake, labels)
        loss = -scores.float().mean()
        self._learn(loss, self.generator, self._optimizers[0])
        self.critic.requires_grad_(True)
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on, for a checkpoint."""
        scaler = self.accelerator.scaler
        return {
            "networks":   [dict(network.state_dict()) for network in (self.generator, self.critic, self.average)],
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "scaler":     scaler.state_dict() if scaler else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        for network, saved in zip((self.generator, self.critic, self.average), state["networks"], strict=True):
            network.load_state_dict(saved)
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    @property
    def _mine(self) -> slice:
        """This process's share of a batch."""
        return slice(self.accelerator.process_index, None, self.accelerator.num_processes)

    def _share(self, drawn: torch.Tensor | None) -> torch.Tensor | None:
        return None if drawn is None else drawn[self._mine].to(self.accelerator.device, non_blocking=True)

    def _learn(self, loss: torch.Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.accelerator.backward(loss)
        if self.accelerator.num_processes > 1:
            for parameter in network.parameters():
                parameter.grad = self.accelerator.reduce(parameter.grad, reduction="mean")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _follow(self, iteration: int) -> None:
        """The average moves faster at first, or a short run would end near its random start: (1 + t) / (10 + t) until that is the decay."""
        decay = min(self._options.ema, (1 + iteration) / (10 + iteration))
        torch._foreach_lerp_(list(self.average.parameters()), [one.detach() for one in self.generator.parameters()], 1 - decay)


def _call(network: Callable, inputs: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
    return network(inputs) if labels is None else network(inputs, labels)
