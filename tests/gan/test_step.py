"""An iteration against algorithm 1 written out plainly; what it learns on two toys whose answers are known; what it leaves alone."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.gan.augment import differentiable
from lib.gan.draws import Draws, turned
from lib.gan.networks import Critic, Generator
from lib.gan.step import MEASURES, Duel
from lib.study import Compute
from lib.training.runtime import prepare_machine
from lib.training.seeds import seeded, torch_generator

CPU = Compute(device="cpu", threads=1)


def networks(options, classes):
    with seeded(0, "weights"):
        return Generator(32, options.latent, options.features_g, classes), Critic(32, options.features_d, classes)


def duel_of(discs, options, accelerator=None, numbers=None):
    numbers = np.arange(len(discs)) % 2 if options.conditional else np.zeros(len(discs), int)
    return Duel(*networks(options, 2 if options.conditional else 0), lambda draw: turned(discs, draw), Draws(numbers, options), options,
                accelerator or prepare_machine(CPU))


def algorithm_1(discs, options, iterations):
    """Gulrajani et al. 2017, algorithm 1, line by line; real and drawn images apart, the graph through everything."""
    generator, critic = networks(options, 2 if options.conditional else 0)
    draws = Draws(np.arange(len(discs)) % 2 if options.conditional else np.zeros(len(discs), int), options)
    of_critic, of_generator = (torch.optim.Adam(one.parameters(), lr=options.learning_rate, betas=options.betas)
                               for one in (critic, generator))
    change = differentiable if options.augmentation == "differentiable" else lambda images, draw: images
    average = [one.detach().clone() for one in generator.parameters()]
    for iteration in range(iterations):
        for step in range(iteration * options.critic_steps, (iteration + 1) * options.critic_steps):
            draw = draws.critic(step)
            real = change(turned(discs, draw).contiguous(), draw.changes[0])
            fake = change(generator(draw.noise, draw.labels), draw.changes[1])
            share = draw.alpha[:, None, None, None]
            mixed = (share * real + (1 - share) * fake).detach().requires_grad_()
            gradient, = torch.autograd.grad(critic(mixed, draw.labels).sum(), mixed, create_graph=True)
            norm = gradient.square().sum(dim=(1, 2, 3)).sqrt()
            loss = (critic(fake, draw.labels) - critic(real, draw.labels) + options.penalty * (norm - 1) ** 2).mean()
            of_critic.zero_grad()
            loss.backward()
            of_critic.step()
        draw = draws.generator(iteration)
        of_generator.zero_grad()
        (-critic(change(generator(draw.noise, draw.labels), draw.changes), draw.labels)).mean().backward()
        of_generator.step()
        decay = min(options.ema, (1 + iteration) / (10 + iteration))
        average = [decay * old + (1 - decay) * new.detach() for old, new in zip(average, generator.parameters(), strict=True)]
    return generator, critic, average


@pytest.mark.parametrize("options", [{}, {"conditional": True}, {"augmentation": "differentiable"}, {"betas": (0.5, 0.999), "penalty": 1}])
def test_iterations_equal_algorithm_1_with_the_same_draws(discs, small, options):
    options = small(learning_rate=1e-3, ema=0.15, **options)
    duel = duel_of(discs, options)
    for iteration in range(3):
        duel.iterate(iteration)
    generator, critic, average = algorithm_1(discs, options, 3)
    for ours, theirs in ((duel.generator, generator.parameters()), (duel.critic, critic.parameters()), (duel.average, average)):
        # Adam divides by the gradient's size, so rounding can turn a step around where the gradient is near zero: hence a quantile
        difference = torch.cat([(one - other).abs().flatten() for one, other in zip(ours.parameters(), theirs, strict=True)])
        assert difference.quantile(0.99) < 2e-5 and difference.max() < 4e-3


# ── toys ─────────────────────────────────────────────────────────────────────────────────────────────────────────

class Linear(nn.Module):
    """A critic with one slope everywhere."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.1, 0.2]))

    def forward(self, points):
        return points @ self.slope


class Layers(nn.Module):
    def __init__(self, into, hidden, out):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(into, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out))

    def forward(self, points):
        return self.layers(points).squeeze(1)


def play(points, generator, critic, options):
    """Measures [iterations, 5] and the duel."""
    draws = Draws(np.zeros(len(points), int), options)
    duel = Duel(generator, critic, lambda draw: points[draw.rows], draws, options, prepare_machine(CPU))
    return torch.stack([duel.iterate(iteration) for iteration in range(options.iterations)]), duel


