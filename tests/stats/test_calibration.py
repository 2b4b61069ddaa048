"""Calibration tables against their definition, drawn calibrated arms, and reliability with its intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss
from statsmodels.stats.proportion import proportion_confint

from lib.metrics.calibration_error import calibration_error
from lib.stats.calibration import calibration_table, reliability_by_group
from lib.stats.evaluate import evaluate

OPTIONS = {"classes": ["a", "b", "c"], "positive": ["a"], "resamples": 20}


@pytest.fixture(scope="module")
def calibrated(make):
    """One arm whose probability of class a is exactly right, one that exaggerates it."""
    table = make(patients=400, per_patient=1, arms=("right", "loud"))
    images = sorted(set(table["image_id"]))
    rng = np.random.default_rng(8)
    p = pd.Series(rng.beta(1, 2, len(images)), index=images)
    truth = pd.Series(np.where(rng.random(len(images)) < p, 0, 1), index=images)
    table = table.assign(y_true=table["image_id"].map(truth))
    table["p_0"] = np.where(table["arm"] == "right", table["image_id"].map(p), np.sqrt(table["image_id"].map(p)))
    table["p_1"] = table["p_2"] = (1 - table["p_0"]) / 2
    return table


def test_table_by_definition(make):
    evaluation = evaluate(make(architectures=("one", "two"), seeds=(0, 1)), ["auroc"], **OPTIONS)
    found = calibration_table(evaluation, 5, simulations=20)
    assert len(found) == 2 * 3 * 4
    table = evaluation.predictions
    for row in found.itertuples():
        runs = [run for run in table.probabilities if run[0] == row.arm and row.architecture in ("all", run[1])]
        inside = np.ones(len(table.y_true), dtype=bool) if row.group == "all" else table.groups == row.group
        y = (table.y_true == 0)[inside]
        assert row.brier == pytest.approx(np.mean([brier_score_loss(y, table.probabilities[run][inside, 0]) for run in runs]))
        assert row.ece == pytest.approx(np.mean([calibration_error(y, table.probabilities[run][inside, 0], 5) for run in runs]))
        assert (row.n_images, row.n_positives) == (inside.sum(), y.sum())
        assert 0 < row.ece_expected < row.ece_high
        assert row.p_value * 21 == pytest.approx(round(row.p_value * 21))
    assert (found["p_adjusted"] >= found["p_value"]).all()
    pd.testing.assert_frame_equal(found, calibration_table(evaluation, 5, simulations=20))


def test_right_probabilities_pass_and_loud_ones_do_not(calibrated):
    found = calibration_table(evaluate(calibrated, ["auroc"], **OPTIONS), simulations=199).set_index(["arm", "group"])
    assert (found.loc["right"]["p_value"] > 0.05).all()
    assert (found.loc["loud"]["p_value"] <= 3 / 200).all()
    assert (found.loc["loud"]["ece"] > found.loc["loud"]["ece_high"]).all()
    # what chance gives shrinks with the images, and is that of drawn outcomes
    assert found.loc[("right", "all"), "ece_expected"] < found.loc[("right", "V–VI"), "ece_expected"]
    p = calibrated[(calibrated["arm"] == "right") & (calibrated["seed"] == 0)]["p_0"].to_numpy()
    drawn = calibration_error(np.random.default_rng(1).random((2000, len(p))) < p, p)
    assert found.loc[("right", "all"), "ece_expected"] == pytest.approx(drawn.mean(), rel=0.05)
    assert found.loc[("right", "all"), "ece_high"] == pytest.approx(np.quantile(drawn, 0.95), rel=0.07)


def test_copies_of_images_do_not_make_an_arm_look_worse(calibrated):
    four = pd.concat([calibrated.assign(image_id=calibrated["image_id"] + f"_{i}") for i in range(4)])
    right = four[four["arm"] == "right"]
    once = calibration_table(evaluate(calibrated[calibrated["arm"] == "right"], ["auroc"], **OPTIONS), simulations=300).iloc[0]
    together, apart = (calibration_table(evaluate(rows, ["auroc"], **OPTIONS), simulations=300).iloc[0]
                       for rows in (right, right.assign(cluster_id=right["image_id"])))
    assert together["ece"] == pytest.approx(once["ece"], abs=1e-9)
    assert together["ece_expected"] == pytest.approx(once["ece_expected"], rel=0.1)      # four copies know what one knows
    assert apart["ece_expected"] == pytest.approx(once["ece_expected"] / 2, rel=0.15)    # taken for four times as many images


def test_without_positive_classes_the_answer_is_looked_at(predictions):
    evaluation = evaluate(predictions, ["accuracy"], classes=OPTIONS["classes"], resamples=20)
    found = calibration_table(evaluation, simulations=20).set_index(["arm", "group"])
    table = evaluation.predictions
    runs = [table.probabilities["real", "small_cnn", s] for s in (0, 1, 2)]
    row = found.loc["real", "all"]
    assert row["brier"] == pytest.approx(np.mean([brier_score_loss(table.y_true, p, labels=range(3)) / 2 for p in runs]))
    assert row["ece"] == pytest.approx(np.mean([calibration_error(p.argmax(axis=1) == table.y_true, p.max(axis=1)) for p in runs]))
    assert pd.isna(row["n_positives"])
    assert row["note"] == "of the most probable class"
    assert reliability_by_group(evaluation, "real")["predicted"].min() > 1 / 3


def test_small_and_empty_groups(make):
    evaluation = evaluate(make(patients=30), ["auroc"], groups=["I–II", "nobody"], **OPTIONS)
    found = calibration_table(evaluation, simulations=20).set_index(["arm", "group"]).loc["real"]
    assert found.loc["I–II", "note"].startswith("not estimable:")
    assert found.loc["nobody", "note"] == "not estimable: no images"
    assert found.loc[["I–II", "nobody"], ["brier", "ece", "ece_expected", "ece_high", "p_value", "p_adjusted"]].isna().all(axis=None)
    bins = reliability_by_group(evaluation, "real").set_index("group")
    assert pd.isna(bins.loc["nobody", "bin"]) and bins.loc["nobody", "note"] == "not estimable: no images"
    assert len(bins.loc["all"]) == 5


def test_reliability_with_one_image_per_patient_is_wilson(calibrated):
    evaluation = evaluate(calibrated[calibrated["seed"] == 0], ["auroc"], **OPTIONS)
    found = reliability_by_group(evaluation, "right", bins=4)
    whole = found[found["group"] == "all"]
    table = evaluation.predictions
    p, y = table.probabilities["right", "small_cnn", 0][:, 0], table.y_true == 0
    for row, at in zip(whole.itertuples(), np.array_split(np.argsort(p), 4), strict=True):
        assert row.images == 100
        assert (row.predicted, row.observed) == (pytest.approx(p[at].mean()), pytest.approx(y[at].mean()))
        # one patient less in the variance: 99 of 100
        expected = proportion_confint(y[at].mean() * 99, 99, method="wilson")
        np.testing.assert_allclose([row.low, row.high], expected, atol=1e-9)
    assert list(whole["bin"]) == [1, 2, 3, 4]
    for group in evaluation.groups:
        assert found[found["group"] == group]["images"].sum() == (table.groups == group).sum()


def test_reliability_knows_patients_and_trainings(make, calibrated):
    once = reliability_by_group(evaluate(calibrated, ["auroc"], **OPTIONS), "right")
    single = reliability_by_group(evaluate(calibrated[calibrated["seed"] == 0], ["auroc"], **OPTIONS), "right")
    pd.testing.assert_frame_equal(once, single)                                     # three equal trainings say no more than one
    copied = pd.concat([calibrated.assign(image_id=calibrated["image_id"] + f"_{i}") for i in range(3)])
    copies = reliability_by_group(evaluate(copied, ["auroc"], **OPTIONS), "right")
    np.testing.assert_allclose(copies[["low", "high"]], once[["low", "high"]], atol=1e-9)
    assert (copies["images"] == 3 * once["images"]).all()
    apart = reliability_by_group(evaluate(copied.assign(cluster_id=copied["image_id"]), ["auroc"], **OPTIONS), "right")
    assert ((apart["high"] - apart["low"]) < 0.75 * (once["high"] - once["low"])).all()
    assert ((once["low"] >= 0) & (once["high"] <= 1) & (once["low"] <= once["observed"]) & (once["observed"] <= once["high"])).all()


def test_patients_unlike_in_themselves_count_no_more_than_their_images(make):
    table = make(patients=90, per_patient=2, arms=("real",), seeds=(0,))
    number = table["image_id"].str[-5:].astype(int)
    table = table.assign(y_true=np.where(number < 2, 0, number % 2), p_0=0.5, p_1=0.25, p_2=0.25)       # one of each, but for one patient
    found = reliability_by_group(evaluate(table, ["auroc"], **OPTIONS), "real").iloc[0]
    np.testing.assert_allclose([found["low"], found["high"]], proportion_confint(found["observed"] * 180, 180, method="wilson"), atol=1e-9)


def test_reliability_where_nothing_or_everything_happens(make):
    table = make(arms=("real",))
    table["p_0"] = np.where(table["y_true"] == 0, 0.9, 0.05)
    table["p_1"] = table["p_2"] = (1 - table["p_0"]) / 2
    found = reliability_by_group(evaluate(table, ["auroc"], **OPTIONS), "real")
    certain = found[found["group"] == "all"]
    assert len(certain) == 2                                                        # two scores: two bins
    assert certain["observed"].tolist() == [0, 1]
    low, high = proportion_confint(0, 60, method="wilson")                           # sixty patients, not 180 images
    np.testing.assert_allclose(certain.iloc[0][["low", "high"]].astype(float), [low, high], atol=1e-9)
    with pytest.raises(ValueError, match="no predictions of arm nobody"):
        reliability_by_group(evaluate(table, ["auroc"], **OPTIONS), "nobody")
