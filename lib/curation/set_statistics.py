"""The statistics of two sets that set scores are made of: functions of the rows of both sides, and figures of the checks' scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from scipy.stats import binomtest, quantile_test

from lib.curation.image_set import ImageSet, strata
from lib.data.skin import lab_from_srgb
from lib.gan.sharpness import sharpness
from lib.metrics.coverage import compare_manifolds
from lib.metrics.frechet_distance import frechet_distance
from lib.metrics.gaussian_discrepancy import gaussian_discrepancy
from lib.metrics.inception_score import inception_score
from lib.metrics.kernel_distance import squared_discrepancy
from lib.metrics.perceptual_distance import perceptual_distances
from lib.metrics.set_distance import SetDistance, set_distance_with_floor
from lib.metrics.structural_similarity import similarities
from lib.training.seeds import numpy_generator

PIXELS  = "pixels"                  # "encoder" of what is measured on the pictures themselves
CHECKS  = "checks"                  # "encoder" of what the checks' scores say together
_MIX    = 0.1                       # the share of a group among real and generated images may differ by so much
_DRAWS  = 400                       # of the test of the kernel distances: Holm's p of up to 20 classes can be under 0.05
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
    whole:   Callable[..., SetDistance] | None = None                       # real rows, generated rows, clusters, strata → of all images


@dataclass(frozen=True)
class Counted:
    """A score of each image by itself, which needs no other images beside it."""

    name:      str
    real:      np.ndarray                                                   # [N] NaN: not measured
    generated: np.ndarray                                                   # [M]
    share:     bool                                                         # the mean of zeros and ones counts, not the median

    def row(self, places: Sequence[Mapping[tuple[str, str], np.ndarray]], label: str | None, group: str | None) -> dict:
        """What `set_scores` says of a cell, from its rows in `strata` of both sets, whether or not there are real ones to compare with."""
        labels = {name for name, _ in places[1]} if label is None else {label}
        asked = [rows for key, rows in places[1].items() if key[0] in labels and group in (None, key[1])]
        (real, floor), (generated, values) = (_measured(known, scores, labels, group) for known, scores in
                                              zip(places, (self.real, self.generated), strict=True))
        note, total = "", sum(map(len, asked))
        if not len(floor) and group is not None:
            floor = _measured(places[0], self.real, labels, None)[1]
            note = f"of all groups of {label}, as none of {group} was measured"
        if not len(floor):
            note = "no real image was measured"
        elif not note and len(values):
            shares = [{key: count / sum(part.values()) for key, count in part.items()} for part in (real, generated)]
            if any(abs(shares[0].get(key, 0) - shares[1].get(key, 0)) > _MIX for key in {*real, *generated}):
                note = "in the mix of the real images, which is not that of the generated ones"
        reason = "" if len(values) else f"none of {total} generated images was measured" if total else "no generated image"
        return {"encoder": CHECKS, "statistic": self.name, "n_real": len(floor), "n_generated": total, "size": len(values),
                **dict(zip(("value", "low", "high"), _middle(values, self.share), strict=True)),
                **dict(zip(("floor", "floor_low", "floor_high"), _middle(floor, self.share), strict=True)),
                "reason": reason, "floor_note": note}


def _measured(
    known:  Mapping[tuple[str, str], np.ndarray],
    values: np.ndarray,
    labels: set[str],
    group:  str | None,
) -> tuple[dict[tuple[str, str], int], np.ndarray]:
    """(label, group) → how many have a number; the numbers."""
    found = {key: values[rows][np.isfinite(values[rows])] for key, rows in known.items() if key[0] in labels and group in (None, key[1])}
    return {key: len(part) for key, part in found.items()}, np.concatenate([*found.values(), np.empty(0)])


def _middle(values: np.ndarray, share: bool) -> tuple[float, float, float]:
    """Share with Wilson's interval (1927), or median with its exact one; NaN where there is nothing or, as an end, too little."""
    if not len(values):
        return np.nan, np.nan, np.nan
    if share:
        interval = binomtest(int(values.sum()), len(values)).proportion_ci(0.95, "wilson")
        return float(values.mean()), float(interval.low), float(interval.high)
    interval = quantile_test(values, q=np.median(values), p=0.5).confidence_interval(0.95)
    return float(np.median(values)), float(interval.low), float(interval.high)


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
                lambda a, b: {"kernel_distance": squared_discrepancy(features[a], features[b])}, broken,
                whole=partial(_whole, features, "polynomial")),
        Family(encoder, ("gaussian_discrepancy",), 2,
                lambda a, b: {"gaussian_discrepancy": gaussian_discrepancy(features[a], features[b])}, broken,
                whole=partial(_whole, features, "gaussian")),
        Family(encoder, ("precision", "recall", "density", "coverage"), neighbours + 1,
                lambda a, b: asdict(compare_manifolds(features[a], features[b], neighbours=neighbours)), broken),
        Family(encoder, ("frechet_distance",), 2,
                lambda a, b: {"frechet_distance": frechet_distance(features[a], features[b]).value}, broken, size + 1, costly=True),
        Family(encoder, ("diversity",), 2, diversity, broken),
    ]


def _whole(features: np.ndarray, kernel: str, real: np.ndarray, generated: np.ndarray, clusters: np.ndarray, kinds: np.ndarray,
           seed: int) -> SetDistance:
    return set_distance_with_floor(features[real], features[generated], kernel=kernel, real_clusters=clusters[real],
                                   real_strata=kinds[real], generated_strata=kinds[generated], draws=_DRAWS, seed=seed)


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


def counted(real: ImageSet, generated: ImageSet) -> list[Counted]:
    """Shares and medians of the checks' scores; of those that the study has."""
    if real.scores is None or generated.scores is None:
        return []
    known = {
        "recognised":    ("score_agreement", lambda values: values.ge(1 - 1e-6).where(values.notna()), True),
        "tone_error":    ("score_tone", lambda values: values, False),
        "similarity":    ("score_ssim", lambda values: values, False),
        "copies":        ("pass_memorisation", lambda values: ~values.astype("boolean"), True),
        "rejected":      ("verdict", lambda values: values.ne("passed").where(values.notna()), True),
    }
    return [Counted(name, *(of(images.scores[source]).astype(float).to_numpy(dtype=float, na_value=np.nan) for images in (real, generated)),
                    share)
            for name, (source, of, share) in known.items() if source in real.scores and source in generated.scores]


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
