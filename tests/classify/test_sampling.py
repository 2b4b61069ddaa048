"""Arms: the same steps for all, the promised frequencies, weights from the arm's own counts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.utils.class_weight import compute_class_weight

from lib.classify.pool import Pool, real_pool
from lib.classify.sampling import plan_arm as plan_of
from lib.study import Augmentation, Classifier

ARMS = ("real", "classical", "oversampled")


def table(labels: str, groups: str) -> Pool:
    """One training row per letter; '.' stands for no group. A test row with an unknown label is put in front."""
    names = [f"image{i}" for i in range(len(labels) + 1)]
    samples = pd.DataFrame({
        "image_id": names, "cluster_id": names, "sha256": "0" * 64, "tone": pd.array([None] * len(names), dtype="Int8"),
        "split": ["test"] + ["train"] * len(labels),
        "label": ["unheard of", *labels],
        "group": ["x", *(None if letter == "." else letter for letter in groups)],
    })
    return real_pool(samples, np.zeros((len(names), 4, 4, 3), dtype=np.uint8))


def plan_arm(arm, pool, classes, *, augmented_classes=(), **options):
    return plan_of(arm, pool, classes, Classifier(augmentation=Augmentation(classes=list(augmented_classes)), **options), {})


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 200), st.integers(2, 70), st.integers(0, 5))
def test_all_arms_take_the_same_steps(count, batch_size, epoch):
    samples = table("ab" + "a" * count, "x" * (count + 2))
    plans = [plan_arm(arm, samples, ["a", "b"], batch_size=batch_size) for arm in ARMS]
    sizes = {plan.batch_sizes for plan in plans}
    assert len(sizes) == 1
    size, = sizes
    assert len(size) == -(-(count + 2) // batch_size) == plans[0].steps_per_epoch
    assert max(size) <= batch_size and max(size) - min(size) <= 1 and min(size) >= 2
    for plan in plans:
        drawn = plan.batches(0, epoch)
        assert tuple(len(batch) for batch in drawn) == size
        assert np.array_equal(np.concatenate(drawn), np.concatenate(plan.batches(0, epoch)))


def test_real_draws_each_row_once_in_a_new_order_each_epoch():
    plan = plan_arm("real", table("abab" * 25, "x" * 100), ["a", "b"], batch_size=7)
    first, second = (np.concatenate(plan.batches(0, epoch)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(100)) and not np.array_equal(first, second)
    assert np.array_equal(plan.rows, np.arange(1, 101))               # the test row in front is left out


def test_oversampled_draws_every_cell_and_every_row_within_it_equally_often():
    samples = table("a" * 90 + "b" * 10, "x" * 80 + "y" * 10 + "x" * 5 + "." * 5)
    plan = plan_arm("oversampled", samples, ["a", "b"], batch_size=32)
    drawn = np.concatenate([np.concatenate(plan.batches(0, epoch)) for epoch in range(200)])
    cell = np.array([0] * 80 + [1] * 10 + [2] * 5 + [3] * 5)
    assert chisquare(np.bincount(cell[drawn])).pvalue > 0.001
    for k in range(4):
        assert chisquare(np.bincount(drawn, minlength=100)[cell == k]).pvalue > 0.001


def test_class_weights_are_sklearns_for_the_real_arm():
    labels = "a" * 60 + "b" * 30 + "c" * 10
    plan = plan_arm("real", table(labels, "x" * 100), ["c", "a", "b"], batch_size=32)
    reference = compute_class_weight("balanced", classes=np.array(["c", "a", "b"]), y=np.array(list(labels)))
    assert plan.class_weights == pytest.approx(reference)


def test_class_weights_follow_what_the_arm_draws():
    samples = table("a" * 90 + "b" * 10, "x" * 80 + "y" * 10 + "x" * 10)        # cells a·x, a·y, b·x: two thirds are a
    assert plan_arm("oversampled", samples, ["a", "b"], batch_size=32).class_weights == pytest.approx([3 / 4, 3 / 2])
    assert plan_arm("real", samples, ["a", "b"], batch_size=32).class_weights == pytest.approx([100 / 180, 100 / 20])
    assert plan_arm("real", samples, ["a", "b"], batch_size=32, class_weights=False).class_weights.tolist() == [1, 1]


def test_only_the_classical_arm_augments_and_only_the_named_classes():
    samples = table("aabb", "xxxx")
    augmented = {arm: plan_arm(arm, samples, ["a", "b"], batch_size=2).augmented for arm in ARMS}
    assert augmented["classical"].all() and not augmented["real"].any() and not augmented["oversampled"].any()
    only_b = plan_arm("classical", samples, ["a", "b"], batch_size=2, augmented_classes=["b"])
    assert only_b.augmented.tolist() == [False, False, True, True]


def test_what_cannot_be_trained_is_said():
    with pytest.raises(ValueError, match="no training image of c"):
        plan_arm("real", table("ab", "xx"), ["a", "b", "c"], batch_size=2)
    with pytest.raises(ValueError, match="hold the label b; classes are a"):
        plan_arm("real", table("ab", "xx"), ["a"], batch_size=2)
    with pytest.raises(ValueError, match="no training rows"):
        plan_arm("real", table("", ""), ["a"], batch_size=2)
    with pytest.raises(ValueError, match="no arm is called 'gan'"):
        plan_arm("gan", table("ab", "xx"), ["a", "b"], batch_size=2)
