"""What could have been found: against textbook power, and what must hold whatever the data."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from lib.stats.evaluate import evaluate
from lib.stats.interval import Uncertainty
from lib.stats.power import Plan, power_of
from lib.stats.verdict import declared_difference
from lib.study import Primary

OPTIONS = {"classes": ["melanoma", "nevus", "other"], "positive": ["melanoma"], "resamples": 200}


def parts(**changes):
    return Uncertainty(**({"value": 0.01, "trainings": 5, "degrees": 60, "patients": 4e-4, "interaction": 1e-4, "seeds": 3e-4} | changes))


def test_where_only_training_varies_it_is_the_power_of_the_t_test():
    for seeds in (3, 5, 12):
        plan = Plan(parts(patients=0.0, interaction=0.0, seeds=0.02**2 / seeds, trainings=seeds), 0.05, 0.8)
        effect = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8, alternative="two-sided")
        assert plan.detectable() == pytest.approx(0.02 * effect, rel=0.02)
        assert plan.detectable(seeds=20) == pytest.approx(0.02 * TTestPower().solve_power(nobs=20, alpha=0.05, power=0.8), rel=0.02)


def test_training_is_what_the_seeds_show_beyond_the_interaction():
    # more seeds shrink interaction and training alike; more patients shrink the interaction only
    mixed = Plan(parts(patients=0.0, interaction=1e-4, seeds=3e-4, degrees=1e6), 0.05, 0.8)
    bare = Plan(parts(patients=0.0, interaction=0.0, seeds=2e-4, degrees=1e6), 0.05, 0.8)
    assert mixed.detectable(1e6) == pytest.approx(bare.detectable(), rel=1e-3)
    whole = Plan(parts(patients=0.0, interaction=0.0, seeds=3e-4, degrees=1e6), 0.05, 0.8)
    assert mixed.detectable() == pytest.approx(whole.detectable(), rel=0.05)


def test_where_only_patients_vary_it_is_the_textbook_sum_of_quantiles():
    plan = Plan(parts(patients=1e-4, interaction=0.0, seeds=math.nan, trainings=1, degrees=1e6), 0.05, 0.9)
    assert plan.detectable() == pytest.approx((1.959964 + 1.281552) * 0.01, rel=1e-3)
    assert plan.detectable(4) == pytest.approx((1.959964 + 1.281552) * 0.005, rel=1e-3)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(2, 9), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0.55, 0.95))
def test_more_of_anything_finds_smaller_differences(trainings, patients, interaction, seeds, power):
    plan = Plan(parts(trainings=trainings, patients=patients, interaction=interaction, seeds=seeds + 0.01), 0.05, power)
    now = plan.detectable()
    assert now > 0
    if trainings > 5:       # with few, degrees of freedom shrink towards S − 1 as patients weigh less, and the quantile grows
        assert plan.detectable(2.0) <= now * 1.0001
    assert plan.detectable(seeds=trainings + 1) <= now * 1.0001
    assert dataclasses.replace(plan, power=0.97).detectable() > now
    assert dataclasses.replace(plan, level=0.01).detectable() > now


def row(make, primary=None, several=(), power=0.8, **changes):
    evaluation = evaluate(make(**changes), ["auroc", "sensitivity"], **OPTIONS)
    return power_of(evaluation, [primary or Primary(), *several], power).iloc[0], evaluation


def test_the_table(make):
    found, evaluation = row(make, Primary(margin=0.2))
    assert list(found.index) == ["metric", "group", "arm", "baseline", "margin", "detectable", "n_clusters", "clusters_needed", "n_images",
                                 "images_needed", "seeds", "seeds_needed", "note"]
    assert (found["metric"], found["group"], found["n_clusters"], found["n_images"], found["seeds"]) == ("auroc", "all", 90, 270, 3)
    assert "3 seeds say little" in found["note"] and "corrected" not in found["note"]
    several, _ = row(make, Primary(margin=0.2), [Primary(metric="sensitivity")])
    assert "corrected for the 2 declared" in several["note"] and several["detectable"] == found["detectable"]
    assert found["images_needed"] == 3 * found["clusters_needed"] < 270
    with pytest.raises(ValueError, match=r"power=0\.3; expected a share over 0.5"):
        power_of(evaluation, [Primary()], 0.3)


def test_numbers_needed_are_the_smallest_that_suffice(make):
    primary = Primary(margin=0.03)
    found, evaluation = row(make, primary, seeds=range(6), seed_noise=0.05, patients=60)
    plan = Plan(declared_difference(evaluation, primary), 0.05, 0.8)
    assert found["detectable"] == plan.detectable()
    n, s = found["clusters_needed"], found["seeds_needed"]
    assert plan.detectable(n / 60) <= 0.03 < plan.detectable((n - 1) / 60)
    assert plan.detectable(seeds=s) <= 0.03 < plan.detectable(seeds=s - 1)
    easy, _ = row(make, Primary(margin=10 * found["detectable"]), seeds=range(6), seed_noise=0.05, patients=60)
    assert easy["clusters_needed"] < 60 and easy["seeds_needed"] == 2            # fewer would have done


def test_when_no_number_suffices(make):
    training, _ = row(make, Primary(margin=0.01), seed_noise=1.0, own_noise=0.05, patients=150)
    assert math.isnan(training["clusters_needed"]) and math.isnan(training["images_needed"])
    assert "no number of patients suffices with 3 seeds" in training["note"]
    patients, _ = row(make, Primary(metric="sensitivity", margin=0.001), patients=60)
    assert math.isnan(patients["seeds_needed"]) and "no number of seeds suffices" in patients["note"]


def test_one_seed_and_what_is_not_estimable(make):
    one, _ = row(make, Primary(margin=0.05), seeds=(0,))
    assert math.isnan(one["seeds_needed"]) and one["clusters_needed"] > 0 and "these networks only" in one["note"]
    few, _ = row(make, Primary(metric="sensitivity", group="V–VI"), patients=30, per_patient=1)
    assert few["note"].startswith("not estimable: ") and math.isnan(few["detectable"])
    perfect = make(signal=50.0)
    evaluation = evaluate(perfect, ["sensitivity"], **OPTIONS)
    none = power_of(evaluation, [Primary(metric="sensitivity")]).iloc[0]
    assert "the resamples do not vary" in none["note"] and np.isnan(none["detectable"])
