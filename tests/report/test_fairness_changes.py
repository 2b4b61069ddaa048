"""Fairness before and after in a table, a figure and sentences; the readings of actinic keratosis likewise (notebook 09)."""

import numpy as np
import pandas as pd
import pytest

from lib.report.fairness import describe_fairness, fairness_table, plot_fairness
from lib.report.readings import NO_IMAGES, describe_readings, readings_table
from lib.stats.fairness import GAP, ODDS, WORST

pytestmark = pytest.mark.filterwarnings("error")
NASTY = "<script>a_b*c$x^2$ \\alpha & 日本"
NAN = float("nan")
AUROC = "AUROC (mean over classes)"


@pytest.fixture
def changes() -> pd.DataFrame:
    frame = pd.DataFrame([
        ("better", GAP, "auroc", 0.11, 0.05, -0.06, -0.09, -0.03, ""), ("better", WORST, "auroc", 0.76, 0.80, 0.04, 0.01, 0.07, ""),
        ("better", ODDS, None, 0.24, 0.20, -0.04, -0.12, 0.04, "over two groups"),
        (NASTY, GAP, "auroc", 0.11, 0.18, 0.07, 0.02, 0.12, ""), (NASTY, WORST, "auroc", 0.76, 0.70, -0.06, -0.09, -0.03, ""),
        (NASTY, ODDS, None, NAN, NAN, NAN, NAN, NAN, "not estimable: 1 of 3 groups estimable, needs 2"),
    ], columns=["arm", "quantity", "metric", "before", "after", "value", "low", "high", "note"])
    return frame.assign(baseline="real", architecture="small_cnn")


def test_the_table_says_what_each_interval_means(changes):
    table = fairness_table(changes)
    assert list(table["quantity"]) == [f"{GAP}, {AUROC}"] * 2 + [f"{WORST}, {AUROC}"] * 2 + [ODDS] * 2
    assert list(table["answer"]) == ["fairer", "less fair", "fairer", "less fair", "cannot tell",
                                     "not estimable (1 of 3 groups estimable, needs 2)"]
    assert table["change"].iloc[0] == "−0.060 (−0.090 to −0.030)" and table["before"].iloc[5] == ""


def test_lower_is_better_turns_the_worst_group_round(changes):
    brier = changes.assign(metric=changes["metric"].replace("auroc", "brier"))
    assert list(fairness_table(brier)["answer"][2:4]) == ["less fair", "fairer"]


def test_right_of_zero_is_fairer_in_every_block(changes, draw, fits, texts):
    figure = plot_fairness(changes, arms=["real", "better", NASTY])
    draw(figure)
    axes = figure.axes[0]
    lines = {kind: sorted((float(np.ravel(line.get_ydata())[0]), np.ravel(line.get_xdata()).tolist()) for line in axes.lines
                           if line.get_gid() == kind) for kind in ("point", "interval")}
    assert [x for _, (x,) in lines["point"]] == [0.06, -0.07, 0.04, -0.06, 0.04]                    # from top to bottom
    assert [ends for _, ends in lines["interval"]][:3] == [[0.03, 0.09], [-0.12, -0.02], [0.01, 0.07]]
    assert texts(figure, "not-estimable") == ["not estimable: 1 of 3 groups estimable, needs 2"] and fits(figure)
    assert texts(figure, "numbers")[0].startswith("−0.060 (−0.090 to −0.030)")                       # the change, not its mirror image
    empty = plot_fairness(changes.iloc[:0], arms=["real"])
    draw(empty)
    assert fits(empty)


def test_sentences_on_fairness(changes):
    assert describe_fairness(changes) == [
        f"Gap between groups, {AUROC}, against real: fairer with better (0.110 → 0.050, change −0.060 (−0.090 to −0.030)); less fair with "
        f"{NASTY} (0.110 → 0.180, change 0.070 (0.020–0.120)).",
        f"Worst group, {AUROC}, against real: fairer with better (0.760 → 0.800, change 0.040 (0.010–0.070)); less fair with {NASTY} "
        "(0.760 → 0.700, change −0.060 (−0.090 to −0.030)).",
        f"Equalised-odds difference, against real: cannot tell with better; not estimable (1 of 3 groups estimable, needs 2) with {NASTY}.",
        "Cannot tell: the interval holds no change as well. It is wide because groups are small, and because it allows for the groups "
        "having been picked for being far apart.",
        "Over two groups.",
    ]
    assert describe_fairness(changes.iloc[:0]) == ["There is no arm but the baseline."]


@pytest.fixture
def read() -> pd.DataFrame:
    rows = [("malignant", True, "V–VI", "worse", -0.03), ("malignant", True, "all", "worse", -0.08),
            ("benign", False, "V–VI", "better", 0.03), ("benign", False, "all", "worse", -0.05),
            ("exclude", False, "V–VI", "cannot tell", 0.0), ("exclude", False, "all", "worse", -0.06)]
    frame = pd.DataFrame(rows, columns=["reading", "own", "group", "kind", "value"])
    return frame.assign(keratosis=142, metric="auroc_positive", arm=NASTY, baseline="real", low=frame["value"] - 0.01,
                        high=frame["value"] + 0.01, note="")


def test_a_column_per_reading_and_the_own_one_marked(read):
    table = readings_table(read)
    assert list(table.columns) == ["comparison", "measure", "group", "counted as malignant (as here)", "counted as benign", "left out"]
    assert list(table["group"]) == ["V–VI", "everybody"] and table["counted as benign"].iloc[0] == "better: 0.030 (0.020–0.040)"
    assert len(readings_table(read[read["group"] == "all"])) == 1


def test_sentences_on_readings(read):
    assert describe_readings(read) == [
        "142 test images show actinic keratosis. The same predictions were scored with it counted as malignant, counted as benign and left "
        "out; nothing was trained again.",
        f"{NASTY} against real, AUROC (positive classes), V–VI: worse with it counted as malignant, better with it counted as benign and "
        "cannot tell with it left out. The answer turns round with the reading.",
        f"{NASTY} against real, AUROC (positive classes), everybody: worse under every reading.",
    ]
    one = describe_readings(read[read["reading"] == "malignant"])
    assert one[1:] == ["With it counted as benign and left out nothing is left to act on.",
                       "So there is no second reading to hold the answers against."]
    assert "The word depends on the reading." in describe_readings(read.query("reading != 'benign'"))[2]
    assert describe_readings(read.iloc[:0]) == [NO_IMAGES]
