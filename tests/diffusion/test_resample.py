"""Batches: shares are met, epochs are whole, and everything follows from the step alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.diffusion.resample import Batches, keys_of


def examples(counts):
    """{(label, tone, group): images} → one row per image."""
    rows = [cell for cell, images in counts.items() for _ in range(images)]
    return pd.DataFrame(rows, columns=["label", "tone", "group"])


PLENTY_OF_LIGHT = examples({("nevus", "1", "I–II"): 500, ("melanoma", "1", "I–II"): 50,
                            ("nevus", "6", "V–VI"): 8, ("melanoma", "6", "V–VI"): 2, ("nevus", None, None): 40})


def drawn(batches, count=2000):
    return np.concatenate([batches.rows(number) for number in range(count)])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 3), st.integers(0, 5))
def test_without_shares_every_image_is_seen_once_per_epoch(count, size, accumulation, seed):
    batches = Batches(examples({("a", "1", "g"): count}), {}, batch_size=size, accumulation=accumulation, seed=seed)
    rows = np.concatenate([batches.rows(step, micro) for step in range(20) for micro in range(accumulation)])
    for epoch in range(len(rows) // count):
        assert sorted(rows[epoch * count:(epoch + 1) * count]) == list(range(count))


def test_epochs_are_shuffled_anew():
    batches = Batches(PLENTY_OF_LIGHT, {}, batch_size=600, seed=0)
    assert not np.array_equal(batches.rows(0), batches.rows(1))


@pytest.mark.parametrize("shares", [{}, {"1": 1, "6": 1}])
def test_a_batch_follows_from_its_step_alone(shares):
    forwards = Batches(PLENTY_OF_LIGHT, shares, batch_size=7, accumulation=2, seed=3)
    backwards = Batches(PLENTY_OF_LIGHT, shares, batch_size=7, accumulation=2, seed=3)
    there = {(step, micro): forwards.rows(step, micro) for step in range(200) for micro in (0, 1)}
    assert all(np.array_equal(backwards.rows(*key), there[key]) for key in reversed(there))
    other = Batches(PLENTY_OF_LIGHT, shares, batch_size=7, accumulation=2, seed=4)
    assert not all(np.array_equal(other.rows(*key), there[key]) for key in there)


def test_shares_are_met_and_labels_and_images_are_equal_within_a_key():
    rows = drawn(Batches(PLENTY_OF_LIGHT, {"1": 0.4, "6": 0.6}, batch_size=16, seed=0))
    seen = PLENTY_OF_LIGHT.iloc[rows]
    assert (seen["tone"] == "6").mean() == pytest.approx(0.6, abs=0.01)         # standard error .003
    assert seen["tone"].notna().all()
    assert (seen.loc[seen["tone"] == "6", "label"] == "melanoma").mean() == pytest.approx(0.5, abs=0.02)
    often = np.bincount(rows, minlength=len(PLENTY_OF_LIGHT))[550:558]          # the eight nevi on type VI
    assert often.min() > 0.9 * often.mean()


def test_groups_and_unknown_are_keys_too_and_a_tone_goes_before_its_group():
    seen = PLENTY_OF_LIGHT.iloc[drawn(Batches(PLENTY_OF_LIGHT, {"I–II": 1, "6": 2, "unknown": 1}, batch_size=16, seed=0))]
    assert (seen["group"] == "I–II").mean() == pytest.approx(0.25, abs=0.01)
    assert (seen["tone"] == "6").mean() == pytest.approx(0.5, abs=0.01)
    assert seen["group"].isna().mean() == pytest.approx(0.25, abs=0.01)
    mixed = examples({("a", "5", "V–VI"): 1, ("a", "6", "V–VI"): 1, ("a", None, "V–VI"): 1, ("a", None, None): 1})
    assert list(keys_of(mixed, {"V–VI": 1, "6": 1, "unknown": 1})) == ["V–VI", "6", "V–VI", "unknown"]
    assert list(keys_of(mixed, {"6": 1})) == [None, "6", None, None]


def test_keys_without_images_and_images_without_a_key_are_said_once():
    said = []
    batches = Batches(PLENTY_OF_LIGHT, {"1": 0.2, "3": 0.6, "6": 0.2, "2": 0}, batch_size=16, seed=0, say=said.append)
    seen = PLENTY_OF_LIGHT.iloc[drawn(batches)]
    assert (seen["tone"] == "1").mean() == pytest.approx(0.5, abs=0.01)
    assert said == ["resampling.batches: no training image falls under 3; the other keys take their share",
                    "resampling.batches: 40 of 600 training images fall under no key with a share and are not shown"]


def test_an_image_whose_key_has_share_zero_is_not_shown():
    seen = PLENTY_OF_LIGHT.iloc[drawn(Batches(PLENTY_OF_LIGHT, {"1": 1, "6": 0}, batch_size=16, seed=0), 100)]
    assert (seen["tone"] == "1").all()


def test_shares_that_fit_no_image_and_no_images_at_all_are_refused():
    with pytest.raises(ValueError, match="no training image falls under 2, V–V; keys are tones 1–6"):
        Batches(PLENTY_OF_LIGHT, {"2": 1, "V–V": 1}, batch_size=4, seed=0)
    with pytest.raises(ValueError, match="no training images"):
        Batches(PLENTY_OF_LIGHT.iloc[:0], {}, batch_size=4, seed=0)
