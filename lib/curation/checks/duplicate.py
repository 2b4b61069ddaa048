"""Is there an accepted picture of the same label and tone that looks nearly the same?"""

from __future__ import annotations

import numpy as np

from lib.curation.candidates import Candidates
from lib.curation.checks.reference import Meta, Reference, finite
from lib.study import Check
from lib.training.seeds import numpy_generator

META = Meta("cosine to the most similar accepted image, −1 to 1", (-1, 1), "high", "one picture drawn again and again", own_units=True)
NONE = -1.0             # of an image before which none was accepted
_DRAWS = 20             # sets of real images that are scored as if they had been generated


def score(candidates: Candidates, reference: Reference, check: Check) -> np.ndarray:
    """[N] highest cosine to any other image of its cell with a smaller image_id; NaN where the vector holds NaN.

    Images of one cluster are not compared: a patient may have two pictures. `walk` takes only accepted ones into account.
    """
    return walk(candidates, reference, check, np.ones(len(candidates), dtype=bool), np.inf)


def walk(
    candidates: Candidates,
    reference:  Reference,
    check:      Check,
    eligible:   np.ndarray,             # [N] bool, what passed the checks before
    most:       float,                  # a score over this is a duplicate and not accepted
) -> np.ndarray:
    """[N] highest cosine to an accepted image of the cell, in the order of image_id: of several alike the first is kept."""
    vectors, clusters = _unit(candidates.vectors(reference.encoder_of(check))), candidates.clusters
    sound, scores, cells = finite(vectors), np.full(len(candidates), np.nan), candidates.cells
    order = np.argsort(candidates.table["image_id"].to_numpy(dtype=str), kind="stable")
    accepted: dict[tuple, list[int]] = {}
    for place in order[sound[order]]:
        before = accepted.setdefault(cells[place], [])
        others = [other for other in before if clusters[other] != clusters[place]]
        scores[place] = float((vectors[others] @ vectors[place]).max()) if others else NONE
        if eligible[place] and scores[place] <= most:
            before.append(place)
    return scores


def usual(
    reference:  Reference,
    check:      Check,
    generated:  Candidates,
) -> np.ndarray:
    """Scores of real images, train and held-out, drawn in sets as large as each cell of the generated ones, one image of a cluster.

    The more images there are, the nearer is the nearest, so limits must come from sets of the same size. A cell without enough real
    images takes those of its label; where these are too few as well, duplicates are found a little too often.
    """
    sides, encoder = (reference.train, reference.held_out), reference.encoder_of(check)
    vectors = _unit(np.concatenate([side.vectors(encoder) for side in sides]))
    cells, clusters = (np.concatenate([getattr(side, name) for side in sides]) for name in ("cells", "clusters"))
    sound, scores = finite(vectors), [np.empty(0)]
    for cell, count in zip(*_counted(generated.cells), strict=True):
        same = np.array([other == cell for other in cells], dtype=bool) & sound
        if len(set(clusters[same])) < count:
            same = np.array([other[0] == cell[0] for other in cells], dtype=bool) & sound
        places = np.flatnonzero(same)
        for draw in range(_DRAWS):
            order = numpy_generator(reference.options.seed, "duplicates", str(cell), draw).permutation(places)
            taken = order[np.sort(np.unique(clusters[order], return_index=True)[1])][:count]
            cosine = np.tril(vectors[taken] @ vectors[taken].T, -1)
            cosine[np.triu_indices(len(taken))] = NONE
            scores.append(cosine.max(axis=1) if len(taken) else np.empty(0))
    return np.concatenate(scores)


def _counted(cells: np.ndarray) -> tuple[list[tuple], list[int]]:
    counts: dict[tuple, int] = {}
    for cell in cells:
        counts[cell] = counts.get(cell, 0) + 1
    return list(counts), list(counts.values())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
