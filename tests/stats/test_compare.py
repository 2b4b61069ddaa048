"""Tables of values, differences and gaps, recomputed the slow way; the minimum-n rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from scipy.special import expit, logit
from scipy.stats import t as student

from lib.metrics.registry import MEASURES, get_measure
from lib.stats.bootstrap import image_weights, make_design
from lib.stats.compare import BIASED, differences, gaps, per_arm
from lib.stats.evaluate import evaluate
from lib.stats.evaluation import Term
from lib.stats.multiplicity import benjamini_hochberg
from lib.stats.rows import ONE_SEED
from lib.stats.support import count_support
from lib.stats.verdict import give_verdict
from lib.study import Primary

CLASSES = ["melanoma", "nevus", "other"]
GROUPS = ["I–II", "III–IV", "V–VI"]
METRICS = ["auroc", "macro_f1", "sensitivity"]
OPTIONS = {"classes": CLASSES, "positive": ["melanoma"], "groups": GROUPS, "resamples": 300, "minimum_positives": 10}


@pytest.fixture(scope="module")
def evaluation(predictions):
    return evaluate(predictions, METRICS, arms=["real", "oversampled"], **OPTIONS)


def row(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def slow_measure(metric, y, p, w):
    if metric == "sensitivity":
        return sk.recall_score(y == 0, p[:, 0] >= 0.4, sample_weight=w)
    return np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(3)])


def slow(predictions, metric, group, arm, random=0, resamples=300):
    """Values by seed [S] and draws [S, B], one run and one resample at a time."""
    table = predictions[predictions["arm"] == arm]
    one = table[table["seed"] == 0].sort_values("image_id")
    design = make_design(one["cluster_id"].to_numpy(), one["y_true"].to_numpy(), one["group"].to_numpy())
    weights = np.concatenate([w for _, w in image_weights(design, resamples=resamples, seed=random)])
    inside = np.ones(len(one), dtype=bool) if group == "all" else (one["group"] == group).to_numpy()
    values, draws = [], []
    for seed in (0, 1, 2):
        part = table[table["seed"] == seed].sort_values("image_id")[inside]
        y, p = part["y_true"].to_numpy(), part[["p_0", "p_1", "p_2"]].to_numpy()
        values.append(slow_measure(metric, y, p, np.ones(len(y))))
        draws.append([slow_measure(metric, y, p, w) for w in weights[:, inside]])
    return np.array(values), np.array(draws)


def slow_error(by_seed, draws, degrees):
    """Standard error of the mean over seeds and t quantile, straight from the formulas of lib/stats/interval.py."""
    seeds = len(by_seed)
    fixed = draws.mean(axis=0).var()
    interaction = min(fixed, (draws - draws.mean(axis=1, keepdims=True)).var(axis=0, ddof=1).mean() / seeds)
    patients, runs = fixed - interaction, by_seed.var(ddof=1) / seeds
    freedom = (patients + runs) ** 2 / (patients**2 / degrees + runs**2 / (seeds - 1))
    return max(student.ppf(0.975, freedom) * np.sqrt(patients + runs), student.ppf(0.975, degrees) * np.sqrt(fixed))


def slow_degrees(predictions, metric, group):
    """Patients less strata for one kind of image; Welch's formula over the classes for their mean."""
    patients = predictions.drop_duplicates("cluster_id").groupby(["group", "y_true"]).size().unstack()
    if metric == "sensitivity":
        return (patients[0] - 1).sum()
    n = patients.loc[group]
    return (1 / n).sum() ** 2 / (1 / n**2 / (n - 1)).sum()


