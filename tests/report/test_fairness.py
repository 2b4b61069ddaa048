"""Gaps and equalised odds against chance, and the worst-served group: notebook 09's figures and sentences on fairness."""

import numpy as np
import pandas as pd
import pytest

from lib.report.chance import plot_against_chance
from lib.report.fairness import describe_equalized_odds, describe_gap_nulls, describe_worst, plot_worst

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN = float("nan")
NOT = "not estimable: 1 of 3 groups estimable, needs 2"


@pytest.fixture
def nulls() -> pd.DataFrame:
    frame = pd.DataFrame([("real", 0.11, 0.03, 0.06, 0.0004, ""), (NASTY, 0.04, 0.03, 0.06, 0.3, "group III–IV left out (12 positives)"),
                          ("third", NAN, NAN, NAN, NAN, NOT)], columns=["arm", "value", "null_median", "null_high", "p_value", "note"])
    return frame.assign(architecture="small_cnn", metric="auroc", groups="I–II, V–VI")


def draw_chance(frame, **options):
    given = {"title": "Apart?", "label": "gap", "chance": "if groups were dealt out", "arms": ["real", NASTY, "third"]}
    return plot_against_chance(frame, **given | options)


def test_a_point_lies_over_what_chance_alone_gives(nulls, draw, fits, texts):
    figure = draw_chance(nulls)
    draw(figure)
    axes = figure.axes[0]
    bands = [patch for patch in axes.patches if patch.get_gid() == "null"]
    assert [(band.get_x(), band.get_width()) for band in bands] == [(0, 0.06), (0, 0.06)]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "null-median"] == [0.03, 0.03]
    points = [line for line in axes.lines if line.get_gid() == "point"]
    assert [float(np.ravel(line.get_xdata())[0]) for line in points] == [0.11, 0.04]
    assert [float(np.ravel(line.get_ydata())[0]) for line in points] == [band.get_y() + band.get_height() / 2 for band in bands]
    assert texts(figure, "numbers") == ["0.110   chance 0.030, up to 0.060   p < 0.001", "0.040   chance 0.030, up to 0.060   p = 0.300"]
    assert texts(figure, "not-estimable") == [NOT] and fits(figure)
    assert axes.get_xlim()[1] > 0.11 and axes.get_xlim()[0] < 0


def test_blocks_per_group_and_nothing_at_all(nulls, draw, fits, texts):
    figure = draw_chance(pd.concat([nulls.assign(group="everybody"), nulls.assign(group=NASTY * 2)]))
    draw(figure)
    assert fits(figure) and "everybody" in texts(figure)
    for frame in (nulls.iloc[2:], nulls.iloc[:0]):
        figure = draw_chance(frame)
        draw(figure)
        assert fits(figure)


def test_gap_against_chance_in_words(nulls):
    shuffled = ("if patients of the same diagnosis had been put into groups at random, it would be around 0.030, and over 0.060 once in "
                "20 times")
    assert describe_gap_nulls(nulls) == [
        f"Real: the groups I–II, V–VI are up to 0.110 apart in AUROC (mean over classes); {shuffled}. The gap is more than chance alone "
        "explains (p < 0.001).",
        f"{NASTY}: the groups I–II, V–VI are up to 0.040 apart in AUROC (mean over classes); {shuffled}. The gap is no more than chance "
        "alone could give (p = 0.300).",
        "The gap between groups is not estimable for third (1 of 3 groups estimable, needs 2).",
        "Group III–IV left out (12 positives).",
    ]
    assert describe_gap_nulls(nulls.iloc[2:]) == ["The gap between groups is not estimable (1 of 3 groups estimable, needs 2)."]
    assert describe_gap_nulls(nulls.iloc[:0]) == ["There are no results."]


def test_the_word_follows_the_confidence(nulls):
    near = nulls.iloc[:1].assign(p_value=0.07)
    assert "no more than chance" in describe_gap_nulls(near)[0] and "is more than chance" in describe_gap_nulls(near, confidence=0.9)[0]


def test_equalised_odds_in_words(nulls):
    odds = nulls.drop(columns="metric").assign(sensitivity_gap=[0.02, 0.04, NAN], false_positive_gap=[0.11, 0.01, NAN])
    assert describe_equalized_odds(odds)[0] == (
        "Real: between the groups I–II, V–VI the share of positives that is found differs by up to 0.020, the share of the others that is "
        "called positive by up to 0.110. The larger of the two, the equalised-odds difference, would by chance alone be around 0.030, and "
        "over 0.060 once in 20 times; it is more than chance alone explains (p < 0.001).")
    assert describe_equalized_odds(odds)[2].startswith("The equalised-odds difference is not estimable for third")


@pytest.fixture
def worst() -> pd.DataFrame:
    frame = pd.DataFrame([("real", "V–VI", 0.7, 0.6, 0.8, NAN, NAN, NAN, "picked"),
                          (NASTY, "I–II", 0.75, 0.65, 0.85, 0.05, 0.01, 0.09, "picked"),
                          ("third", "V–VI", 0.69, 0.6, 0.8, -0.01, -0.05, 0.03, "picked"),
                          ("fourth", None, NAN, NAN, NAN, NAN, NAN, NAN, NOT)],
                         columns=["arm", "group", "value", "low", "high", "difference", "difference_low", "difference_high", "note"])
    return frame.assign(architecture="small_cnn", metric="auroc")


def test_worst_group_in_words(worst):
    assert describe_worst(worst, baseline="real") == [
        "Real serves V–VI worst: AUROC (mean over classes) 0.700 (0.600–0.800).",
        f"{NASTY} serves I–II worst: AUROC (mean over classes) 0.750 (0.650–0.850); against the worst group of real 0.050 (0.010–0.090): "
        "better.",
        "Third serves V–VI worst: AUROC (mean over classes) 0.690 (0.600–0.800); against the worst group of real −0.010 "
        "(−0.050 to 0.030): the two cannot be told apart.",
        "Fourth: the worst group is not estimable (1 of 3 groups estimable, needs 2).",
        "The upper end of these intervals allows for the group having been picked, so it may lie further out than that of the same "
        "group's interval elsewhere.", "Picked.",
    ]
    upside_down = describe_worst(worst.assign(metric="brier"), baseline="real")
    assert upside_down[1].endswith("(0.010–0.090): worse.") and upside_down[4].startswith("The lower end of these intervals allows")
    assert describe_worst(worst.iloc[3:], baseline="real") == [
        "Fourth: the worst group is not estimable (1 of 3 groups estimable, needs 2)."]
    assert describe_worst(worst.iloc[:0], baseline="real") == ["There are no results."]


def test_worst_group_in_a_picture(worst, draw, fits, texts):
    figure = plot_worst(worst)
    draw(figure)
    assert fits(figure) and texts(figure, "not-estimable") == [NOT]
    assert texts(figure, "numbers")[0] == "0.700 (0.600–0.800)    in V–VI"
    ends = [tuple(line.get_xdata()) for line in figure.axes[0].lines if line.get_gid() == "interval"]
    assert ends == [(0.6, 0.8), (0.65, 0.85), (0.6, 0.8)]
    draw(plot_worst(worst.iloc[:0]))
