"""The gradient penalty against a computation that takes each sample alone with torch.func."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import GroupNorm

from lib.gan.networks import Critic
from lib.gan.penalty import between, gradient_norms, penalty_of
from lib.training.seeds import torch_generator


def gradient_penalty(critic, real, fake, *, alpha, labels=None, weight=10.0):
    """As a step of the trainer puts it together."""
    return penalty_of(gradient_norms(critic, between(real, fake, alpha), labels), weight)


def drawn(classes=0, batch=5):
    generator = torch_generator(0, "penalty")
    critic = Critic(32, features=2, classes=classes)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    real, fake = torch.randn(2, batch, 3, 32, 32, generator=generator)
    labels = torch.randint(classes, (batch,), generator=generator) if classes else None
    return critic, real, fake, torch.rand(batch, 1, 1, 1, generator=generator), labels


def sample_by_sample(critic, real, fake, alpha, labels, weights=None):
    """λ = 10; each sample's gradient from torch.func, without a batch and through torch's own norms."""
    weights = weights or {name: parameter.detach() for name, parameter in critic.named_parameters()}
    critic = Critic(32, features=2, classes=critic.classes, norm=GroupNorm)

    def score(point, label):
        given = (point[None],) if labels is None else (point[None], label[None])
        return functional_call(critic, weights, given)[0]

    points = alpha * real + (1 - alpha) * fake
    gradients = vmap(grad(score))(points, torch.zeros(len(real)) if labels is None else labels)
    norms = gradients.flatten(1).square().sum(dim=1).sqrt()
    return 10 * ((norms - 1) ** 2).mean()


@pytest.mark.parametrize("classes", [0, 3])
def test_it_equals_the_computation_sample_by_sample(classes):
    critic, real, fake, alpha, labels = drawn(classes)
    ours = gradient_penalty(critic, real, fake, alpha=alpha, labels=labels)
    assert torch.allclose(ours, sample_by_sample(critic, real, fake, alpha, labels), rtol=1e-5)
    assert ours > 0.1


def test_so_do_its_derivatives_by_the_critics_weights():
    critic, real, fake, alpha, _ = drawn()
    gradient_penalty(critic, real, fake, alpha=alpha).backward()
    theirs = grad(lambda weights: sample_by_sample(critic, real, fake, alpha, None, weights))(
        {name: parameter.detach() for name, parameter in critic.named_parameters()})
    for name, parameter in critic.named_parameters():
        largest = theirs[name].abs().max()
        if parameter.grad is None:                      # the last offsets move every score and no gradient
            assert largest == 0
        else:
            assert torch.allclose(parameter.grad, theirs[name], rtol=1e-4, atol=1e-5 * float(largest) + 1e-9), name


def test_a_linear_critic_has_its_slope_as_norm():
    slope = torch.tensor([3.0, 4.0])
    real, fake = torch.randn(2, 7, 2)
    norms = gradient_norms(lambda points: points @ slope, between(real, fake, torch.rand(7, 1)))
    assert torch.allclose(norms, torch.full((7,), 5.0))
    assert gradient_penalty(lambda points: points @ slope, real, fake, alpha=torch.rand(7, 1), weight=0.5).item() == pytest.approx(8.0)


def test_points_lie_between_real_and_fake_and_lead_no_gradient_back():
    real, fake = torch.zeros(4, 2, requires_grad=True), torch.ones(4, 2, requires_grad=True)
    points = between(real, fake, torch.tensor([0.0, 0.25, 0.5, 1.0])[:, None])
    assert torch.allclose(points, torch.tensor([1.0, 0.75, 0.5, 0.0])[:, None].expand(4, 2)) and not points.requires_grad


def test_it_is_full_precision_inside_autocast():
    critic, real, fake, alpha, _ = drawn()
    plain = gradient_penalty(critic, real, fake, alpha=alpha)
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(real).dtype == torch.bfloat16             # autocast is at work here, but not in there
        assert torch.equal(gradient_penalty(critic, real, fake, alpha=alpha), plain)


def test_a_flat_critic_gives_no_nan():
    weight = torch.zeros(2, requires_grad=True)
    gradient_penalty(lambda points: points @ weight, torch.ones(3, 2), torch.zeros(3, 2), alpha=torch.rand(3, 1)).backward()
    assert weight.grad.isfinite().all()
