"""Raters that a computer plays, so that the demo has figures to show; whatever comes of them is marked as simulated and never used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lib.curation.review.key import Key
from lib.curation.review.ratings import SIMULATED

HABIT = 0.06        # standard deviation between raters in how high they rate, as a share of the scale
NOISE = 0.12        # and of one rater's rating of one picture on one scale
TASTE = 0.08        # and of a picture, common to all raters and scales


def simulate(
    key:     Key,
    *,
    quality: Mapping[str, float],       # kind ("generated", "real") → where on the scale its pictures lie on average, 0 worst to 1 best
    raters:  int = 3,
    seed:    int = 0,
) -> pd.DataFrame:
    """Ratings as `read_ratings` gives them, by raters named "simulated 1", "simulated 2" …; every picture rated on every scale.

    An invented model (quality + taste of the picture + habit of the rater + noise, rounded to the scale), fitted to nothing: it shows
    what the figures look like and says nothing about the pictures. Raises ValueError for a kind without a quality.
    """
    from lib.training.seeds import numpy_generator  # loads torch, which reading ratings does not need

    if lacking := sorted(set(key.items["kind"]) - set(quality)):
        raise ValueError(f"quality lacks {', '.join(lacking)}; give where on the scale its pictures lie, 0–1")
    rng = numpy_generator(seed, "review", "simulated raters")
    items = key.items.sort_values("item")
    level = items["kind"].map(quality).to_numpy(dtype=float) + rng.normal(0, TASTE, len(items))
    tables = []
    for number in range(1, raters + 1):
        habit = rng.normal(0, HABIT)
        table = {"rater": f"{SIMULATED} {number}", "item": items["item"].to_numpy()}
        for scale in key.scales:
            share = np.clip(level + habit + rng.normal(0, NOISE, len(items)), 0, 1)
            table[scale.name] = np.rint(scale.low + share * (scale.high - scale.low)).astype(int)
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True).astype({scale.name: "Int64" for scale in key.scales})
