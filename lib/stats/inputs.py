"""From the `predictions` table to arrays, with everything checked that would make a comparison meaningless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

Run = tuple[str, str, int]    # arm, architecture, training seed

NEEDED = ("image_id", "split", "arm", "architecture", "seed", "y_true", "group", "cluster_id")
FIXED  = ("y_true", "group", "cluster_id")    # belong to the image, so every run must agree on them


@dataclass(frozen=True)
class Predictions:
    """The test images once, and what every run said about them."""

    image_ids:     np.ndarray                     # [N] str, sorted
    y_true:        np.ndarray                     # [N] int
    groups:        np.ndarray                     # [N] str, "" where unknown
    cluster_ids:   np.ndarray                     # [N] str
    probabilities: dict[Run, np.ndarray]          # [N, K] each, rows in the order of image_ids
    thresholds:    dict[Run, np.ndarray | None]   # [N] each: the one of the fold that judged the image, without folds the run's only one
    classes:       tuple[str, ...]                # [K]

    @property
    def has_thresholds(self) -> bool:
        """Whether every run has a decision threshold."""
        return all(one is not None for one in self.thresholds.values())

    def threshold_at(self, run: Run, rows: np.ndarray) -> np.ndarray | None:
        """The decision thresholds of some rows, None where the run has none."""
        whole = self.thresholds[run]
        return None if whole is None else whole[rows]

    @property
    def arms(self) -> list[str]:
        """Arms, in the order asked for."""
        return list(dict.fromkeys(run[0] for run in self.probabilities))

    @property
    def architectures(self) -> list[str]:
        """Architectures, by name."""
        return list(dict.fromkeys(run[1] for run in self.probabilities))

    @property
    def seeds(self) -> list[int]:
        """Training seeds, sorted."""
        return sorted({run[2] for run in self.probabilities})


def read_predictions(
    predictions: pd.DataFrame,               # the table of lib/tables.py
    classes:     Sequence[str],              # class order, from the file's metadata
    *,
    arms:        Sequence[str] | None = None,    # these only, in this order; default: all, by name
    split:       str                  = "test",
    condition:   str                  = "clean",
    fraction:    float                = 1.0,     # of the training patients: other points of the learning curve are no part of a comparison
) -> Predictions:
    """Rows of one split, condition and training fraction as aligned arrays; of all folds, each image judged by its own.

    Raises ValueError when an arm, a column or run is missing, runs saw different images or disagree on what an image is, an image
    comes twice (as do validation images of several folds), a probability is not a number, or rows of several targets are mixed.
    """
    missing = [column for column in NEEDED if column not in predictions.columns]
    if missing:
        raise ValueError(f"predictions: no column {missing[0]}; expected the table that notebook 07 writes")
    rows = predictions[predictions["split"] == split]
    if "condition" in rows.columns:
        rows = rows[rows["condition"] == condition]
    if "train_fraction" in rows.columns:
        rows = rows[rows["train_fraction"] == fraction]
    if arms is not None:
        absent = [arm for arm in arms if arm not in set(rows["arm"])]
        if absent:
            present = ", ".join(sorted(set(rows["arm"]))) or "none"
            raise ValueError(f"predictions: no {split} rows of arm {absent[0]}; the table holds {present}")
        rows = rows[rows["arm"].isin(list(arms))]
    if rows.empty:
        raise ValueError(f"predictions: no row with split {split}, condition {condition} and training fraction {fraction:g}")
    if "target" in rows.columns and rows["target"].nunique(dropna=False) > 1:
        several = ", ".join(map(str, rows["target"].unique()[:4]))
        raise ValueError(f"predictions: target holds several values ({several}); compare one at a time")
    columns = [f"p_{k}" for k in range(len(classes))]
    present = [column for column in rows.columns if str(column).startswith("p_") and str(column)[2:].isdigit()]
    if set(present) != set(columns):
        raise ValueError(f"predictions: {len(present)} columns of probabilities for {len(columns)} classes ({', '.join(classes)})")
    bad = ~np.isfinite(rows[columns].to_numpy(dtype=float)).all(axis=1)
    if bad.any():
        first = rows[bad].iloc[0]
        raise ValueError(
            f"predictions: probabilities are not numbers in {bad.sum()} rows (first: image {first['image_id']}, arm {first['arm']}, "
            f"{first['architecture']}, seed {first['seed']}); that training diverged: look at its loss in notebook 07"
        )
    found = {(str(arm), str(architecture), int(seed)): part.sort_values("image_id")
             for (arm, architecture, seed), part in rows.groupby(["arm", "architecture", "seed"], sort=True, observed=True)}
    runs = {run: found[run] for arm in arms or sorted({run[0] for run in found}) for run in found if run[0] == arm}
    _check_grid(runs)
    _check_images(runs)
    one = next(iter(runs.values()))
    return Predictions(
        image_ids=one["image_id"].to_numpy(dtype=str),
        y_true=one["y_true"].to_numpy(dtype=np.int64),
        groups=one["group"].astype(object).where(one["group"].notna(), "").to_numpy(dtype=str),
        cluster_ids=one["cluster_id"].to_numpy(dtype=str),
        probabilities={run: part[columns].to_numpy(dtype=float) for run, part in runs.items()},
        thresholds={run: _threshold(run, part) for run, part in runs.items()},
        classes=tuple(classes),
    )


def _check_grid(runs: dict[Run, pd.DataFrame]) -> None:
    """Every arm must have been trained with every architecture and seed, or pairing breaks."""
    for arm in dict.fromkeys(run[0] for run in runs):
        for architecture in dict.fromkeys(run[1] for run in runs):
            for seed in sorted({run[2] for run in runs}):
                if (arm, architecture, seed) not in runs:
                    missing = _name((arm, architecture, seed))
                    raise ValueError(f"predictions: {missing} is missing though others have that seed; run notebook 07 to the end")


def _check_images(runs: dict[Run, pd.DataFrame]) -> None:
    """All runs must have judged the same images, each once, and agree on what they show."""
    reference_run, reference = next(iter(runs.items()))
    for run, part in runs.items():
        twice = part["image_id"].duplicated()
        if twice.any():
            image = part["image_id"][twice].iloc[0]
            raise ValueError(f"predictions: image {image} comes twice in {_name(run)}; with folds only the test images come once")
        for one, other, name in ((reference, part, run), (part, reference, reference_run)):
            absent = one.loc[~one["image_id"].isin(other["image_id"]), "image_id"]
            if len(absent):
                raise ValueError(
                    f"predictions: {_name(name)} lacks {len(absent)} images that other runs have (first: {absent.iloc[0]}); "
                    "arms are compared on the same images, so predict them all"
                )
        for column in FIXED:
            a, b = (frame[column].astype(object).where(frame[column].notna(), "").to_numpy() for frame in (reference, part))
            if (a != b).any():
                image = part["image_id"].iloc[int(np.flatnonzero(a != b)[0])]
                raise ValueError(f"predictions: {column} of image {image} differs between {_name(reference_run)} and {_name(run)}")


def _threshold(run: Run, part: pd.DataFrame) -> np.ndarray | None:
    """The decision threshold that each image was judged by, None where the run has none. ValueError where a fold has several."""
    if "threshold" not in part.columns or part["threshold"].isna().all():
        return None
    folds = part["fold"] if "fold" in part.columns else pd.Series(0, index=part.index)
    if part["threshold"].groupby(folds).nunique(dropna=False).gt(1).any():
        raise ValueError(f"predictions: {_name(run)} has several thresholds; it is chosen once on validation and then fixed")
    return part["threshold"].to_numpy(dtype=float)


def _name(run: Run) -> str:
    return f"arm {run[0]} ({run[1]}, seed {run[2]})"
