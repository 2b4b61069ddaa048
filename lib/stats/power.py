"""What this study could have found, and what it would take to find a difference of the size that matters.

The variance of the paired difference at C patients and S seeds, from its parts on these data (lib/stats/interval.py):

    patients · C₀/C  +  (interaction · C₀/C + training) · S₀/S

A difference is found when it is further from zero than its interval reaches. How often that happens is averaged over how large
the spread between trainings may turn out (χ² with S − 1 degrees of freedom), because with few seeds the interval's width is
itself a matter of luck. One comparison alone at the study's confidence: with several declared, Holm's correction asks for
somewhat more, and the note says so. The parts are those estimated here; with few seeds the seeds' part is known only roughly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtri, ndtr, stdtrit

from lib.stats.evaluation import ALL, Evaluation
from lib.stats.interval import Uncertainty
from lib.stats.verdict import declared_difference
from lib.stats.verdict_words import FEW_SEEDS
from lib.study import Primary

MOST  = 10**9    # patients or seeds; needing more counts as "no number suffices"
_LUCK = (np.arange(200) + 0.5) / 200     # quantiles over which the spread between trainings is averaged

_COLUMNS = ["metric", "group", "arm", "baseline", "margin", "detectable", "n_clusters", "clusters_needed", "n_images", "images_needed",
            "seeds", "seeds_needed", "note"]


def power_of(
    evaluation: Evaluation,
    primaries:  Sequence[Primary],    # all that were declared
    power:      float = 0.8,          # wanted chance of finding the difference
) -> pd.DataFrame:
    """A row per declared comparison, in their order.

    Columns: metric, group, arm, baseline, margin; detectable (the smallest true difference found with that power by as many
    patients and seeds as here); n_clusters and clusters_needed (patients or lesions, to find a difference of `margin` with as many
    seeds); n_images and images_needed (at as many images per patient); seeds and seeds_needed (with the same patients); note.
    Numbers needed are NaN when none suffices. Raises ValueError when `power` is not between 0.5 and 1.
    """
    if not 0.5 < power < 1:
        raise ValueError(f"power={power:g}; expected a share over 0.5 and under 1, e.g. 0.8")
    return pd.DataFrame([_row(evaluation, primary, power, len(primaries)) for primary in primaries], columns=_COLUMNS)


@dataclass(frozen=True)
class Plan:
    """The same comparison with more patients or other numbers of seeds."""

    found: Uncertainty      # today's
    level: float            # 1 − confidence
    power: float

    def detectable(self, more: float = 1.0, seeds: float | None = None) -> float:
        """The smallest true difference found with the power by `more` times the patients and so many seeds."""
        now = self.found
        seeds, degrees = now.trainings if seeds is None else seeds, min(now.degrees * more, 1e9)
        patients, interaction = now.patients / more, now.interaction / more * now.trainings / seeds
        training = max(0.0, now.seeds - now.interaction) * now.trainings / seeds if now.trainings > 1 else 0.0
        error = math.sqrt(patients + interaction + training)
        reach = np.full(1, stdtrit(degrees, 1 - self.level / 2) * math.sqrt(patients + interaction))
        if now.trainings > 1 and interaction + training > 0:                  # as the interval, for every spread that may turn up
            runs = (interaction + training) * chdtri(seeds - 1, 1 - _LUCK) / (seeds - 1)
            freedom = (patients + runs) ** 2 / (patients**2 / degrees + runs**2 / (seeds - 1))
            reach = np.maximum(reach, stdtrit(freedom, 1 - self.level / 2) * np.sqrt(patients + runs))
        low, high = 0.0, float(reach.max()) + 10 * error
        while high - low > 1e-6 * high:
            middle = (low + high) / 2
            enough = float(ndtr((middle - reach) / error).mean()) >= self.power
            low, high = (low, middle) if enough else (middle, high)
        return high


def _row(evaluation: Evaluation, primary: Primary, power: float, declared: int) -> dict:
    found = declared_difference(evaluation, primary)
    support = evaluation.support[primary.metric, primary.group or ALL]
    row = {"metric": primary.metric, "group": primary.group or ALL, "arm": primary.arm, "baseline": primary.baseline,
           "margin": primary.margin, "detectable": math.nan, "n_clusters": support.n_clusters, "clusters_needed": math.nan,
           "n_images": support.n_images, "images_needed": math.nan, "seeds": found.trainings, "seeds_needed": math.nan}
    if found.reason:
        return row | {"note": f"not estimable: {found.reason}"}
    if found.pins or not found.varies():
        return row | {"note": "not estimable: the resamples do not vary, so nothing is known about the size of chance"}
    plan, notes = Plan(found, 1 - evaluation.confidence, power), []
    row["detectable"] = plan.detectable()
    row["clusters_needed"] = _smallest(lambda n: plan.detectable(n / support.n_clusters), primary.margin, 2, plan.detectable(MOST))
    row["images_needed"] = float(np.ceil(row["clusters_needed"] * support.n_images / support.n_clusters))
    if math.isnan(row["clusters_needed"]):
        notes.append(f"no number of patients suffices with {found.trainings} seeds: training again changes the difference too much")
    if found.trainings == 1:
        notes.append("one training seed: how much training again would change is unknown, so this holds for these networks only")
    else:
        if found.trainings < FEW_SEEDS:
            notes.append(f"a rough guess, as {found.trainings} seeds say little about how much training again changes")
        row["seeds_needed"] = _smallest(lambda n: plan.detectable(seeds=n), primary.margin, 2, plan.detectable(seeds=MOST))
        if math.isnan(row["seeds_needed"]):
            notes.append("no number of seeds suffices with these patients")
    if declared > 1:
        notes.append(f"for this comparison alone; corrected for the {declared} declared, somewhat more is needed")
    return row | {"note": "; ".join(notes)}


def _smallest(detectable: Callable[[float], float], margin: float, first: int, at_most: float) -> float:
    """The smallest whole number from `first` on with which `margin` is detectable; NaN when even `at_most`, its limit, is not under it."""
    if not at_most < margin:
        return math.nan
    enough = first
    while detectable(enough) > margin:
        enough *= 2
        if enough > MOST:
            return math.nan
    short = max(first - 1, enough // 2)
    while enough - short > 1:
        middle = (enough + short) // 2
        enough, short = (enough, middle) if detectable(middle) > margin else (middle, short)
    return float(enough)
