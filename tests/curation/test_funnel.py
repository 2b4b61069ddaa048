"""The funnel adds up, and a group that is rejected more is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import proportion_confint

from lib.curation.funnel import EVERYONE, false_alarm_rates, funnel, rejection_rates
from lib.study import Check

CHECKS = [Check(check="blur", least=1), Check(check="tone", most=9), Check(check="ssim", most=1)]


@pytest.fixture
def table() -> pd.DataFrame:
    verdicts = ["blur"] * 3 + ["tone"] * 2 + ["passed"] * 5
    return pd.DataFrame({
        "verdict": verdicts, "selected": [False] * 6 + [True] * 4,
        "score_blur": 1.0, "pass_blur": pd.array([False] * 3 + [True] * 7, dtype="boolean"),
        "score_tone": [np.nan] * 5 + [2.0] * 5, "pass_tone": pd.array([None] * 3 + [False] * 2 + [True] * 5, dtype="boolean"),
        "score_ssim": np.nan, "pass_ssim": pd.array([None] * 10, dtype="boolean"),
    })


def test_it_adds_up(table):
    steps = funnel(table, CHECKS)
    assert steps["step"].tolist() == ["generated", "blur", "tone", "ssim", "selected"]
    assert steps["left"].tolist() == [10, 7, 5, 5, 4]
    assert steps["rejected"].tolist() == [0, 3, 2, 0, 0]
    assert steps["unmeasured"].tolist() == [0, 0, 2, 0, 0]
    assert steps["not_judged"].tolist() == [0, 0, 0, 5, 0]


def test_intervals_and_tests_are_those_of_scipy_and_statsmodels():
    frame = pd.DataFrame({"label": "a", "group": ["I–II"] * 40 + ["V–VI"] * 40, "verdict": ["passed"] * 38 + ["blur"] * 2 + ["tone"] * 12
                          + ["passed"] * 28})
    rates = rejection_rates(frame).set_index("group")
    assert rates["rejected"].to_dict() == {"I–II": 2, "V–VI": 12}
    assert rates.loc["V–VI", ["low", "high"]].tolist() == pytest.approx(proportion_confint(12, 40, method="wilson"))
    assert rates.loc["V–VI", "p"] == pytest.approx(fisher_exact([[12, 28], [2, 38]], alternative="greater").pvalue)
    assert rates["warning"].to_dict() == {"I–II": False, "V–VI": True}
    assert rates.loc["V–VI", "p_holm"] == pytest.approx(2 * rates.loc["V–VI", "p"])
    assert rejection_rates(frame, check="blur")["rejected"].tolist() == [2, 0]


def test_one_group_has_nothing_to_be_compared_with():
    frame = pd.DataFrame({"label": ["a", "a", "b"], "group": [None, None, "I–II"], "verdict": ["blur", "passed", "passed"]})
    rates = rejection_rates(frame)
    assert rates["p"].isna().all() and not rates["warning"].any() and rates["group"].tolist() == [None, "I–II"]
    assert rejection_rates(frame, pooled=True)["label"].unique().tolist() == ["all classes"]
    assert rejection_rates(frame[:0]).empty


def test_equal_groups_are_seldom_warned_of():
    rng, warned = np.random.default_rng(0), 0
    for _ in range(80):
        frame = pd.DataFrame({"label": rng.choice(["a", "b"], 120), "group": rng.choice(["x", "y", "z"], 120),
                              "verdict": np.where(rng.random(120) < 0.2, "blur", "passed")})
        warned += rejection_rates(frame)["warning"].any()
    assert warned <= 8                                                      # 5 % of 80 and two standard deviations


def test_false_alarms_by_group_count_who_was_judged_and_name_who_falls_more():
    groups = np.array(["I–II"] * 60 + ["V–VI"] * 40 + [None] * 10, dtype=object)
    blur = np.r_[np.arange(60) < 3, np.arange(40) < 16, np.zeros(10, dtype=bool)]
    rejected = pd.DataFrame({"blur": pd.array(blur, dtype="boolean"), "duplicate": pd.array([None] * 110, dtype="boolean")})
    rejected.loc[100:, "blur"] = pd.NA
    rates = false_alarm_rates(rejected, groups).set_index(["check", "group"])
    assert rates.loc[("blur", EVERYONE), ["n", "rejected", "rate", "p"]].tolist() == [100, 19, 0.19, None]
    dark = rates.loc[("blur", "V–VI")]
    assert dark["p"] == pytest.approx(fisher_exact([[16, 24], [3, 57]], alternative="greater").pvalue)
    assert (dark["low"], dark["high"]) == pytest.approx(proportion_confint(16, 40, method="wilson"))
    assert dark["p_holm"] == pytest.approx(2 * dark["p"])
    assert rates.index[rates["warning"].astype(bool)].tolist() == [("blur", "V–VI")]
    assert rates.loc[("duplicate", EVERYONE), ["n", "rate", "low"]].tolist() == [0, None, None]
    assert rates.loc[("blur", "unknown"), "n"] == 0
