"""Calibration per group: what luck alone gives is said beside what was found."""

import numpy as np
import pandas as pd
import pytest

from lib.report.chance import plot_against_chance
from lib.report.reliability import as_chance, calibration_shown, describe_calibration, describe_group_reliability, plot_group_reliability

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN = float("nan")
FEW = "not estimable: 12 positives, needs 20"


@pytest.fixture
def calibration() -> pd.DataFrame:
    frame = pd.DataFrame([("real", "all", 0.1, 0.03, 0.025, 0.04, 0.3, 0.3, ""), ("real", "V–VI", 0.2, 0.09, 0.05, 0.08, 0.01, 0.04, ""),
                          (NASTY, "all", 0.1, 0.07, 0.025, 0.04, 0.0002, 0.001, ""), (NASTY, "V–VI", NAN, NAN, NAN, NAN, NAN, NAN, FEW)],
                         columns=["arm", "group", "brier", "ece", "ece_expected", "ece_high", "p_value", "p_adjusted", "note"])
    return frame.assign(architecture="small_cnn", n_images=300, n_positives=40)


def test_calibration_in_words(calibration):
    assert describe_calibration(calibration) == [
        "Real: predicted probabilities are further off than luck explains for V–VI (0.090; luck alone: up to 0.080); "
        "no further off than luck explains for everybody.",
        f"{NASTY}: predicted probabilities are further off than luck explains for everybody (0.070; luck alone: up to 0.040).",
        "V–VI: not estimable (12 positives, needs 20).", "Of 3 tests, 2 have p under 0.05; corrected for their number, 2.",
    ]
    answer = describe_calibration(calibration.iloc[:1].assign(note="of the most probable class"))
    assert answer[1] == "Looked at is the probability of the most probable class."
    assert describe_calibration(calibration.iloc[:0]) == ["There are no results."]


def test_calibration_in_a_table(calibration):
    table = calibration_shown(calibration)
    assert table.iloc[2].tolist() == [NASTY, "everybody", "0.100", "0.070", "0.025, up to 0.040", "< 0.001", 300, 40]
    assert table.iloc[3].tolist()[2:6] == ["–"] * 4


def test_calibration_in_a_picture(calibration, draw, fits, texts):
    rows = as_chance(calibration)
    assert rows["group"].tolist() == ["everybody"] * 2 + ["V–VI"] * 2 and rows["null_high"].tolist()[:3] == [0.04, 0.04, 0.08]
    figure = plot_against_chance(rows, title="Off?", label="error", chance="if right", arms=["real", NASTY])
    draw(figure)
    assert fits(figure) and texts(figure, "not-estimable") == [FEW]


def bins(off=0.0, groups=("all", "V–VI")) -> pd.DataFrame:
    predicted = np.array([0.1, 0.4, 0.8])
    return pd.concat([pd.DataFrame({"group": group, "bin": [1, 2, 3], "images": [30, 31, 30], "predicted": predicted,
                                    "observed": predicted - off, "low": predicted - off - 0.08, "high": predicted - off + 0.08, "note": ""})
                      for group in groups], ignore_index=True)


def silent(group: str) -> pd.DataFrame:
    unknown = dict.fromkeys(["bin", "predicted", "observed", "low", "high"], NAN)
    return pd.DataFrame([{"group": group, "images": 40, **unknown, "note": FEW}])


def test_reliability_in_pictures(draw, fits, texts):
    given = {"real": pd.concat([bins(), silent("tiny")]), NASTY: pd.concat([bins(0.05), silent("tiny")])}
    figure = plot_group_reliability(given, arms=["real", NASTY])
    draw(figure)
    assert fits(figure) and len(figure.axes) == 6
    assert texts(figure, "images") == ["n = 30–31"] * 4
    assert texts(figure, "not-estimable") == ["not estimable: 12 positives, needs 20"] * 2
    panel = figure.axes[3]
    assert [float(np.ravel(line.get_xdata())[0]) for line in panel.lines if line.get_gid() == "bin"] == [0.1, 0.4, 0.8]
    ends = [line.get_ydata() for line in panel.lines if line.get_gid() == "interval"]
    np.testing.assert_allclose(ends, [(-0.03, 0.13), (0.27, 0.43), (0.67, 0.83)])


def test_many_groups_with_long_names_and_none(draw, fits):
    groups = [f"group with a $long$ name {i}" for i in range(6)]
    figure = plot_group_reliability({"an arm with a rather long name, number 1": bins(groups=("all", *groups))}, arms=["real"])
    draw(figure)
    assert fits(figure)
    draw(plot_group_reliability({"real": bins().iloc[:0]}, arms=["real"]))


def test_reliability_in_words():
    assert describe_group_reliability({"real": bins(), "more": pd.concat([bins(), bins(0.1, ("dark",)), silent("tiny")])}) == [
        "Real, points whose interval misses the line: none for everybody and V–VI.",
        "More, points whose interval misses the line: 3 of 3 for dark (furthest: 10% predicted, 0% observed); none for everybody and V–VI; "
        "tiny is not estimable (12 positives, needs 20).",
        "Were every probability right, about 1 point in 20 would still miss the line by luck.",
    ]
    assert "1 point in 10 would" in describe_group_reliability({"real": bins()}, confidence=0.9)[-1]
    assert len(describe_group_reliability({"real": silent("tiny")})) == 1
    assert describe_group_reliability({}) == ["There are no predictions to compare."]