@pytest.mark.parametrize(("metric", "group"), [("auroc", "V–VI"), ("sensitivity", "all")])
def test_values_and_paired_differences_equal_the_slow_way(predictions, metric, group):
    evaluation = evaluate(predictions, [metric], **(OPTIONS | {"resamples": 30}))
    degrees = slow_degrees(predictions, metric, group)
    assert evaluation.basis[evaluation.key(metric, group)].degrees == pytest.approx(degrees)
    (real, real_draws), (other, other_draws) = (slow(predictions, metric, group, arm, resamples=30) for arm in ("real", "oversampled"))
    found = row(differences(evaluation, "real"), arm="oversampled", group=group)
    reach = slow_error(other - real, other_draws - real_draws, degrees)
    expected = [(other - real).mean(), (other - real).mean() - reach, (other - real).mean() + reach]
    np.testing.assert_allclose(found[["value", "low", "high"]].astype(float), expected, atol=1e-9)
    assert found["seed_spread"] == pytest.approx((other - real).std(ddof=1))
    found, value = row(per_arm(evaluation), arm="real", group=group), real.mean()
    logits = np.clip(logit(np.minimum(real_draws.mean(axis=0), 1 - 1e-12)), logit(value) - np.log(8), logit(value) + np.log(8))
    wider = max(1, logits.std() * value * (1 - value) / real_draws.mean(axis=0).std())
    middle = real_draws.mean(axis=1, keepdims=True)
    reach = slow_error(real, middle + wider * (real_draws - middle), degrees) / (value * (1 - value))
    expected = [value, expit(logit(value) - reach), expit(logit(value) + reach)]
    np.testing.assert_allclose(found[["value", "low", "high"]].astype(float), expected, atol=1e-9)
    assert found["seed_spread"] == pytest.approx(real.std(ddof=1)) and found["note"] == ""


def test_p_values_invert_the_interval(evaluation):
    table = differences(evaluation, "real")
    assert list(table.columns[-3:]) == ["p_value", "p_adjusted", "note"]
    assert ((table["p_value"] < 0.05) == ((table["low"] > 0) | (table["high"] < 0))).all()
    np.testing.assert_allclose(table["p_adjusted"], benjamini_hochberg(table["p_value"].to_numpy()))
    stricter = differences(dataclasses.replace(evaluation, confidence=1 - float(table["p_value"].min()) * 1.0001), "real")
    at = int(table["p_value"].argmin())
    assert min(abs(stricter["low"][at]), abs(stricter["high"][at])) < 1e-4        # that interval ends at zero


def test_swapping_arms_mirrors_differences(evaluation):
    one, other = (differences(evaluation, arm) for arm in ("real", "oversampled"))
    for a, b, sign in (("value", "value", -1), ("low", "high", -1), ("high", "low", -1), ("p_value", "p_value", 1)):
        np.testing.assert_allclose(one[a], sign * other[b], atol=1e-12)


def test_shape_and_counts_of_the_tables(evaluation, predictions):
    table = per_arm(evaluation)
    assert list(table.columns) == ["arm", "architecture", "metric", "group", "value", "low", "high",
                                   "n_images", "n_clusters", "n_positives", "seeds", "seed_spread", "note"]
    assert list(table["group"][:4]) == ["all", *GROUPS] and list(table["arm"].unique()) == ["real", "oversampled"]
    everybody = row(table, arm="real", metric="sensitivity", group="all")
    assert (everybody["n_images"], everybody["n_clusters"], everybody["n_positives"], everybody["seeds"]) == (270, 90, 90, 3)
    dark = predictions[(predictions["arm"] == "real") & (predictions["seed"] == 0) & (predictions["group"] == "V–VI")]
    found = row(table, arm="real", metric="auroc", group="V–VI")
    assert found["n_images"] == len(dark) and found["n_positives"] == dark["y_true"].value_counts().min()
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert list(differences(evaluation, "real").columns[:5]) == ["arm", "baseline", "architecture", "metric", "group"]
    assert len(differences(evaluation, "real")) == 3 * 4
    with pytest.raises(ValueError, match="no predictions of arm gone; the table holds real, oversampled"):
        differences(evaluation, "gone")


def test_row_order_changes_nothing_and_the_seed_changes_only_intervals(evaluation, predictions):
    again = evaluate(predictions.sample(frac=1, random_state=3), METRICS, arms=["real", "oversampled"], **OPTIONS)
    for make in (per_arm, gaps, lambda e: differences(e, "real")):
        pd.testing.assert_frame_equal(make(again), make(evaluation), check_exact=True)
    other = per_arm(evaluate(predictions, METRICS, arms=["real", "oversampled"], seed=1, **OPTIONS))
    pd.testing.assert_series_equal(other["value"], per_arm(evaluation)["value"], check_exact=True)
    assert (other["low"] != per_arm(evaluation)["low"]).all()


