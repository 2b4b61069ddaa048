"""Which images and runs a test looks at, and tables that keep their columns when they are empty."""

from __future__ import annotations

import numpy as np
import pytest

from lib.stats.evaluate import evaluate
from lib.stats.slices import as_table, calls_of, has_thresholds, rows_of, runs_of, score_of, support_of, truth_of

TYPES = {"arm": "text", "p_value": "float", "n_images": "Int64"}


@pytest.fixture(scope="module")
def evaluation(make):
    table = make(architectures=("one", "two"), seeds=(4, 7))
    return evaluate(table, ["accuracy"], classes=["a", "b", "c"], positive=["c", "a"], resamples=20)


def test_images_and_runs(evaluation):
    table = evaluation.predictions
    assert len(rows_of(evaluation, "all")) == 270
    assert set(table.groups[rows_of(evaluation, "V–VI")]) == {"V–VI"}
    assert len(rows_of(evaluation, "nobody")) == 0
    assert runs_of(evaluation, "real", "two") == [("real", "two", 4), ("real", "two", 7)]
    assert len(runs_of(evaluation, "real", "all")) == 4


def test_positive_classes(evaluation):
    table, run = evaluation.predictions, ("real", "one", 7)
    np.testing.assert_array_equal(truth_of(evaluation), table.y_true != 1)
    np.testing.assert_allclose(score_of(evaluation, run), 1 - table.probabilities[run][:, 1])
    np.testing.assert_array_equal(calls_of(evaluation, run), score_of(evaluation, run) >= 0.4)
    assert has_thresholds(evaluation)
    support = support_of(evaluation, "auroc_positive", "I–II")                    # a measure that was not evaluated
    assert (support.n_images, support.n_positives, support.reason) == (90, int(truth_of(evaluation)[rows_of(evaluation, "I–II")].sum()), "")


def test_tables():
    empty = as_table([], TYPES)
    assert list(empty.columns) == [*TYPES, "p_adjusted"]
    assert len(empty) == 0
    found = as_table([{"arm": "x", "p_value": 0.02, "n_images": 3}, {"arm": "y"}, {"arm": "z", "p_value": 0.04, "n_images": 5}], TYPES)
    np.testing.assert_allclose(found["p_adjusted"], [0.04, np.nan, 0.04])
    assert found["n_images"].isna().tolist() == [False, True, False]
    assert "p_adjusted" not in as_table([], TYPES, adjust=None)
