"""Which cells a block asks for: the quota's shares in the long run, and the hardest cells where losses are known."""

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.classify.stream_cells import deal, generation_of, hardest, quota_cells
from lib.diffusion.quota import by_class, quota
from lib.study import Diffusion, Gan, Generation, Groups, Labels

CLASSES, TONES = ["a", "b", "c"], ["1", "2", "3", "4", "5", "6"]
COUNTS = st.lists(st.integers(1, 200), min_size=1, max_size=18)


def cells(counts, tones=TONES) -> pd.DataFrame:
    keys = [(label, tone) for label in CLASSES for tone in tones][:len(counts)]
    return pd.DataFrame([(*key, count) for key, count in zip(keys, counts, strict=True)], columns=["label", "tone", "images"])


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(1, 70), st.integers(1, 12), st.integers(0, 2**40))
def test_blocks_follow_one_sequence_that_keeps_to_the_shares(counts, size, blocks, seed):
    quota, total = cells(counts), 0
    dealt: dict[tuple, int] = {}
    for block in range(blocks):
        part = deal(quota, block * size, size, seed)
        assert sum(count for *_, count in part) == size and all(count > 0 for *_, count in part)
        total += size
        for *key, count in part:
            dealt[tuple(key)] = dealt.get(tuple(key), 0) + count
        for label, tone, images in quota.itertuples(index=False):
            assert abs(dealt.get((label, tone), 0) - total * images / sum(counts)) < 3.5
    assert dealt == {tuple(key): count for *key, count in deal(quota, 0, total, seed)}


def test_seeds_begin_at_different_places():
    assert len({tuple(deal(cells([1] * 18), 0, 5, seed)) for seed in range(20)}) > 10


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(1, 70), st.randoms(use_true_random=False))
def test_the_hardest_quarter_is_asked_for_evenly(counts, size, random):
    quota = cells(counts)
    losses = {(label, tone): random.choice([0.1, 0.5, 2.0]) + random.random() / 10 for label, tone, _ in quota.itertuples(index=False)}
    asked = {(label, tone): count for label, tone, count in hardest(quota, losses, Groups(), size)}
    worst = sorted(losses, key=lambda key: -losses[key])[:math.ceil(len(losses) / 4)]
    assert sum(asked.values()) == size
    assert set(asked) == set(worst[:size])
    assert max(asked.values()) - min(asked.values()) <= 1


def test_a_cell_without_validation_images_takes_the_loss_of_its_group_then_of_its_label():
    quota, groups = cells([1] * 12), Groups()
    asked = hardest(quota, {("a", "V–VI"): 9.0, ("a", "1"): 1.0, ("b", "1"): 1.0}, groups, 6)
    assert [key[:2] for key in asked] == [("a", "2"), ("a", "5"), ("a", "6")]        # 2: the mean of its label, 5
    by_group = pd.DataFrame([("a", "I–II", 1), ("a", "V–VI", 1)], columns=["label", "tone", "images"])
    assert hardest(by_group, {("a", "5"): 3.0, ("a", "6"): 2.0, ("a", "1"): 1.0}, groups, 2) == [("a", "V–VI", 2)]
    without = pd.DataFrame([("a", None, 1), ("b", None, 1)], columns=["label", "tone", "images"])
    assert hardest(without, {("a", "1"): 1.0, ("b", "1"): 0.5, ("b", None): 3.0}, groups, 4) == [("b", None, 4)]
    assert hardest(quota, {("c", "1"): 1.0}, groups, 4) == []


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.booleans(), st.integers(0, 2**31 - 1))
def test_a_block_asks_for_exactly_its_cells(counts, typed, seed):
    tones = TONES if typed else []
    asked = [tuple(row) for row in cells(counts[:18 if typed else 3], tones or [None]).itertuples(index=False)]
    study = Generation(images=7, over_generation=1.7, tones={"5": 1} if typed else {}, steps=9)
    generation = generation_of(study, asked, tones, seed)
    assert [tuple(row) for row in quota(generation, CLASSES, tones).itertuples(index=False)] == asked
    assert (generation.steps, generation.seed) == (9, seed)


def test_of_a_gan_labels_alone_are_asked_whatever_tones_the_study_has():
    labels = Labels(classes={name: [name] for name in CLASSES})
    generation = Generation(images=90, over_generation=1)
    study = type("Study", (), {"generation": generation, "labels": labels, "groups": Groups(), "diffusion": Diffusion(),
                               "gan": Gan(classes=["c", "a"])})
    found = quota_cells(study, "gan")
    assert found.values.tolist() == [["a", None, 30], ["c", None, 30]]
    asked = deal(found, 0, 9, 1)
    assert sum(count for *_, count in asked) == 9
    one = by_class(quota(generation_of(generation, asked, TONES, 4), CLASSES, TONES), ["a", "c"])
    assert [tuple(row) for row in one.itertuples(index=False)] == asked
    study.generation = Generation(classes={"b": 1})
    with pytest.raises(ValueError, match=r"asks the gan for no image.*gan\.classes"):
        quota_cells(study, "gan")