def test_pairing_narrows_the_interval_when_arms_agree(make):
    evaluation = evaluate(make(own_noise=0.1, seed_noise=0.01), ["auroc"], **OPTIONS)
    key = evaluation.key("auroc", "all")
    real, other = (evaluation.draws_of(arm, "small_cnn", key) for arm in ("real", "oversampled"))
    assert (other - real).mean(axis=0).std() < 0.5 * (other - np.random.default_rng(0).permutation(real.T).T).mean(axis=0).std()
    same = differences(evaluate(pd.concat([make(arms=("real",)), make(arms=("twin",))]), ["auroc"], **OPTIONS), "real")
    assert (same[["value", "low", "high"]] == 0).all().all() and (same["p_value"] == 1).all()     # its own copy: no difference, no doubt


def test_seeds_widen_the_interval(make):
    calm, wild = (per_arm(evaluate(make(seed_noise=s, arms=("real",)), ["auroc"], **OPTIONS)).iloc[0] for s in (0.0, 0.8))
    assert wild["high"] - wild["low"] > 1.3 * (calm["high"] - calm["low"])
    assert wild["seed_spread"] > 5 * calm["seed_spread"]


def test_one_seed_is_said(make):
    table = per_arm(evaluate(make(seeds=(7,)), ["auroc"], **OPTIONS))
    assert (table["note"] == ONE_SEED).all() and (table["seeds"] == 1).all() and table["seed_spread"].isna().all()


def test_several_architectures_come_with_their_mean(make):
    table = per_arm(evaluate(make(architectures=("small_cnn", "resnet18")), ["auroc"], **OPTIONS))
    assert list(table["architecture"].unique()) == ["all", "resnet18", "small_cnn"]
    values = [row(table, arm="real", architecture=a, group="all")["value"] for a in ("all", "resnet18", "small_cnn")]
    assert values[0] == pytest.approx(np.mean(values[1:]))


def test_gaps(evaluation):
    table = gaps(evaluation)
    for (arm, metric), part in per_arm(evaluation).groupby(["arm", "metric"]):
        by_group = part[part["group"] != "all"].set_index("group")["value"]
        found = row(table, arm=arm, metric=metric)
        assert found["value"] == pytest.approx(by_group.max() - by_group.min())
        assert (found["worst"], found["best"]) == (by_group.idxmin(), by_group.idxmax())
        assert BIASED in found["note"]
        terms = [Term(sign, arm, evaluation.key(metric, found[which])) for sign, which in ((1, "best"), (-1, "worst"))]
        assert tuple(found[["low", "high"]]) == evaluation.uncertainty("small_cnn", terms).interval(0.95)
    assert (table["low"] <= table["value"]).all() and (table["low"] < 0).any()      # the named pair may turn round


def test_a_planted_gap_is_found(make):
    table = make(signal=2.5)
    dark, p = table["group"] == "V–VI", [f"p_{k}" for k in range(3)]
    table.loc[dark & (table["arm"] == "real"), p] = 1 / 3
    evaluation = evaluate(table, ["auroc"], **OPTIONS)
    found = row(gaps(evaluation), arm="real")
    assert found["worst"] == "V–VI" and found["low"] > 0.3


# ── too few ──────────────────────────────────────────────────────────────────────────────────────────────────────

def thin_out(table, group, label, keep):
    """Leave only `keep` images of a class in a group."""
    inside = (table["group"] == group) & (table["y_true"] == label)
    spared = sorted(table.loc[inside, "image_id"].unique())[:keep]
    return table[~inside | table["image_id"].isin(spared)]


def test_too_few_positives_is_never_a_number(make):
    table = thin_out(make(per_patient=5), "V–VI", 0, 7)
    evaluation = evaluate(table, ["sensitivity", "specificity", "auroc_positive", "f1"], **(OPTIONS | {"minimum_positives": 20}))
    for frame in (per_arm(evaluation), differences(evaluation, "real")):
        small = frame[(frame["group"] == "V–VI") & (frame["metric"] != "specificity")]
        assert small[["value", "low", "high"]].isna().all().all() and (small["n_positives"] == 7).all()
        assert small["note"].str.startswith("not estimable: 7 positives, needs 20").all()
        rest = frame.drop(small.index)
        assert rest[["value", "low", "high"]].notna().all().all() and (rest["note"] == "").all()
    found = row(gaps(evaluation), arm="real", metric="sensitivity")
    assert {found["worst"], found["best"]} == {"I–II", "III–IV"} and "group V–VI left out (7 positives, needs 20)" in found["note"]


