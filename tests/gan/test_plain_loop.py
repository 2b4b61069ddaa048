"""Algorithm 1 written plainly and the trainer learn the same from the same draws; so does the plain loop with each saving."""

import numpy as np
import pytest
import torch

from lib.gan.draws import Draws, turned
from lib.gan.networks import Critic, Generator
from lib.gan.plain_loop import PlainLoop
from lib.gan.savings import SAVINGS, ChannelsLast, Compiled
from lib.gan.step import Duel
from lib.study import Compute
from lib.training.runtime import prepare_machine
from lib.training.seeds import seeded

CPU = torch.device("cpu")


def networks(options):
    with seeded(options.seed, "weights"):
        return Generator(options.image_size, options.latent, options.features_g), Critic(options.image_size, options.features_d)


def after(loop, discs, options, *machine, iterations=3):
    """Weights of generator and critic after some iterations."""
    trained = loop(*networks(options), lambda draw: turned(discs, draw).contiguous(), Draws(np.zeros(len(discs), int), options), options,
                   *machine)
    for iteration in range(iterations):
        trained.iterate(iteration)
    return [parameter.detach().clone() for network in (trained.generator, trained.critic) for parameter in network.parameters()]


def far_from(weights, others, rate):
    """The largest difference of two weights, in steps of Adam (a step moves a weight by about the learning rate)."""
    return max(float((one - other).abs().max()) for one, other in zip(weights, others, strict=True)) / rate


@pytest.fixture
def plain(discs, small):
    return after(PlainLoop, discs, small(), CPU)


def test_the_trainer_learns_what_algorithm_1_learns(discs, small, plain):
    start = [parameter.detach() for network in networks(small()) for parameter in network.parameters()]
    ours = after(Duel, discs, small(), prepare_machine(Compute(device="cpu")))
    rate = small().learning_rate
    assert far_from(plain, start, rate) > 2                     # both went somewhere,
    assert far_from(ours, plain, rate) < 0.05                   # and to the same place


@pytest.mark.parametrize("name", SAVINGS)
def test_a_saving_changes_nothing_that_is_learnt(discs, small, plain, name, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network: network)
    assert far_from(after(SAVINGS[name], discs, small(), CPU), plain, small().learning_rate) < 0.05


def test_a_step_is_that_of_the_paper_by_hand(small):
    """One critic step and one generator step of linear networks with Adam, against the formulas."""
    options = small(critic_steps=1, latent=2, batch_size=4, penalty=10.0, learning_rate=0.01, betas=(0.0, 0.9))
    real = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    generator, critic = torch.nn.Linear(2, 3, bias=False), torch.nn.Sequential(torch.nn.Linear(3, 1, bias=False), torch.nn.Flatten(0))
    g, w = generator.weight.detach().clone(), critic[0].weight.detach().clone()
    draws = Draws(np.zeros(4, int), options)
    PlainLoop(generator, critic, lambda draw: real, draws, options, CPU).iterate(0)

    fake = draws.critic(0).noise @ g.T
    norm = w.norm()                                             # a linear critic's gradient is its weight, at every point
    slope = fake.mean(0) - real.mean(0) + 10 * 2 * (norm - 1) * w[0] / norm
    w = w - 0.01 * slope.sign()                                 # Adam's first step without momentum: the rate, whatever the size
    torch.testing.assert_close(critic[0].weight.detach(), w, rtol=0, atol=1e-6)
    slope = -w[0][:, None] * draws.generator(0).noise.mean(0)[None]
    torch.testing.assert_close(generator.weight.detach(), g - 0.01 * slope.sign(), rtol=0, atol=1e-6)


def test_what_is_saved_is_saved(discs, small):
    """Where the plain loop leaves gradients that nobody uses, the savings leave none."""
    def left(loop):
        trained = loop(*networks(small()), lambda draw: turned(discs, draw), Draws(np.zeros(len(discs), int), small()), small(), CPU)
        trained.critic_step(0)
        behind = trained.generator.start.weight.grad
        trained.optimizer_d.zero_grad()
        trained.generator_step(0)
        return behind is not None, trained.critic.score.weight.grad is not None

    assert left(PlainLoop) == (True, True)
    assert left(SAVINGS["no graph"]) == (False, True)
    assert left(SAVINGS["frozen critic"]) == (True, False)
    weight = ChannelsLast(*networks(small(features_d=2)), None, None, small(), CPU).critic.down[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def test_compiled_networks_draw_and_judge(discs, small, monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda network: lambda *inputs: calls.append(type(network).__name__) or network(*inputs))
    after(Compiled, discs, small(critic_steps=2), CPU, iterations=1)
    assert calls == ["Generator", "Critic", "Critic"] * 2
