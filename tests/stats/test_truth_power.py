"""Truth tests: a study whose true difference is the detectable one finds it as often as promised, and so does one of the size asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import norm
from worlds import World, ask, auroc_of, draw_study

from lib.stats.power import Plan

STUDIES, PILOTS, POWER, FOUND = 2_000, 200, 0.8, (0.76, 0.84)
DIFFERENCE = [(1, 1, None), (-1, 0, None)]


def plan_of(world):
    """From the parts of the variance as they are on average; one study with few seeds knows them only roughly."""
    pilots = [ask(draw_study(world, random), "auroc_positive", DIFFERENCE, random=random) for random in range(PILOTS)]
    parts = {name: float(np.mean([getattr(one, name) for one in pilots])) for name in ("patients", "interaction", "seeds")}
    return Plan(dataclasses.replace(pilots[0], **parts), 0.05, POWER)


def share_found(world, difference):
    """How many studies say that the second arm is better when it truly is, by `difference`."""
    middle, luck = auroc_of(world.signals[0], world.luck), world.luck
    signals = (norm.ppf([middle - difference / 2, middle + difference / 2]) * np.sqrt(2 + luck**2)).tolist()
    truly = dataclasses.replace(world, signals=signals)
    found = (ask(draw_study(truly, 10_000 + random), "auroc_positive", DIFFERENCE, random=random) for random in range(STUDIES))
    return np.mean([one.value > 0 and one.p_value() < 0.05 for one in found])


def test_a_detectable_difference_is_found(report_truth):
    world = World(patients=(60, 40), images=(1, 2), signals=(0.7, 0.7), seeds=3, luck=0.1, arm=0.2, own=0.3)
    difference = plan_of(world).detectable()
    found = share_found(world, difference)
    report_truth(f"100 patients, 3 seeds: AUROC better by {difference:.3f}", "found", STUDIES, found, *FOUND)
    assert FOUND[0] <= found <= FOUND[1]


def test_as_many_patients_as_needed_find_the_difference(report_truth):
    world = World(patients=(30, 20), images=(1, 2), signals=(0.7, 0.7), seeds=8, luck=0.1, arm=0.2, own=0.3)
    plan, wanted = plan_of(world), 0.11
    enough = next(more for more in np.arange(1, 5, 0.1) if plan.detectable(more) <= wanted)
    larger = dataclasses.replace(world, patients=tuple(round(enough * n) for n in world.patients))
    assert enough > 1.5
    found = share_found(larger, wanted)
    report_truth(f"{sum(larger.patients)} patients, 8 seeds, as asked for to find {wanted}", "found", STUDIES, found, *FOUND)
    assert FOUND[0] <= found <= FOUND[1]
