"""The norm in steps of its own is torch's, with its first and second derivatives, in either memory layout."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lib.gan.instance_norm import InstanceNorm, Normed, WhitenTransposed


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@settings(deadline=None)             # the first run loads kernels
@given(images=st.integers(1, 3), width=st.integers(1, 5), side=st.integers(2, 6), seed=st.integers(0, 2**20))
def test_equals_torchs_kernel(layout, images, width, side, seed):
    torch.manual_seed(seed)
    ours, theirs = InstanceNorm(width, width).double(), nn.GroupNorm(width, width).double()
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        nn.init.normal_(parameter)
        other.data.copy_(parameter.data)
    values = torch.randn(images, width, side, side, dtype=torch.double).to(memory_format=layout).requires_grad_()
    direction = torch.randn_like(values)
    found, expected = [], []
    for norm, results in ((ours, found), (theirs, expected)):
        normed = norm(values)           # not nn.InstanceNorm2d: on one image, channels-last, its gradient is wrong in torch 2.14
        gradient, *slopes = torch.autograd.grad(normed, [values, *norm.parameters()], direction, create_graph=True)
        results += [normed, gradient, *slopes, *torch.autograd.grad(gradient.pow(3).sum(), [values, norm.weight])]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_keeps_the_memory_layout():
    values = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert InstanceNorm(3, 3)(values).is_contiguous(memory_format=torch.channels_last)


def test_off_the_cpu_the_kernel_of_torch_does_the_work():
    """On the meta device nothing is computed; a step of our own would be seen in the graph."""
    values = torch.randn(2, 3, 4, 4, device="meta", requires_grad=True)
    assert InstanceNorm(3, 3).to("meta")(values).grad_fn.name() == "NativeGroupNormBackward0"


def test_in_half_precision_too():
    values = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    ours, theirs = InstanceNorm(3, 3).bfloat16(), nn.GroupNorm(3, 3).bfloat16()
    assert torch.equal(ours(values), theirs(values))


def test_derivatives_agree_with_finite_differences():
    torch.manual_seed(0)
    values, gradient = torch.randn(2, 2, 3, 3, 2, dtype=torch.double).unbind(-1)
    scale = torch.rand(2, 2, 1, 1, dtype=torch.double) + 0.5
    gain, offset = torch.randn(2, 2, dtype=torch.double)
    asked = tuple(one.clone().requires_grad_() for one in (values, gain, offset))
    assert torch.autograd.gradcheck(lambda *given: Normed.apply(*given, 1e-5), asked)
    for kept in ([0], [1], [2], [1, 2]):                                # where not all three results are used, as for the last norm
        assert torch.autograd.gradcheck(lambda *given, kept=kept: [Normed.apply(*given, 1e-5)[k] for k in kept], asked)
    assert torch.autograd.gradcheck(WhitenTransposed.apply, tuple(one.clone().requires_grad_() for one in (gradient, values, scale)))
