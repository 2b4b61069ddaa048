"""Shares of the training patients: nested, whole patients, stratified, never a validation or test image; more only from the reserve."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.classify.fractions import fraction_rows

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.3, 2.0)


def clinic(random=0, patients=120, reserve=240, per_patient=2):
    """Training patients, twice as many in reserve, and some that must never be trained on."""
    rng = np.random.default_rng(random)
    parts = []
    for split, count in (("train", patients), ("reserve", reserve), ("validation", 20), ("test", 20)):
        patient = np.repeat(np.arange(count), rng.integers(1, per_patient + 1, count))
        label = np.array(["melanoma", "nevus", "other"])[np.arange(count) % 3][patient]
        group = np.array(["I–II", "V–VI", None], dtype=object)[np.minimum(np.arange(count) // 3 % 4, 2)][patient]
        parts.append(pd.DataFrame({"cluster_id": [f"{split}{n}" for n in patient], "label": label, "group": group, "split": split}))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(image_id=[f"i{n}" for n in range(len(frame))])


@given(st.integers(0, 20), st.integers(0, 3))
@settings(deadline=None, max_examples=4)
def test_nested_whole_and_in_any_order(random, seed):
    samples, smaller = clinic(random), set()
    mixed = samples.sample(frac=1, random_state=random)
    for fraction in (0.1, 0.5, 1.0, 1.3, 2.0):
        rows = samples.iloc[fraction_rows(samples, fraction, seed)]
        assert set(rows["split"]) <= ({"train"} if fraction <= 1 else {"train", "reserve"})
        assert smaller <= set(rows["image_id"])
        smaller = set(rows["image_id"])
        assert smaller == set(mixed.iloc[fraction_rows(mixed, fraction, seed)]["image_id"])
        whole = samples[samples["cluster_id"].isin(rows["cluster_id"])]
        assert len(whole) == len(rows)                                        # all images of whoever is in
        assert set(rows["label"]) == {"melanoma", "nevus", "other"}
    train = np.flatnonzero(samples["split"] == "train")
    np.testing.assert_array_equal(fraction_rows(samples, 1.0, seed), train)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_every_label_and_group_has_its_share(fraction):
    samples = clinic(patients=360, reserve=720)
    rows = samples.iloc[fraction_rows(samples, fraction, 7)]
    keys = ["label", "group"]
    there = samples[samples["split"] == "train"].groupby(keys, dropna=False)["cluster_id"].nunique()
    kept = rows.groupby(keys, dropna=False)["cluster_id"].nunique().reindex(there.index, fill_value=0)
    assert ((kept - fraction * there).abs() <= 1).all()
    assert abs(kept.sum() - fraction * there.sum()) <= 3                       # rounding does not favour one fraction


def test_seeds_differ():
    samples = clinic()
    assert set(fraction_rows(samples, 0.5, 0)) != set(fraction_rows(samples, 0.5, 1))


def test_a_class_of_one_patient_is_in_every_fraction():
    samples = clinic()
    lone = samples.index[samples["cluster_id"] == "train4"]
    samples.loc[lone, "label"] = "rare"
    for fraction in (0.01, 0.25, 0.5):
        assert set(lone) <= set(fraction_rows(samples, fraction, 0))


def test_what_the_reserve_lacks_is_said():
    samples = clinic(reserve=30)
    with pytest.raises(ValueError, match=r"the reserve does not have: melanoma \(4 of 20\), melanoma × I–II .*role: reserve"):
        fraction_rows(samples, 2.0, 0)
    with pytest.raises(ValueError, match="fraction is 0; expected a number above 0"):
        fraction_rows(samples, 0, 0)
    strange = samples.assign(group="elsewhere").where(samples["split"] == "reserve", samples)
    with pytest.raises(ValueError, match=r"\(0 of \d+\)"):
        fraction_rows(strange, 1.5, 0)
