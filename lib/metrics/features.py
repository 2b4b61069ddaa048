"""What every measure of two sets of features checks before it computes."""

from __future__ import annotations

import numpy as np


def check_features(
    real:      np.ndarray,          # [N, D]
    generated: np.ndarray,          # [M, D]
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises ValueError where a shape is wrong, the encoders differ in D, or a feature is NaN or infinite."""
    real, generated = np.asarray(real, dtype=np.float64), np.asarray(generated, dtype=np.float64)
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"expected features [N, D] and [M, D] of one encoder, got shapes {real.shape} and {generated.shape}")
    for name, features in (("real", real), ("generated", generated)):
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(rows):
            raise ValueError(f"features of {name} images hold NaN or infinity in {len(rows)} rows (first: {rows[0]}); look at these images")
    return real, generated
