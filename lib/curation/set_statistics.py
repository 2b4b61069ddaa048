"""The statistics of two sets that set scores are made of, each a function of the rows of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from lib.curation.image_set import ImageSet, strata
from lib.data.skin import lab_from_srgb
from lib.gan.sharpness import sharpness
from lib.metrics.coverage import compare_manifolds
from lib.metrics.frechet_distance import frechet_distance
from lib.metrics.gaussian_discrepancy import gaussian_discrepancy
from lib.metrics.inception_score import inception_score
from lib.metrics.kernel_distance import squared_discrepancy
from lib.metrics.perceptual_distance import perceptual_distances
from lib.metrics.structural_similarity import similarities
from lib.training.seeds import numpy_generator

PIXELS  = "pixels"                  # "encoder" of what is measured on the pictures themselves
CHECKS  = "checks"                  # "encoder" of what the checks' scores say together
_PAIRS  = 100                       # images per class of each kind whose pairs are measured with an encoder
_LOOKED = 16                        # and pixel by pixel
_GRID   = 16                        # pixels of a picture's side are thinned to so many for its mean colour


@dataclass(frozen=True)
class Family:
    """Statistics that are computed together; `call` takes rows of the first real half and of the set beside it."""

    encoder: str
    names:   tuple[str, ...]
    least:   int                                                            # images of the smaller side
    call:    Callable[[np.ndarray, np.ndarray], dict[str, float]]
    broken:  np.ndarray                                                     # [N + M] rows without a usable number
    wanted:  int  = 0                                                       # images of the smaller side under which a figure is flagged
    costly:  bool = False                                                   # few draws, of all images


def families(real: ImageSet, generated: ImageSet, neighbours: int, seed: int) -> list[Family]:
    """What both sets have the material for."""
    found, both = [], (real, generated)
    usable = np.zeros(len(real) + len(generated), dtype=bool)
    labels = np.array([*real.labels, *generated.labels], dtype=object)
    for encoder in (name for name in real.features if name in generated.features):
        found += _of_features(encoder, *(np.asarray(images.features[encoder]) for images in both), labels, neighbours)
    if real.logits is not None and generated.logits is not None:
        logits = np.concatenate([real.logits, generated.logits])
        found.append(Family("inception", ("inception_score",), 2,
                            lambda _, b: {"inception_score": inception_score(logits[b], resamples=1).value},
                            ~np.isfinite(logits).all(axis=1)))
    if real.maps and generated.maps:
        distances = _pairs(both, lambda images, rows: perceptual_distances(*[images.maps(rows)] * 2, unit=not images.weighted), seed)
        found.append(Family(real.maps_of, ("perceptual_diversity",), 2,
                            lambda _, b: {"perceptual_diversity": _mean_pair(distances, b)}, usable))
    if real.pixels is not None and generated.pixels is not None:
        found += _of_pixels(both, seed)
    if real.scores is not None and generated.scores is not None:
        found += _of_checks(pd.concat([real.scores, generated.scores], ignore_index=True), usable)
    return found


def _of_features(encoder: str, real: np.ndarray, generated: np.ndarray, labels: np.ndarray, neighbours: int) -> list[Family]:
    features = np.concatenate([real, generated]).astype(np.float64)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    broken, size = ~np.isfinite(features).all(axis=1), features.shape[1]

    def diversity(_: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """Mean cosine distance of two different images of one label, from the length of the sum of unit vectors."""
        parts = [unit[rows[labels[rows] == label]] for label in set(labels[rows])]
        pairs = [len(part) * (len(part) - 1) for part in parts]
        apart = sum(n - ((part.sum(axis=0) ** 2).sum() - len(part)) for n, part in zip(pairs, parts, strict=True))
        return {"diversity": apart / sum(pairs) if sum(pairs) else np.nan}

    return [
        Family(encoder, ("kernel_distance",), 2,
                lambda a, b: {"kernel_distance": squared_discrepancy(features[a], features[b])}, broken),
        Family(encoder, ("gaussian_discrepancy",), 2,
                lambda a, b: {"gaussian_discrepancy": gaussian_discrepancy(features[a], features[b])}, broken),
        Family(encoder, ("precision", "recall", "density", "coverage"), neighbours + 1,
                lambda a, b: asdict(compare_manifolds(features[a], features[b], neighbours=neighbours)), broken),
        Family(encoder, ("frechet_distance",), 2,
                lambda a, b: {"frechet_distance": frechet_distance(features[a], features[b]).value}, broken, size + 1, costly=True),
        Family(encoder, ("diversity",), 2, diversity, broken),
    ]


def _of_pixels(both: tuple[ImageSet, ImageSet], seed: int) -> list[Family]:
    pixels = [images.pixels for images in both]
    similar = _pairs(both, lambda images, rows: _similarity_matrix(np.asarray(images.pixels[rows])), seed, _LOOKED)
    step = max(1, pixels[0].shape[1] // _GRID)
    colour = np.concatenate([lab_from_srgb(part[:, ::step, ::step]).mean(axis=(1, 2)) for part in pixels])
    sharp = np.log(np.maximum(np.concatenate([sharpness(part) for part in pixels]), 1e-3))      # of several cameras, far apart
    usable = np.zeros(len(sharp), dtype=bool)

    def look(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        shift = colour[b].mean(axis=0) - colour[a].mean(axis=0)
        return {"hue_shift": float(np.hypot(*shift[1:])), "lightness_shift": float(shift[0])}

    return [
        Family(PIXELS, ("hue_shift", "lightness_shift"), 2, look, usable),
        Family(PIXELS, ("sharpness",), 2, lambda a, b: {"sharpness": float(np.exp(sharp[b].mean() - sharp[a].mean()))}, usable),
        Family(PIXELS, ("structural_similarity",), 2, lambda _, b: {"structural_similarity": _mean_pair(similar, b)}, usable),
    ]


def _of_checks(scores: pd.DataFrame, usable: np.ndarray) -> list[Family]:
    """Shares and medians of the checks' scores; of those that the study has."""
    def column(name: str, of: Callable[[pd.Series], object]) -> np.ndarray:
        return of(scores[name]).astype(float).to_numpy(dtype=float, na_value=np.nan)

    known = {
        "recognised":    ("score_agreement", lambda values: values.ge(1 - 1e-6).where(values.notna()), np.nanmean),
        "tone_error":    ("score_tone", lambda values: values, np.nanmedian),
        "similarity":    ("score_ssim", lambda values: values, np.nanmedian),
        "copies":        ("pass_memorisation", lambda values: ~values.astype("boolean"), np.nanmean),
        "rejected":      ("verdict", lambda values: values.ne("passed").where(values.notna()), np.nanmean),
    }
    found = []
    for name, (source, of, mean) in known.items():
        if source in scores:
            values = column(source, of)
            found.append(Family(CHECKS, (name,), 2, _mean_of(name, values, mean), usable))
    return found


