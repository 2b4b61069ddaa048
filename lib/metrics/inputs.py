"""What every measure checks before it computes, and how it treats one set of weights or many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def check(
    y_true:        np.ndarray,                  # [N] int, index of the true class
    probabilities: np.ndarray,                  # [N, K] float
    weights:       np.ndarray | None = None,    # [N] or [B, N] ≥ 0, e.g. how often a resample drew each image
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Arrays of the right kind: y [N], p [N, K], weights [B, N], and whether one number (not B) is wanted.

    Raises ValueError when shapes disagree, a probability is NaN or infinite, a label is no class, or a weight is negative.
    """
    y, p = np.asarray(y_true), np.asarray(probabilities, dtype=float)
    if p.ndim != 2 or y.shape != p.shape[:1]:
        raise ValueError(f"expected y_true [N] and probabilities [N, K], got shapes {y.shape} and {p.shape}")
    if not np.isfinite(p).all():
        rows = np.flatnonzero(~np.isfinite(p).all(axis=1))
        raise ValueError(f"probabilities hold NaN or infinity in {len(rows)} rows (first: {rows[0]}); look at the model's loss")
    y = y.astype(np.int64, copy=False)
    if y.size and not (y.min() >= 0 and y.max() < p.shape[1]):
        raise ValueError(f"y_true holds {y.min()} to {y.max()}; {p.shape[1]} columns of probabilities mean classes 0 to {p.shape[1] - 1}")
    if weights is None:
        return y, p, np.ones((1, len(y))), True
    w = np.asarray(weights)
    if w.ndim not in (1, 2) or w.shape[-1] != len(y):
        raise ValueError(f"expected weights [{len(y)}] or [B, {len(y)}], got shape {w.shape}")
    if w.size and not w.min() >= 0:                                 # catches NaN too
        raise ValueError("weights must be ≥ 0 and not NaN")
    return y, p, np.atleast_2d(w.astype(float, copy=False)), w.ndim == 1


def check_classes(classes: Sequence[int] | None, count: int) -> list[int]:
    """The classes a macro average runs over: all `count`, or those named. Raises ValueError for none, or for a class that is none."""
    chosen = list(range(count)) if classes is None else [int(c) for c in classes]
    if not chosen:
        raise ValueError("no class is named to average over")
    wrong = [c for c in chosen if not 0 <= c < count]
    if wrong:
        raise ValueError(f"class {wrong[0]} is not among the {count} columns of probabilities (0 to {count - 1})")
    return chosen


def check_positive(positive: Sequence[int], count: int) -> list[int]:
    """Indices of the positive classes. Raises ValueError when there is none or when every class is positive."""
    chosen = check_classes(positive, count) if len(positive) else []
    if not chosen or len(set(chosen)) >= count:
        raise ValueError(f"name at least one positive class and leave one negative; got {len(set(chosen))} of {count} (labels.positive)")
    return chosen


def mean_over_classes(per_class: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """[C, B] → [B]: mean over the classes that are defined (not NaN); NaN where none is."""
    per_class = np.asarray(per_class)
    defined = ~np.isnan(per_class)
    total = np.where(defined, per_class, 0.0).sum(axis=0)
    return ratio(total, defined.sum(axis=0))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=float), np.asarray(whole, dtype=float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def one_or_many(values: np.ndarray, single: bool) -> float | np.ndarray:
    """A plain float for one set of weights, the array [B] for many."""
    return float(values[0]) if single else values
