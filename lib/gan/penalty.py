"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3): λ · mean (‖∇ critic(x̂)‖ − 1)²."""

from __future__ import annotations

from collections.abc import Callable

import torch

Critic = Callable[..., torch.Tensor]        # (points [B, …], labels [B] if there are classes) → [B]


def between(real: torch.Tensor, fake: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """x̂ = α·real + (1 − α)·fake of points [B, …] and shares [B, 1, …] in 0–1, fp32, cut off from what made the two."""
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
