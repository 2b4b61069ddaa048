"""The critic's gradient at its inputs as a forward computation, so that the penalty takes one backward pass and no second derivative.

Autograd's own second derivatives of strided convolutions and norms are slow on the CPU; here each layer's transpose is an operation of its
own. LeakyReLU's slopes are constants (its second derivative is 0 almost everywhere), a convolution's transpose is the transposed
convolution, and InstanceNorm's is written out with its derivatives in lib/gan/instance_norm.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from lib.gan.instance_norm import Normed, WhitenTransposed, by_channel

if TYPE_CHECKING:
    from lib.gan.networks import Critic


def input_gradient(
    critic: Critic,
    points: torch.Tensor,                       # [B, 3, S, S]
    labels: torch.Tensor | None = None,         # [B], where the critic has classes
) -> torch.Tensor:
    """∇ critic at each point, [B, 3, S, S], with a graph to the critic's weights (and none to the points)."""
    hidden = functional.leaky_relu(critic.image(points), 0.2, inplace=True)
    layers = [(critic.image, None, hidden)]
    for layer, norm in zip(critic.down, critic.norms, strict=True):
        normed, whitened, scale = Normed.apply(layer(hidden), norm.weight, norm.bias, norm.eps)
        hidden = functional.leaky_relu(normed, 0.2, inplace=True)
        layers.append((layer, (whitened, scale * by_channel(norm.weight)), hidden))

    gradient = critic.score.weight.expand(len(points), -1, -1, -1)
    if critic.classify is not None:
        gradient = gradient + critic.classify(labels)[:, :, None, None]
    for layer, normed, hidden in reversed(layers):
        gradient = torch.ops.aten.leaky_relu_backward(gradient, hidden.detach(), 0.2, True)        # times 1 or 0.2
        if normed is not None:
            gradient = WhitenTransposed.apply(gradient, *normed)
        gradient = functional.conv_transpose2d(gradient, layer.weight, None, layer.stride, layer.padding)
    return gradient
