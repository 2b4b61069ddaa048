"""How sharp pictures are, and real ones blurred until they are as sharp as drawn ones: the reference that a generator must beat."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, laplace

_LUMA = np.array([0.299, 0.587, 0.114])             # ITU-R BT.601, as for a grey PIL image
_STEPS = 20                                         # halvings of the range of sigma


def sharpness(
    pixels: np.ndarray,                             # uint8 [N, H, W, 3]
) -> np.ndarray:
    """[N] variance of the Laplacian of the grey image, 0–255 (Pech-Pacheco et al. 2000); it grows with noise as with detail."""
    grey = np.asarray(pixels, dtype=np.float64) @ _LUMA
    return np.array([laplace(image, mode="nearest").var() for image in grey])


def blur(
    pixels: np.ndarray,                             # uint8 [N, H, W, 3]
    sigma:  float,                                  # of the Gaussian, pixels
) -> np.ndarray:
    """uint8 [N, H, W, 3]."""
    soft = gaussian_filter(np.asarray(pixels, dtype=np.float32), sigma=(0, sigma, sigma, 0), mode="nearest")
    return soft.round().clip(0, 255).astype(np.uint8)


def blur_to(
    pixels: np.ndarray,                             # uint8 [N, H, W, 3]
    target: float,                                  # mean sharpness wanted, ≥ 0
) -> tuple[np.ndarray, float]:
    """The pictures under the Gaussian that brings their mean sharpness to `target`, and its sigma; 0 where they are no sharper."""
    if sharpness(pixels).mean() <= target:
        return np.asarray(pixels), 0.0
    low, high = 0.0, float(pixels.shape[1])
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if sharpness(blur(pixels, middle)).mean() > target:
            low = middle
        else:
            high = middle
    return blur(pixels, high), high
