"""A head that tells generated images from real ones, and a gradient that teaches the network to leave it nothing to tell them by.

Domain-adversarial training (Ganin et al. 2016, JMLR 17:59): the head learns as usual, the network below it learns the opposite.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from lib.classify.models import ImageClassifier

HIDDEN = 64      # units of the head


class _Reversed(torch.autograd.Function):
    """Identity forwards; backwards the gradient times −strength (there, eq. 16 and 17)."""

    @staticmethod
    def forward(context, features: torch.Tensor, strength: float) -> torch.Tensor:
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -context.strength * gradient, None


class DomainAdversarial(nn.Module):
    """A classifier with the head beside its last layer; only the classifier is kept."""

    def __init__(self, classifier: ImageClassifier):
        super().__init__()
        self.classifier = classifier
        last = [module for module in classifier.network.modules() if isinstance(module, nn.Linear)][-1]
        self.head = nn.Sequential(nn.Linear(last.in_features, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, 1))
        self._seen: list[torch.Tensor] = []
        last.register_forward_pre_hook(lambda _, inputs: self._seen.append(inputs[0]))

    def forward(self, images: torch.Tensor, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, 3, H, W] in 0–1 → [B, K] logits and [B] logits of "generated"."""
        self._seen.clear()
        logits = self.classifier(images)
        return logits, self.head(_Reversed.apply(self._seen.pop(), strength)).squeeze(1)


def reversal(step: int, *, steps: int, weight: float) -> float:
    """Strength of the reversed gradient: `weight` times a rise from 0 to 1, half of it after a tenth of the steps (there, §5.2.2)."""
    return weight * (2 / (1 + math.exp(-10 * step / steps)) - 1)


def domain_loss(
    logits:  torch.Tensor,     # [B] of "generated"
    targets: torch.Tensor,     # [B] share of the image that is generated: 1, 0, or between where two are blended
    weights: torch.Tensor,     # [B] see lib.classify.mixing.overlap_weights
) -> torch.Tensor:
    """Weighted mean of the binary cross-entropy; 0 where nothing weighs."""
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets, weight=weights, reduction="sum")
    return losses / weights.sum().clamp_min(1e-6)
