"""Truth test: however much of the luck is the patients', each network's own, or training's, a 95 % interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from lib.stats.interval import Uncertainty

STUDIES, DEGREES = 2_000, 60


def share_held(trainings, patients, interaction, training):
    """Studies drawn as sums of normals with these variances (the latter two of a single training); the truth is 0."""
    rng = np.random.default_rng(trainings)
    runs = np.sqrt(interaction + training) * rng.normal(size=(STUDIES, trainings))
    value = np.sqrt(patients) * rng.normal(size=STUDIES) + runs.mean(axis=1)
    luck = rng.chisquare(DEGREES, STUDIES) / DEGREES                 # of the variances that resampling patients shows
    seeds = runs.var(axis=1, ddof=1) / trainings
    ends = np.array([
        Uncertainty(v, trainings, DEGREES, patients * x, interaction * x / trainings, s).interval(0.95)
        for v, x, s in zip(value, luck, seeds, strict=True)])
    return np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0))


FEW = "so few seeds show their spread only roughly; the verdict says so"
WIDER = "the wider of two intervals counts where the networks differ only in whom they get wrong"


@pytest.mark.parametrize(("trainings", "required"), [(3, (0.915, 0.99)), (5, (0.93, 0.985)), (8, (0.93, 0.97))])
def test_mixtures(report_truth, trainings, required):
    mixtures = [(p, i, t) for p in (0, 0.1, 0.3, 1) for i in (0, 0.3, 1) for t in (0, 0.3, 1) if p + i + t > 0]
    held = [share_held(trainings, *mixture) for mixture in mixtures]
    for name, share, because in (("least", min(held), FEW), ("most", max(held), WIDER)):
        report_truth(f"{trainings} seeds, {len(mixtures)} mixtures of patients and training, {name}", "95 % interval holds", STUDIES, share,
                     *required, because=because)
    assert required[0] <= min(held) and max(held) <= required[1]
    assert 0.94 <= np.mean(held) <= 0.97


def test_two_seeds_are_few(report_truth):
    share = min(share_held(2, patients, 0, 1) for patients in (0.1, 0.3, 1))
    report_truth("2 seeds, mixtures of patients and training, least", "95 % interval holds", STUDIES, share, 0.87, 0.95, because=FEW)
    assert 0.87 <= share <= 0.95                                     # the documented weakness, which the verdict's sentence admits
