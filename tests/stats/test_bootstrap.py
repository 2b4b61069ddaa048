"""The resamples: who is drawn, how often, and that nothing but the seed decides."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.metrics.registry import MEASURES
from lib.stats.bootstrap import degrees_of_freedom, image_weights, make_design


def all_weights(design, resamples, **options):
    return np.concatenate([weights for _, weights in image_weights(design, resamples=resamples, **options)])


def example(patients=40, random=0):
    rng = np.random.default_rng(random)
    size = rng.integers(1, 5, patients)
    patient = np.repeat([f"p{i}" for i in range(patients)], size)
    label = np.repeat(rng.integers(0, 3, patients), size)
    group = np.repeat(rng.choice(["a", "b"], patients), size)
    return patient, label, group


def test_images_of_a_patient_are_drawn_together_within_label_and_group():
    patient, label, group = example()
    weights = all_weights(make_design(patient, label, group), 300)
    for name in np.unique(patient):
        assert (weights[:, patient == name] == weights[:, patient == name][:, :1]).all()
    for one_label in range(3):
        for one_group in ("a", "b"):
            members = np.unique(patient[(label == one_label) & (group == one_group)], return_index=True)
            inside = weights[:, np.flatnonzero((label == one_label) & (group == one_group))[members[1]]]
            np.testing.assert_allclose(inside.sum(axis=1), len(members[0]))       # a stratum keeps its number of patients
            counts = inside * (len(members[0]) - 1) / len(members[0])              # n − 1 draws, each worth n/(n − 1)
            np.testing.assert_allclose(counts, counts.round(), atol=1e-9)


def test_variance_of_a_stratified_cluster_mean_is_the_textbook_one():
    # Cochran 1977, eq. 5.6 without finite population correction: Σ (W_h)² s_h² / n_h; a bootstrap of n_h draws would give 3/4 of it
    rng = np.random.default_rng(4)
    label, value = np.repeat([0, 1, 2], 4), rng.normal(size=12)
    draws = all_weights(make_design(np.arange(12), label), 20_000) @ value / 12
    expected = sum((1 / 3) ** 2 * value[label == h].var(ddof=1) / 4 for h in range(3))
    assert draws.var() == pytest.approx(expected, rel=0.05)
    assert draws.mean() == pytest.approx(value.mean(), abs=0.01)


@settings(deadline=None, max_examples=25)
@given(random=st.integers(0, 1000), cells=st.integers(1, 60_000), patients=st.integers(1, 40))
def test_block_size_and_row_order_change_nothing(random, cells, patients):
    patient, label, group = example(patients, random)
    order = np.random.default_rng(random).permutation(len(patient))
    one = all_weights(make_design(patient, label, group), 300, seed=random)
    np.testing.assert_array_equal(one, all_weights(make_design(patient, label, group), 300, seed=random, cells=cells))
    other = all_weights(make_design(patient[order], label[order], group[order]), 300, seed=random)
    np.testing.assert_array_equal(one[:, order], other)


def test_deterministic_in_the_seed_and_a_prefix_stays_a_prefix():
    design = make_design(*example())
    np.testing.assert_array_equal(all_weights(design, 700)[:260], all_weights(design, 260))
    assert not np.array_equal(all_weights(design, 50, seed=0), all_weights(design, 50, seed=1))
    assert not np.array_equal(all_weights(design, 500)[:250], all_weights(design, 500)[250:])
    rows = [block for block, _ in image_weights(design, resamples=601, cells=1000)]
    assert [i for block in rows for i in range(block.start, block.stop)] == list(range(601))


def test_blocks_stay_small():
    design = make_design(np.arange(5000))
    assert max(weights.size for _, weights in image_weights(design, resamples=300, cells=20_000)) <= 20_000


def test_stratum_of_a_mixed_patient_is_its_rarest_label():
    # melanoma is rarer than nevus; the patient with both is drawn among the melanoma patients
    patient = np.array(["mixed"] * 3 + ["m1", "m2"] + [f"n{i}" for i in range(6)])
    label = np.array(["nevus", "nevus", "melanoma", "melanoma", "melanoma"] + ["nevus"] * 6)
    design = make_design(patient, label)
    names = np.unique(patient)
    assert sorted(sorted(names[stratum]) for stratum in design.strata) == [["m1", "m2", "mixed"], [f"n{i}" for i in range(6)]]


def test_lone_clusters_join_their_label_or_stay():
    patient = np.array(["a", "b", "c", "d", "e", "f"])
    label = np.array([0, 0, 0, 1, 1, 2])
    group = np.array(["x", "x", "y", "x", None, "y"], dtype=object)
    design = make_design(patient, label, group)
    assert sorted(sorted(stratum) for stratum in design.strata) == [[0, 1, 2], [3, 4], [5]]
    weights = all_weights(design, 50)
    assert (weights[:, 5] == 1).all() and (weights[:, 3] + weights[:, 4] == 2).all()
    assert (all_weights(make_design(["only"] * 3), 5) == 1).all()


def test_unknown_group_is_a_stratum_of_its_own():
    group = np.array(["x"] * 4 + [None] * 2 + [float("nan")] * 2, dtype=object)
    assert sorted(map(len, make_design(np.arange(8), None, group).strata)) == [4, 4]


def test_degrees_of_freedom():
    # one stratum: n − 1 as for any variance, however many images a patient has
    assert degrees_of_freedom(make_design(np.repeat(np.arange(12), 3)), [np.arange(36)]) == pytest.approx(11)
    # strata: one degree is spent in each
    label, group = np.repeat([0, 1], [30, 6]), np.tile([0, 1], 18)
    design = make_design(np.arange(36), label, group)
    assert degrees_of_freedom(design, [np.flatnonzero(label == 1)]) == pytest.approx(4)
    # two kinds: Welch's formula for equal spread, which is near that of the scarcer kind
    both = degrees_of_freedom(make_design(np.arange(36), label), [np.flatnonzero(label == k) for k in (0, 1)])
    assert both == pytest.approx((1 / 30 + 1 / 6) ** 2 / (1 / 30**2 / 29 + 1 / 6**2 / 5)) and 5 < both < 8
    # what cannot vary, or is not there, still counts as one
    assert degrees_of_freedom(make_design(["only"] * 3), [np.arange(3)]) == 1
    assert degrees_of_freedom(make_design(np.arange(4)), [np.arange(4), np.array([], dtype=int)]) == pytest.approx(3)
    assert degrees_of_freedom(make_design(np.arange(4)), []) == 1


def test_wrong_inputs():
    with pytest.raises(ValueError, match="no images"):
        make_design(np.array([]))
    with pytest.raises(ValueError, match="got 3 images, 2 labels, 3 groups"):
        make_design(["a", "b", "c"], [0, 1])


def test_equals_brute_force_resampling_with_the_same_draws():
    # two strata of equal size, so that the rescaling n/(n − 1) cancels and a resample is a plain list of repeated rows
    rng = np.random.default_rng(8)
    patient = np.repeat(np.arange(20), 2)
    label = np.repeat(np.arange(20) % 2, 2)
    p = rng.dirichlet(np.ones(2), 40).round(1)
    p[:, 1] = 1 - p[:, 0]
    weights = all_weights(make_design(patient, label), 60)
    fast = {name: MEASURES[name](label, p, weights=weights) for name in ("auroc", "accuracy", "macro_f1")}
    for b, row in enumerate(weights):
        times = (row * 9 / 10).round().astype(int)
        assert times[label == 0].sum() == times[label == 1].sum() == 18
        drawn = [i for i, count in enumerate(times) for _ in range(count)]
        slow = {
            "auroc":    sk.roc_auc_score(label[drawn], p[drawn, 1]),
            "accuracy": sk.accuracy_score(label[drawn], p[drawn].argmax(axis=1)),
            "macro_f1": sk.f1_score(label[drawn], p[drawn].argmax(axis=1), average="macro"),
        }
        for name, value in slow.items():
            assert fast[name][b] == pytest.approx(value, abs=1e-12), name
