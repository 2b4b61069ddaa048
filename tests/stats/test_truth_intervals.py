"""Truth tests: in drawn studies whose answer is known, a 95 % interval must hold it 95 % of the time, however the study is built."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm
from worlds import World, ask, auroc_of, count_pairs, draw_study

from lib.metrics.registry import MEASURES
from lib.stats.compare import per_arm
from lib.stats.evaluate import evaluate
from lib.stats.interval import make_uncertainty

STUDIES = 2_000
HELD = (0.93, 0.97)      # what an honest 95 % interval may show in 2,000 studies, with room for its approximations
OURS = "95 % interval holds"

DEMO = World(patients=(90, 60), images=(1, 3), signals=(1.2, 1.6, 1.2), seeds=3, luck=0.15, arm=0.2, own=0.3)    # 150 patients, 300 images
SMALL = dataclasses.replace(DEMO, patients=(24, 16), images=(1, 4))
RARE = dataclasses.replace(DEMO, patients=(71, 29), images=(1, 2), signals=(1.5, 1.9, 1.5), seeds=8)
RARE_AND_EASY = dataclasses.replace(RARE, signals=(2.2, 2.5, 2.2))

VALUE, BETTER, SAME = [(1, 0, None)], [(1, 1, None), (-1, 0, None)], [(1, 2, None), (-1, 0, None)]


def test_the_quick_count_of_pairs_is_the_measure():
    study = draw_study(SMALL, 0)
    weights = np.random.default_rng(0).integers(0, 3, 40)[study.patient][None].astype(float)
    quick = count_pairs(study.label, study.p[1, :, :, 1], weights)
    exact = [MEASURES["auroc_positive"](study.label, p, weights=weights, positive=[1]) for p in study.p[1]]
    np.testing.assert_allclose(quick, exact, rtol=1e-5)


def share_held(report_truth, scenario, world, truths, required=HELD, **questions):
    """Ask each question of the same 2,000 studies; report and check the share of intervals that hold its truth."""
    held = dict.fromkeys(questions, 0)
    for random in range(STUDIES):
        study = draw_study(world, random)
        for name, options in questions.items():
            low, high = ask(study, random=random, **options).interval(0.95)
            held[name] += low <= truths[name] <= high
    for name, count in held.items():
        report_truth(f"{scenario}: {name.replace('_', ' ')}", OURS, STUDIES, count / STUDIES, *required)
    assert all(required[0] <= count / STUDIES <= required[1] for count in held.values()), held


@pytest.mark.parametrize(("scenario", "world", "rejected"), [
    ("40 patients, 3 seeds", SMALL, (0.03, 0.06)),                                  # so few that the t quantile is a little cautious
    ("150 patients, 3 seeds", DEMO, (0.04, 0.06)),
    ("29 positive lesions, 8 seeds", RARE, (0.04, 0.06)),
    ("29 positive lesions, 8 seeds, AUROC 0.94", RARE_AND_EASY, (0.04, 0.06)),
])
def test_two_arms(report_truth, scenario, world, rejected):
    """One arm's value, its difference from a better arm, and its difference from an arm that is no better: p < 0.05 in 5 % of studies."""
    worse, better = (auroc_of(signal, world.luck) for signal in world.signals[:2])
    held, p, sign = np.zeros(2), [], []
    for random in range(STUDIES):
        study = draw_study(world, random)
        for i, (terms, truth) in enumerate(((VALUE, worse), (BETTER, better - worse))):
            low, high = ask(study, "auroc_positive", terms, random=random).interval(0.95)
            held[i] += low <= truth <= high
        found = ask(study, "auroc_positive", SAME, random=random)
        p.append(found.p_value())
        sign.append(found.value > 0)
    held, false = held / STUDIES, np.array(p) < 0.05
    report_truth(f"{scenario}: AUROC", OURS, STUDIES, held[0], *HELD)
    report_truth(f"{scenario}: AUROC difference", OURS, STUDIES, held[1], *HELD)
    report_truth(f"{scenario}: AUROC, arms alike", "p < 0.05", STUDIES, false.mean(), *rejected,
                 because="" if rejected == (0.04, 0.06) else "so few patients that the t quantile is a little cautious")
    assert ((held >= HELD[0]) & (held <= HELD[1])).all(), held
    assert rejected[0] <= false.mean() <= rejected[1]
    assert 0.3 <= np.mean(np.array(sign)[false]) <= 0.7                 # as often for either arm


