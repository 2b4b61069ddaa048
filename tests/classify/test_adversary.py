"""The head that tells generated from real: its gradient is reversed below it and nowhere else, and it leaves nothing behind."""

import itertools

import pytest
import torch
from sklearn.metrics import log_loss

from lib.classify.adversary import DomainAdversarial, domain_loss, reversal
from lib.classify.models import build_model


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DomainAdversarial(build_model("small_cnn", 3))


def gradients(network, strength):
    images = torch.rand((8, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    network.zero_grad()
    _, domain = network.eval()(images, strength)
    domain_loss(domain, torch.tensor([0.0, 1.0] * 4), torch.ones(8)).backward()
    below = [value.grad for name, value in network.classifier.named_parameters() if value.grad is not None]
    return below, [value.grad for value in network.head.parameters()]


def test_the_gradient_is_reversed_and_scaled_below_the_head_alone(network):
    once, head = [[one.clone() for one in part] for part in gradients(network, -1.0)]          # −(−1): not reversed
    reversed_below, same_head = gradients(network, 0.5)
    assert len(once) > 10 and all(torch.equal(left, right) for left, right in zip(head, same_head, strict=True))
    assert all(torch.allclose(-0.5 * left, right, atol=1e-7) for left, right in zip(once, reversed_below, strict=True))
    assert all((one == 0).all() for one in gradients(network, 0.0)[0])


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v3_large"])
def test_logits_are_those_of_the_classifier_alone(name):
    network = DomainAdversarial(build_model(name, 3)).eval()
    images = torch.rand((2, 3, 64, 64))
    with torch.no_grad():
        logits, domain = network(images, 1.0)
        assert torch.equal(logits, network.classifier(images)) and domain.shape == (2,)
    assert set(network.classifier.state_dict()) == set(build_model(name, 3).state_dict())


def test_the_strength_rises_from_nothing_to_its_weight():
    rise = [reversal(step, steps=100, weight=0.3) for step in range(101)]
    assert rise[0] == 0 and all(left < right for left, right in itertools.pairwise(rise))
    assert rise[11] == pytest.approx(0.15, abs=0.01) and rise[100] == pytest.approx(0.3, abs=1e-4)


def test_the_loss_is_the_weighted_cross_entropy():
    logits, targets, weights = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.2, 0.5, 0.0])
    expected = log_loss([1, 0, 1], torch.sigmoid(logits).tolist(), sample_weight=weights.tolist())
    assert float(domain_loss(logits, targets, weights)) == pytest.approx(expected, rel=1e-5)
    assert float(domain_loss(logits, targets, torch.zeros(3))) == 0
