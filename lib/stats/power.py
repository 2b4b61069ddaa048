"""What this study could have found, and what it would take to find a difference of the size that matters.

The variance of the paired difference at C patients and S seeds, from its parts on these data (lib/stats/interval.py):

    patients · C₀/C  +  (interaction · C₀/C + training) · S₀/S

A true difference is found with the wanted power when it is as large as the noncentrality of Student's t that puts that share
beyond the critical value, times the standard error (Cohen 1988, §2.5; degrees of freedom as in the interval). One comparison
alone at the study's confidence: with several declared, Holm's correction asks for somewhat more, and the note says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.special import nctdtrinc, stdtrit

from lib.stats.evaluate import ALL, Evaluation
from lib.stats.interval import Uncertainty
from lib.stats.verdict import declared_difference
from lib.study import Primary

MOST = 10**9    # patients or seeds; needing more counts as "no number suffices"

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
    """How the variance of a difference changes with the number of patients and seeds; both as multiples of today's or counts."""

    found: Uncertainty
    level: float            # 1 − confidence
    power: float

    @property
    def training(self) -> float:
        """Variance of the mean that training again adds beyond what each network makes of these patients; 0 with one seed."""
        return max(0.0, self.found.seeds - self.found.interaction) if self.found.trainings > 1 else 0.0

    def detectable(self, more: float = 1.0, seeds: float | None = None) -> float:
        """The smallest true difference found with the power by `more` times the patients (may be infinite) and so many seeds."""
        now = self.found
        seeds = now.trainings if seeds is None else seeds
        patients, runs = now.patients / more, (now.interaction / more + self.training) * now.trainings / seeds
        total = patients + runs
        if not total > 0:
            return 0.0
        share = patients**2 / (now.degrees * more) + (runs**2 / (seeds - 1) if seeds > 1 else 0.0)
        degrees = min(total**2 / share, now.degrees * more) if share > 0 else 1e6
        degrees = min(degrees, 1e6)
        critical = float(stdtrit(degrees, 1 - self.level / 2))
        return float(nctdtrinc(degrees, 1 - self.power, critical)) * math.sqrt(total)


def _row(evaluation: Evaluation, primary: Primary, power: float, declared: int) -> dict:
    found = declared_difference(evaluation, primary)
    support = evaluation.support[primary.metric, primary.group or ALL]
    row = {"metric": primary.metric, "group": primary.group or ALL, "arm": primary.arm, "baseline": primary.baseline,
           "margin": primary.margin, "detectable": math.nan, "n_clusters": support.n_clusters, "clusters_needed": math.nan,
           "n_images": support.n_images, "images_needed": math.nan, "seeds": found.trainings, "seeds_needed": math.nan}
    if found.reason:
        return row | {"note": f"not estimable: {found.reason}"}
    if not found.patients + found.interaction > 0 or found.pins:
        return row | {"note": "not estimable: the resamples do not vary, so nothing is known about the size of chance"}
    plan, notes = Plan(found, 1 - evaluation.confidence, power), []
    row["detectable"] = plan.detectable()
    row["clusters_needed"] = _smallest(lambda n: plan.detectable(n / support.n_clusters), primary.margin, 2, plan.detectable(math.inf))
    row["images_needed"] = row["clusters_needed"] * support.n_images / support.n_clusters
    row["images_needed"] = math.ceil(row["images_needed"]) if row["clusters_needed"] == row["clusters_needed"] else math.nan
    if math.isnan(row["clusters_needed"]):
        notes.append(f"no number of patients suffices with {found.trainings} seeds: training again changes the difference too much")
    if found.trainings == 1:
        notes.append("one training seed: how much training again would change is unknown, so this holds for these networks only")
    else:
        row["seeds_needed"] = _smallest(lambda n: plan.detectable(1.0, n), primary.margin, 2, plan.detectable(1.0, math.inf))
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