def mean_auroc(table, group, classes):
    """Mean over seeds of the AUROC of arm real in a group."""
    part = table[(table["arm"] == "real") & (table["group"] == group)]
    columns = [column for column in table if column.startswith("p_")]
    return np.mean([
        get_measure("auroc")(one["y_true"].to_numpy(), one[columns].to_numpy(), classes=classes) for _, one in part.groupby("seed")
    ])


def test_a_class_of_few_patients_is_left_out_of_the_mean_and_named(make):
    table = thin_out(make(patients=120, per_patient=4, classes=4), "V–VI", 3, 6)        # six images of two patients
    options = OPTIONS | {"classes": [*CLASSES, "vascular"]}
    evaluation = evaluate(table, ["auroc"], **options)
    found = row(per_arm(evaluation), arm="real", group="V–VI")
    assert "mean over 3 of 4 classes" in found["note"] and "vascular 6" in found["note"]
    assert found["value"] == pytest.approx(mean_auroc(table, "V–VI", [0, 1, 2]))
    gap = row(gaps(evaluation), arm="real")                          # compared over what all groups share
    assert "over melanoma, nevus, other" in gap["note"]
    assert gap["value"] == pytest.approx(mean_auroc(table, gap["best"], [0, 1, 2]) - mean_auroc(table, gap["worst"], [0, 1, 2]))
    assert row(per_arm(evaluation), arm="real", group="I–II")["note"] == ""


def test_classes_of_few_images_stay_in_the_mean_and_are_named(make):
    table = thin_out(make(patients=120, per_patient=4), "V–VI", 2, 18)        # 18 images of five patients
    options = OPTIONS | {"resamples": 50, "minimum_positives": 20}
    evaluation = evaluate(table, ["auroc", "sensitivity"], **options)
    few = "classes with fewer than 20 images: other (18)"
    for frame in (per_arm(evaluation), differences(evaluation, "real")):
        small = (frame["metric"] == "auroc") & (frame["group"] == "V–VI")
        assert (frame.loc[small, "note"] == few).all() and (frame.loc[~small, "note"] == "").all() and small.any()
    for found in gaps(evaluation).query("metric == 'auroc'").itertuples():
        assert (f"group V–VI: {few}" in found.note) == ("V–VI" in (found.worst, found.best)) and found.note.count("fewer") <= 1
    assert not gaps(evaluation).query("metric == 'sensitivity'")["note"].str.contains("fewer").any()
    found = give_verdict(evaluation, Primary(metric="auroc", group="V–VI"))
    assert found.sentence.endswith(" Classes with fewer than 20 images: other (18).")


def test_groups_without_enough_shared_classes_have_no_gap(make):
    table = make(patients=120, per_patient=4, classes=4)
    for group, scarce in (("I–II", [0, 1]), ("III–IV", [2, 3]), ("V–VI", [2, 3])):
        for label in scarce:
            table = thin_out(table, group, label, 3)
    options = OPTIONS | {"classes": [*CLASSES, "vascular"], "resamples": 50}
    evaluation = evaluate(table, ["auroc"], **options)
    assert per_arm(evaluation)["value"].notna().all()                # each group alone has two classes …
    assert gaps(evaluation)["value"].isna().all()                    # … but all three share none
    assert gaps(evaluation)["note"].str.contains("over the classes that all groups share: 0 of 4 classes").all()
    pair = evaluate(table, ["auroc"], **(options | {"groups": ["III–IV", "V–VI"]}))
    assert gaps(pair)["value"].notna().all() and gaps(pair)["note"].str.contains("over melanoma, nevus").all()


def test_where_lower_is_better_the_highest_group_is_worst(make, monkeypatch):
    monkeypatch.setitem(MEASURES, "accuracy", dataclasses.replace(MEASURES["accuracy"], higher_is_better=False))
    evaluation = evaluate(make(), ["accuracy"], **(OPTIONS | {"resamples": 30}))
    values = per_arm(evaluation).query("arm == 'real' and group != 'all'").set_index("group")["value"]
    found = row(gaps(evaluation), arm="real")
    assert (found["worst"], found["best"]) == (values.idxmax(), values.idxmin())
    assert found["value"] == pytest.approx(values.max() - values.min()) and found["value"] > 0


