"""Class-diversity loss (resampling, level 2): predictions of one class shall not all look alike to an image encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from lib.diffusion.losses import Denoised, to_device


class ClassDiversity:
    """Remembers the embeddings of each class's latest predictions and asks new ones to differ from them.

    With e_i the unit embedding of the decoded prediction x̂_0 of image i, ā_i the share of signal at its timestep and P_i the
    predictions of the same class that are remembered, the batch itself included:

        loss = 1/B · Σ_i ā_i · Σ_{j∈P_i} ā_j ⟨e_i, e_j⟩ / Σ_{j∈P_i} ā_j

    The weight ā leaves out predictions from nearly pure noise, which are blurs of the class's mean and alike whatever the network
    does; gradients flow through e_i alone. The formula is this project's own; its term is the pairwise cosine similarity by which
    diversity within a class is also reported.
    """

    def __init__(
        self,
        vae:     nn.Module,                                     # AutoencoderKL, frozen
        embed:   Callable[[torch.Tensor], torch.Tensor],        # images [B, 3, S, S] in −1 … 1 → unit vectors [B, D], differentiable
        classes: Sequence[str],
        *,
        pool:    int,                                           # predictions of a class that are remembered
        device:  torch.device,
    ):
        self.vae, self.embed, self.classes, self.device = vae, embed, list(classes), device
        with torch.no_grad():
            width = embed(torch.zeros(1, 3, 64, 64, device=device)).shape[1]
        # parameters without gradient, so that the training loop saves them with its checkpoints
        self.embeddings = _kept(torch.zeros(len(classes), pool, width, device=device))
        self.weights = _kept(torch.zeros(len(classes), pool, device=device))        # ā; 0: no prediction yet
        self.counts = _kept(torch.zeros(len(classes), dtype=torch.long))            # predictions seen, per class

    @property
    def state(self) -> dict[str, nn.Parameter]:
        """What the memory holds, for checkpoints."""
        return {"diversity.embeddings": self.embeddings, "diversity.weights": self.weights, "diversity.counts": self.counts}

    def loss(
        self,
        denoised: Denoised,
        labels:   Sequence[str],        # [B]
    ) -> torch.Tensor:
        """The term above, unweighted by λ, −1 … 1; remembers the predictions of the batch."""
        scale, shift = self.vae.config.scaling_factor, self.vae.config.shift_factor or 0.0
        images = self.vae.decode(denoised.clean / scale + shift, return_dict=False)[0].clamp(-1, 1)
        embeddings = self.embed(images).float()
        weights = denoised.schedule.alphas_cumprod[denoised.timesteps]
        kinds, slots, last = self._places(labels)
        kind, slot, keep = (to_device(torch.from_numpy(array), self.device) for array in (kinds, slots, last))
        with torch.no_grad():
            self.embeddings[kind[keep], slot[keep]] = embeddings.detach()[keep]
            self.weights[kind[keep], slot[keep]] = weights[keep]

        similarity = torch.einsum("bd,bpd->bp", embeddings, self.embeddings[kind])
        others = self.weights[kind].scatter(1, slot[:, None], 0.0)                  # all of the class but the prediction itself
        mean = (similarity * others).sum(1) / others.sum(1).clamp(min=torch.finfo(torch.float32).tiny)
        return (weights * mean).mean()

    def _places(self, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Class number and slot of each image, and which images are the last in their slot (all, unless a class outnumbers its memory)."""
        kinds, slots, latest = [], [], {}
        for place, label in enumerate(labels):
            kind = self.classes.index(label)
            slot = int(self.counts[kind]) % self.weights.shape[1]
            self.counts[kind] += 1
            kinds.append(kind)
            slots.append(slot)
            latest[kind, slot] = place
        return np.array(kinds), np.array(slots), np.array(sorted(latest.values()))


def _kept(tensor: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
