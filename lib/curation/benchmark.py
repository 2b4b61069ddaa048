"""Curation's searches over all pairs against plain loops with the packages and the ceiling: same images, same answers, in turn.

A unit is a pair of images (or of feature vectors). The plain loops run on a part of the generated images against all real ones; their rate
for a pair does not depend on how many pairs there are, which is how a figure for the whole is extrapolated from them. The images are drawn
phantoms: how much of a search for the most similar one can be left out depends on what the images show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from skimage.metrics import structural_similarity

from lib.diffusion.base.pool import SEED_HELD_OUT, draw_pool
from lib.encoders.load import load_encoder
from lib.encoders.lpips_backbone import LpipsBackbone
from lib.metrics.nearest import BLOCK as QUERIES
from lib.metrics.nearest import nearest
from lib.metrics.perceptual_distance import BLOCK as IMAGES
from lib.metrics.perceptual_distance import nearest_perceptual
from lib.metrics.structural_similarity import nearest_similar
from lib.study.generate import Searches
from lib.training.seeds import numpy_generator
from lib.training.stopwatch import Stopwatch, time_in_turn

Contestants = dict[str, Callable[[Stopwatch], int]]
Answer = tuple[np.ndarray, np.ndarray]          # per generated image: distance or similarity to the nearest real one, and its place


@dataclass(frozen=True)
class CurationSetup:
    """What all contestants share."""

    generated:   np.ndarray         # uint8 [N, S, S, 3]
    real:        np.ndarray         # uint8 [M, S, S, 3]
    encoder:     LpipsBackbone      # e.g. lpips-alex-random-0: what the weights are does not change the time
    queries:     np.ndarray         # float32 [Q, D] features
    base:        np.ndarray         # float32 [B, D]
    repetitions: int = 3
    threads:     int = 1            # of our search for the most similar; the other tasks leave that to their libraries
    plainly:     int = 2            # generated images (or queries) that a plain loop compares with all real ones

    def __post_init__(self):
        if not 1 <= self.plainly <= min(len(self.generated), len(self.queries)):
            raise ValueError(f"plainly={self.plainly} does not fit {len(self.generated)} generated images and {len(self.queries)} queries")

    @property
    def pairs(self) -> dict[str, int]:
        """Of each task, all of them."""
        images = len(self.generated) * len(self.real)
        return {"perceptual": images, "similarity": images, "neighbours": len(self.queries) * len(self.base)}


def open_curation_setups(options: Searches, *, repetitions: int, threads: int, cache: Path) -> dict[int, CurationSetup]:
    """Side of the images in pixels → what is compared at it; all sizes share the feature vectors."""
    encoder = load_encoder(options.encoder, key="benchmarks.searches.encoder")
    queries, base = (make_features(count, options.features, of) for count, of in ((options.queries, "queries"), (options.base, "base")))
    setups = {}
    for size in options.sizes:
        pool = draw_pool("benchmark", options.generated + options.real, seed=SEED_HELD_OUT, size=size, workers=threads, cache=cache)
        # every so manyth is a real one: scenes are ordered by type, and both sets shall show all
        real = np.linspace(0, len(pool) - 1, options.real).round().astype(int)
        setups[size] = CurationSetup(np.delete(pool.pixels, real, axis=0), pool.pixels[real], encoder, queries, base,
                                     repetitions=repetitions, threads=threads, plainly=options.plainly)
    return setups


def make_features(count: int, width: int, purpose: str) -> np.ndarray:
    """float32 [count, width] unit vectors in random directions around a common one, as encoders give them; to search among."""
    vectors = numpy_generator("benchmark", purpose).normal(0.5, 1, (count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def time_curation(setups: dict[int, CurationSetup], *, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """A row per run: task (perceptual-64, similarity-64, …, neighbours), contestant (ours, plain, ceiling), repetition, images, seconds.

    `images` counts pairs.
    """
    tasks, parts = _tasks(setups), []
    for number, (task, contestants) in enumerate(tasks.items()):
        def told(runs: int, total: int, number: int = number) -> None:
            progress(number * total + runs, total * len(tasks))
        repetitions = next(iter(setups.values())).repetitions
        timings = time_in_turn(contestants, repetitions=repetitions, device=torch.device("cpu"), progress=progress and told)
        parts.append(timings.assign(task=task))
    return pd.concat(parts, ignore_index=True)[["task", "contestant", "repetition", "images", "seconds"]]


def _tasks(setups: dict[int, CurationSetup]) -> dict[str, Contestants]:
    by_size = {f"{name}-{size}": contestants(setup) for name, contestants in (("perceptual", perceptual), ("similarity", similarity))
               for size, setup in setups.items()}
    return by_size | {"neighbours": neighbours(next(iter(setups.values())))}


def compare_answers(setups: dict[int, CurationSetup]) -> pd.DataFrame:
    """A row per task: pairs that were compared both ways, the largest difference of values, and the share of equal places."""
    answers = {}
    for size, setup in setups.items():
        part = setup.generated[:setup.plainly]
        answers[f"perceptual-{size}"] = len(setup.real), _perceptual(setup, part), _perceptual_plainly(setup)
        answers[f"similarity-{size}"] = len(setup.real), nearest_similar(part, setup.real), _similarity_plainly(setup)
    found = tuple(values[:, 0] for values in nearest(setup.queries[:setup.plainly], setup.base))
    answers["neighbours"] = len(setup.base), found, _neighbours_plainly(setup)
    return pd.DataFrame([{
        "task": task, "pairs": len(ours[0]) * others, "largest_difference": float(np.abs(ours[0] - plain[0]).max()),
        "same_place": float((ours[1] == plain[1]).mean()),
    } for task, (others, ours, plain) in answers.items()])


# ── LPIPS ────────────────────────────────────────────────────────────────────────────────────────────────────────

def perceptual(setup: CurationSetup) -> Contestants:
    """From pixels to each image's nearest real one; encoding is on the clock, but not on the ceiling's."""
    with_channels = [layer.shape[1] * layer.shape[2] for layer in setup.encoder.feature_maps(setup.real[:1])]

    def ceiling(watch: Stopwatch) -> int:
        rows, columns = min(IMAGES, len(setup.generated)), min(IMAGES, len(setup.real))
        layers = [(np.ones((rows, width), np.float32), np.ones((width, columns), np.float32)) for width in with_channels]
        blocks = -(-len(setup.generated) // rows) * -(-len(setup.real) // columns)
        watch.start()
        for block in range(blocks):
            for one, other in layers:
                one @ other
            watch(block + 1, blocks)
        return blocks * rows * columns

    return {"ours": _run(lambda: _perceptual(setup, setup.generated), setup.pairs["perceptual"]),
            "plain": _run(lambda: _perceptual_plainly(setup), setup.plainly * len(setup.real)), "ceiling": ceiling}


def _perceptual(setup: CurationSetup, generated: np.ndarray) -> Answer:
    return nearest_perceptual(lambda rows: setup.encoder.feature_maps(generated[rows]),
                              lambda rows: setup.encoder.feature_maps(setup.real[rows]), counts=(len(generated), len(setup.real)),
                              unit=not setup.encoder.weighted_maps)


def _perceptual_plainly(setup: CurationSetup) -> Answer:
    """The package's network on one pair after the other."""
    def ready(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(pixels))[None].permute(0, 3, 1, 2).float() / 127.5 - 1

    with torch.inference_mode():
        table = np.array([[setup.encoder.network(ready(one), ready(other)).item() for other in setup.real]
                          for one in setup.generated[:setup.plainly]])
    return table.min(axis=1), table.argmin(axis=1)


