"""From pixels on disk to batches, and from batches to logits."""

from __future__ import annotations

import numpy as np
import torch

Pixels = np.ndarray      # uint8 [N, S, S, 3], usually a memory map; only the rows that are asked for are read


def read_batch(pixels: Pixels, rows: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """The images at `rows` as [B, 3, S, S] float in 0–1, channels-last."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels[rows])).to(device)
    return batch.permute(0, 3, 1, 2).float().div_(255)


def predict_logits(
    model:      torch.nn.Module,
    pixels:     Pixels,
    rows:       np.ndarray,      # [N] positions in `pixels`
    *,
    batch_size: int = 256,       # speed and memory only; the result does not depend on it
) -> np.ndarray:
    """[N, K] float64 logits in evaluation mode and full precision, in the order of `rows`."""
    device = next(model.parameters()).device
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            parts.append(model(read_batch(pixels, rows[start:start + batch_size], device)).double().cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """[N, K] logits → [N, K] probabilities of logits / temperature."""
    scaled = logits / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def check_pixels(pixels: Pixels, count: int) -> None:
    """ValueError unless `pixels` has one uint8 colour image per row of the samples table."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise ValueError(f"pixels: expected uint8 [N, S, S, 3], got {pixels.dtype} {tuple(pixels.shape)}")
    if pixels.shape[0] != count:
        raise ValueError(f"pixels hold {pixels.shape[0]} images and samples {count} rows; load them for the same table, in its order")
