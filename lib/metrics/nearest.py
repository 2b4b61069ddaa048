"""Exact nearest neighbours among many feature vectors, at the speed of a matrix product."""

from __future__ import annotations

import numpy as np

from lib.metrics.features import check_features

BLOCK = 1_024           # queries at once
_LANES = 32             # columns of which one maximum is kept while candidates are found
_EPSILON = float(np.finfo(np.float32).eps)


def nearest(
    queries:      np.ndarray,           # [N, D]
    base:         np.ndarray,           # [M, D], same encoder
    k:            int  = 1,             # neighbours, up to M
    *,
    block:        int  = BLOCK,         # queries at once: memory is block · M numbers; changes nothing
    exclude_self: bool = False,         # the base is the queries themselves: none is its own neighbour
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances [N, k], ascending, and places in the base [N, k]; of equal distances the first place counts.

    A product in float32 finds the candidates; where its rounding could hide a nearer one, the row is computed in full. What is returned
    was computed in float64 from differences, so a copy is at distance 0. Raises ValueError when the base is smaller than k.
    """
    base, queries = check_features(base, queries)
    if exclude_self and len(queries) != len(base):
        raise ValueError(f"exclude_self needs the queries as base, got {len(queries)} and {len(base)} rows")
    fits = len(base) - exclude_self
    if not 1 <= k <= fits:
        raise ValueError(f"k={k} does not fit {len(base)} vectors; " + (f"it may be 1 to {fits}" if fits >= 1 else "there are too few"))
    middle = base.mean(axis=0)                              # distances are the same, and smaller numbers lose fewer digits
    centred = base - middle
    squares = (centred ** 2).sum(axis=1)
    columns = np.concatenate([centred, -squares[:, None] / 2], axis=1).astype(np.float32).T
    furthest = float(np.sqrt(squares.max()))
    distances, places = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    scores = np.empty((min(block, len(queries)), len(base)), dtype=np.float32)
    for start in range(0, len(queries), block):
        exact = queries[start:start + block]
        rows = np.concatenate([exact - middle, np.ones((len(exact), 1))], axis=1)
        found = np.matmul(rows.astype(np.float32), columns, out=scores[:len(exact)])
        if exclude_self:
            found[np.arange(len(exact)), np.arange(start, start + len(exact))] = -np.inf
        # rounding of a dot product of n terms: at most n·ε times the product of lengths, and each score has its own
        length = np.linalg.norm(rows[:, :-1], axis=1)
        slack = 2 * len(columns) * _EPSILON * furthest * (length + furthest)
        chosen, unsure = _candidates(found, k, slack)
        distances[start:start + block], places[start:start + block] = _ordered(exact, base, chosen)
        for row in np.flatnonzero(unsure):
            close = np.flatnonzero(found[row] >= found[row, chosen[row]].min() - slack[row])
            apart = _apart(exact[row], base[close])
            order = apart.argsort(kind="stable")[:k]
            distances[start + row], places[start + row] = apart[order], close[order]
    return distances, places


def _candidates(scores: np.ndarray, k: int, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the k highest scores of each row [R, k], and in which rows another one comes so close that rounding may hide it [R]."""
    count = scores.shape[1]
    if k == 1:
        chosen = scores.argmax(axis=1)[:, None]
        best = np.take_along_axis(scores, chosen, axis=1)[:, 0]
        np.put_along_axis(scores, chosen, -np.inf, axis=1)
        second = scores.max(axis=1)
        np.put_along_axis(scores, chosen, best[:, None], axis=1)
        return chosen, second >= best - slack
    wanted = min(k + 1, count)
    # the highest k + 1 scores lie in the k + 1 lanes with the highest maxima, so only those are sorted out
    lanes = count // _LANES
    if lanes > 4 * wanted:
        peaks = scores[:, :lanes * _LANES].reshape(len(scores), _LANES, lanes).max(axis=1)
        lane = np.argpartition(peaks, lanes - wanted, axis=1)[:, lanes - wanted:]
        rest = np.broadcast_to(np.arange(lanes * _LANES, count), (len(scores), count - lanes * _LANES))
        places = np.concatenate([(lane[:, None, :] + lanes * np.arange(_LANES)[:, None]).reshape(len(scores), -1), rest], axis=1)
        scores = np.take_along_axis(scores, places, axis=1)
    else:
        places = np.broadcast_to(np.arange(count), scores.shape)
    order = np.argpartition(scores, scores.shape[1] - wanted, axis=1)[:, scores.shape[1] - wanted:]
    order = np.take_along_axis(order, np.take_along_axis(-scores, order, axis=1).argsort(axis=1), axis=1)
    best = np.take_along_axis(scores, order, axis=1)
    return np.take_along_axis(places, order[:, :k], axis=1), best[:, -1] >= np.where(wanted > k, best[:, k - 1] - slack, np.inf)


def _ordered(queries: np.ndarray, base: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the chosen columns [R, k] and these, ordered by distance, then place."""
    chosen = np.sort(chosen, axis=1)
    apart = np.stack([_apart(queries, base[column]) for column in chosen.T], axis=1)
    order = apart.argsort(axis=1, kind="stable")
    return np.take_along_axis(apart, order, axis=1), np.take_along_axis(chosen, order, axis=1)


def _apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.sqrt(((first - second) ** 2).sum(axis=-1))
