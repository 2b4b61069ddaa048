"""An evaluation as a whole: what it hands to the measures, what changes nothing, and what it makes of perfect answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.metrics.partial_auroc import partial_auroc
from lib.stats.compare import differences, gaps, per_arm
from lib.stats.evaluate import evaluate
from lib.stats.evaluation import Term
from lib.stats.verdict import give_verdict
from lib.study import Primary

OPTIONS = {"classes": ["melanoma", "nevus", "other"], "positive": ["melanoma"], "resamples": 100, "minimum_positives": 10}
METRICS = ["auroc", "sensitivity", "brier"]


def tables(table):
    evaluation = evaluate(table, METRICS, **OPTIONS)
    return per_arm(evaluation), differences(evaluation, "real"), gaps(evaluation)


def test_names_of_patients_images_and_seeds_change_nothing(make):
    table = make(patients=60)
    names = {"cluster_id": "Z" + table["cluster_id"], "image_id": "A" + table["image_id"], "seed": table["seed"] + 40}
    for one, other in zip(tables(table), tables(table.assign(**names)), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_order_of_seeds_does_not_matter_when_arms_are_not_compared_by_it(make):
    # the same trainings under other numbers in every arm alike: the pairs stay together
    table = make(patients=60)
    for one, other in zip(tables(table), tables(table.assign(seed=2 - table["seed"])), strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-9)


def test_minimum_sensitivity_reaches_the_measure_and_its_scale(make):
    table = make(arms=("real",), seeds=(0,))
    y, p = table["y_true"].to_numpy(), table[["p_0", "p_1", "p_2"]].to_numpy()
    for minimum in (0.8, 0.5):
        evaluation = evaluate(table, ["partial_auroc"], minimum_sensitivity=minimum, **OPTIONS)
        found = per_arm(evaluation).iloc[0]
        assert found["value"] == pytest.approx(partial_auroc(y, p, positive=[0], minimum_sensitivity=minimum))
        assert 0 < found["low"] < found["value"] < found["high"] < 1 - minimum
        assert evaluation.minimum_sensitivity == minimum and evaluation.positive == (0,)
    assert evaluate(table, ["cohen_kappa"], **OPTIONS).limits("cohen_kappa") == (-1, 1)


def test_all_found_is_not_beyond_doubt(make):
    # every melanoma found in every training; 30 patients with melanoma, so 0.025^(1/30) could be the truth
    table = make(signal=30.0)
    evaluation = evaluate(table, ["sensitivity"], **OPTIONS)
    found, everybody = per_arm(evaluation), per_arm(evaluation).query("group == 'all'").iloc[0]
    assert (found["value"] == 1).all() and (found["high"] == 1).all()
    assert everybody["low"] == pytest.approx(0.025 ** (1 / 30))
    assert (found.query("group != 'all'")["low"] < everybody["low"]).all()
    changed = differences(evaluation, "real").iloc[0]
    assert changed["value"] == 0 and changed["high"] == -changed["low"] == pytest.approx(1 - 0.025 ** (1 / 30))
    assert give_verdict(evaluation, Primary(metric="sensitivity", margin=0.02)).kind == "cannot tell"
    assert (gaps(evaluation)["low"] < -0.1).all() and (gaps(evaluation)["high"] > 0.1).all()
    twin = evaluate(pd.concat([make(signal=30.0, arms=("real",)), make(signal=30.0, arms=("twin",))]), ["sensitivity"], **OPTIONS)
    assert (differences(twin, "real")[["low", "high"]] == 0).all().all()              # the very same answers: nothing to doubt


def test_one_arm_at_the_end_of_the_scale_leaves_room_on_its_side(make):
    table = make()
    best = table["arm"] == "oversampled"
    table.loc[best, ["p_0", "p_1", "p_2"]] = np.eye(3)[table.loc[best, "y_true"]]
    evaluation = evaluate(table, ["accuracy"], **OPTIONS)
    key = evaluation.key("accuracy", "all")
    found = evaluation.uncertainty("small_cnn", [Term(1, "oversampled", key), Term(-1, "real", key)])
    low, high = found.interval(0.95)
    alone = evaluation.uncertainty("small_cnn", [Term(1, "real", key)])
    pin = 1 - 0.025 ** (1 / 90)
    assert [one.side for one in found.pins] == [-1] and found.value == pytest.approx(1 - alone.value)
    assert (found.value - low) ** 2 - (high - found.value) ** 2 == pytest.approx(pin**2, rel=1e-6)


def test_degrees_of_a_gap_lie_between_those_of_its_groups(make):
    table = make(patients=100)
    few = table["group"] == "V–VI"
    table = table[~few | table["cluster_id"].isin(sorted(table.loc[few, "cluster_id"].unique())[:12])]
    evaluation = evaluate(table, ["accuracy"], **OPTIONS)
    keys = [evaluation.key("accuracy", group) for group in ("I–II", "V–VI")]
    degrees = [evaluation.basis[key].degrees for key in keys]
    found = evaluation.uncertainty("small_cnn", [Term(1, "real", keys[0]), Term(-1, "real", keys[1])])
    assert min(degrees) < found.degrees < sum(degrees)
