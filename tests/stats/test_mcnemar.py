"""McNemar against statsmodels, its counts against the table, and patients as units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference

from lib.stats.evaluate import evaluate
from lib.stats.mcnemar import mcnemar, mcnemar_table
from lib.stats.sign_flip import sign_flip

OPTIONS = {"classes": ["a", "b", "c"], "positive": ["a"], "resamples": 20}


@pytest.mark.parametrize(("b", "c"), [(0, 1), (1, 0), (5, 5), (12, 12), (9, 15), (12, 13), (0, 25), (13, 12), (60, 40), (300, 300)])
def test_equals_statsmodels(b, c):
    p, exact = mcnemar(b, c)
    assert exact == (b + c < 25)
    assert p == pytest.approx(reference([[7, b], [c, 9]], exact=bool(exact), correction=False).pvalue, rel=1e-9)


def test_no_disagreement_is_no_difference():
    p, exact = mcnemar(np.array([0, 3]), np.array([0, 3]))
    np.testing.assert_array_equal(p, [1, 1])
    assert exact.all()


def outcomes(table, arm, seed, positives_only):
    """Image → whether the arm's call at the threshold was right."""
    rows = table[(table["arm"] == arm) & (table["seed"] == seed)].set_index("image_id")
    rows = rows[rows["y_true"] == 0] if positives_only else rows
    return (rows["p_0"] >= rows["threshold"]) == (rows["y_true"] == 0), rows


@pytest.mark.parametrize("positives_only", [False, True])
def test_table_counts_calls_at_the_threshold(predictions, positives_only):
    found = mcnemar_table(evaluate(predictions, ["auroc"], **OPTIONS), "oversampled", positives_only).set_index(["arm", "group", "seed"])
    assert len(found) == 4 * 3
    for (_, group, seed), row in found.iterrows():
        ours, rows = outcomes(predictions, "real", seed, positives_only)
        others, _ = outcomes(predictions, "oversampled", seed, positives_only)
        inside = np.ones(len(rows), dtype=bool) if group == "all" else (rows["group"] == group).to_numpy()
        b, c = int((others & ~ours)[inside].sum()), int((ours & ~others)[inside].sum())
        assert (row["only_baseline"], row["only_arm"], row["n_images"]) == (b, c, inside.sum())
        assert row["p_images"] == pytest.approx(mcnemar(b, c)[0])
        gain = (ours.astype(int) - others.astype(int))[inside]
        assert row["p_value"] == pytest.approx(sign_flip(gain.groupby(rows["cluster_id"][inside]).sum().to_numpy()))
    assert (found["p_adjusted"] >= found["p_value"]).all()


def test_one_image_per_patient_is_the_exact_test(make):
    found = mcnemar_table(evaluate(make(patients=240, per_patient=1, lift=0.4), ["auroc"], **OPTIONS), "real")
    for row in found.itertuples():
        assert row.p_value == pytest.approx(reference([[0, row.only_baseline], [row.only_arm, 0]], exact=True).pvalue)


def test_without_positive_classes_the_answer_counts(predictions):
    evaluation = evaluate(predictions, ["accuracy"], classes=OPTIONS["classes"], resamples=20)
    found = mcnemar_table(evaluation, "real").set_index(["group", "seed"])
    table = evaluation.predictions
    ours, others = (table.probabilities[arm, "small_cnn", 1].argmax(axis=1) == table.y_true for arm in ("oversampled", "real"))
    assert found.loc[("all", 1), "only_arm"] == (ours & ~others).sum()
    assert set(found["note"]) == {"right or wrong by the most probable class"}
    assert mcnemar_table(evaluation, "real", positives_only=True)["note"].str.contains("names no positive classes").all()


def test_without_thresholds(predictions):
    evaluation = evaluate(predictions.assign(threshold=np.nan), ["auroc"], **OPTIONS)
    assert mcnemar_table(evaluation, "real")["note"].str.contains("most probable class").all()
    silent = mcnemar_table(evaluation, "real", positives_only=True)
    assert set(silent["note"]) == {"not estimable: the table holds no decision threshold"}
    assert silent["p_value"].isna().all()


def test_small_and_empty_groups(make):
    table = make(patients=30)
    evaluation = evaluate(table, ["auroc"], groups=["I–II", "nobody"], **OPTIONS)
    found = mcnemar_table(evaluation, "real", positives_only=True).set_index(["group", "seed"])
    assert (found.loc["nobody"]["note"] == "not estimable: no images").all()
    assert (found.loc["nobody"]["n_images"] == 0).all()
    assert found.loc["I–II"]["note"].str.match(r"not estimable: \d+ positives, needs 20").all()
    assert found.loc["all"]["p_value"].notna().all()
    copies = pd.concat([table[table["arm"] == "real"], table[table["arm"] == "real"].assign(arm="copy")])
    assert (mcnemar_table(evaluate(copies, ["auroc"], **OPTIONS), "real")["p_value"] == 1).all()
