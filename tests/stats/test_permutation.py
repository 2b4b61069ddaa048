"""Shuffled groups: what stays, what is measured, and the p-value against every arrangement written out."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from lib.metrics.registry import MEASURES
from lib.stats.compare import gaps
from lib.stats.equalized_odds import equalized_odds
from lib.stats.evaluate import evaluate
from lib.stats.permutation import against_null, gap_nulls, in_blocks, shuffle_groups, spread

OPTIONS = {"classes": ["a", "b", "c"], "positive": ["a"], "resamples": 20}


def draw(random=0, patients=40):
    rng = np.random.default_rng(random)
    patient = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    label = rng.integers(0, 3, patients)[patient]
    return np.array([f"p{i:03d}" for i in patient]), label, rng.integers(0, 3, patients)[patient]


def test_patients_stay_whole_and_classes_keep_their_patients():
    cluster, label, group = draw()
    shuffled = shuffle_groups(cluster, label, group, permutations=50, seed=1)
    first = np.unique(cluster, return_index=True)[1]
    for row in shuffled:
        assert all(len(set(row[cluster == one])) == 1 for one in cluster[first])
        for k in range(3):                                      # patients of each class in each group, as in the data
            inside = first[label[first] == k]
            np.testing.assert_array_equal(np.bincount(row[inside], minlength=3), np.bincount(group[inside], minlength=3))
    assert (shuffled != group).any(axis=1).all()
    moved = shuffled[:, first]
    assert len(np.unique(moved, axis=0)) == 50


def test_a_patient_in_two_groups_counts_as_two():
    cluster, label, group = np.array(["a", "a", "b"]), np.zeros(3, dtype=int), np.array([0, 1, 0])
    shuffled = shuffle_groups(cluster, label, group, permutations=300)
    assert {tuple(row) for row in shuffled} == {(0, 1, 0), (1, 0, 0), (0, 0, 1)}


def test_patients_change_places_with_those_of_about_as_many_images():
    # sizes 1, 1, 3, 2 of groups 0, 1, 0, 1 and, of both other sizes, one of group 0 each: these two would have no partner alone
    sizes, groups = [1, 1, 3, 2, 4, 9], [0, 1, 0, 1, 0, 0]
    cluster, group = np.repeat(list("abcdef"), sizes), np.repeat(groups, sizes)
    shuffled = shuffle_groups(cluster, np.zeros(20, dtype=int), group, permutations=200)
    of_patient = shuffled[:, np.cumsum([0, *sizes[:-1]])]
    assert {tuple(row) for row in of_patient[:, :2]} == {tuple(row) for row in of_patient[:, 2:4]} == {(0, 1), (1, 0)}
    assert (of_patient[:, 4:] == 0).all()
    # where sizes go with groups, nobody has a partner of his size, and all change places
    shuffled = shuffle_groups(np.repeat(list("abcd"), [1, 1, 4, 4]), np.zeros(10, dtype=int), np.repeat([0, 0, 1, 1], [1, 1, 4, 4]),
                              permutations=200)
    assert len(np.unique(shuffled, axis=0)) == 6


def test_groups_that_differ_in_images_per_patient_are_noted(make):
    table = make(per_patient=4)
    number = table["image_id"].str[-5:].astype(int) % 4
    fewer = evaluate(table[(table["group"] != "V–VI") | (number == 0)], ["accuracy", "sensitivity"], **OPTIONS)
    note = "groups differ in images per patient (1.0 to 4.0 on average), which the shuffle allows for only in part"
    assert gap_nulls(fewer, "accuracy", 20)["note"].str.contains(note, regex=False).all()
    odds = evaluate(table[(table["group"] != "V–VI") | (number == 0)], ["precision"], **(OPTIONS | {"minimum_positives": 5}))
    assert equalized_odds(odds, 20)["note"].str.contains(note, regex=False).all()
    assert not gap_nulls(evaluate(table, ["accuracy"], **OPTIONS), "accuracy", 20)["note"].str.contains("images per patient").any()


def test_order_of_rows_changes_nothing():
    cluster, label, group = draw(3)
    order = np.random.default_rng(0).permutation(len(cluster))
    np.testing.assert_array_equal(
        shuffle_groups(cluster[order], label[order], group[order], permutations=5, seed=2),
        shuffle_groups(cluster, label, group, permutations=5, seed=2)[:, order],
    )
    one, other = (shuffle_groups(cluster, label, group, permutations=5, seed=seed) for seed in (2, 3))
    assert (one != other).any()


def test_blocks_cover_everything_once(monkeypatch):
    shuffled = np.arange(70).reshape(10, 7)
    monkeypatch.setattr("lib.stats.permutation.CELLS", 21)
    blocks = list(in_blocks(shuffled))
    assert [block for block, _ in blocks] == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    np.testing.assert_array_equal(np.concatenate([part for _, part in blocks]), shuffled)


def test_against_null():
    found = against_null(0.3, np.array([0.1, 0.3, 0.3 - 1e-15, 0.2, np.nan]))
    assert found["p_value"] == (1 + 2) / (4 + 1)
    assert found["null_median"] == pytest.approx(0.25)
    assert against_null(9.0, np.zeros(99))["p_value"] == 0.01                        # never zero
    assert np.isnan(list(against_null(0.3, np.array([np.nan])).values())).all()


def test_spread():
    np.testing.assert_allclose(spread([[0.1, np.nan, np.nan], [0.4, 0.2, np.nan], [0.3, 0.7, 0.5]]), [0.3, 0.5, np.nan])


def test_p_value_is_that_of_every_arrangement(make):
    # accuracy of six patients of one image in two groups of three: 20 arrangements, each as likely as the others
    table = make(patients=6, per_patient=1, arms=("real",), seeds=(0,), random=4)
    table = table.assign(y_true=0, group=["x", "x", "x", "y", "y", "y"])
    p = np.full((6, 3), 0.2)
    p[[0, 1, 2], 0], p[[3, 4, 5], 1] = 0.6, 0.6                                     # group x all right, group y all wrong
    table[["p_0", "p_1", "p_2"]] = p
    evaluation = evaluate(table, ["accuracy"], minimum_positives=1, **OPTIONS)
    right = np.array([1, 1, 1, 0, 0, 0])
    every = [abs(right[list(order[:3])].mean() - right[list(order[3:])].mean()) for order in permutations(range(6))]
    found = gap_nulls(evaluation, "accuracy", 4_000).iloc[0]
    assert found["value"] == 1
    assert found["p_value"] == pytest.approx(np.mean(np.array(every) >= 1), abs=0.015)
    assert found["null_median"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("metric", ["auroc", "sensitivity", "partial_auroc", "brier"])
def test_values_are_the_gaps_and_nulls_are_measured_image_by_image(make, metric):
    evaluation = evaluate(make(architectures=("one", "two"), seeds=(0, 1)), [metric], **OPTIONS)
    found = gap_nulls(evaluation, metric, 20, seed=7)
    expected = gaps(evaluation)
    pd.testing.assert_frame_equal(found[["arm", "architecture", "metric", "value"]], expected[["arm", "architecture", "metric", "value"]])
    table = evaluation.predictions
    code = np.array([evaluation.groups.index(group) for group in table.groups])
    shuffled = shuffle_groups(table.cluster_ids, table.y_true, code, permutations=20, seed=7)
    def gap(groups, runs):
        values = [np.mean([MEASURES[metric](table.y_true[groups == g], table.probabilities[run][groups == g], positive=[0],
                                            threshold=table.thresholds[run][groups == g]) for run in runs]) for g in range(3)]
        return max(values) - min(values)

    for row in found.itertuples():
        runs = [run for run in table.probabilities if run[0] == row.arm and row.architecture in ("all", run[1])]
        null = np.array([gap(groups, runs) for groups in shuffled])
        assert row.null_median == pytest.approx(np.median(null))
        assert row.null_high == pytest.approx(np.quantile(null, 0.95))
        assert row.p_value == pytest.approx((1 + (null >= row.value - 1e-12).sum()) / 21)
    assert set(found["groups"]) == {", ".join(evaluation.groups)}


def test_reproducible_and_shared_by_the_arms(predictions):
    evaluation = evaluate(predictions, ["auroc"], **OPTIONS)
    pd.testing.assert_frame_equal(gap_nulls(evaluation, "auroc", 30), gap_nulls(evaluation, "auroc", 30))
    copies = pd.concat([predictions[predictions["arm"] == "real"], predictions[predictions["arm"] == "real"].assign(arm="copy")])
    found = gap_nulls(evaluate(copies, ["auroc"], **OPTIONS), "auroc", 30)
    assert found["p_value"].nunique() == found["null_high"].nunique() == 1


def test_groups_left_out_take_no_part(make):
    table = make()
    dark = table[table["group"] == "V–VI"]
    few = sorted(set(dark["cluster_id"]))[:2]
    table = table[(table["group"] != "V–VI") | table["cluster_id"].isin(few)]
    found = gap_nulls(evaluate(table, ["accuracy"], **OPTIONS), "accuracy", 30).iloc[0]
    assert found["groups"] == "III–IV, I–II"
    assert found["note"] == "group V–VI left out (6 images, needs 20)"
    without = gap_nulls(evaluate(table[table["group"] != "V–VI"], ["accuracy"], **OPTIONS), "accuracy", 30).iloc[0]
    assert (found[["value", "null_median", "p_value"]] == without[["value", "null_median", "p_value"]]).all()
    nobody = gap_nulls(evaluate(table.assign(group=None), ["accuracy"], **OPTIONS), "accuracy", 30)
    assert nobody["note"].str.startswith("not estimable: 0 of 0 groups estimable, needs 2").all()
    lone = gap_nulls(evaluate(table[table["group"] != "I–II"], ["accuracy"], **OPTIONS), "accuracy", 30)
    assert lone["note"].str.startswith("not estimable: 1 of 2 groups estimable, needs 2; group V–VI left out").all()
    assert lone[["value", "p_value", "p_adjusted"]].isna().all(axis=None)


def test_undefined_values_are_no_gap(make):
    table = make(arms=("real", "silent"))
    table.loc[table["arm"] == "silent", "threshold"] = 1.0                              # never calls anything positive: no precision
    found = gap_nulls(evaluate(table, ["precision"], **OPTIONS), "precision", 30).set_index("arm")
    assert found.loc["silent", "note"].startswith("not estimable: undefined")
    assert np.isnan(found.loc["silent", "p_value"])
    assert found.loc["real", "p_value"] > 0


def test_a_metric_that_was_not_evaluated_is_named(predictions):
    with pytest.raises(ValueError, match="the metric auroc was not evaluated; evaluated are accuracy"):
        gap_nulls(evaluate(predictions, ["accuracy"], **OPTIONS), "auroc", 10)


def test_a_gap_that_is_there_is_found(make):
    table = make(patients=150)
    dark = (table["group"] == "V–VI").to_numpy()
    table.loc[dark, ["p_0", "p_1", "p_2"]] = np.random.default_rng(0).dirichlet(np.ones(3), dark.sum())      # guessing on dark skin
    found = gap_nulls(evaluate(table, ["auroc"], **OPTIONS), "auroc", 199)
    assert (found["p_value"] == 1 / 200).all()
    assert (found["value"] > found["null_high"]).all()
