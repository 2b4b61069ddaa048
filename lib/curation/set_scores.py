"""How far generated images are from real ones as a set, per class and group, and how far real ones are from each other.

Every figure is a mean over draws. A draw halves the real images, by patients where these are given, and takes half of the generated ones;
the statistic of the first real half with the generated images, and of the first with as many of the second real half, are taken side by
side at the same sizes. So the second says what the first would be if the generated images were real (the floor), which matters where a
statistic depends on size. Half samples without repetition spread as the estimate from all images does (delete-d jackknife with d = n/2:
Shao & Wu 1989, Ann. Stat. 17:1176), and unlike a bootstrap's they hold no image twice, which neighbour statistics would take for a copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from lib.curation.candidates import Candidates
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

UNKNOWN = "unknown"                 # group of images whose group is null
PIXELS  = "pixels"                  # "encoder" of what is measured on the pictures themselves
CHECKS  = "checks"                  # "encoder" of what the checks' scores say together
COLUMNS = ("encoder", "statistic", "label", "group", "n_real", "n_generated", "unmatched", "size",
           "value", "low", "high", "floor", "floor_low", "floor_high", "reason")
_PAIRS  = 100                       # images per class of each kind whose pairs are measured with an encoder
_LOOKED = 16                        # and pixel by pixel
_COSTLY = 10                        # draws of the Fréchet distance, whose matrices are large
_FEWEST = 0.8                       # of the draws must give a number
_GRID   = 16                        # pixels of a picture's side are thinned to so many for its mean colour


@dataclass(frozen=True)
class ImageSet:
    """Real or generated images as the scores see them; everything but labels and groups may be left out."""

    image_id: Sequence[str]                                                 # [N] for messages
    labels:   Sequence[str]                                                 # [N]
    groups:   Sequence[str | None]                                          # [N] null where not known
    features: Mapping[str, np.ndarray]              = field(default_factory=dict)   # encoder → [N, D] of `Encoder.features`
    pixels:   np.ndarray | None                     = None                  # uint8 [N, S, S, 3]
    maps:     Callable[[np.ndarray], Sequence[np.ndarray]] | None = None    # ascending rows → their feature maps, per layer
    maps_of:  str                                   = ""                    # the encoder of the maps
    weighted: bool                                  = False                 # they are compared as they are (`Encoder.weighted_maps`)
    logits:   np.ndarray | None                     = None                  # [N, K] Inception's, before the softmax
    clusters: Sequence[str] | None                  = None                  # [N] patients or lesions: their images stay in one half
    scores:   pd.DataFrame | None                   = None                  # [N] score_*, pass_* and verdict of the checks

    def __len__(self) -> int:
        return len(self.image_id)


def image_set(
    *sets:      Candidates,                         # of one size, one after the other: train and held out, or generated
    encoders:   Sequence[str],                      # whose features are compared; none: nothing but the scores, not the pixels either
    perceptual: str | None          = None,         # encoder of the feature maps; None: no perceptual distance
    scores:     pd.DataFrame | None = None,         # of the checks, in the same order
) -> ImageSet:
    """What `set_scores` compares, out of the images that curation has opened, under the names of the encoders that really saw them.

    Logits are taken of the first encoder that has some: Inception.
    """
    table, pixels = pd.concat([part.table for part in sets], ignore_index=True), np.concatenate([part.pixels for part in sets])
    ends = np.cumsum([0, *map(len, sets)])
    first = sets[0]

    def maps(rows: np.ndarray) -> list[np.ndarray]:
        parts = [part.maps(perceptual, here) for part, start, end in zip(sets, ends, ends[1:], strict=False)
                 if len(here := rows[(rows >= start) & (rows < end)] - start)]
        return [np.concatenate(layers) for layers in zip(*parts, strict=True)]

    loaded = [first.encoders(name) for name in encoders]
    seer = first.encoders(perceptual, "curation.perceptual") if perceptual else None
    logits = next((encoder.logits for encoder in loaded if hasattr(encoder, "logits")), None)
    return ImageSet(
        image_id = table["image_id"].tolist(),
        labels   = table["label"].tolist(),
        groups   = table["group"].tolist(),
        features = {encoder.name: np.concatenate([part.features(name) for part in sets])
                    for name, encoder in zip(encoders, loaded, strict=True)},
        pixels   = pixels if encoders else None,
        maps     = maps if perceptual else None,
        maps_of  = seer.name if seer else "",
        weighted = bool(seer) and seer.weighted_maps,
        logits   = logits(pixels) if logits else None,
        clusters = np.concatenate([part.clusters for part in sets]),
        scores   = scores,
    )


@dataclass(frozen=True)
class _Family:
    """Statistics that are computed together; `call` takes rows of the first real half and of the set beside it."""

    encoder: str
    names:   tuple[str, ...]
    least:   int                                                            # images of the smaller side
    call:    Callable[[np.ndarray, np.ndarray], dict[str, float]]
    broken:  np.ndarray                                                     # [N + M] rows without a usable number
    wanted:  int  = 0                                                       # images of the smaller side under which a figure is flagged
    costly:  bool = False                                                   # few draws, of all images


def set_scores(
    real:       ImageSet,                           # of train and validation, never of test
    generated:  ImageSet,                           # before curation: this judges the generator
    *,
    neighbours: int = 3,                            # k of precision, recall, density and coverage
    draws:      int = 100,                          # halvings
    most:       int = 400,                          # images of each kind in a draw
    seed:       int = 0,
    progress:   Callable[[int, int], None] | None = None,                   # called with (cells done, cells)
) -> pd.DataFrame:
    """A row of COLUMNS per encoder, statistic and cell: all images (label null), each label (group null), each label × group.

    In rows over several groups or labels both kinds have the same mix; `unmatched` counts generated images of groups that no real image
    shows. `size`: images that the generated side and its real counterpart have in a draw. `low` to `high` holds the middle 95 % of the
    draws, `floor_low` to `floor_high` of real against real. Where something is not estimable the value is NaN, `reason` says why, and
    the others go on; a Fréchet distance of fewer images than features has a value and a reason.
    """
    families = _families(real, generated, neighbours, seed)
    strata = [_strata(images) for images in (real, generated)]
    cells, rows, known = _cells(strata[1]), [], {}
    for number, (label, group) in enumerate(cells, 1):
        here = [{key: found for key, found in part.items() if label in (None, key[0]) and group in (None, key[1])} for part in strata]
        cell = _Cell(here, len(real), real.clusters)
        if cell.key not in known:                                           # a label of which one group was generated is that cell
            rngs = [numpy_generator(seed, "halves", cell.key, draw) for draw in range(draws)]
            usual, whole = [cell.draw(rng, most) for rng in rngs], [cell.draw(rng, None) for rng in rngs[:_COSTLY]]
            known[cell.key] = [row for family in families
                               for row in _score(cell, family, whole if family.costly else usual, (*real.image_id, *generated.image_id))]
        rows += [row | {"label": label, "group": group, "n_real": cell.found[0], "unmatched": cell.unmatched} for row in known[cell.key]]
        if progress:
            progress(number, len(cells))
    return pd.DataFrame(rows, columns=list(COLUMNS))


class _Cell:
    """The images of a label and group, or of several, and how they are drawn in the same mix."""

    def __init__(
        self,
        both:     Sequence[Mapping[tuple[str, str], np.ndarray]],           # (label, group) → rows, of real and of generated images
        offset:   int,                                                      # real images in all: where rows of generated ones start
        clusters: Sequence[str] | None,
    ):
        self.clusters = clusters
        shared = sorted(set(both[0]) & set(both[1]))
        self.key = json.dumps([shared, sorted(both[1])])
        counts = [min(len(both[0][key]), len(both[1][key])) for key in shared]
        ratio = min((len(both[0][key]) // n for key, n in zip(shared, counts, strict=True)), default=0)
        self._real = [(both[0][key], ratio * n) for key, n in zip(shared, counts, strict=True)]
        self._generated = [(both[1][key] + offset, n) for key, n in zip(shared, counts, strict=True)]
        self.rows = np.concatenate([rows for rows, _ in [*self._real, *self._generated]] or [np.empty(0, dtype=int)])
        self.real, self.generated = ratio * sum(counts), sum(counts)
        self.unmatched = sum(len(rows) for key, rows in both[1].items() if key not in shared)
        self.found = tuple(sum(map(len, known.values())) for known in both)

    def draw(self, rng: np.random.Generator, most: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of the first real half, of the second cut to the size of the generated ones, and of these; all without repetition."""
        real, generated = (np.concatenate([rng.permutation(rows)[:n] for rows, n in strata] or [np.empty(0, dtype=int)])
                           for strata in (self._real, self._generated))
        real, generated = rng.permutation(real)[:most], rng.permutation(generated)[:most]
        first, second = self._halve(real, rng)
        size = min(len(second), len(generated) // 2)
        return first, second[:size], generated[:size]

    def _halve(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two parts that share no cluster, as equal as clusters allow."""
        if self.clusters is None:
            return rows[:len(rows) // 2], rows[len(rows) // 2:]
        names, number = np.unique(np.asarray(self.clusters)[rows], return_inverse=True)
        halves: tuple[list, list] = [], []
        for name in rng.permutation(len(names)):
            min(halves, key=len).extend(rows[number == name])
        shuffled = [rng.permutation(np.array(half, dtype=int)) for half in halves]
        return shuffled[0], shuffled[1]

    def lack(self, least: int, draws: Sequence[tuple[np.ndarray, ...]]) -> str:
        """Why a statistic that needs `least` images on each side has no figure here; empty where it has one."""
        for kind, found in zip(("real", "generated"), self.found, strict=True):
            if not found:
                return f"no {kind} image"
        if not self.generated:
            return "no real image of the groups that were generated"
        sizes = [min(map(len, draw)) for draw in draws]
        if max(sizes) < least:
            return (f"{max(sizes)} images on each side of a half of {self.real} real and {self.generated} generated ones; "
                    f"it needs {least}")
        return ""


def _score(cell: _Cell, family: _Family, draws: Sequence[tuple[np.ndarray, ...]], names: Sequence[str]) -> list[dict]:
    found = {name: [] for name in family.names}
    reason = cell.lack(family.least, draws)
    broken = cell.rows[family.broken[cell.rows]]
    if not reason and len(broken):
        reason = f"{len(broken)} images give NaN or infinity (first: {names[broken[0]]}); look at them"
    if not reason:
        try:
            for first, second, generated in draws:
                if min(map(len, (first, second, generated))) >= family.least:
                    pair = family.call(first, generated), family.call(first, second)
                    for name in family.names:
                        found[name].append([one[name] for one in pair])
        except ValueError as error:
            reason = str(error)
    return [_row(cell, family, name, found[name], reason, draws) for name in family.names]


def _row(cell: _Cell, family: _Family, name: str, pairs: list, reason: str, draws: Sequence) -> dict:
    sizes = [len(generated) for _, _, generated in draws]
    row = dict.fromkeys(COLUMNS, np.nan) | {
        "encoder": family.encoder, "statistic": name, "n_generated": cell.found[1],
        "size": int(np.median(sizes)) if sizes else 0, "reason": reason}
    values = np.array(pairs, dtype=float).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    if reason:
        return row
    if len(values) < max(1, _FEWEST * len(draws)):
        return row | {"reason": f"{len(values)} of {len(draws)} halvings give a number"}
    if row["size"] < family.wanted:
        row["reason"] = f"flagged: {row['size']} images on each side, and under {family.wanted} it says little"
    ends = np.quantile(values, (0.025, 0.975), axis=0)
    return row | {"value": values[:, 0].mean(), "low": ends[0, 0], "high": ends[1, 0],
                  "floor": values[:, 1].mean(), "floor_low": ends[0, 1], "floor_high": ends[1, 1]}


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────

def _cells(keys: Iterable[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
    """All, then every label that was generated, then every label × group that was."""
    return [(None, None), *((label, None) for label in dict.fromkeys(label for label, _ in keys)), *keys]


def _strata(images: ImageSet) -> dict[tuple[str, str], np.ndarray]:
    """(label, group) → its rows."""
    groups = [UNKNOWN if pd.isna(name) else str(name) for name in images.groups]
    rows = pd.Series(np.arange(len(images)))
    return {key: part.to_numpy() for key, part in rows.groupby([list(images.labels), groups])} if len(images) else {}


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────────────────

def _families(real: ImageSet, generated: ImageSet, neighbours: int, seed: int) -> list[_Family]:
    """What both sets have the material for."""
    families, both = [], (real, generated)
    usable = np.zeros(len(real) + len(generated), dtype=bool)
    labels = np.array([*real.labels, *generated.labels], dtype=object)
    for encoder in (name for name in real.features if name in generated.features):
        families += _of_features(encoder, *(np.asarray(images.features[encoder]) for images in both), labels, neighbours)
    if real.logits is not None and generated.logits is not None:
        logits = np.concatenate([real.logits, generated.logits])
        families.append(_Family("inception", ("inception_score",), 2,
                                lambda _, b: {"inception_score": inception_score(logits[b], resamples=1).value},
                                ~np.isfinite(logits).all(axis=1)))
    if real.maps and generated.maps:
        distances = _pairs(both, lambda images, rows: perceptual_distances(*[images.maps(rows)] * 2, unit=not images.weighted), seed)
        families.append(_Family(real.maps_of, ("perceptual_diversity",), 2,
                                lambda _, b: {"perceptual_diversity": _mean_pair(distances, b)}, usable))
    if real.pixels is not None and generated.pixels is not None:
        families += _of_pixels(both, seed)
    if real.scores is not None and generated.scores is not None:
        families += _of_checks(pd.concat([real.scores, generated.scores], ignore_index=True), usable)
    return families


def _of_features(encoder: str, real: np.ndarray, generated: np.ndarray, labels: np.ndarray, neighbours: int) -> list[_Family]:
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
        _Family(encoder, ("kernel_distance",), 2,
                lambda a, b: {"kernel_distance": squared_discrepancy(features[a], features[b])}, broken),
        _Family(encoder, ("gaussian_discrepancy",), 2,
                lambda a, b: {"gaussian_discrepancy": gaussian_discrepancy(features[a], features[b])}, broken),
        _Family(encoder, ("precision", "recall", "density", "coverage"), neighbours + 1,
                lambda a, b: asdict(compare_manifolds(features[a], features[b], neighbours=neighbours)), broken),
        _Family(encoder, ("frechet_distance",), 2,
                lambda a, b: {"frechet_distance": frechet_distance(features[a], features[b]).value}, broken, size + 1, costly=True),
        _Family(encoder, ("diversity",), 2, diversity, broken),
    ]


def _of_pixels(both: tuple[ImageSet, ImageSet], seed: int) -> list[_Family]:
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
        _Family(PIXELS, ("hue_shift", "lightness_shift"), 2, look, usable),
        _Family(PIXELS, ("sharpness",), 2, lambda a, b: {"sharpness": float(np.exp(sharp[b].mean() - sharp[a].mean()))}, usable),
        _Family(PIXELS, ("structural_similarity",), 2, lambda _, b: {"structural_similarity": _mean_pair(similar, b)}, usable),
    ]


def _of_checks(scores: pd.DataFrame, usable: np.ndarray) -> list[_Family]:
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
    families = []
    for name, (source, of, mean) in known.items():
        if source in scores:
            values = column(source, of)
            families.append(_Family(CHECKS, (name,), 2, _mean_of(name, values, mean), usable))
    return families


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
    strata, tables = [_strata(images) for images in both], []
    for images, known, offset in zip(both, strata, (0, len(both[0])), strict=True):
        for label in sorted({label for label, _ in known}):
            groups = [numpy_generator(seed, "pairs", *key).permutation(rows) for key, rows in known.items()
                      if key[0] == label and key in strata[1]]
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
