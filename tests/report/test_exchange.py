"""What added images are worth, in words: every kind of result, open ends, and why there is no number."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from lib.report.exchange import check_table, collected, curve_table, describe_check, describe_exchange, exchange_record, exchange_table
from lib.report.exchange_figures import plot_exchange, plot_learning_curves
from lib.stats.exchange import ONE_ORDER, curve_points, evaluate_with_curve, exchange_rates, image_counts

INF = math.inf


def rate(
    arm="diffusion_curated", label="all", group="all", fraction=1.4, low=1.22, high=1.71, kind="worth", reason="", real=100, added=500,
):
    gone = bool(reason)
    places = dict.fromkeys(("fraction", "low", "high"), math.nan) if gone else {"fraction": fraction, "low": low, "high": high}
    images = {f"images{end}": (value - 1) * real for end, value in zip(("", "_low", "_high"), places.values(), strict=True)}
    return {"arm": arm, "metric": "auroc", "label": label, "group": group, "gain": 0.02, "gain_low": 0.01, "gain_high": 0.03, **places,
            "limit": 4.0, "exponent": 0.0, **images, "kind": "not estimable" if gone else kind, "n_real": real, "n_added": added,
            "reason": reason}


@pytest.mark.parametrize(("given", "sentence"), [
    ({}, "diffusion_curated for everybody: 500 added images ≈ 40 (22–71) collected ones."),
    ({"group": "V–VI", "high": INF}, "diffusion_curated for V–VI: 500 added images ≈ 40 (22 or more) collected ones."),
    ({"fraction": INF, "low": 2.5, "high": INF},
     "diffusion_curated for everybody: 500 added images ≈ over 300 (150 or more) collected ones."),
    ({"fraction": INF, "low": INF, "high": INF}, "diffusion_curated for everybody: 500 added images ≈ over 300 collected ones."),
    ({"added": 0}, "diffusion_curated for everybody: what it does ≈ 40 (22–71) collected ones."),
    ({"real": 0}, "diffusion_curated for everybody: 500 added images ≈ 0.40 (0.22–0.71) times as many collected ones."),
    ({"fraction": 1.02, "low": 0.9, "high": 1.15, "kind": "nothing shown"},
     "diffusion_curated for everybody: worth nothing here that could be shown: 2 (−10 to 15) collected ones."),
    ({"fraction": 1.1, "low": 0.8, "high": INF, "kind": "cannot tell"},
     "diffusion_curated for everybody: these data cannot tell what it is worth: 10 (−20 or more) collected ones."),
    ({"fraction": 0.5, "low": -INF, "high": 0.8, "kind": "costs"},
     "diffusion_curated for everybody: worth less than nothing, as if real images were taken away: −50 (−20 or less) collected ones."),
])
def test_every_kind_of_result(given, sentence):
    assert describe_exchange(pd.DataFrame([rate(**given)]))[0] == sentence


def test_cells_reasons_and_the_curve():
    rows = pd.DataFrame([
        rate(), rate(label="melanoma", group="V–VI"), rate(label="nevus", kind="nothing shown", low=0.9),
        rate(label="melanoma", group="I–II", reason="7 positives, needs 20"),
        rate(group="I–II", reason="flat curve: more real images did not help here"),
    ])
    rows.loc[1, "exponent"] = 0.4
    assert describe_exchange(rows)[1:] == [
        "diffusion_curated, class by class: of 2 cells with a rate, 1 is worth something (melanoma × V–VI 40 (22–71)).",
        "What diffusion_curated is worth for melanoma × I–II is not estimable: 7 positives, needs 20.",
        "What diffusion_curated is worth for I–II is not estimable: flat curve: more real images did not help here.",
        "AUROC (mean over classes) of arm real over its training images is taken as linear in the logarithm of their number in 2 of 3 "
        "cells and an inverse power law in 1 of 3 cells, and not believed beyond 4 times the images.",
        ONE_ORDER,
    ]
    table = exchange_table(rows)
    assert table.iloc[1].tolist() == ["diffusion_curated", "melanoma", "V–VI", "100", "500", "+0.020", "40 (22–71)", "worth"]
    assert table.iloc[3].tolist()[-2:] == ["–", "7 positives, needs 20"]
    assert table.iloc[0].tolist()[1:3] == ["every class", "everybody"]
    none = describe_exchange(rows.assign(kind=["nothing shown"] * 3 + ["not estimable"] * 2))
    assert none[1] == "diffusion_curated, class by class: of 2 cells with a rate, none is worth something."


def test_arms_without_a_rate_are_named():
    flat, cells = "flat curve: more real images did not help here", ("all", "V–VI")
    rows = [rate(arm, group=group, reason=flat) for arm in ("gan_curated", "collected") for group in cells]
    assert describe_exchange(pd.DataFrame([*rows, rate("gan_random", group="V–VI", reason=flat)])) == [
        f"What gan_curated and collected are worth for everybody and V–VI is not estimable: {flat}.",
        f"What gan_random is worth for V–VI is not estimable: {flat}."]


def test_images_drawn_while_training_are_not_counted_as_none():
    rows = pd.DataFrame([rate("diffusion_uncurated+on_the_fly", added=0), rate("diffusion_curated+hybrid")])
    assert exchange_table(rows)["added images"].tolist() == ["drawn while training", "500 and more, drawn while training"]
    assert describe_exchange(rows)[1].startswith("diffusion_curated+hybrid for everybody: what it does ≈")


def test_without_a_curve_or_arms_it_says_what_to_do():
    none = pd.DataFrame([rate(reason="classifier.learning_curve has 0 fractions under 1, needs 2")] * 2)
    said, = describe_exchange(none)
    assert "not estimable (classifier.learning_curve has 0 fractions under 1, needs 2)" in said and "[0.25, 0.5, 0.75]" in said
    assert describe_exchange(none.iloc[:0]) == ["No arm adds anything to the real images, so there is nothing to exchange."]
    assert "fractions over 1" in describe_check(pd.DataFrame(), pd.DataFrame())[0]
    flat, = describe_check(pd.DataFrame(), pd.DataFrame(), fractions=[0.5, 1.0, 2.0])       # the reserve was there, no cell was comparable
    assert "fractions over 1" not in flat and "on images of the reserve, too, but in no cell" in flat
    for empty in (none, none.iloc[:0]):
        assert not plot_exchange(empty, arms=["real"]).findobj(lambda artist: artist.get_gid() == "interval")


def test_the_check_names_what_does_not_agree():
    check = pd.DataFrame([
        {"arm": "gan_curated", "label": "all", "group": group, "predicted": 40.0, "predicted_low": 22.0, "predicted_high": INF,
         "measured": measured, "measured_low": 10.0, "measured_high": 30.0, "agree": measured > 22, "closed": False}
        for group, measured in (("all", 25.0), ("V–VI", 20.0))])
    curve = pd.DataFrame([
        {"label": "melanoma", "group": "V–VI", "fraction": 2.0, "predicted": 1.6, "low": 1.2, "high": 1.9, "agree": False, "closed": True}])
    assert describe_check(check, curve) == [
        "Asked what more real images are worth, the curve through fewer of them is contradicted in 1 of 1 case (melanoma × V–VI at 2 "
        "times, predicted as 1.60 (1.20–1.90)); 1 of them has both ends of every interval. What it names as likeliest is too much in 0 and "
        "too little in 1.",
        "Of 2 exchange rates that could be both predicted and measured and are not nothing by both, 1 is contradicted (gan_curated for "
        "V–VI); none of them has both ends of every interval, and an open one is easily met.",
    ]
    closed = check.assign(closed=True, agree=True)
    assert describe_check(closed, curve.iloc[:0])[0].endswith("none is contradicted; 2 of them have both ends of every interval.")
    assert "2 are contradicted (gan_curated for everybody and gan_curated for V–VI);" in describe_check(
        check.assign(agree=False), curve.iloc[:0])[0]
    assert check_table(check).iloc[0].tolist() == ["gan_curated", "every class", "everybody", "40 (22 or more)", "25 (10–30)", "yes"]
    assert curve_table(curve).iloc[0].tolist() == ["melanoma", "V–VI", "2", "1.60 (1.20–1.90)", "no"]
    record = exchange_record(pd.DataFrame([rate(), rate(label="nevus")]), check, curve, ["Found."])
    assert record["findings"] == ["Found."] and [len(table["rows"]) for table in record["headlines"]] == [1, 2]
    assert json.loads(json.dumps(record)) == record and record["headlines"][1]["rows"][0][-1] == "yes"


def test_a_figure_shows_every_interval_and_its_open_ends():
    rows = pd.DataFrame([rate(), rate(arm="gan_curated", high=INF), rate(arm="gan_curated", group="V–VI", reason="7 positives, needs 20"),
                         rate(group="V–VI", fraction=INF, low=2.0, high=INF)])
    figure = plot_exchange(rows, arms=["real", "diffusion_curated", "gan_curated"])
    found = [artist.get_gid() for artist in figure.findobj(lambda artist: artist.get_gid() is not None)]
    assert [found.count(gid) for gid in ("interval", "open", "point", "not-estimable")] == [3, 2, 2, 1]
    words = {text.get_text() for text in figure.findobj(lambda artist: artist.get_gid() == "numbers")}
    assert words == {"40 (22–71)", "40 (22 or more)", "over 300 (100 or more)"}


def test_the_curve_shows_every_point_and_every_arm_at_its_height():
    rng = np.random.default_rng(0)
    label, own, tables = np.arange(120) % 2, rng.normal(size=120), []
    for arm, fraction, signal in (("real", 0.25, 0.5), ("real", 0.5, 0.8), ("real", 1.0, 1.1), ("gan_curated", 1.0, 1.3)):
        for seed in (0, 1, 2):
            p = 1 / (1 + np.exp(-(own + signal * (2 * label - 1) + 0.05 * rng.normal(size=120))))
            tables.append(pd.DataFrame({
                "image_id": [f"i{n:03d}" for n in range(120)], "split": "test", "arm": arm, "architecture": "small_cnn", "seed": seed,
                "train_fraction": fraction, "y_true": label, "p_0": 1 - p, "p_1": p, "group": "V–VI",
                "cluster_id": [f"c{n}" for n in range(120)]}))
    evaluation = evaluate_with_curve(pd.concat(tables), "auroc", classes=["nevus", "melanoma"], arms=["gan_curated"], resamples=30)
    rates = exchange_rates(evaluation, image_counts([]))
    figure = plot_learning_curves(evaluation, rates, arms=["real", "gan_curated"])
    panel = figure.axes[0]
    points, = [line for line in panel.lines if line.get_gid() == "point"]
    shown = curve_points(evaluation).query("label == 'all' and group == 'all'")
    np.testing.assert_allclose(points.get_ydata(), shown["value"])
    np.testing.assert_allclose(points.get_xdata(), [0.25, 0.5, 1.0])
    arm, = [line for line in panel.lines if line.get_gid() == "arm"]
    row = rates[(rates["label"] == "all") & (rates["group"] == "all")].iloc[0]
    assert (arm.get_xdata()[0], arm.get_ydata()[0]) == pytest.approx((min(row["fraction"], 4), shown["value"].iloc[-1] + row["gain"]))
    curve = [line for line in panel.lines if line.get_gid() is None]
    ends = {round(float(line.get_xdata()[-1]), 6): float(line.get_ydata()[-1]) for line in curve}
    assert set(ends) == {1.0, 4.0} and ends[1.0] == pytest.approx(shown["value"].iloc[-1])      # the curve goes through the arm's own value


def test_open_and_unknown_rates_read_well():
    rows = [row for row in pd.DataFrame([rate(low=-INF, high=INF), rate(reason="x")]).itertuples()]
    assert collected(rows[0]) == "40 (no end)" and collected(rows[1]) == "–"
