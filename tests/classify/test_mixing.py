"""Mixing: what is drawn is what was promised, switch by switch, and a share of nothing is the arm of real images."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from lib.classify.arms import SWITCHES, find_arm
from lib.classify.mixing import image_weights, overlap_weights, scarce, shares_of
from lib.classify.pool import Block, Pool, real_pool
from lib.classify.sampling import plan_arm
from lib.study import Classifier, Mixing, load_study

ARM, CLASSES = "diffusion_curated", ["a", "b"]
SHARES = {"5": 0.4, "6": 0.75}


@cache
def pool_of(real: tuple[tuple, ...], drawn: tuple[tuple, ...]) -> Pool:
    """Cells (label, tone, group, images) of real training images and of drawn ones; one test row in front."""
    rows = [cell for *cell, count in real for _ in range(count)]
    names = [f"r{i}" for i in range(len(rows) + 1)]
    samples = pd.DataFrame({
        "image_id": names, "cluster_id": names, "patient_id": names, "sha256": "0" * 64, "split": ["test", *["train"] * len(rows)],
        "label": ["a", *(row[0] for row in rows)], "tone": pd.array([1, *(row[1] for row in rows)], dtype="Int8"),
        "group": ["I–II", *(row[2] for row in rows)],
    })
    pool = real_pool(samples, np.zeros((len(names), 8, 8, 3), dtype=np.uint8))
    made = [cell for *cell, count in drawn for _ in range(count)]
    labels, keys, groups = zip(*made, strict=True) if made else ([], [], [])
    return pool.with_block(Block(np.zeros((len(made), 8, 8, 3), dtype=np.uint8), labels, keys, groups)) if made else pool


REAL  = (("a", 1, "I–II", 60), ("b", 1, "I–II", 30), ("a", 5, "V–VI", 6), ("b", 6, "V–VI", 4))
DRAWN = (("a", "5", "V–VI", 8), ("b", "6", "V–VI", 20), ("a", "6", "V–VI", 12))


def plan(arm: str = ARM, shares=SHARES, drawn=DRAWN, epochs: int = 8, **mixing):
    pool = pool_of(REAL, drawn)
    return plan_arm(arm, pool, CLASSES, Classifier(epochs=epochs, batch_size=16, mixing=Mixing(**mixing)), shares), pool


def drawn_by(made, epochs: int, seeds: int = 1) -> np.ndarray:
    """[epochs × seeds, draws of an epoch] positions."""
    return np.array([np.concatenate(made.batches(seed, epoch)) for seed in range(seeds) for epoch in range(epochs)])


ALL = [ARM, *(f"{ARM}+{switch}{'=1.5' if one.needed else ''}" for switch, one in SWITCHES.items() if not one.streams),
       f"{ARM}+range+replace", f"{ARM}+ratio=0.5+ramp=0.5+minority", f"{ARM}+range+ramp", "synthetic_only", "oversampled", "real"]


@pytest.mark.parametrize("arm", ALL)
def test_the_frequency_of_a_plan_is_what_it_draws(arm):
    pool = pool_of(REAL, DRAWN if find_arm(arm).adds else ())
    if not find_arm(arm).real:
        pool = Pool(pool.table[pool.added].reset_index(drop=True), pool.rows[pool.added], pool.added[pool.added], pool.samples, pool.real,
                    pool.count, pool.drawn)
    made = plan_arm(arm, pool, CLASSES, Classifier(epochs=8, batch_size=16), SHARES)
    seen = np.bincount(drawn_by(made, epochs=8, seeds=15).ravel(), minlength=len(pool.table))
    expected = made.frequency() * seen.sum()
    assert made.frequency().sum() == pytest.approx(1)
    cells = pool.table.groupby(["synthetic", "label", "tone_key"], dropna=False).ngroup()
    for found, wanted in zip(np.bincount(cells, weights=seen), np.bincount(cells, weights=expected), strict=True):
        assert abs(found - wanted) <= 5 * np.sqrt(wanted) + 1e-9, (found, wanted)
    drawn = np.bincount(made.labels, weights=made.frequency())
    assert (made.class_weights * drawn).sum() == pytest.approx(1) and np.ptp(made.class_weights * drawn) == pytest.approx(0)


def test_the_share_of_a_tone_is_the_one_asked_for():
    made, pool = plan()
    often, keys, theirs = made.frequency(), pool.table["tone_key"], pool.table["synthetic"]
    assert often[keys.eq("1")].sum() == pytest.approx(90 / (90 + 6 / 0.6 + 4 / 0.25))
    for key, share in SHARES.items():
        assert often[keys.eq(key) & theirs].sum() / often[keys.eq(key)].sum() == pytest.approx(share)
    real = often[~theirs]
    assert np.ptp(real) == pytest.approx(0) and often[keys.eq("6") & theirs].min() == pytest.approx(often[keys.eq("6") & theirs].max())


def test_without_shares_or_without_real_images_of_the_key_every_image_weighs_the_same():
    table, added = pool_of(REAL, (*DRAWN, ("a", "4", "III–IV", 3), ("b", None, None, 2))).table, np.arange(145) >= 100
    assert image_weights(table, added, {}).tolist() == [1] * 45
    weights = image_weights(table, added, {**SHARES, "4": 0.5, "unknown": 0.5})
    assert weights[-5:].tolist() == [1] * 5                             # no real image of type IV, none without a tone
    assert image_weights(table, added, {"V–VI": 0.5})[:40].sum() == pytest.approx(10)     # by group, where types have no share
    with pytest.raises(ValueError, match="share of 6 is 1, which leaves no real image"):
        image_weights(table, added, {"6": 1.0})


def test_a_share_of_nothing_is_the_arm_of_real_images():
    real, nothing = plan("real", drawn=())[0], plan(f"{ARM}+ratio=0")[0]
    for epoch in range(3):
        for left, right in zip(real.batches(4, epoch), nothing.batches(4, epoch), strict=True):
            assert np.array_equal(left, right)
    assert np.array_equal(real.class_weights, nothing.class_weights)


@pytest.mark.parametrize("ratio", [0.25, 1, 4, 10])
def test_the_ratio_is_that_of_generated_to_real_draws(ratio):
    made, pool = plan(f"{ARM}+ratio={ratio:g}")
    seen = pool.added[drawn_by(made, epochs=40)].mean()
    assert seen == pytest.approx(ratio / (1 + ratio), abs=5 * np.sqrt(0.25 / 4000))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 7), st.sampled_from(["replace", "replace=1", "replace=0.2", "range+replace", "replace+ramp"]))
def test_replacement_leaves_every_batch_with_its_labels_and_groups(seed, epoch, switches):
    real, (made, pool) = plan("real", drawn=())[0], plan(f"{ARM}+{switches}")
    cells = (pool.table["label"] + pool.table["group"]).to_numpy()
    for before, after in zip(real.batches(seed, epoch), made.batches(seed, epoch), strict=True):
        assert (cells[before] == cells[after]).all()
    if switches == "replace=1":
        changed = np.isin(cells[np.concatenate(made.batches(seed, epoch))], ["aV–VI", "bV–VI"])
        assert (pool.added[np.concatenate(made.batches(seed, epoch))] == changed).all()


def test_images_without_a_group_replace_any_of_their_label():
    made, pool = plan(f"{ARM}+replace=1", drawn=(("a", None, None, 3),), shares={})
    seen = drawn_by(made, epochs=2).ravel()
    labels = pool.table["label"].to_numpy()
    assert pool.added[seen][labels[seen] == "a"].all() and not pool.added[seen][labels[seen] == "b"].any()


def test_the_ramp_grows_from_nothing_over_the_first_quarter_of_the_epochs():
    made, _ = plan(f"{ARM}+ramp", epochs=8)
    steps = made.steps_per_epoch * 8
    shares = made.mix.shares(np.arange(steps), seed=0)
    assert shares[0] == 0 and shares[steps // 8] == pytest.approx(made.mix.share / 2)
    assert np.allclose(np.diff(shares[:steps // 4]), made.mix.share / (steps / 4)) and (shares[steps // 4:] == made.mix.share).all()
    half, _ = plan(f"{ARM}+ramp=0.5", epochs=8)
    assert half.mix.shares(np.array([steps // 4]), 0)[0] == pytest.approx(made.mix.share / 2)


def test_a_range_gives_every_batch_a_share_of_its_own():
    made, pool = plan(f"{ARM}+range", range=(0.2, 0.7), epochs=60)
    shares = made.mix.shares(np.arange(400), seed=0)
    assert kstest((shares - 0.2) / 0.5, "uniform").pvalue > 0.001
    assert not np.array_equal(shares, made.mix.shares(np.arange(400), seed=1))
    assert np.array_equal(shares[7:], made.mix.shares(np.arange(7, 400), seed=0))
    found = np.array([pool.added[batch].mean() for epoch in range(57) for batch in made.batches(0, epoch)])
    assert np.corrcoef(found, shares[:len(found)])[0, 1] > 0.6


def test_minority_adds_only_to_cells_with_few_real_images():
    made, pool = plan(f"{ARM}+minority", drawn=(*DRAWN, ("a", "1", "I–II", 9), ("b", None, None, 2), ("a", None, None, 2)), shares={})
    added = pool.table[pool.added]
    let_in = added[made.frequency()[pool.added] > 0]
    assert set(let_in["group"].dropna()) == {"V–VI"} and set(let_in.loc[let_in["group"].isna(), "label"]) == {"b"}
    named = scarce(pool.table, pool.added, ["b"])
    assert (named == added["label"].eq("b").to_numpy()).all()
    with pytest.raises(ValueError, match="minority names c; the training images have"):
        scarce(pool.table, pool.added, ["c"])
    nothing, _ = plan(f"{ARM}+minority", drawn=(("a", "1", "I–II", 9),), shares={})
    assert nothing.mix is None                                          # nothing is let in: the arm real


def test_pretraining_shows_generated_images_alone_and_then_the_mix():
    made, pool = plan(f"{ARM}+pretrain", epochs=8)
    alone = [pool.added[np.concatenate(made.batches(0, epoch))].all() for epoch in range(8)]
    assert alone == [True] * 2 + [False] * 6                            # 0.3 of 8 epochs, rounded
    assert plan(f"{ARM}+pretrain=0.9", epochs=2)[0].mix.alone == made.steps_per_epoch
    with pytest.raises(ValueError, match=r"set classifier\.epochs to 2 or more"):
        plan(f"{ARM}+pretrain", epochs=1)


def test_partners_of_a_blend_are_real_and_of_the_same_class():
    made, pool = plan(f"{ARM}+mixup=0.4", drawn=DRAWN)
    weights = []
    for step in range(200):
        chosen = np.random.default_rng(step).integers(0, len(pool.table), 16)
        places, partners, shares = made.mix.partners(chosen, step, seed=0)
        assert (places == np.flatnonzero(pool.added[chosen])).all() and not pool.added[partners].any()
        assert (made.labels[partners] == made.labels[chosen[places]]).all()
        weights += shares.tolist()
    assert kstest(weights, beta(0.4, 0.4).cdf).pvalue > 0.001


def test_overlap_weights_make_both_kinds_of_a_cell_count_alike():
    made, pool = plan()
    often = made.frequency()
    weights = overlap_weights(pool.table, pool.added, often)
    counted = pool.table.assign(weight=weights * often, added=pool.added).groupby(["label", "group", "added"])["weight"].sum().unstack()
    assert np.allclose(counted[False], counted[True].fillna(0)) and (counted.loc[(slice(None), "I–II"), False] == 0).all()
    bare = overlap_weights(pool.table.assign(group=pool.table["group"].where(~pool.added)), pool.added, often)
    assert (bare[~pool.added] > 0).all()                                # without groups by label alone


def test_shares_come_from_the_classifier_then_from_resampling():
    study = load_study("params/demo.yaml")
    assert shares_of(study) == study.diffusion.resampling.classifier and shares_of(study)["6"] == 0.8
    assert shares_of(load_study("params/demo.yaml", {"classifier.mixing.shares": {"6": 0.3}})) == {"6": 0.3}
    assert shares_of(load_study("params/phantom_plenty.yaml")) == {}
