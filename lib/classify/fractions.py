"""A share of the training patients, or more than there are: what the points of a learning curve are trained on.

Patients join in one order that is fixed by the seed, so 0.25 ⊂ 0.5 ⊂ 1 ⊂ 2, and the order is stratified: of the n training patients of a
label × group, the k-th joins at (k + offset)/n, k from 0, and the k-th patient of the reserve at 1 + (k + offset)/n. Offsets are spread
evenly over the strata, so rounding does not favour one fraction. Whoever comes first for a label joins at once: no fraction lacks a class.
All trainings of a study have the same order, so what they differ by says nothing of other patients having joined first.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from lib.data.errors import shorten


def fraction_rows(
    samples:  pd.DataFrame,         # image_id, cluster_id, label, group (null allowed), split
    fraction: float,                # > 0, of the training patients; above 1: all of them and patients of the reserve, per label × group
    seed:     int,                  # split.seed: it belongs to the data, not to a training
) -> np.ndarray:
    """Positions in `samples` [n] of what is trained on, in their order.

    Whole clusters; the same whatever the order of rows. ValueError where the fraction is not above 0, and where the reserve lacks patients.
    """
    if not fraction > 0:
        raise ValueError(f"fraction is {fraction:g}; expected a number above 0 (1: every training patient)")
    training, reserve = (samples[samples["split"] == name] for name in ("train", "reserve"))
    found = _strata(training, training)
    size = found.groupby("stratum")["cluster"].size()
    joins = _joining(found, size, seed)
    first = pd.concat([joins, _first_of_labels(training, joins, seed)]).groupby(level=0).min()
    if fraction > 1:
        more = _strata(reserve, training)
        more = more[more["stratum"].isin(size.index)]
        _enough(more, size, fraction, seed)
        first = pd.concat([first, 1 + _joining(more, size, seed)])
    chosen = samples["cluster_id"].map(first) < fraction
    return np.flatnonzero(chosen & samples["split"].isin(["train", "reserve"]).to_numpy())


def _strata(frame: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """cluster and stratum of each cluster in `frame`: the rarest label × group of its images, by the images that are trained on."""
    stratum = pd.Series(list(zip(frame["label"], frame["group"].astype(object).where(frame["group"].notna(), ""), strict=True)),
                        index=frame.index, dtype=object)
    known = list(zip(training["label"], training["group"].astype(object).where(training["group"].notna(), ""), strict=True))
    images = stratum.map(pd.Series(known, dtype=object).value_counts()).fillna(np.inf)      # what is not trained on counts last
    found = pd.DataFrame({"cluster": frame["cluster_id"], "stratum": stratum, "images": images})
    return found.sort_values(["cluster", "images", "stratum"]).drop_duplicates("cluster")[["cluster", "stratum"]]


def _joining(found: pd.DataFrame, size: pd.Series, seed: int) -> pd.Series:
    """cluster → the fraction from which on it is trained on, within training patients or within the reserve."""
    offset = _offsets(size.index, seed)
    lot = found["cluster"].map(lambda name: _lot(seed, name))
    place = lot.groupby(found["stratum"]).rank(method="first").astype(int) - 1
    joins = (place + found["stratum"].map(offset)) / found["stratum"].map(size)
    return pd.Series(joins.to_numpy(dtype=float), index=found["cluster"])


def _offsets(strata: pd.Index, seed: int) -> dict[tuple[str, str], float]:
    """One for each stratum, evenly between 0 and 1, in an order of the seed's."""
    order = sorted(strata, key=lambda stratum: _lot(seed, *stratum))
    return {stratum: (place + 0.5) / len(order) for place, stratum in enumerate(order)}


def _first_of_labels(training: pd.DataFrame, joins: pd.Series, seed: int) -> pd.Series:
    """0 for the cluster of each label that joins before its others."""
    holders = training[["label", "cluster_id"]].drop_duplicates()
    holders = holders.assign(joins=holders["cluster_id"].map(joins), lot=holders["cluster_id"].map(lambda name: _lot(seed, name)))
    first = holders.sort_values(["label", "joins", "lot"]).drop_duplicates("label")["cluster_id"].unique()
    return pd.Series(0.0, index=first)


def _enough(more: pd.DataFrame, size: pd.Series, fraction: float, seed: int) -> None:
    """Raise ValueError where the reserve has fewer patients of a label × group than are asked for."""
    offset, there = _offsets(size.index, seed), more["stratum"].value_counts()
    wanted = {stratum: int(np.ceil((fraction - 1) * count - offset[stratum])) for stratum, count in size.items()}
    short = [f"{' × '.join(filter(None, stratum))} ({there.get(stratum, 0)} of {count})"
             for stratum, count in wanted.items() if there.get(stratum, 0) < count]
    if short:
        raise ValueError(f"fraction {fraction:g} needs patients that the reserve does not have: {shorten(short)}. Enlarge the sources with "
                         "`role: reserve`, or lower classifier.learning_curve")


def _lot(seed: int, *names: str) -> str:
    return hashlib.sha256("\n".join([str(seed), *names]).encode()).hexdigest()
