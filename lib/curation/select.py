"""Which of the images that pass are kept: as many as each cell needs, from all its clusters, the most realistic first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from lib.diffusion.quota import by_class, quota
from lib.study import Curation
from lib.training.seeds import derive_seed, numpy_generator


def wanted_images(
    study:     Any,                     # what a stage may see: curation, generation, gan, labels.names
    tones:     list[str],               # that the study asks for (`Words.tones`); empty: none
    generator: str,                     # diffusion or gan: a GAN's quota is that of the classes
) -> pd.DataFrame:
    """label, tone (null: none asked), images: `curation.quota`, else the quota of generation without its surplus."""
    names = study.labels.names
    if study.curation.quota:
        rows = [(label, tone, count) for label in names for tone, count in study.curation.quota.get(label, {}).items() if count]
        cells = pd.DataFrame(rows, columns=["label", "tone", "images"])
    else:
        cells = quota(study.generation.model_copy(update={"over_generation": 1.0}), names, tones)
    return by_class(cells, study.gan.labels(names)) if generator == "gan" else cells


def select(
    table:   pd.DataFrame,              # image_id, label, tone_key, verdict
    vectors: np.ndarray,                # [N, D] in the order of the table
    realism: np.ndarray,                # [N] higher is better up to 1, which is as good as real; NaN comes last
    wanted:  pd.DataFrame,              # of `wanted_images`
    options: Curation,
) -> pd.DataFrame:
    """cluster (Int16, null unless passed), selected, random_subset: a row per image, in the order of the table.

    In each cell the images that passed form clusters (k-means on principal components, DECISIONS 21). Each cluster gives its best
    `least_per_cluster` in turn, then the best of the rest fill the quota. A cell with fewer than wanted gives all it has. Beyond 1 realism
    only says how near a real image lies, ∞ for a copy, so all of these count alike. The random subset has as many images of the cell, from
    all that were generated. The order of rows changes nothing.
    """
    order = np.argsort(table["image_id"].to_numpy(dtype=str), kind="stable")
    ordered, seen = table.iloc[order].reset_index(drop=True), vectors[order]
    rank = np.where(np.isnan(realism), -np.inf, np.minimum(realism, 1))[order]
    cluster, selected, chance = pd.array([pd.NA] * len(table), dtype="Int16"), *np.zeros((2, len(table)), dtype=bool)
    passed = ordered["verdict"].eq("passed").to_numpy()
    reduced = _reduce(seen, passed, options)
    tones = ordered["tone_key"].astype(object).where(ordered["tone_key"].notna(), None)
    images = {(row.label, None if pd.isna(row.tone) else row.tone): row.images for row in wanted.itertuples()}
    for cell, rows in pd.DataFrame({"label": ordered["label"], "tone": tones}).groupby(["label", "tone"], dropna=False, sort=True):
        key = (cell[0], None if pd.isna(cell[1]) else cell[1])
        places, count = rows.index.to_numpy(), images.get(key, 0)
        good = places[passed[places]]
        if len(good):
            found = _clusters(reduced[good], options, key)
            cluster[order[good]] = found
            kept = good[_take(found, rank[good], min(count, len(good)), options.least_per_cluster)]
            selected[order[kept]] = True
            if options.random_subset:
                drawn = numpy_generator(options.seed, "random subset", *map(str, key)).permutation(places)[:len(kept)]
                chance[order[drawn]] = True
    return pd.DataFrame({"cluster": cluster, "selected": selected, "random_subset": chance})


def _reduce(vectors: np.ndarray, passed: np.ndarray, options: Curation) -> np.ndarray:
    """Principal components of the images that passed."""
    sound = passed & np.isfinite(vectors).all(axis=1)
    dimensions = min(options.pca, vectors.shape[1], int(sound.sum()) - 1)
    if dimensions < 1 or not np.ptp(vectors[sound], axis=0).any():
        return np.zeros((len(vectors), 1))
    fitted = PCA(dimensions, svd_solver="full").fit(vectors[sound])
    return fitted.transform(np.where(np.isfinite(vectors), vectors, 0))


def _clusters(vectors: np.ndarray, options: Curation, cell: tuple) -> np.ndarray:
    """[n] numbers from 0 on; never more clusters than different pictures."""
    count = min(options.clusters, len(np.unique(vectors, axis=0)))
    seed = derive_seed(options.seed, "clusters", *map(str, cell)) % 2**32
    return KMeans(count, n_init=4, random_state=seed).fit_predict(vectors).astype(int)


def _take(cluster: np.ndarray, rank: np.ndarray, count: int, least: int) -> np.ndarray:
    """Places of those that are kept: first the best `least` of every cluster, in turns, then the best."""
    best = np.lexsort((np.arange(len(rank)), -rank))                # of equals the first image_id
    turn = np.empty(len(rank), dtype=int)
    for number in np.unique(cluster):
        members = best[cluster[best] == number]
        turn[members] = np.arange(len(members))
    place = np.empty(len(rank), dtype=int)
    place[best] = np.arange(len(rank))
    return np.lexsort((place, np.minimum(turn, least)))[:count]