def _mean_of(name: str, values: np.ndarray, mean: Callable[[np.ndarray], float]) -> Callable[..., dict[str, float]]:
    return lambda _, b: {name: float(mean(values[b])) if np.isfinite(values[b]).any() else np.nan}


def _similarity_matrix(pixels: np.ndarray) -> np.ndarray:
    matrix = np.eye(len(pixels))
    for row in range(len(pixels) - 1):
        others = pixels[row + 1:]
        matrix[row, row + 1:] = matrix[row + 1:, row] = similarities(np.broadcast_to(pixels[row], others.shape), others)
    return matrix


def _pairs(both: tuple[ImageSet, ImageSet], measure: Callable[[ImageSet, np.ndarray], np.ndarray], seed: int, most: int = _PAIRS) -> list:
    """Per label of each set: rows and what `measure` gives for their pairs, or why it gives nothing.

    At most `most` rows, of the groups that were generated in turn, so that each of these has some.
    """
    places, tables = [strata(images) for images in both], []
    for images, known, offset in zip(both, places, (0, len(both[0])), strict=True):
        for label in sorted({label for label, _ in known}):
            groups = [numpy_generator(seed, "pairs", *key).permutation(rows) for key, rows in known.items()
                      if key[0] == label and key in places[1]]
            turns = np.concatenate([np.arange(len(rows)) for rows in groups] or [np.empty(0, dtype=int)])
            rows = np.concatenate(groups or [turns])
            rows = np.sort(rows[np.argsort(turns, kind="stable")[:most]])
            if len(rows) < 2:
                continue
            try:
                tables.append((rows + offset, measure(images, rows)))
            except ValueError as error:                                     # a NaN, or no feature maps; the others go on
                tables.append((rows + offset, error))
    return tables


def _mean_pair(tables: list, rows: np.ndarray) -> float:
    """Mean over pairs of different images of one label among `rows`; NaN where there is none."""
    total = pairs = 0
    asked = np.zeros(1 + max([rows.max(), *(known[-1] for known, _ in tables)]), dtype=bool)
    asked[rows] = True
    for known, matrix in tables:
        inside = np.flatnonzero(asked[known])
        if len(inside) and isinstance(matrix, ValueError):
            raise matrix
        if len(inside) < 2:
            continue
        part = matrix[np.ix_(inside, inside)]
        total += part.sum() - np.trace(part)
        pairs += len(inside) * (len(inside) - 1)
    return total / pairs if pairs else np.nan
