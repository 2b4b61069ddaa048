"""What the pooled test images of a cross-validation are, and what their intervals leave out."""

from __future__ import annotations

import pandas as pd

from lib.report.words import count, number


def describe_pooled(
    predictions: pd.DataFrame,          # of all folds: image_id, split, fold
) -> list[str]:
    """Sentences for the head of notebooks 08 and 09; none without cross-validation.

    On the interval: Bengio & Grandvalet 2004, JMLR 5:1089 (no unbiased estimator of a cross-validation's variance exists).
    """
    test = predictions[predictions["split"] == "test"]
    folds = test["fold"].nunique()
    if folds < 2:
        return []
    return [
        f"Cross-validation in {number(folds)} folds: each of {count(test['image_id'].nunique(), 'test image')} was judged once per arm and "
        "training seed, by the network of the fold that kept its patient out. Generators, curation and thresholds were fitted inside each "
        "fold, too, and every figure pools the test images of all folds.",
        f"A training run is therefore {number(folds)} networks, whose training images overlap. What that adds to the uncertainty cannot be "
        "estimated without bias, so intervals are somewhat too narrow. Arms are compared on the same folds.",
    ]
