"""Notebook 09's figures and sentences: end points as in the table, and no word that an interval does not carry."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.metrics.registry import MEASURES
from lib.report.comparisons import higher_is_better, pick, title_of
from lib.report.evidence import plot_arms, plot_differences, plot_gaps
from lib.report.evidence_words import describe_arms, describe_differences, describe_gaps
from lib.report.words import estimate
from lib.stats.verdict import judge

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
FEW = "not estimable: 12 positives, needs 20; one training seed"
NAN = float("nan")


def rows(*given: tuple, metric: str = "sensitivity", **columns) -> pd.DataFrame:
    """Rows (arm, group, value, low, high, note)."""
    frame = pd.DataFrame(list(given), columns=["arm", "group", "value", "low", "high", "note"])
    positives = pd.array([45] * len(frame), dtype="Int64")
    frame = frame.assign(architecture="small_cnn", metric=metric, n_images=120, n_clusters=60, n_positives=positives, seeds=3)
    return frame.assign(**columns).astype({"value": float, "low": float, "high": float})


@pytest.fixture
def differences() -> pd.DataFrame:
    return rows(("oversampled", "all", 0.05, 0.03, 0.07, ""), (NASTY, "all", 0.01, -0.03, 0.05, ""),
                ("oversampled", "V–VI", NAN, NAN, NAN, FEW), (NASTY, None, -0.03, -0.05, -0.01, "classes left out"), baseline="real")


# ── what an interval says ────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize(("low", "high", "words"), [
    (0.03, 0.07, "a is better than real in {}, by more than the margin of 0.02; {}"),
    (0.01, 0.07, "a is better than real in {}, whether by more than the margin of 0.02 cannot be told; {}"),
    (0.02, 0.05, "a is better than real in {}, whether by more than the margin of 0.02 cannot be told; {}"),
    (0.005, 0.015, "a and real differ by less than the margin of 0.02 in {}, by this interval alone; {}, though probably not zero"),
    (-0.07, -0.03, "a is worse than real in {}, by more than the margin of 0.02; {}"),
    (-0.07, -0.01, "a is worse than real in {}, whether by more than the margin of 0.02 cannot be told; {}"),
    (-0.015, -0.005, "a and real differ by less than the margin of 0.02 in {}, by this interval alone; {}, though probably not zero"),
    (-0.01, 0.01, "a and real differ by less than the margin of 0.02 in {}, by this interval alone; {}"),
    (0.0, 0.01, "a and real differ by less than the margin of 0.02 in {}, by this interval alone; {}"),
    *((low, high, "a and real cannot be told apart in {}; {}: the interval contains zero")
      for low, high in ((-0.03, 0.01), (-0.01, 0.03), (-0.03, 0.03), (0.0, 0.05), (-0.02, 0.01))),
    (NAN, 0.1, "a and real cannot be compared in {} (not estimable: no reason given)"),
])
def test_reading_of_an_interval(low, high, words, monkeypatch):
    table = rows(("a", "all", np.mean([low, high]), low, high, ""), baseline="real")
    numbers = f"difference {estimate(table['value'][0], low, high)}"
    assert describe_differences(table, margin=0.02) == [f"Everybody: {words.format('sensitivity', numbers)}."]
    monkeypatch.setitem(MEASURES, "sensitivity", dataclasses.replace(MEASURES["sensitivity"], higher_is_better=False))
    swapped = words.replace("better", "?").replace("worse", "better").replace("?", "worse")
    assert describe_differences(table, margin=0.02) == [f"Everybody: {swapped.format('sensitivity', numbers)}."]


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.001, 0.5))
def test_the_words_are_those_of_the_verdict(a, b, margin):
    low, high = sorted((a, b))
    sentence = describe_differences(rows(("a", "all", (low + high) / 2, low, high, ""), baseline="real"), margin=margin)[0]
    opening = {"better": "a is better", "worse": "a is worse", "equivalent": "a and real differ", "cannot tell": "a and real cannot"}
    assert sentence.startswith(f"Everybody: {opening[judge(low, high, margin)]} ")


def test_differences_in_words(differences):
    assert describe_differences(differences, margin=0.02) == [
        "Everybody: oversampled is better than real in sensitivity, by more than the margin of 0.02; difference 0.050 (0.030–0.070).",
        f"Everybody: {NASTY} and real cannot be told apart in sensitivity; difference 0.010 (−0.030 to 0.050): the interval contains zero.",
        "V–VI: oversampled and real cannot be compared in sensitivity (not estimable: 12 positives, needs 20).",
        f"Unknown: {NASTY} is worse than real in sensitivity, whether by more than the margin of 0.02 cannot be told; "
        "difference −0.030 (−0.050 to −0.010).",
        "3 comparisons with 95% intervals are shown, not corrected for their number.",
        "Classes left out (unknown).",
    ]


def test_small_differences_in_words():
    small = rows(("a", "all", 0.0, -0.01, 0.01, ""), ("b", "all", 0.01, 0.005, 0.015, ""), baseline="real")
    assert describe_differences(small, margin=0.02, confidence=0.9) == [
        "Everybody: a and real differ by less than the margin of 0.02 in sensitivity, by this interval alone; difference "
        "0.000 (−0.010 to 0.010).",
        "Everybody: b and real differ by less than the margin of 0.02 in sensitivity, by this interval alone; difference "
        "0.010 (0.005–0.015), "
        "though probably not zero.",
        "2 comparisons with 90% intervals are shown, not corrected for their number.",
    ]


def test_a_note_on_every_row_is_said_once_without_groups():
    table = rows(("real", "all", 0.8, 0.7, 0.9, "one training seed"), ("real", "V–VI", 0.8, 0.7, 0.9, "one training seed"))
    assert describe_arms(table)[-1] == "One training seed."


def test_arms_in_words():
    table = rows(("real", "all", 0.8, 0.7, 0.9, ""), ("more", "all", 0.85, 0.75, 0.95, ""), ("real", "V–VI", NAN, NAN, NAN, FEW),
                 ("more", "V–VI", NAN, NAN, NAN, FEW), ("real", "I–II", 0.7, 0.6, 0.8, "one training seed"),
                 ("more", "I–II", NAN, NAN, NAN, None))
    assert describe_arms(table) == [
        "Everybody: sensitivity 0.800 (0.700–0.900) with real and 0.850 (0.750–0.950) with more.",
        "V–VI: sensitivity is not estimable: 12 positives, needs 20.",
        "I–II: sensitivity 0.700 (0.600–0.800) with real.", "I–II: sensitivity is not estimable for more (no reason given).",
        "One training seed (I–II).",
    ]


@pytest.fixture
def gaps() -> pd.DataFrame:
    frame = rows(("real", "", 0.09, 0.02, 0.16, "biased upwards: noise"), (NASTY, "", 0.05, -0.03, 0.13, "biased upwards: noise"),
                 ("third", "", NAN, NAN, NAN, "not estimable: 1 of 3 groups estimable, needs 2"))
    return frame.drop(columns="group").assign(worst=["V–VI", "V–VI", None], best=["I–II", "III–IV", None])


def test_gaps_in_words(gaps):
    assert describe_gaps(gaps) == [
        "Real: I–II does best and V–VI worst in sensitivity, 0.090 (0.020–0.160) apart; the interval does not contain zero.",
        f"{NASTY}: III–IV does best and V–VI worst in sensitivity, 0.050 (−0.030 to 0.130) apart; the interval contains zero, "
        "so the two cannot be told apart.",
        "Third: the gap between groups is not estimable (1 of 3 groups estimable, needs 2).",
        "The two groups were picked for being far apart, so the gap and its interval are biased upwards.",
    ]


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────────

def ends(figure) -> list[tuple[float, float]]:
    return [tuple(map(float, line.get_xdata())) for line in figure.axes[0].lines if line.get_gid() == "interval"]


def points(figure) -> list[float]:
    return [float(np.ravel(line.get_xdata())[0]) for line in figure.axes[0].lines if line.get_gid() == "point"]


def test_forest_plot_has_the_tables_end_points(differences, draw, texts, fits):
    before = differences.copy()
    figure = plot_differences(differences, margin=0.02, arms=["real", "oversampled", NASTY])
    draw(figure)
    known = differences.dropna(subset="value")
    assert ends(figure) == list(zip(known["low"], known["high"], strict=True)) and points(figure) == known["value"].tolist()
    assert texts(figure, "not-estimable") == ["not estimable: 12 positives, needs 20"]
    assert {"everybody", "V–VI", "unknown"} <= set(texts(figure)) and "0.050 (0.030–0.070)   n = 120, 45 positive" in texts(figure)
    assert "sensitivity: difference from real (right is better)" in texts(figure) and fits(figure)
    low, high = figure.axes[0].get_xlim()
    assert low < -0.05 and high > 0.07
    band = figure.axes[0].patches[0]
    assert (band.get_x(), band.get_width()) == (-0.02, 0.04)
    pd.testing.assert_frame_equal(differences, before)


def test_forest_plot_of_nothing_estimable_shows_zero_and_margin(differences, draw, fits):
    figure = plot_differences(differences.assign(value=NAN, low=NAN, high=NAN, note=3 * NASTY), margin=0.02)
    draw(figure)
    assert fits(figure)
    low, high = figure.axes[0].get_xlim()
    assert -0.04 < low < -0.02 and 0.02 < high < 0.04 and not points(figure)


def test_an_arm_has_one_colour_in_every_figure(differences):
    arms = ["real", "oversampled", NASTY]
    forest = plot_differences(differences, margin=0.02, arms=arms)
    dots = plot_arms(rows(*((arm, "all", 0.5, 0.4, 0.6, "") for arm in arms)), arms=arms)
    first, second = ([line.get_color() for line in figure.axes[0].lines if line.get_gid() == "point"] for figure in (forest, dots))
    assert len(set(second)) == 3 and first == [second[1], second[2], second[2]]


def test_arms_plot(draw, texts, fits):
    table = rows(("real", "all", 0.8, 0.7, 0.9, ""), (NASTY, "all", 0.85, 0.75, 0.95, ""), ("real", "V–VI", NAN, NAN, NAN, FEW),
                 metric="auroc")
    figure = plot_arms(table)
    draw(figure)
    assert ends(figure) == [(0.7, 0.9), (0.75, 0.95)] and points(figure) == [0.8, 0.85] and fits(figure)
    assert "0.800 (0.700–0.900)   n = 120, smallest class 45" in texts(figure)


def test_gap_plot(gaps, draw, texts, fits):
    figure = plot_gaps(gaps)
    draw(figure)
    assert ends(figure) == [(0.02, 0.16), (-0.03, 0.13)] and fits(figure)
    assert "0.090 (0.020–0.160)   n = 120, 45 positive I–II over V–VI" in texts(figure)
    assert texts(figure, "not-estimable") == ["not estimable: 1 of 3 groups estimable, needs 2"]


def test_choosing_metric_and_architecture(differences):
    two = pd.concat([differences, differences.assign(metric="auroc")])
    with pytest.raises(ValueError, match=r"several values of metric \(sensitivity and auroc\)"):
        plot_differences(two, margin=0.02)
    assert set(pick(two, "auroc")[0]["metric"]) == {"auroc"}
    with pytest.raises(ValueError, match="no metric 'f1' in the table"):
        pick(two, "f1")
    several = pd.concat([differences.assign(architecture=name) for name in ("all", "small_cnn", "resnet18")])
    assert set(pick(several)[0]["architecture"]) == {"all"}
    assert set(pick(several, architecture="resnet18")[0]["architecture"]) == {"resnet18"}
    with pytest.raises(ValueError, match="several values of architecture"):
        pick(several[several["architecture"] != "all"])


def test_metrics_in_words():
    assert title_of("sensitivity") == "sensitivity" and title_of("own_score") == "own score"
    assert higher_is_better("auroc") and higher_is_better("own_score")


def test_nothing_at_all(differences, gaps, draw):
    for figure in (plot_differences(differences.iloc[:0], margin=0.02), plot_arms(differences.iloc[:0]), plot_gaps(gaps.iloc[:0])):
        draw(figure)
    assert describe_differences(differences.iloc[:0], margin=0.02) == ["There is nothing to compare: only the baseline was trained."]
    assert describe_arms(differences.iloc[:0]) == describe_gaps(gaps.iloc[:0]) == ["There are no results."]


def test_many_arms_and_groups_with_long_names(draw, fits):
    arms = [f"an arm with a rather long name, number {i}" for i in range(5)]
    groups = ["all", *(f"group with a long name {i} $x_{i}$" for i in range(4))]
    every = [(arm, group, 0.01 * i - 0.02, 0.01 * i - 0.05, 0.01 * i, "") for group in groups for i, arm in enumerate(arms)]
    table = rows(*every, baseline="real")
    figure = plot_differences(table, margin=0.02, arms=arms)
    draw(figure)
    assert fits(figure) and len(ends(figure)) == 25
