"""How near a GAN's images are to held-out real ones: one number while it learns, and at the end a table with what to hold it against.

Distances are squared MMDs of an encoder's features, so a figure always names the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from lib.encoders.encoder import Encoder
from lib.encoders.spectrum import Spectrum
from lib.gan.model import GanModel
from lib.gan.sharpness import blur_to, sharpness
from lib.metrics.kernel_distance import kernel_distance, squared_discrepancy
from lib.training.seeds import numpy_generator, torch_generator

SUBSET = 50                             # images per subset of the final estimate, where the sets are large enough
SUBSETS = 100
LEAST = 3                               # held-out images that a final estimate needs
COLUMNS = ["encoder", "kind", "images", "distance", "low", "high", "sharpness", "sigma"]
_BATCH = 64                             # images drawn at once


class Quality:
    """Called with a generator and the iterations done: the distance of what it draws at fixed noise from held-out real images.

    It is asked for the labels that the held-out images show, in their mix, so the mix decides nothing. The unbiased estimate from all
    images at once; lower is better, and near zero it may be negative.
    """

    def __init__(
        self,
        encoder:  Encoder,
        held_out: np.ndarray,                   # uint8 [M, S, S, 3], real
        labels:   Sequence[str],                # [M]
        *,
        images:   int,                          # drawn each time
        seed:     int,
    ):
        self.name = f"kernel distance in {encoder.name} features"
        self._encoder, self._images, self._seed = encoder, images, seed
        self._features = encoder.features(held_out) if len(held_out) > 1 else None
        self._labels = list(labels)

    def __call__(self, generator: GanModel, iteration: int) -> float | None:
        """None where fewer than two held-out images are there to compare with."""
        if self._features is None:
            return None
        return squared_discrepancy(self._features, self._encoder.features(self.draw(generator)))

    def labels(self, generator: GanModel) -> list[str]:
        """What each of the judged images is asked to show."""
        known = self._labels or list(generator.classes)
        return [known[place * len(known) // self._images] for place in range(self._images)]

    def draw(self, generator: GanModel) -> np.ndarray:
        """The images that are judged, uint8 [images, S, S, 3]."""
        noise = torch.randn(self._images, generator.latent, generator=torch_generator(self._seed, "quality"))
        labels = self.labels(generator)
        parts = [slice(start, start + _BATCH) for start in range(0, self._images, _BATCH)]
        return np.concatenate([generator.draw(noise[part], labels[part]) for part in parts])


# ── at the end ───────────────────────────────────────────────────────────────────────────────────────────────────

def judges(
    encoder: Encoder,                   # of the study
) -> list[Encoder]:
    """The encoders that judge at the end: the study's first, and the spectrum, which sees the blur that a trained one may overlook."""
    return [encoder] if isinstance(encoder, Spectrum) else [encoder, Spectrum()]


def compare(
    encoders:  Sequence[Encoder],
    generated: np.ndarray,              # uint8 [N, S, S, 3]
    train:     np.ndarray,              # uint8 [K, S, S, 3], real, learnt from
    held_out:  np.ndarray,              # uint8 [M, S, S, 3], real, not seen
    *,
    seed:      int,
) -> pd.DataFrame:
    """Distance from the held-out images of what was drawn, and of three sets that say what it means; a row each, by every encoder.

    Columns: COLUMNS. Sharpness is the mean variance of the Laplacian, sigma that of the blur. Kinds: generated; real (training images:
    the floor); blurred (these under the Gaussian that makes them as sharp as the generated ones); noise (independent pixels with the
    training images' mean and spread of each channel). All sets have the size of the smaller of the first two, and all estimates the
    same subsets. No rows where there are fewer than three held-out images or sets to compare.
    """
    size = min(len(generated), len(train))
    if min(size, len(held_out)) < LEAST:
        return pd.DataFrame(columns=COLUMNS)
    generated, real = (_pick(pixels, size, seed) for pixels in (generated, train))
    blurred, sigma = blur_to(real, float(sharpness(generated).mean()))
    sets = {"generated": generated, "real": real, "blurred": blurred, "noise": noise_like(real, seed)}
    sharp = {kind: float(sharpness(pixels).mean()) for kind, pixels in sets.items()}
    subset, rows = min(SUBSET, size - 1, len(held_out) - 1), []
    for encoder in encoders:
        reference = encoder.features(held_out)
        for kind, pixels in sets.items():
            found = kernel_distance(reference, encoder.features(pixels), subset_size=subset, subsets=SUBSETS, seed=seed)
            rows.append((encoder.name, kind, size, found.value, found.low, found.high, sharp[kind], sigma if kind == "blurred" else np.nan))
    return pd.DataFrame(rows, columns=COLUMNS)


def noise_like(
    real: np.ndarray,                   # uint8 [N, S, S, 3]
    seed: int,
) -> np.ndarray:
    """uint8 [N, S, S, 3] of independent Gaussian pixels with the mean and the standard deviation of each channel."""
    mean, spread = real.mean(axis=(0, 1, 2)), real.std(axis=(0, 1, 2))
    return numpy_generator(seed, "noise").normal(mean, spread, real.shape).round().clip(0, 255).astype(np.uint8)


def nearest(
    encoder: Encoder,
    pixels:  np.ndarray,                # uint8 [N, S, S, 3]
    train:   np.ndarray,                # uint8 [K, S, S, 3]
) -> tuple[np.ndarray, np.ndarray]:
    """For each picture its nearest training image among `encoder`'s vectors: Euclidean distance [N] and place [N]."""
    drawn, known = encoder.embed(pixels), encoder.embed(train)
    squared = (drawn ** 2).sum(axis=1)[:, None] + (known ** 2).sum(axis=1) - 2 * drawn @ known.T
    places = squared.argmin(axis=1)
    return np.sqrt(np.maximum(squared[np.arange(len(pixels)), places], 0)), places


def _pick(pixels: np.ndarray, size: int, seed: int) -> np.ndarray:
    chosen: Sequence[int] = numpy_generator(seed, "pick", len(pixels)).permutation(len(pixels))[:size]
    return np.asarray(pixels[np.sort(chosen)])
