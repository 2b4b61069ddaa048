"""A cross-validation says what its figures pool; a study without one says nothing."""

from __future__ import annotations

import pandas as pd

from lib.report.pooled import describe_pooled


def rows(folds):
    images = [f"i{k}" for k in range(6)]
    test = pd.DataFrame({"image_id": images, "split": "test", "fold": [folds[k % len(folds)] for k in range(6)]})
    return pd.concat([test, test.assign(split="validation", fold=9), test.assign(seed=1)])


def test_what_is_pooled_is_counted():
    first, second = describe_pooled(rows([1, 2, 3]))
    assert first.startswith("Cross-validation in 3 folds: each of 6 test images was judged once per arm")
    assert "3 networks" in second and "too narrow" in second


def test_without_folds_nothing_is_said():
    assert describe_pooled(rows([0])) == []
