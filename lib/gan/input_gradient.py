"""The critic's gradient at its inputs as a forward computation, so that the penalty takes one backward pass and no second derivative.

Autograd's own second derivatives of strided convolutions and norms are slow on the CPU; here each layer's transpose is an operation of its
own. LeakyReLU's slopes are constants (its second derivative is 0 almost everywhere), a convolution's transpose is the transposed
convolution, and InstanceNorm's is written out below with its derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.autograd import Function
from torch.nn import functional

if TYPE_CHECKING:
    from lib.gan.networks import Critic


def input_gradient(
    critic: Critic,
    points: torch.Tensor,                       # [B, 3, S, S]
    labels: torch.Tensor | None = None,         # [B], where the critic has classes
) -> torch.Tensor:
    """∇ critic at each point, [B, 3, S, S], with a graph to the critic's weights (and none to the points)."""
    hidden = functional.leaky_relu(critic.image(points), 0.2)
    layers = [(critic.image, None, hidden)]
    for layer, norm in zip(critic.down, critic.norms, strict=True):
        whitened, scale = _Whiten.apply(layer(hidden), norm.eps)
        gain = norm.weight.view(1, -1, 1, 1)
        hidden = functional.leaky_relu(torch.addcmul(norm.bias.view(1, -1, 1, 1), whitened, gain), 0.2)
        layers.append((layer, (whitened, scale, gain), hidden))

    gradient = critic.score.weight.expand(len(points), -1, -1, -1)
    if critic.classify is not None:
        gradient = gradient + critic.classify(labels)[:, :, None, None]
    for layer, normed, hidden in reversed(layers):
        gradient = torch.ops.aten.leaky_relu_backward(gradient, hidden.detach(), 0.2, True)        # times 1 or 0.2
        if normed is not None:
            whitened, scale, gain = normed
            gradient = _WhitenTransposed.apply(gradient * gain, whitened, scale)
        gradient = functional.conv_transpose2d(gradient, layer.weight, None, layer.stride, layer.padding)
    return gradient


class _Whiten(Function):
    """x [B, C, H, W] → x̂ = (x − mean) · s and s = 1 / √(variance + ε) [B, C, 1, 1], of each image and channel."""

    @staticmethod
    def forward(ctx, values: torch.Tensor, epsilon: float):
        centred = values - _mean(values)
        scale = torch.rsqrt(_mean(centred * centred) + epsilon)
        whitened = centred.mul_(scale)
        ctx.save_for_backward(whitened, scale)
        return whitened, scale

    @staticmethod
    def backward(ctx, by_whitened: torch.Tensor, by_scale: torch.Tensor):
        whitened, scale = ctx.saved_tensors         # ds/dx = −s² x̂ / n
        along = _mean(by_whitened * whitened) + by_scale * scale / _pixels(whitened)
        return torch.addcmul(by_whitened, whitened, -along).sub_(_mean(by_whitened)).mul_(scale), None


class _WhitenTransposed(Function):
    """y = s · (q − mean(q) − x̂ · mean(q x̂)): what reaches x of a gradient q at x̂. Linear in q, and its own transpose."""

    @staticmethod
    def forward(ctx, values: torch.Tensor, whitened: torch.Tensor, scale: torch.Tensor):
        mean, along = _mean(values), _mean(values * whitened)
        ctx.save_for_backward(values, whitened, scale, mean, along)
        return torch.addcmul(values, whitened, -along).sub_(mean).mul_(scale)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):
        values, whitened, scale, mean, along = ctx.saved_tensors
        g_mean, g_along = _mean(gradient), _mean(gradient * whitened)
        by_values = torch.addcmul(gradient, whitened, -g_along).sub_(g_mean).mul_(scale)
        by_whitened = torch.addcmul(gradient * (-scale * along), values, -scale * g_along)
        by_scale = _pixels(values) * (_mean(gradient * values) - mean * g_mean - along * g_along)
        return by_values, by_whitened, by_scale


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean(dim=(2, 3), keepdim=True)


def _pixels(values: torch.Tensor) -> int:
    return values.shape[2] * values.shape[3]
