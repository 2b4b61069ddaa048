"""What an independent judge sees in generated phantoms, and how varied they are, always beside drawn phantoms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lib.data.skin import measure_skin
from lib.diffusion.base.agreement import BANDS, DRAWN, with_bands
from lib.diffusion.base.oracle import Oracle
from lib.diffusion.base.pool import SEED_HELD_OUT, draw_pool
from lib.encoders.encoder import Encoder
from lib.metrics.coverage import compare_manifolds
from lib.metrics.perceptual_distance import mean_distance
from lib.phantom.lesions import USUAL
from lib.phantom.tone import TYPES

Diagnoses = Mapping[str, Sequence[str]]     # label → its diagnoses, as `labels.classes` of a study


def draw_phantoms(
    per_cell:  int,                         # pictures of each diagnosis × type
    diagnoses: Diagnoses,
    *,
    cache:     Path,                        # folder
    workers:   int = 1,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Held-out drawn phantoms, uint8 [N, 64, 64, 3], and what they show: variant, start, label, tone, domain.

    ValueError for a label that has no diagnosis which the oracle knows.
    """
    label_of = {diagnosis: label for label, of_label in diagnoses.items() for diagnosis in of_label}
    _check(diagnoses)
    pool = draw_pool("truth", per_cell * len(USUAL) * len(TYPES), seed=SEED_HELD_OUT, workers=workers, cache=cache)
    labels = pool.scenes["diagnosis"].map(label_of)
    rows = np.flatnonzero(labels.notna())
    asked = pd.DataFrame({"variant": DRAWN, "start": DRAWN, "label": labels, "tone": pool.scenes["tone"], "domain": pool.scenes["domain"]})
    return np.asarray(pool.pixels[rows]), asked.iloc[rows].reset_index(drop=True)


def judge(
    oracle:    Oracle,
    pixels:    np.ndarray,                  # uint8 [N, 64, 64, 3]
    asked:     pd.DataFrame,                # variant, start, label, tone (1–6), domain
    diagnoses: Diagnoses,
) -> pd.DataFrame:
    """`asked` with said_label, said_tone (1–6) and ita (degrees, median over the border ring; NaN where it shows no skin).

    The label that is said is the one whose diagnoses together are likeliest.
    """
    _check(diagnoses)
    said = oracle.judge(pixels)
    likely = np.stack([said.diagnosis_probability[:, [USUAL.index(name) for name in of_label if name in USUAL]].sum(axis=1)
                       for of_label in diagnoses.values()], axis=1)
    return asked.reset_index(drop=True).assign(
        said_label=np.array(list(diagnoses), dtype=object)[likely.argmax(axis=1)], said_tone=said.tone,
        ita=[measure_skin(Image.fromarray(picture)).ita for picture in pixels],
    )


def diversity(
    judged:     pd.DataFrame,
    pixels:     np.ndarray,                 # of the same rows
    encoder:    Encoder,
    *,
    neighbours: int = 5,
) -> pd.DataFrame:
    """A row per variant, start and band: coverage and perceptual distance, those of drawn phantoms, and the ratios.

    Coverage is that of one half of the drawn phantoms, by generated ones and by the other half, cut to the same number. The perceptual
    distance is the mean over pairs of one label × tone, averaged over these cells. ValueError where a set is too small.
    """
    table = with_bands(judged)
    features = encoder.embed(pixels)
    distance = {}
    for key, rows in _parts(table, ["variant", "start", "band", "label", "tone"]):
        if len(rows) > 1:
            distance.setdefault(key[:3], []).append(mean_distance(encoder.feature_maps(pixels[rows])))
    out = []
    for band in [band for band in BANDS if (table["band"] == band).any()]:
        drawn = np.flatnonzero(table["variant"].eq(DRAWN) & table["band"].eq(band))
        reference, other = drawn[::2], drawn[1::2]
        for (variant, start), rows in _parts(table[table["band"] == band], ["variant", "start"]):
            if variant == DRAWN:
                continue
            size = min(len(rows), len(other))
            covered, ceiling = (compare_manifolds(features[reference], features[_spread(some, size)], neighbours=neighbours).coverage
                                for some in (rows, other))
            apart, usual = (float(np.mean(distance[key])) for key in ((variant, start, band), (DRAWN, DRAWN, band)))
            out.append({
                "variant": variant, "start": start, "part": band, "images": len(rows),
                "coverage": covered, "coverage_drawn": ceiling, "coverage_ratio": covered / ceiling,
                "distance": apart, "distance_drawn": usual, "distance_ratio": apart / usual,
            })
    return pd.DataFrame(out)


def _parts(table: pd.DataFrame, by: list[str]) -> Iterable[tuple[tuple, np.ndarray]]:
    """Key and places (labels of a 0, 1, 2 … index) of every part."""
    for key, rows in table.groupby(by, sort=False).groups.items():
        yield key, rows.to_numpy()


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """So many of them, evenly over the order they lie in."""
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def _check(diagnoses: Diagnoses) -> None:
    strange = [label for label, of_label in diagnoses.items() if not set(of_label) & set(USUAL)]
    if strange:
        raise ValueError(f"the oracle knows none of the diagnoses of {', '.join(strange)}; it knows {', '.join(USUAL)} (labels.classes)")