def test_the_norm_of_a_linear_critics_gradient_goes_to_one(small):
    points = torch.randn(256, 2, generator=torch_generator(0, "points")) + torch.tensor([3.0, -1.0])
    with seeded(0, "toy"):
        generator = nn.Linear(2, 2)
    options = small(latent=2, batch_size=64, critic_steps=3, learning_rate=0.02, betas=(0.0, 0.9), iterations=250, ema=0.98)
    measures, duel = play(points, generator, Linear(), options)
    norms = measures[:, MEASURES.index("gradient_norm")]
    assert norms[0] < 0.5 and abs(norms[-50:].mean() - 1) < 0.03
    assert (duel.average.bias - torch.tensor([3.0, -1.0])).norm() < 0.5         # where the real points are


def test_eight_gaussians_are_all_covered(small):
    angles = torch.arange(8) * math.pi / 4
    centres = 2 * torch.stack([angles.cos(), angles.sin()], dim=1)
    generator = torch_generator(0, "points")
    points = centres.repeat(128, 1) + 0.1 * torch.randn(1024, 2, generator=generator)
    with seeded(0, "toy"):
        players = Layers(4, 64, 2), Layers(2, 64, 1)
    options = small(latent=4, batch_size=64, critic_steps=5, learning_rate=2e-3, betas=(0.0, 0.9), iterations=250, ema=0.98, penalty=0.1)
    measures, duel = play(points, *players, options)
    with torch.no_grad():
        drawn = duel.average(torch.randn(2000, 4, generator=generator))
    distances = torch.cdist(drawn, centres)
    shares = torch.bincount(distances.argmin(dim=1), minlength=8) / len(drawn)
    close = torch.tensor([(distances[:, mode] < 0.4).float().mean() for mode in range(8)])
    assert shares.min() > 0.06 and close.min() > 0.03, (shares, close)
    assert measures.isfinite().all()


# ── what it leaves alone ─────────────────────────────────────────────────────────────────────────────────────────

def test_neither_step_works_out_the_others_gradients(discs, small):
    duel = duel_of(discs, small())
    touched = []
    for name, network in (("generator", duel.generator), ("critic", duel.critic)):
        for parameter in network.parameters():
            parameter.register_hook(lambda gradient, name=name: touched.append(name))
    duel.critic_step(0)
    assert set(touched) == {"critic"}
    touched.clear()
    duel.generator_step(0)
    assert set(touched) == {"generator"} and all(parameter.requires_grad for parameter in duel.critic.parameters())
    assert all(parameter.grad is None for network in (duel.generator, duel.critic) for parameter in network.parameters())


def test_compiled_networks_do_the_work_of_both_steps_and_change_nothing(discs, small, monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda network: lambda *inputs: calls.append(type(network).__name__) or network(*inputs))
    plain, compiled = (duel_of(discs, small(compile=given)) for given in (False, True))
    assert torch.equal(plain.iterate(0), compiled.iterate(0))
    assert calls == ["Generator", "Critic"] * (small().critic_steps + 1)                # the penalty goes round them
    assert all(torch.equal(*pair) for pair in zip(plain.generator.parameters(), compiled.generator.parameters(), strict=True))


def test_state_goes_on_bit_equal(discs, small):
    duel, other = duel_of(discs, small()), duel_of(discs, small())
    duel.iterate(0)
    other.load(copy.deepcopy(duel.state()))
    assert torch.equal(duel.iterate(1), other.iterate(1))
    assert all(torch.equal(*pair) for pair in zip(duel.average.parameters(), other.average.parameters(), strict=True))


def test_mixed_precision_keeps_weights_and_penalty_in_full(discs, small, monkeypatch):
    duel, seen = duel_of(discs, small(), prepare_machine(Compute(device="cpu", precision="bf16"))), []
    convolve = F.conv2d

    def noted(*given, **options):
        result = convolve(*given, **options)
        seen.append((torch.is_autocast_enabled("cpu"), result.dtype))
        return result

    monkeypatch.setattr(F, "conv2d", noted)
    measures = duel.iterate(0)
    assert measures.isfinite().all() and measures.dtype == torch.float32
    assert {(True, torch.bfloat16), (False, torch.float32)} == set(seen)
    assert all(parameter.dtype == torch.float32 for network in (duel.generator, duel.critic) for parameter in network.parameters())


def test_each_of_two_processes_takes_its_share_and_they_agree_on_gradients(discs, small):
    machine, reduced = prepare_machine(CPU), []
    accelerator = SimpleNamespace(num_processes=2, process_index=1, device=torch.device("cpu"), scaler=None, prepare=machine.prepare,
                                  autocast=machine.autocast, backward=machine.backward,
                                  reduce=lambda tensor, reduction: reduced.append(reduction) or tensor)
    duel, sizes = duel_of(discs, small(batch_size=6), accelerator), []
    duel.critic.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    duel.iterate(0)
    assert sizes == [6, 6, 3]                       # real and drawn, twice; the generator's step. The penalty writes its pass out
    assert set(reduced) == {"mean"} and len(reduced) == 2 * len(list(duel.critic.parameters())) + len(list(duel.generator.parameters()))