# ── SSIM ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def similarity(setup: CurationSetup) -> Contestants:
    """From pixels to each image's most similar real one. The ceiling is one product of all pixels: no similarity has less to do."""
    def ceiling(watch: Stopwatch) -> int:
        one, other = (pixels[..., 0].reshape(len(pixels), -1).astype(np.float32) for pixels in (setup.generated, setup.real))
        watch.start()
        one @ other.T
        watch(1, 1)
        return setup.pairs["similarity"]

    return {"ours": _run(lambda: nearest_similar(setup.generated, setup.real, threads=setup.threads), setup.pairs["similarity"]),
            "plain": _run(lambda: _similarity_plainly(setup), setup.plainly * len(setup.real)), "ceiling": ceiling}


def _similarity_plainly(setup: CurationSetup) -> Answer:
    """scikit-image on one pair after the other, grey values rounded as ours are."""
    one, other = (np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
                  for pixels in (setup.generated[:setup.plainly], setup.real))
    table = np.array([[structural_similarity(first, second) for second in other] for first in one])
    return table.max(axis=1), table.argmax(axis=1)


# ── nearest neighbours ───────────────────────────────────────────────────────────────────────────────────────────

def neighbours(setup: CurationSetup) -> Contestants:
    """From features to each query's nearest one. The ceiling is the product of matrices by the same blocks, in float32."""
    def ceiling(watch: Stopwatch) -> int:
        columns = np.ascontiguousarray(setup.base.T)
        scores = np.empty((min(QUERIES, len(setup.queries)), len(setup.base)), dtype=np.float32)
        watch.start()
        for start in range(0, len(setup.queries), QUERIES):
            rows = setup.queries[start:start + QUERIES]
            np.matmul(rows, columns, out=scores[:len(rows)])
            watch(start + len(rows), len(setup.queries))
        return setup.pairs["neighbours"]

    return {"ours": _run(lambda: nearest(setup.queries, setup.base), setup.pairs["neighbours"]),
            "plain": _run(lambda: _neighbours_plainly(setup), setup.plainly * len(setup.base)), "ceiling": ceiling}


def _neighbours_plainly(setup: CurationSetup) -> Answer:
    """scipy's distances of one query after the other."""
    table = np.array([cdist(query[None].astype(np.float64), setup.base.astype(np.float64))[0] for query in setup.queries[:setup.plainly]])
    return table.min(axis=1), table.argmin(axis=1)


def _run(work: Callable[[], object], pairs: int) -> Callable[[Stopwatch], int]:
    def run(watch: Stopwatch) -> int:
        watch.start()
        work()
        watch(1, 1)
        return pairs
    return run
