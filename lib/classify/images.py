"""From pixels on disk to batches, and from batches to logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

Pixels = np.ndarray      # uint8 [N, S, S, 3], usually a memory map; only the rows that are asked for are read. Or `Stacked`


class Stacked:
    """Arrays of pixels laid end to end without copying them; read by positions, as an array is."""

    dtype, ndim = np.dtype(np.uint8), 4

    def __init__(self, parts: Sequence[Pixels]):
        """ValueError where the parts are not pictures of one size."""
        sizes = {tuple(part.shape[1:]) for part in parts}
        if len(sizes) > 1 or any(part.dtype != np.uint8 for part in parts):
            raise ValueError(f"pictures laid together must be uint8 of one size, got {' and '.join(map(str, sorted(sizes)))}")
        self._parts = tuple(one for part in parts for one in (part._parts if isinstance(part, Stacked) else (part,)))
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.shape = (int(self._ends[-1]), *self._parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [n, S, S, 3] of positions [n]."""
        rows = np.asarray(rows, dtype=np.int64)
        which = np.searchsorted(self._ends, rows, side="right")
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for number, part in enumerate(self._parts):
            mine = which == number
            if mine.any():
                out[mine] = part[rows[mine] - (self._ends[number] - len(part))]
        return out


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
