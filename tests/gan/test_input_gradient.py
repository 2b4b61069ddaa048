"""The gradient that is written out is the one that autograd finds, and so are the derivatives of the penalty that is made of it."""

import pytest
import torch

from lib.gan.input_gradient import input_gradient
from lib.gan.networks import Critic


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_equals_autograd(classes, layout):
    torch.manual_seed(0)
    critic = Critic(32, 2, classes).double().to(memory_format=layout)
    points = torch.randn(5, 3, 32, 32, dtype=torch.double).to(memory_format=layout)
    labels = torch.arange(5) % classes if classes else None
    asked = points.clone().requires_grad_()
    scores = critic(asked) if labels is None else critic(asked, labels)
    expected, = torch.autograd.grad(scores.sum(), asked, create_graph=True)
    found = input_gradient(critic, points, labels)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-13)

    weights = {name: weight for name, weight in critic.named_parameters()}
    ours, theirs = (torch.autograd.grad((one.flatten(1).norm(dim=1) - 1).square().mean(), list(weights.values()), allow_unused=True)
                    for one in (found, expected))
    for name, one, other in zip(weights, ours, theirs, strict=True):
        other = torch.zeros_like(weights[name]) if other is None else other
        torch.testing.assert_close(torch.zeros_like(other) if one is None else one, other, rtol=1e-7, atol=1e-11, msg=name)
