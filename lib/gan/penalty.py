"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3): λ · mean (‖∇ critic(x̂)‖ − 1)²."""

from __future__ import annotations

from collections.abc import Callable

import torch

Critic = Callable[..., torch.Tensor]        # (points [B, …], labels [B] if there are classes) → [B]


def gradient_penalty(
    critic: Critic,
    real:   torch.Tensor,                   # [B, …]
    fake:   torch.Tensor,                   # [B, …]
    *,
    alpha:  torch.Tensor | torch.Generator, # share of the real point in x̂, [B, 1, …] in 0–1; or what draws it
    labels: torch.Tensor | None = None,     # [B], where the critic has classes
    weight: float               = 10.0,     # λ
) -> torch.Tensor:
    """The penalty as a scalar that can be differentiated by the critic's weights; fp32 whatever autocast is around."""
    if isinstance(alpha, torch.Generator):
        alpha = torch.rand(len(real), *[1] * (real.dim() - 1), generator=alpha).to(real.device)
    return penalty_of(gradient_norms(critic, between(real, fake, alpha), labels), weight)


def between(real: torch.Tensor, fake: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """x̂ = α·real + (1 − α)·fake, fp32, cut off from what made the two."""
    return torch.lerp(fake.detach().float(), real.detach().float(), alpha)


def gradient_norms(critic: Critic, points: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
    """Euclidean norm of the critic's gradient at each of `points` [B, …] → [B], fp32, with a graph to the critic's weights."""
    with torch.autocast(points.device.type, enabled=False):
        points = points.detach().float()
        if hasattr(critic, "input_gradient"):              # written out where the critic knows how: faster than a second derivative
            gradient = critic.input_gradient(points, labels)
        else:
            points.requires_grad_()
            scores = critic(points) if labels is None else critic(points, labels)
            gradient, = torch.autograd.grad(scores.sum(), points, create_graph=True)
        return torch.linalg.vector_norm(gradient.flatten(1), dim=1)


def penalty_of(norms: torch.Tensor, weight: float) -> torch.Tensor:
    """λ · mean (norm − 1)²."""
    return weight * (norms - 1).square().mean()
