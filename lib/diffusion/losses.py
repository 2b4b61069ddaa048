"""The loss of a denoising step: noise schedule, what the network predicts, and weights by signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

_PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class NoiseSchedule:
    """x_t = √ā_t · x_0 + √(1 − ā_t) · ε (Ho et al. 2020, eq. 4), and whether the network predicts ε or v."""

    alphas_cumprod: torch.Tensor        # ā [T], float32, on the device that trains
    prediction:     str                 # "epsilon", or "v_prediction": v = √ā ε − √(1 − ā) x_0 (Salimans & Ho 2022, app. D)

    @classmethod
    def of(cls, scheduler, device: torch.device | str = "cpu") -> NoiseSchedule:
        """The schedule that a diffusers scheduler was configured with. ValueError for a network that predicts neither ε nor v."""
        prediction = scheduler.config.prediction_type
        if prediction not in _PREDICTIONS:
            raise ValueError(f"the base's scheduler has prediction_type {prediction!r}; training knows {' and '.join(_PREDICTIONS)}")
        return cls(scheduler.alphas_cumprod.to(device, torch.float32), prediction)

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def snr(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Signal-to-noise ratio ā/(1 − ā) at each timestep."""
        kept = self.alphas_cumprod[timesteps]
        return kept / (1 - kept)

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """x_t."""
        signal, spread = self._scales(timesteps)
        return signal * clean + spread * noise

    def target(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What the network should predict: ε or v."""
        if self.prediction == "epsilon":
            return noise
        signal, spread = self._scales(timesteps)
        return signal * noise - spread * clean

    def clean(self, noisy: torch.Tensor, prediction: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The x_0 that a prediction at x_t implies; undefined for ε where no signal is left (ā = 0)."""
        signal, spread = self._scales(timesteps)
        if self.prediction == "epsilon":
            return (noisy - spread * prediction) / signal
        return signal * noisy - spread * prediction

    def min_snr_weights(self, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
        """min(SNR, γ) over SNR for ε, over SNR + 1 for v (Hang et al. 2023, arXiv 2303.09556, §3.4); 1 at most."""
        snr = self.snr(timesteps)
        if self.prediction == "epsilon":
            return (gamma / snr).clamp(max=1)       # this form also holds where SNR is 0
        return snr.clamp(max=gamma) / (snr + 1)

    def noisy_end_weights(self, timesteps: torch.Tensor, most: float) -> torch.Tensor:
        """1/ᾱ, at most `most`: it turns the error of ε into that of v (Salimans & Ho 2022, app. D) where the cap does not bind.

        At the noisy end, where layout and class are decided, a wrong picture changes ε little, so they are learnt last without it.
        1 for a network that predicts v.
        """
        return (1 / self.alphas_cumprod[timesteps]).clamp(max=most if self.prediction == "epsilon" else 1)

    def _scales(self, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        kept = self.alphas_cumprod[timesteps][:, None, None, None]
        return kept.sqrt(), (1 - kept).sqrt()


@dataclass(frozen=True)
class Denoised:
    """One noised batch, what the network made of it, and the loss."""

    loss:       torch.Tensor        # scalar: mean over the batch of the weighted mean squared errors
    noisy:      torch.Tensor        # [B, C, h, w]
    prediction: torch.Tensor        # [B, C, h, w], float32
    timesteps:  torch.Tensor        # [B], 0 … T − 1
    schedule:   NoiseSchedule

    @cached_property
    def clean(self) -> torch.Tensor:
        """Predicted clean latents [B, C, h, w], with gradient; worked out only when asked for."""
        return self.schedule.clean(self.noisy, self.prediction, self.timesteps)


def denoising_loss(
    unet:          Callable,                    # UNet2DConditionModel, or a wrapper with the same call
    schedule:      NoiseSchedule,
    latents:       torch.Tensor,                # [B, C, h, w] clean, scaled; on the device that trains
    embeddings:    torch.Tensor,                # [B, L, D] text embeddings
    *,
    generator:     torch.Generator,             # CPU; timesteps, then noise, then offset are drawn from it
    min_snr_gamma: float | None        = None,  # γ; none: every timestep weighs the same
    noisy_end:     float               = 1.0,   # a timestep weighs by 1/ᾱ as well, at most so much
    offset_noise:  float               = 0.0,   # standard deviation of noise that is constant over each channel (Guttenberg 2023)
    class_labels:  torch.Tensor | None = None,  # [B], for a UNet with class_embedding
) -> Denoised:
    """Mean squared error of the prediction at timesteps drawn evenly from 0 … T − 1; float32 whatever the network computes in."""
    timesteps = torch.randint(len(schedule), (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    if offset_noise:
        noise += offset_noise * torch.randn((*latents.shape[:2], 1, 1), generator=generator)
    timesteps, noise = to_device(timesteps, latents.device), to_device(noise, latents.device)

    noisy = schedule.add_noise(latents, noise, timesteps)
    prediction = unet(noisy, timesteps, encoder_hidden_states=embeddings, class_labels=class_labels, return_dict=False)[0].float()
    errors = (prediction - schedule.target(latents, noise, timesteps)).square().mean(dim=(1, 2, 3))
    if min_snr_gamma is not None:
        errors = errors * schedule.min_snr_weights(timesteps, min_snr_gamma)
    if noisy_end > 1:
        errors = errors * schedule.noisy_end_weights(timesteps, noisy_end)
    return Denoised(errors.mean(), noisy, prediction, timesteps, schedule)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on the device; through pinned memory on a GPU, so the copy does not wait for the work queued there."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
