"""Exchange rates from predictions: planted arms, the same draws as everywhere, counts of images, reasons, and the check by more images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.stats.compare import differences
from lib.stats.evaluate import evaluate
from lib.stats.exchange import (
    ONE_ORDER,
    Place,
    _change,
    _key,
    check_curve,
    check_rates,
    curve_of,
    curve_points,
    evaluate_with_curve,
    exchange_rates,
    fractions_of,
    image_counts,
    places_of,
)

CLASSES = ["melanoma", "nevus", "other"]
OPTIONS = {"classes": CLASSES, "positive": ["melanoma"], "resamples": 40}
ARMS = {"twice": 2.0, "alike": 1.0, "half": 0.5}      # what each is worth, in multiples of the training images


def planted(make, fractions=(0.25, 0.5, 0.75, 1.0, 1.5, 2.5), slope=0.5, **options):
    """A real arm whose signal grows with the log of its images, and arms that do what it would with other numbers of them."""
    worth = {f"real@{fraction:g}": fraction for fraction in fractions} | ARMS
    tables = make(arms=list(worth), seed_noise=0.01, own_noise=0.1, **options)
    rows = tables["arm"].map(worth)
    scores = np.log(tables[["p_0", "p_1", "p_2"]].to_numpy())
    scores[np.arange(len(tables)), tables["y_true"]] += slope * np.log(rows)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    point = tables["arm"].str.startswith("real@")
    named = tables.assign(arm=tables["arm"].mask(point, "real"), train_fraction=rows.where(point, 1.0))
    return named.assign(p_0=p[:, 0], p_1=p[:, 1], p_2=p[:, 2])


def counts(real=40, added=100):
    return pd.DataFrame([{"arm": arm, "label": label, "group": group, "real": real, "added": 0 if arm == "real" else added}
                         for arm in ("real", *ARMS) for label in CLASSES for group in ("I–II", "III–IV", "V–VI")])


@pytest.fixture(scope="module")
def table(make):
    return planted(make)


@pytest.fixture(scope="module")
def evaluation(table):
    return evaluate_with_curve(table, "auroc", arms=list(ARMS), **OPTIONS)


@pytest.fixture(scope="module")
def rates(evaluation):
    return exchange_rates(evaluation, counts())


def test_every_arm_has_a_row_for_every_cell(evaluation, rates):
    assert fractions_of(evaluation) == [0.25, 0.5, 0.75, 1.0, 1.5, 2.5]
    assert len(places_of(evaluation)) == 16 and places_of(evaluation)[0] == ("all", "all")
    assert len(rates) == 3 * 16 and list(rates["arm"].drop_duplicates()) == list(ARMS)
    assert not rates.duplicated(["arm", "label", "group"]).any()
    assert rates.attrs["note"] == ONE_ORDER


def test_planted_arms_get_back_what_they_are_worth(rates):
    everybody = rates[(rates["label"] == "all") & (rates["group"] == "all")].set_index("arm")
    assert everybody["kind"].to_dict() == {"twice": "worth", "alike": "nothing shown", "half": "costs"}
    for arm, worth in ARMS.items():
        assert everybody.loc[arm, "low"] <= worth <= everybody.loc[arm, "high"]
    assert everybody.loc["alike", "fraction"] == pytest.approx(1, abs=0.15)
    assert everybody.loc["half", "fraction"] == pytest.approx(0.5, abs=0.1)


def test_images_are_the_share_of_the_cell(rates):
    known = rates[rates["reason"] == ""]
    np.testing.assert_allclose(known["images"], (known["fraction"] - 1) * known["n_real"].astype(float))
    cell = rates.set_index(["arm", "label", "group"])
    assert cell.loc[("twice", "all", "all"), ["n_real", "n_added"]].tolist() == [360, 900]
    assert cell.loc[("twice", "nevus", "V–VI"), ["n_real", "n_added"]].tolist() == [40, 100]
    assert cell.loc[("twice", "nevus", "all"), "n_real"] == cell.loc[("twice", "all", "V–VI"), "n_real"] == 120


def test_it_says_worth_exactly_where_the_difference_leaves_zero_out(table, rates):
    whole = evaluate(table, ["auroc"], arms=["real", *ARMS], **OPTIONS)
    known = differences(whole, "real").set_index(["arm", "group"])
    for row in rates[(rates["label"] == "all") & (rates["reason"] == "")].itertuples():
        one = known.loc[(row.arm, row.group)]
        assert (row.gain, row.gain_low, row.gain_high) == pytest.approx((one["value"], one["low"], one["high"]))
        assert {"worth": one["low"] > 0, "costs": one["high"] < 0}.get(row.kind, one["low"] <= 0 <= one["high"])


@pytest.mark.parametrize(("metric", "signal"), [("auroc", 1.0), ("brier", 2.2)])
def test_so_it_does_for_an_arm_at_the_end_of_its_scale(make, metric, signal):
    table = planted(make, patients=50, per_patient=1, signal=signal)
    perfect = table["arm"].eq("twice")                                        # in all seeds, so no resample finds an error
    table.loc[perfect, ["p_0", "p_1", "p_2"]] = 1e-12 + np.eye(3)[table.loc[perfect, "y_true"]] * (1 - 3e-12)
    found = evaluate_with_curve(table, metric, arms=["twice"], groups=[], **OPTIONS)
    (known,) = differences(found, "real").query("arm == 'twice'").to_dict("records")
    row = exchange_rates(found, counts()).iloc[0]
    assert (row["gain_low"], row["gain_high"]) == pytest.approx((known["low"], known["high"])) and known["low"] < 0 < known["high"]
    assert row["kind"] == "cannot tell" and row["low"] < 1 and row["high"] == np.inf
    one = _change(found, "twice", _key(found, Place("all", "all"))[0])
    assert curve_of(found, Place("all", "all")).worth(*one).low > 1           # what resamples alone would say


def test_fractions_change_no_other_comparison(table):
    whole, few = table[table["train_fraction"] == 1], OPTIONS | {"resamples": 5, "arms": ["real", "half"]}
    mine, other = (differences(evaluate(frame, ["auroc"], **few), "real") for frame in (table, whole))
    pd.testing.assert_frame_equal(mine, other)


def test_predicted_agrees_with_measured(evaluation, rates):
    measured = exchange_rates(evaluation, counts(), side="above")
    check = check_rates(rates, measured, 2.5)
    twice = check[(check["arm"] == "twice") & (check["label"] == "all") & (check["group"] == "all")].iloc[0]
    assert twice["agree"] and twice["measured_low"] <= 360 <= twice["measured_high"] and twice["measured"] == pytest.approx(360, rel=0.25)
    assert not ((check["predicted"] <= 0) & (check["measured"] <= 0)).any()
    curve = check_curve(evaluation)
    assert set(curve["fraction"]) == {1.5, 2.5} and curve["agree"].mean() > 0.85
    np.testing.assert_array_equal(curve["closed"], np.isfinite(curve[["low", "high"]]).all(axis=1))
    ends = ["predicted_low", "predicted_high", "measured_low", "measured_high"]
    np.testing.assert_array_equal(check["closed"], np.isfinite(check[ends]).all(axis=1))
    assert {True, False} == set(curve["closed"]) == set(check["closed"])
    wrong = check_rates(rates.assign(low=1.0, high=1.01), measured, 2.5)
    assert not wrong[(wrong["arm"] == "twice") & (wrong["group"] == "all")]["agree"].any()


def test_points_are_the_arms_own_values(table, evaluation):
    points = curve_points(evaluation).set_index(["label", "group", "fraction"])
    half = evaluate(table[(table["arm"] == "real") & (table["train_fraction"] == 0.5)].assign(train_fraction=1.0), ["auroc"], **OPTIONS)
    assert points.loc[("all", "all", 0.5), "value"] == pytest.approx(half.of("real", "small_cnn", half.key("auroc", "all")))
    curve = curve_of(evaluation, Place("all", "all"))
    assert curve.points[1] == pytest.approx(points.loc[("all", "all", 0.5), "value"] - points.loc[("all", "all", 1.0), "value"])


def test_a_class_alone_is_measured_against_the_others(table, evaluation):
    from sklearn.metrics import roc_auc_score
    seeds = [roc_auc_score(part["y_true"] == 1, part["p_1"]) for _, part in
             table[(table["arm"] == "twice") & (table["group"] == "V–VI")].groupby("seed")]
    key = next(key for key in evaluation.basis if key == ("auroc", "V–VI", (1,)))
    assert evaluation.of("twice", "small_cnn", key) == pytest.approx(np.mean(seeds))


def test_reasons(make, table):
    less = OPTIONS | {"resamples": 20}
    below = table[table["train_fraction"] <= 1]
    few = exchange_rates(evaluate_with_curve(below, "auroc", arms=["twice"], **less, minimum_positives=60), counts())
    cell = few.set_index(["label", "group"])
    assert "needs 60" in cell.loc[("melanoma", "V–VI"), "reason"] and cell.loc[("melanoma", "V–VI"), "kind"] == "not estimable"
    plain = evaluate_with_curve(table[table["train_fraction"] == 1], "auroc", arms=["twice"], **less)
    assert set(exchange_rates(plain, counts())["reason"]) == {"classifier.learning_curve has 0 fractions under 1, needs 2"}
    assert set(exchange_rates(plain, counts(), side="above")["reason"]) == {"classifier.learning_curve has 0 fractions over 1, needs 1"}
    flat = evaluate_with_curve(planted(make, slope=-0.2, patients=60), "auroc", arms=["twice"], groups=[], **less)
    assert exchange_rates(flat, counts())["reason"].str.startswith("flat curve").all() and check_curve(flat).empty


def test_a_measure_without_classes_has_groups_only_and_less_may_be_better(table):
    found = evaluate_with_curve(table, "brier", arms=list(ARMS), groups=["V–VI"], **OPTIONS)
    assert places_of(found) == [("all", "all"), ("all", "V–VI")]
    rates = exchange_rates(found, counts()).query("group == 'all'").set_index("arm")
    assert (rates.loc["twice", "gain"] < 0) == (rates.loc["twice", "fraction"] > 1)
    assert (rates.loc["half", "gain"] < 0) == (rates.loc["half", "fraction"] > 1)


def test_counts_come_from_the_chunks_once():
    drawn = [{"label": "melanoma", "group": "V–VI", "real": 7, "added": 0, "drawn": 9.0},
             {"label": "nevus", "group": "unknown", "real": 3, "added": 4, "drawn": 2.0}]
    chunk = {"cells": [{"arm": "twice", "architecture": "a", "seed": 0}], "drawn": drawn}
    other = {"cells": [{"arm": "twice", "architecture": "b", "seed": 3}], "drawn": drawn}
    part = {"cells": [{"arm": "real", "architecture": "a", "seed": 0, "fraction": 0.25}], "drawn": drawn}
    table = image_counts([chunk, other, part])
    assert table.to_numpy().tolist() == [["twice", "melanoma", "V–VI", 7, 0], ["twice", "nevus", "unknown", 3, 4]]
    folds = [{"cells": [{"arm": "twice", "fold": fold}], "drawn": [{"label": "nevus", "group": "V–VI", "real": n, "added": 2}]}
             for fold, n in ((1, 6), (2, 8))]
    assert image_counts(folds)[["real", "added"]].iloc[0].tolist() == [7, 2]
