"""Pooled test images of a cross-validation: each judged at the threshold of its own fold, whatever is measured on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.metrics.registry import MEASURES
from lib.stats.compare import gaps
from lib.stats.equalized_odds import equalized_odds
from lib.stats.evaluate import evaluate
from lib.stats.inputs import read_predictions
from lib.stats.permutation import gap_nulls

CLASSES = ["melanoma", "nevus", "other"]
CALLED = ["sensitivity", "specificity", "precision", "f1"]


@pytest.fixture(scope="module")
def folded(make):
    """A table in three folds of whole patients, with a threshold of its own for every arm, seed and fold."""
    table = make(patients=60)
    fold = 1 + table["cluster_id"].str[-4:].astype(int) % 3
    own = 0.2 + 0.1 * fold + 0.02 * table["seed"] + 0.05 * table["arm"].eq("real")
    return table.assign(fold=fold, threshold=own)


def test_a_threshold_goes_with_its_fold(folded):
    read = read_predictions(folded.sample(frac=1, random_state=1), CLASSES)
    for (arm, _, seed), thresholds in read.thresholds.items():
        rows = folded[folded["arm"].eq(arm) & folded["seed"].eq(seed)].sort_values("image_id")
        assert read.image_ids.tolist() == rows["image_id"].tolist() and thresholds.tolist() == rows["threshold"].tolist()
        assert len(set(thresholds)) == 3
    with pytest.raises(ValueError, match="several thresholds; it is chosen once on validation"):
        read_predictions(folded.assign(threshold=folded["threshold"].where(folded.index != 5, 0.9)), CLASSES)


def test_an_image_that_two_folds_judge_is_refused(folded):
    """As validation images are, which is why only test images are pooled."""
    with pytest.raises(ValueError, match=r"comes twice in arm .*with folds only the test images come once"):
        read_predictions(pd.concat([folded, folded[:1].assign(fold=3)]), CLASSES)


def test_calls_are_made_image_by_image(folded):
    found = evaluate(folded, CALLED, classes=CLASSES, positive=["melanoma"], resamples=20, minimum_positives=1)
    for (arm, _, key), values in found.values.items():
        for seed, value in zip([0, 1, 2], values, strict=True):
            rows = folded[folded["arm"].eq(arm) & folded["seed"].eq(seed) & (folded["group"].eq(key.group) | (key.group == "all"))]
            shifted = np.clip(rows["p_0"].to_numpy() - rows["threshold"].to_numpy() + 0.5, 0, 1)       # the same calls at one threshold
            p = np.stack([shifted, 1 - shifted, np.zeros(len(rows))], axis=1)
            assert value == pytest.approx(MEASURES[key.metric](rows["y_true"].to_numpy(), p, positive=[0], threshold=0.5))


def test_everything_after_the_evaluation_takes_folds(folded):
    found = evaluate(folded, ["sensitivity"], classes=CLASSES, positive=["melanoma"], resamples=20, minimum_positives=1)
    nulls = gap_nulls(found, "sensitivity", 20, seed=1)
    assert nulls["value"].tolist() == pytest.approx(gaps(found)["value"].tolist()) and nulls["p_value"].notna().all()
    assert equalized_odds(found, 20, 1)["value"].between(0, 1).all()
