"""DeLong against its definition pair by pair, against the jackknife, and where patients have several images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lib.stats.delong import delong, delong_table, placements
from lib.stats.evaluate import evaluate

OPTIONS = {"classes": ["a", "b", "c"], "positive": ["a"], "resamples": 20}


def draw(random, n=60, trainings=3, ties=False):
    rng = np.random.default_rng(random)
    is_positive = rng.permutation(np.arange(n) < n // 3)
    shared = rng.normal(size=n) + is_positive
    arm, baseline = (shared + lift * is_positive + rng.normal(size=(trainings, n)) for lift in (0.4, 0.0))
    return is_positive, *(np.round(scores) if ties else scores for scores in (arm, baseline))


def brute_placements(is_positive, score):
    """V10 and V01 as DeLong, DeLong & Clarke-Pearson write them: the mean of ψ over the other kind."""
    psi = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in score[~is_positive]] for x in score[is_positive]])
    return psi.mean(axis=1), psi.mean(axis=0)


def brute_variance(is_positive, arm, baseline, clusters):
    """Obuchowski (1997), eq. 2–4, with loops and a covariance matrix of the two arms."""
    m, n = is_positive.sum(), (~is_positive).sum()
    v10, v01 = (np.stack([
        np.mean([brute_placements(is_positive, row)[i] for row in scores], axis=0) for scores in (arm, baseline)
    ]) for i in (0, 1))
    area = v10.mean(axis=1)
    names = np.unique(clusters)
    x, y = np.zeros((2, len(names))), np.zeros((2, len(names)))
    for i, name in enumerate(names):
        mine, others = clusters[is_positive] == name, clusters[~is_positive] == name
        x[:, i] = v10[:, mine].sum(axis=1) - mine.sum() * area
        y[:, i] = v01[:, others].sum(axis=1) - others.sum() * area
    units, others, total = len(np.unique(clusters[is_positive])), len(np.unique(clusters[~is_positive])), len(names)
    s10, s01 = units / ((units - 1) * m) * x @ x.T, others / ((others - 1) * n) * y @ y.T
    s11 = total / (total - 1) * x @ y.T
    covariance = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    contrast = np.array([1, -1])
    return contrast @ covariance @ contrast


@pytest.mark.parametrize("ties", [False, True])
def test_placements_and_value_equal_their_definition(ties):
    is_positive, arm, baseline = draw(1, ties=ties)
    for found, expected in zip(placements(is_positive, arm[0]), brute_placements(is_positive, arm[0]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    areas = [np.mean([roc_auc_score(is_positive, row) for row in scores]) for scores in (arm, baseline)]
    assert delong(is_positive, arm, baseline).value == pytest.approx(areas[0] - areas[1])
    assert delong(is_positive, arm).value == pytest.approx(areas[0])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("patients", [15, 30, 60])
def test_variance_equals_its_definition(ties, patients):
    for random in range(3):
        is_positive, arm, baseline = draw(random, ties=ties)
        clusters = np.random.default_rng(random).permutation(np.arange(60) % patients)
        found = delong(is_positive, arm, baseline, clusters=clusters).standard_error
        assert found**2 == pytest.approx(brute_variance(is_positive, arm, baseline, clusters))


def test_usual_variance_is_the_covariance_of_placements():
    is_positive, arm, baseline = draw(4, trainings=1)
    v10, v01 = (np.stack([brute_placements(is_positive, scores[0])[i] for scores in (arm, baseline)]) for i in (0, 1))
    covariance = np.cov(v10) / is_positive.sum() + np.cov(v01) / (~is_positive).sum()
    found = delong(is_positive, arm, baseline)
    assert found.standard_error**2 == pytest.approx(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert delong(is_positive, arm).standard_error**2 == pytest.approx(covariance[0, 0])


def test_usual_variance_is_the_jackknife_of_both_samples():
    is_positive, arm, _ = draw(5, n=30, trainings=1, ties=True)
    whole, total = roc_auc_score(is_positive, arm[0]), 0.0
    for kind in (is_positive, ~is_positive):
        without = [roc_auc_score(np.delete(is_positive, i), np.delete(arm[0], i)) for i in np.flatnonzero(kind)]
        total += (kind.sum() - 1) / kind.sum() * ((np.array(without) - whole) ** 2).sum()
    assert delong(is_positive, arm).standard_error**2 == pytest.approx(total)


def test_copies_of_images_add_nothing_when_patients_are_the_units():
    is_positive, arm, baseline = draw(6)
    once = delong(is_positive, arm, baseline)
    twice = [np.repeat(part, 2, axis=-1) for part in (is_positive, arm, baseline)]
    by_patient, by_image = (delong(*twice, clusters=clusters) for clusters in (np.repeat(np.arange(60), 2), None))
    assert by_patient.standard_error == pytest.approx(once.standard_error)
    assert by_image.standard_error < 0.75 * once.standard_error                     # the usual formula believes every copy


def test_one_image_per_patient_is_the_usual_test_and_order_does_not_matter():
    is_positive, arm, baseline = draw(7)
    usual, order = delong(is_positive, arm, baseline), np.random.default_rng(0).permutation(60)
    for other in (
        delong(is_positive, arm, baseline, clusters=[f"patient {i}" for i in range(60)]),
        delong(is_positive[order], arm[:, order], baseline[::-1, order]),
        delong(is_positive, np.exp(arm), 7 * baseline - 2),
    ):
        np.testing.assert_allclose([other.value, other.standard_error, other.p_value], [usual.value, usual.standard_error, usual.p_value])
    turned = delong(is_positive, baseline, arm)
    np.testing.assert_allclose([turned.value, turned.z, turned.p_value], [-usual.value, -usual.z, usual.p_value])
    low, high = usual.interval(0.9)
    assert (usual.value - low) / usual.standard_error == pytest.approx(1.6448536)
    assert low + high == pytest.approx(2 * usual.value)


def test_many_studies_at_once_equal_one_by_one():
    is_positive = draw(0)[0]
    studies = [draw(0, n=60)[1:] for _ in range(2)] + [draw(3, n=60)[1:]]
    clusters = np.arange(60) // 2
    found = delong(is_positive, *(np.stack(scores) for scores in zip(*studies, strict=True)), clusters=clusters)
    assert found.p_value.shape == (3,)
    for p, (arm, baseline) in zip(found.p_value, studies, strict=True):
        assert p == pytest.approx(delong(is_positive, arm, baseline, clusters=clusters).p_value)


def test_one_arm_is_tested_against_guessing():
    is_positive, arm, _ = draw(9, trainings=1)
    found = delong(is_positive, arm)
    assert found.z == pytest.approx((found.value - 0.5) / found.standard_error)
    assert found.p_value < 0.05
    noise = delong(is_positive, np.random.default_rng(3).normal(size=(1, 60)))
    assert noise.p_value > 0.05
    assert delong(is_positive, np.zeros((1, 60))).p_value == 1                       # all scores equal: AUROC ½ without spread


def test_nothing_to_tell_apart():
    is_positive, arm, _ = draw(8)
    same = delong(is_positive, arm, arm)
    assert (same.value, same.standard_error, same.z, same.p_value) == (0, 0, 0, 1)
    perfect, constant = is_positive[None].astype(float), np.zeros((1, 60))
    apart = delong(is_positive, perfect, constant)                                  # ½ better on every image, without any spread
    assert apart.value == 0.5
    assert np.isnan(apart.p_value)
    assert np.isnan(delong(is_positive, perfect).p_value)
    lone = delong(np.array([True, False, False]), np.array([[3.0, 1.0, 2.0]]))      # one positive has no variance
    assert lone.value == 1
    assert np.isnan(lone.standard_error)
    assert np.isnan(lone.p_value)
    one_patient = delong(is_positive, arm, clusters=np.zeros(60))
    assert np.isnan(one_patient.p_value)
    for wrong in (np.ones(3, dtype=bool), np.zeros(3, dtype=bool), np.array([True])):
        with pytest.raises(ValueError, match="needs positives and negatives"):
            delong(wrong, np.zeros((1, len(wrong))))


def test_table(make):
    table = make(arms=("real", "copy", "better"), architectures=("one", "two"))
    table.loc[table["arm"] == "better", "p_0"] += 0.4 * (table.loc[table["arm"] == "better", "y_true"] == 0)
    copied = table[table["arm"] == "real"].assign(arm="copy")
    table = table[table["arm"] != "copy"]
    evaluation = evaluate(pd.concat([table, copied]), ["auroc"], **OPTIONS)
    found = delong_table(evaluation, "real").set_index(["arm", "architecture", "group"])
    assert len(found) == 2 * 3 * 4
    same = found.loc["copy"]
    assert (same["value"] == 0).all() and (same["p_value"] == 1).all() and (same["low"] == 0).all()
    better = found.loc["better", "all", "all"]
    assert better["p_value"] < 1e-6
    assert better["low"] < better["value"] < better["high"]
    assert (better["n_positives"], better["n_negatives"], better["n_clusters"]) == (90, 180, 90)
    assert better["value"] == pytest.approx(found.loc["better"].loc[["one", "two"]].xs("all", level="group")["value"].mean())
    rows = evaluation.predictions.groups == "V–VI"
    truth = evaluation.predictions.y_true[rows] == 0
    scores = [np.stack([evaluation.predictions.probabilities[arm, "two", s][rows, 0] for s in (0, 1, 2)]) for arm in ("better", "real")]
    alone = delong(truth, *scores, clusters=evaluation.predictions.cluster_ids[rows])
    assert found.loc["better", "two", "V–VI"]["p_value"] == pytest.approx(alone.p_value)
    assert (found["p_adjusted"] >= found["p_value"]).all()


def test_table_says_what_is_not_estimable(make):
    evaluation = evaluate(make(patients=30), ["auroc"], **OPTIONS)                  # about ten positives a group
    found = delong_table(evaluation, "real").set_index("group")
    assert found.loc["all", "note"] == ""
    lacking = found.drop("all")
    assert lacking["note"].str.match(r"not estimable: \d+ positives, needs 20").all()
    assert lacking[["value", "low", "high", "z", "p_value", "p_images", "p_adjusted"]].isna().all(axis=None)
    assert found.loc["all", "p_adjusted"] == found.loc["all", "p_value"]            # what has no answer does not count
    nothing = delong_table(evaluate(make(), ["auroc"], classes=OPTIONS["classes"], resamples=20), "real")
    assert nothing["note"].str.contains("names no positive classes").all()
    assert nothing["n_negatives"].isna().all()
    with pytest.raises(ValueError, match="no predictions of arm nobody"):
        delong_table(evaluation, "nobody")