def test_sensitivity(report_truth):
    called = 0.3                                                        # the score from which an image is called positive
    world = dataclasses.replace(DEMO, signals=(1.2,))
    share_held(report_truth, "150 patients, 3 seeds", world, {"sensitivity": norm.cdf((1.2 - called) / np.sqrt(1 + 0.15**2))},
               sensitivity={"metric": "sensitivity", "terms": VALUE, "threshold": norm.cdf(called)})


def test_images_of_a_patient_are_not_independent(report_truth):
    world = World(patients=(42, 28), images=(1, 6), signals=(1.2,))
    held = np.zeros(2)
    for random in range(STUDIES):
        study = draw_study(world, random)
        for images in (False, True):
            low, high = ask(study, "auroc_positive", VALUE, images=images, random=random).interval(0.95)
            held[int(images)] += low <= auroc_of(1.2) <= high
    patients, images = held / STUDIES
    report_truth("70 patients, 1–6 images each: AUROC", OURS, STUDIES, patients, *HELD)
    report_truth("70 patients, 1–6 images each, drawn as if independent: wrong", OURS, STUDIES, images, 0.0, 0.90,
                 because="that is what clusters are for")
    assert HELD[0] <= patients <= HELD[1] and images < 0.90


def test_gap_between_two_groups_named_beforehand(report_truth):
    world = World(patients=(90, 60), images=(1, 3), signals=(1.2,), groups=(0.0, 0.5))
    share_held(report_truth, "150 patients in two groups, one network", world, {"AUROC_gap": auroc_of(1.7) - auroc_of(1.2)},
               AUROC_gap={"metric": "auroc_positive", "terms": [(1, 0, 1), (-1, 0, 0)]})


def test_means_over_three_classes(report_truth):
    world = World(patients=(75, 45, 30), images=(1, 3), signals=(1.5,))
    names = {"mean_AUROC": "auroc", "macro_F1": "macro_f1", "balanced_accuracy": "balanced_accuracy"}
    crowd = draw_study(dataclasses.replace(world, patients=tuple(3_000 * n for n in world.patients)), 0)      # 450,000 patients
    truths = {name: MEASURES[metric](crowd.label, crowd.p[0, 0]) for name, metric in names.items()}
    share_held(report_truth, "150 patients, three classes, one network", world, truths,
               **{name: {"metric": metric, "terms": VALUE} for name, metric in names.items()})


@pytest.mark.parametrize("positives", [20, 29, 60])
def test_shares_near_one(report_truth, positives):
    # One image a patient, k of n positives found by one network: an arm for every k, weighed by how often k comes up, so no study needs
    # drawing. Counts move in steps and no interval holds every truth equally often; too often is allowed here, too seldom is not.
    tables = [pd.DataFrame({
        "image_id": [f"i{i:03d}" for i in range(positives + 5)], "split": "test", "arm": f"{k:03d}", "architecture": "a", "seed": 0,
        "y_true": [1] * positives + [0] * 5, "p_0": 1 - p, "p_1": p, "threshold": 0.5, "group": None,
        "cluster_id": [f"i{i:03d}" for i in range(positives + 5)],
    }) for k in range(positives + 1) for p in [np.where(np.arange(positives + 5) < k, 0.9, 0.1)]]
    found = per_arm(evaluate(pd.concat(tables), ["sensitivity"], classes=["benign", "malignant"], positive=["malignant"]))
    assert len(found) == positives + 1 and found["value"].iloc[-1] == 1 and found["low"].iloc[-1] == pytest.approx(0.025 ** (1 / positives))
    for truth in (0.8, 0.9, 0.97):
        holds = (found["low"] <= truth) & (truth <= found["high"])
        share = float(binom.pmf(np.arange(positives + 1), positives, truth)[holds].sum())
        report_truth(f"{positives} positives, one network: sensitivity {truth}", OURS, STUDIES, share, HELD[0], 1.0,
                     because="counts move in steps: too often is allowed")
        assert share >= HELD[0], (truth, share)


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_only_training_varies(report_truth, seeds):
    values = np.random.default_rng(seeds).normal(0.8, 0.02, size=(STUDIES, seeds))
    ends = np.array([make_uncertainty(v, np.repeat(v[:, None], 10, axis=1), degrees=40).interval(0.95) for v in values])
    held = np.mean((ends[:, 0] <= 0.8) & (ends[:, 1] >= 0.8))
    report_truth(f"nothing varies but training, {seeds} seeds", OURS, STUDIES, held, *HELD)
    assert HELD[0] <= held <= HELD[1]
