"""Counting verdicts where the truth is known, and two repeats end to end."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from lib.report.null_truth import describe_null_truth, plot_repeats, verdict_table
from lib.stats import null_truth
from lib.stats.null_truth import COLUMNS, COMPARISONS, Setting, count_verdicts, run_repeats
from lib.study import NullTruth, StudyError, load_study
from lib.workflow.checks import load_plan

TINY = {
    "data.sources.0.phantom.patients": 40, "data.sources.1.phantom.patients": 30, "groups.minimum_positives": 3,
    "classifier.epochs": 1, "classifier.seeds": [0, 1], "statistics.resamples": 100, "null_truth.images": 20, "null_truth.repeats": 2,
}


@pytest.fixture(scope="module")
def setting():
    return Setting.of(load_study("params/null_truth.yaml", TINY))


def made_up(kinds):
    """Rows of one comparison and group, a repeat per word."""
    values = {"better": 0.2, "equivalent": 0.0, "worse": -0.2, "cannot tell": 0.01, "not estimable": np.nan}
    width = {"equivalent": 0.01, "cannot tell": 0.5}
    return [(repeat, "shuffled", "real", "all", values[kind], values[kind] - width.get(kind, 0.1), values[kind] + width.get(kind, 0.1),
             kind, 100, 50) for repeat, kind in enumerate(kinds)]


def test_counts_and_exact_intervals():
    rows = pd.DataFrame(made_up(["better", "better"] + ["cannot tell"] * 30 + ["worse"] * 8 + ["not estimable"] * 5), columns=list(COLUMNS))
    found = count_verdicts(rows).iloc[0]
    assert [found[kind] for kind in null_truth.KINDS] == [2, 0, 8, 30, 5] and found["repeats"] == 40
    assert found["share"] == pytest.approx(0.05)
    assert found["low"] == pytest.approx(beta.ppf(0.025, 2, 39)) and found["high"] == pytest.approx(beta.ppf(0.975, 3, 38))
    assert found["zero_inside"] == pytest.approx(30 / 40)


def test_nothing_estimable_gives_no_share():
    found = count_verdicts(pd.DataFrame(made_up(["not estimable"] * 3), columns=list(COLUMNS)))
    assert found["repeats"].item() == 0 and found[["share", "low", "high"]].isna().all(axis=None)
    assert "nothing is known" in describe_null_truth(found, NullTruth())[0]


@pytest.mark.parametrize(("better", "repeats", "words"), [
    (0, 100, "the limit is kept"),
    (2, 40,  "within the limit, though a rate of up to 16.9% would agree with so few repeats"),
    (3, 40,  "more than the limit, which so few repeats can also show by chance"),
    (9, 40,  "more than the limit. That was generated"),
])
def test_sentences_follow_from_the_counts(better, repeats, words):
    rows = pd.DataFrame(made_up(["better"] * better + ["cannot tell"] * (repeats - better)), columns=list(COLUMNS))
    counts = count_verdicts(rows)
    said = describe_null_truth(counts, NullTruth())
    assert words in said[0] and f"real ones alone, for everybody, {better} of {repeats} repeats." in said[0]
    assert f'"better" in {better} of {repeats} repeats' in said[1]
    assert verdict_table(counts)["true"].tolist() == ["nothing helps"]


def test_two_repeats_end_to_end_are_kept_and_the_same_with_two_processes(setting, tmp_path):
    told = []
    rows = run_repeats(setting, tmp_path / "a", fingerprint="x", progress=lambda *args: told.append(args))
    assert told == [(1, 2), (2, 2)] and list(rows.columns) == list(COLUMNS)
    assert rows.groupby("generator").size().to_dict() == dict.fromkeys(COMPARISONS, 4) and rows["value"].notna().all()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["repeat-0000.json", "repeat-0001.json"]
    first = rows[rows["repeat"] == 0].drop(columns="repeat").reset_index(drop=True)
    assert not first.equals(rows[rows["repeat"] == 1].drop(columns="repeat").reset_index(drop=True))
    together = plot_repeats(rows, setting.null_truth)
    assert len(together.axes) == 6

    kept = tmp_path / "a" / "repeat-0001.json"
    record = json.loads(kept.read_text(encoding="utf-8"))
    record["rows"][0]["value"] = 0.25                                   # so that it shows whether it was read
    kept.write_text(json.dumps(record), encoding="utf-8")
    again = run_repeats(setting, tmp_path / "a", fingerprint="x")
    assert again["value"].eq(0.25).sum() == 1 and again.drop(index=6).equals(rows.drop(index=6))
    assert setting.mark("x", 1) != setting.mark("y", 1) != setting.mark("y", 0)
    more = Setting.of(load_study("params/null_truth.yaml", TINY | {"null_truth.repeats": 9}))
    other = Setting.of(load_study("params/null_truth.yaml", TINY | {"null_truth.margin": 0.1}))
    assert more.mark("x", 1) == setting.mark("x", 1) != other.mark("x", 1)


def test_what_a_study_lacks_is_said():
    plan = load_plan("params/null_truth.yaml")
    assert plan.inputs(plan.find("13_null_truth", None)) == []
    with pytest.raises(StudyError, match=r"null_truth\.group is 'VII', not among the groups"):
        load_study("params/null_truth.yaml", {"null_truth.group": "VII"})
    with pytest.raises(StudyError, match="null_truth draws two phantom sources anew"):
        load_study("params/null_truth.yaml", {"data.sources.1.role": "development", "split": {"train": 0.6, "validation": 0.2,
                                                                                              "test": 0.2}})
