"""The plain loop with one thing done as the trainer does it, so that a benchmark can say what each of them gains by itself."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from lib.gan.plain_loop import PlainLoop


class NoGraph(PlainLoop):
    """The critic's images are drawn without a graph, so its loss does not run back through the generator."""

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return super().draw(noise)


class FrozenCritic(PlainLoop):
    """The generator's step leaves out the gradients of the critic's weights, which nobody uses."""

    def generator_step(self, iteration: int) -> None:
        self.critic.requires_grad_(False)
        super().generator_step(iteration)
        self.critic.requires_grad_(True)


class OnePass(PlainLoop):
    """Real and drawn images pass the critic together, and one backward pass takes both: nothing in it looks across a batch."""

    def judge(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        on_real, on_fake = self.critic(torch.cat([real, fake])).chunk(2)
        (on_fake.mean() - on_real.mean()).backward()


class WrittenOut(PlainLoop):
    """The penalty's gradient as a forward computation instead of autograd's second derivatives."""

    def gradient_norms(self, mixed: torch.Tensor) -> torch.Tensor:
        return self.critic.input_gradient(mixed).flatten(1).norm(2, dim=1)


class ChannelsLast(PlainLoop):
    """Weights and images lie channels-last, which convolutions take without reordering them; norms that do so too are the critic's."""

    def __init__(self, generator: nn.Module, critic: nn.Module, *others):
        super().__init__(*(network.to(memory_format=torch.channels_last) for network in (generator, critic)), *others)

    def generate(self, noise: torch.Tensor) -> torch.Tensor:
        return self.generator(noise).contiguous(memory_format=torch.channels_last)


class FusedAdam(PlainLoop):
    """One kernel updates all weights; the default on the CPU is a loop over tensors with several operations each."""

    def make_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(network.parameters(), lr=self.options.learning_rate, betas=self.options.betas, fused=True)


class Compiled(PlainLoop):
    """torch.compile of both networks in the critic's step, but for the penalty's second derivatives, which it lacks. Needs a compiler."""

    def __init__(self, generator: nn.Module, critic: nn.Module, *others):
        super().__init__(generator, critic, *others)
        torch.compiler.reset()          # every run has networks of its own, and torch gives up after eight of a kind
        self._compiled = torch.compile(self.generator), torch.compile(self.critic)

    def draw(self, noise: torch.Tensor) -> torch.Tensor:
        return self._compiled[0](noise).contiguous()

    def judge(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        critic = self._compiled[1]
        (-critic(real).mean()).backward()
        critic(fake).mean().backward()


def can_compile() -> bool:
    """Whether there is the C++ compiler that torch.compile calls."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


# name → loop; gradients become None instead of zeros in the plain loop as well, as it is torch's default since 2.0
SAVINGS: dict[str, type[PlainLoop]] = {
    "no graph":      NoGraph,
    "frozen critic": FrozenCritic,
    "one pass":      OnePass,
    "written out":   WrittenOut,
    "channels last": ChannelsLast,
    "fused Adam":    FusedAdam,
    "compiled":      Compiled,
}
