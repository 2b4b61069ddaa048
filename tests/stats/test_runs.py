"""Every single training, recomputed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from lib.stats.compare import per_arm
from lib.stats.evaluate import evaluate
from lib.stats.runs import per_run

OPTIONS = {"classes": ["melanoma", "nevus", "other"], "positive": ["melanoma"], "resamples": 30,
           "groups": ["I–II", "III–IV", "V–VI"]}


def test_every_run(make):
    table = make(architectures=("a", "b"), seeds=(3, 1))
    found = per_run(evaluate(table, ["auroc", "accuracy"], **OPTIONS))
    assert list(found.columns) == ["arm", "architecture", "seed", "metric", "group", "value"]
    assert len(found) == 2 * 2 * 2 * 2 * 4 and list(found["group"][:8:2]) == ["all", "I–II", "III–IV", "V–VI"]
    for (arm, architecture, seed), runs in found.groupby(["arm", "architecture", "seed"]):
        part = table[(table["arm"] == arm) & (table["architecture"] == architecture) & (table["seed"] == seed)]
        for group, inside in [("all", part), *part.groupby("group")]:
            y, p = inside["y_true"], inside[["p_0", "p_1", "p_2"]].to_numpy()
            values = runs[runs["group"] == group].set_index("metric")["value"]
            assert values["auroc"] == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
            assert values["accuracy"] == pytest.approx(accuracy_score(y, p.argmax(axis=1)))


def test_runs_average_to_the_arms_and_gaps_in_the_data_stay_gaps(make):
    evaluation = evaluate(make(), ["auroc", "sensitivity"], **(OPTIONS | {"groups": ["V–VI", "VII"]}))
    runs, arms = per_run(evaluation), per_arm(evaluation).set_index(["arm", "metric", "group"])
    for key, part in runs.groupby(["arm", "metric", "group"]):
        np.testing.assert_allclose(part["value"].mean(), arms.loc[key, "value"])
        np.testing.assert_allclose(part["value"].std(), arms.loc[key, "seed_spread"])
    assert runs.query("group == 'VII'")["value"].isna().all() and runs.query("group == 'all'")["value"].notna().all()
