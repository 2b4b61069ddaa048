"""InstanceNorm in steps of its own: quicker on CPUs where channels lie last, and its transpose can be taken apart from autograd."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class InstanceNorm(nn.GroupNorm):
    """[B, C, H, W] → each image's channel at mean 0 and variance 1, times a gain plus an offset per channel; made as GroupNorm(C, C).

    A GroupNorm with a group for each channel is the same. On the CPU its kernel reads channels-last memory with long strides and takes
    several times as long, so there the steps below stand in for it; elsewhere it does the work, and in half precision, where it sums in
    fp32.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if hidden.device.type != "cpu" or hidden.dtype not in (torch.float32, torch.float64):
            return super().forward(hidden)
        return Normed.apply(hidden, self.weight, self.bias, self.eps)[0]


class Normed(Function):
    """x [B, C, H, W], gain and offset [C] → y = gain · x̂ + offset, x̂ = (x − mean) · s and s = 1 / √(variance + ε) [B, C, 1, 1].

    Mean and variance are those of each image and channel. One function holds all of it, so that y's gradient is read as seldom as can be.
    """

    @staticmethod
    def forward(ctx, values: torch.Tensor, gain: torch.Tensor, offset: torch.Tensor, epsilon: float):
        centred = values - _mean(values)
        scale = torch.rsqrt(_mean(centred * centred) + epsilon)
        whitened = centred.mul_(scale)
        ctx.save_for_backward(whitened, scale, gain)
        ctx.set_materialize_grads(False)
        return torch.addcmul(by_channel(offset), whitened, by_channel(gain)), whitened, scale

    @staticmethod
    def backward(ctx, by_normed: torch.Tensor | None, by_whitened: torch.Tensor | None, by_scale: torch.Tensor | None):
        whitened, scale, gain = ctx.saved_tensors
        by_gain = by_offset = None
        mean = along = torch.zeros_like(scale)      # of the gradient at x̂: its mean, and that of its product with x̂
        reached = []                                # what comes down to x̂, and by which factor
        if by_normed is not None:
            mean_y, along_y, wide = _mean(by_normed), _mean(by_normed * whitened), by_channel(gain)
            by_gain, by_offset = (_pixels(whitened) * part.sum(dim=(0, 2, 3)) for part in (along_y, mean_y))
            mean, along = wide * mean_y, wide * along_y
            reached.append((by_normed, scale * wide))
        if by_whitened is not None:
            mean, along = mean + _mean(by_whitened), along + _mean(by_whitened * whitened)
            reached.append((by_whitened, scale))
        if by_scale is not None:
            along = along + by_scale * scale / _pixels(whitened)        # ds/dx = −s² x̂ / n
        by_values = torch.addcmul(-scale * mean, whitened, -scale * along)
        for gradient, factor in reached:
            by_values = by_values.addcmul_(gradient, factor)
        return by_values, by_gain, by_offset, None


class WhitenTransposed(Function):
    """y = s · (q − mean(q) − x̂ · mean(q x̂)): what reaches x of a gradient q at x̂. Linear in q, and its own transpose.

    With s times the gain in place of s it is what reaches x of a gradient at the norm's output.
    """

    @staticmethod
    def forward(ctx, values: torch.Tensor, whitened: torch.Tensor, scale: torch.Tensor):
        mean, along = _mean(values), _mean(values * whitened)
        ctx.save_for_backward(values, whitened, scale, mean, along)
        return torch.addcmul(values, whitened, -along).sub_(mean).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor):
        values, whitened, scale, mean, along = ctx.saved_tensors
        g_mean, g_along = _mean(gradient), _mean(gradient * whitened)
        by_values = torch.addcmul(gradient, whitened, -g_along).sub_(g_mean).mul_(scale)
        by_whitened = torch.addcmul(gradient * (-scale * along), values, -scale * g_along)
        by_scale = _pixels(values) * (_mean(gradient * values) - mean * g_mean - along * g_along)
        return by_values, by_whitened, by_scale


def by_channel(values: torch.Tensor) -> torch.Tensor:
    """[C] as it meets [B, C, H, W]."""
    return values.view(1, -1, 1, 1)


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.mean(dim=(2, 3), keepdim=True)


def _pixels(values: torch.Tensor) -> int:
    return values.shape[2] * values.shape[3]