@pytest.mark.parametrize(("metric", "images", "patients", "minimum", "reason"), [
    ("accuracy",      [10, 9],           None,            20, "19 images, needs 20"),
    ("accuracy",      [10, 10],          None,            20, ""),
    ("sensitivity",   [19, 500],         None,            20, "19 positives, needs 20"),
    ("sensitivity",   [1, 500],          None,            20, "1 positive, needs 20"),
    ("sensitivity",   [20, 500],         None,            20, ""),
    ("sensitivity",   [20, 3],           None,            20, ""),
    ("specificity",   [500, 19],         None,            20, "19 negatives, needs 20"),
    ("specificity",   [3, 20],           None,            20, ""),
    ("auroc_positive", [30, 7],          None,            20, "7 negatives, needs 20"),
    ("auroc_positive", [3, 7],           None,            20, "3 positives, needs 20; 7 negatives, needs 20"),
    ("sensitivity",   [40, 100],         [4, 50],         20, "positives of only 4 patients or lesions, needs 5"),
    ("auroc",         [7, 500],          None,            20, "7 positives, needs 20"),      # two classes: the letter of the rule
    ("auroc",         [20, 500],         None,            20, ""),
    ("auroc",         [5, 5, 5],         None,            20, "3 classes of 5 to 5 images, worth 15 positives, needs 20"),
    ("auroc",         [7, 7, 7],         None,            20, ""),                           # worth 21
    ("auroc",         [6] * 7,           None,            20, ""),
    ("auroc",         [500, 4, 3],       None,            20, "1 of 3 classes have images of 5 patients or lesions, needs 2"),
    ("macro_f1",      [0, 0, 40],        None,            20, "1 of 3 classes have images of 5 patients or lesions, needs 2"),
    ("auroc",         [40, 40, 40],      [20, 20, 2],     20, ""),
    ("auroc",         [3, 3, 3],         None,            3,  ""),                           # a study may lower the bar
    ("accuracy",      [0, 0],            None,            20, "no images"),
])
def test_minimum_n_rule(metric, images, patients, minimum, reason):
    y = np.repeat(np.arange(len(images)), images)
    clusters = np.concatenate([1000 * k + np.arange(n) % max(1, (patients or images)[k]) for k, n in enumerate(images)])
    names = [f"c{k}" for k in range(len(images))]
    support = count_support(get_measure(metric), y, clusters, classes=names, positive=[0], minimum_positives=minimum)
    assert support.reason == reason
    assert support.n_images == sum(images) and support.n_clusters == len(np.unique(clusters))


def test_absent_groups_and_missing_positives_are_said(make):
    table = make()
    evaluation = evaluate(table, ["auroc", "sensitivity"], **(OPTIONS | {"groups": ["V–VI", "VII"], "positive": []}))
    frame = per_arm(evaluation)
    assert row(frame, arm="real", metric="auroc", group="VII")["note"] == "not estimable: no images"
    assert "no positive classes in labels.positive" in row(frame, arm="real", metric="sensitivity", group="all")["note"]
    assert gaps(evaluation)["note"].str.contains("1 of 2 groups estimable, needs 2|0 of 2 groups").all()
    without = evaluate(table.assign(threshold=np.nan), ["sensitivity"], **OPTIONS)
    assert "no decision threshold" in per_arm(without)["note"].iloc[0]


def test_undefined_precision_is_said(make):
    table = make().assign(threshold=1.0)                             # nobody is ever called positive
    note = per_arm(evaluate(table, ["precision"], **OPTIONS))["note"]
    assert (note == "not estimable: undefined on this sample").all()
    assert gaps(evaluate(table, ["precision"], **OPTIONS))["value"].isna().all()


def test_wrong_options(predictions):
    for options, message in (
        ({"positive": ["melanomma"]}, "positive names melanomma"),
        ({"confidence": 95}, "confidence=95"),
        ({"resamples": 0}, "at least 1 resample"),
        ({"groups": ["all", "V–VI"]}, "a group is called 'all'"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(predictions, ["auroc"], **(OPTIONS | options))
    with pytest.raises(ValueError, match="did you mean auroc"):
        evaluate(predictions, ["auro"], **OPTIONS)


def test_progress_reaches_the_end(predictions):
    seen = []
    evaluate(predictions, ["accuracy"], **OPTIONS, progress=seen.append)
    assert seen[-1] == 1 and seen == sorted(seen)
