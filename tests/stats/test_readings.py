"""Three readings of actinic keratosis from one table of predictions: against sums computed by hand, and when there is nothing to read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lib.stats.readings import READINGS, is_actinic_keratosis, named_keratosis, read_again, readings
from lib.study import Primary

CLASSES = ["melanoma", "actinic keratosis", "nevus"]
DIAGNOSES = np.array(["melanoma", "actinic_keratosis", "nevus"])
GROUPS = ["I–II", "III–IV", "V–VI"]
PRIMARY = Primary(metric="auroc", arm="oversampled", baseline="real")
OPTIONS = {"classes": CLASSES, "positive": ["melanoma", "actinic keratosis"], "groups": GROUPS, "resamples": 100, "minimum_positives": 10}


@pytest.fixture(scope="module")
def table(predictions):
    return predictions.assign(diagnosis=DIAGNOSES[predictions["y_true"]])


@pytest.mark.parametrize(("word", "is_one"), [
    ("actinic_keratosis", True), ("actinic-keratosis", True), ("Actinic keratosis", True), ("seborrheic_keratosis", False),
    ("squamous_cell_carcinoma", False), ("nevus", False), ("actinic_keratosis in squamous_cell_carcinoma", False),
])
def test_words_for_it(word, is_one):
    assert is_actinic_keratosis(word) is is_one


def test_words_of_a_study():
    words = {"a": {"akiec": "actinic_keratosis", "df": "dermatofibroma"}, "b": {"ack": "actinic_keratosis"}}
    assert named_keratosis(words) == {"akiec", "ack"}


def one_by_hand(row, reading: str) -> tuple[int, float] | None:
    """Truth and score of one image, written out for these three classes."""
    melanoma, keratosis = row["p_0"], row["p_1"]
    if reading == "malignant":
        return int(row["y_true"] in (0, 1)), melanoma + keratosis
    if reading == "benign":
        return int(row["y_true"] == 0), melanoma
    return None if row["y_true"] == 1 else (int(row["y_true"] == 0), melanoma / (1 - keratosis))


@pytest.mark.parametrize("reading", READINGS)
def test_every_image_as_by_hand(table, reading):
    some = table.iloc[:300]
    found = read_again(some, (some["y_true"] == 1).to_numpy(), classes=CLASSES, positive=OPTIONS["positive"], reading=reading)
    wanted = [answer for _, row in some.iterrows() if (answer := one_by_hand(row, reading)) is not None]
    assert found["y_true"].tolist() == [truth for truth, _ in wanted]
    np.testing.assert_allclose(found["p_1"], [score for _, score in wanted], atol=1e-12)
    np.testing.assert_allclose(found["p_0"] + found["p_1"], 1)
    assert found["threshold"].isna().all() and "p_2" not in found


def test_values_against_scikit_learn(table):
    found = readings(table, [PRIMARY], **OPTIONS)
    assert list(found["reading"]) == list(READINGS) and list(found["own"]) == [True, False, False]
    assert (found["metric"] == "auroc_positive").all()
    assert found["keratosis"].iloc[0] == table.loc[table["y_true"] == 1, "image_id"].nunique()
    for row in found.itertuples():
        one = read_again(table, (table["y_true"] == 1).to_numpy(), classes=CLASSES, positive=OPTIONS["positive"], reading=row.reading)
        by_arm = {arm: np.mean([roc_auc_score(part["y_true"], part["p_1"]) for _, part in rows.groupby("seed")])
                  for arm, rows in one.groupby("arm")}
        assert row.arm_value == pytest.approx(by_arm["oversampled"]) and row.value == pytest.approx(by_arm["oversampled"] - by_arm["real"])


def test_the_studys_own_reading(table):
    benign = readings(table, [PRIMARY], **(OPTIONS | {"positive": ["melanoma"]}))
    assert list(benign["own"]) == [False, True, False]
    again = readings(table, [PRIMARY], **OPTIONS)
    pd.testing.assert_frame_equal(benign.drop(columns="own"), again.drop(columns="own"))       # the three readings do not depend on it


def test_a_class_that_holds_more_than_keratosis_keeps_its_side(table):
    mixed = table.assign(diagnosis=np.where(table["cluster_id"] < "patient_0010", "actinic_keratosis", "nevus"))
    keratosis = (mixed["diagnosis"] == "actinic_keratosis").to_numpy()
    found = read_again(mixed, keratosis, classes=CLASSES, positive=["melanoma"], reading="malignant")
    np.testing.assert_allclose(found["p_1"], mixed["p_0"])
    assert (found["y_true"].to_numpy() == ((mixed["y_true"] == 0) | keratosis)).all()


def test_nothing_to_read(table):
    assert readings(table.assign(diagnosis="nevus"), [PRIMARY], **OPTIONS).empty
    assert readings(table, [PRIMARY], **(OPTIONS | {"positive": []})).empty
    short = table.assign(diagnosis=table["diagnosis"].replace("actinic_keratosis", "AK"))
    assert readings(short, [PRIMARY], **OPTIONS).empty and len(readings(short, [PRIMARY], also={"AK"}, **OPTIONS)) == 3
    only = readings(table, [PRIMARY], **(OPTIONS | {"positive": ["actinic keratosis"]}))
    assert list(only["reading"]) == ["malignant"]                               # counted as benign or left out nothing is left to act on
    with pytest.raises(ValueError, match="expected malignant, benign, exclude"):
        read_again(table, np.zeros(len(table), dtype=bool), classes=CLASSES, positive=["melanoma"], reading="perhaps")


def test_comparisons_that_become_one_are_asked_once(table):
    twice = [PRIMARY, PRIMARY.model_copy(update={"metric": "macro_f1"}), PRIMARY.model_copy(update={"group": "V–VI"})]
    found = readings(table, twice, **OPTIONS)
    assert list(found["group"]) == ["all", "V–VI"] * 3 and list(found["reading"]) == [name for name in READINGS for _ in range(2)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.integers(0, 2)), min_size=1, max_size=8),
       st.sampled_from(READINGS))
def test_scores_stay_shares(rows, reading):
    p = np.array([row[:3] for row in rows])
    p /= p.sum(axis=1, keepdims=True)
    truth = np.array([row[3] for row in rows])
    frame = pd.DataFrame({"y_true": truth, **{f"p_{k}": p[:, k] for k in range(3)}})
    found = read_again(frame, truth == 1, classes=CLASSES, positive=OPTIONS["positive"], reading=reading)
    assert found["p_1"].between(0, 1).all() and len(found) == len(frame) - (reading == "exclude") * (truth == 1).sum()
