"""Tables that cannot be compared are refused with a message that names the first culprit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.stats.inputs import read_predictions
from lib.tables import read_table, write_table

CLASSES = ["melanoma", "nevus", "other"]


def refuse(table, message, **options):
    with pytest.raises(ValueError, match=message):
        read_predictions(table, CLASSES, **options)


def test_rows_are_aligned_whatever_their_order(predictions):
    one = read_predictions(predictions, CLASSES)
    other = read_predictions(predictions.sample(frac=1, random_state=1), CLASSES)
    assert one.arms == ["oversampled", "real"] and one.seeds == [0, 1, 2] and one.architectures == ["small_cnn"]
    assert list(one.probabilities) == list(other.probabilities)
    for run, p in one.probabilities.items():
        np.testing.assert_array_equal(p, other.probabilities[run])
        part = predictions[(predictions["arm"] == run[0]) & (predictions["seed"] == run[2])]
        np.testing.assert_array_equal(p, part[["p_0", "p_1", "p_2"]].to_numpy())
    assert one.thresholds["real", "small_cnn", 0].tolist() == [0.4] * 270


def test_only_clean_test_rows_count(predictions):
    other = predictions.assign(split="validation", p_0=np.nan)
    distorted = predictions.assign(condition="blur", p_0=np.nan)
    whole = pd.concat([predictions, other, distorted])
    assert len(read_predictions(whole, CLASSES).y_true) == 270
    refuse(predictions.assign(split="validation"), "no row with split test, condition clean and training fraction 1")


def test_other_fractions_of_the_training_patients_do_not_count(predictions):
    half = predictions[predictions["arm"] == "real"].assign(train_fraction=0.5, p_0=1.0, p_1=0.0, p_2=0.0)
    whole = pd.concat([half, predictions])
    read = read_predictions(whole, CLASSES)
    for run, p in read_predictions(predictions, CLASSES).probabilities.items():
        np.testing.assert_array_equal(read.probabilities[run], p)
    other = read_predictions(whole, CLASSES, fraction=0.5)
    assert other.arms == ["real"] and (other.probabilities["real", "small_cnn", 0][:, 0] == 1).all()
    refuse(predictions, "no row with split test, condition clean and training fraction 0.25", fraction=0.25)


def test_arms_can_be_chosen_and_ordered(predictions):
    assert read_predictions(predictions, CLASSES, arms=["real"]).arms == ["real"]
    assert read_predictions(predictions, CLASSES, arms=["real", "oversampled"]).arms == ["real", "oversampled"]
    refuse(predictions, "no test rows of arm curated; the table holds oversampled, real", arms=["real", "curated"])


def test_different_images_are_refused_in_either_direction(predictions):
    in_real = (predictions["arm"] == "real") & (predictions["seed"] == 1)
    gone = predictions[~(in_real & predictions["image_id"].isin(["image_00007", "image_00009"]))]
    refuse(gone, r"arm real \(small_cnn, seed 1\) lacks 2 images that other runs have \(first: image_00007\)")
    in_first = (predictions["arm"] == "oversampled") & (predictions["seed"] == 0)
    gone = predictions[~(in_first & (predictions["image_id"] == "image_00003"))]
    refuse(gone, r"arm oversampled \(small_cnn, seed 0\) lacks 1 images that other runs have \(first: image_00003\)")


def test_not_a_number_names_image_and_run(predictions):
    table = predictions.copy()
    table.loc[table.index[(table["arm"] == "real") & (table["seed"] == 2)][5], "p_1"] = np.nan
    refuse(table, "not numbers in 1 rows .first: image image_00005, arm real, small_cnn, seed 2.")


def test_other_faults(predictions):
    refuse(predictions.drop(columns="cluster_id"), "no column cluster_id")
    refuse(predictions[~((predictions["arm"] == "real") & (predictions["seed"] == 2))], r"arm real \(small_cnn, seed 2\) is missing")
    refuse(pd.concat([predictions, predictions[:1]]), "image image_00000 comes twice in arm real")
    refuse(predictions.drop(columns="p_2"), "2 columns of probabilities for 3 classes")
    refuse(predictions.assign(p_3=0.0), "4 columns of probabilities for 3 classes")
    refuse(predictions.assign(target=["label", "malignant"] * (len(predictions) // 2)), "target holds several values")
    refuse(predictions.assign(threshold=np.linspace(0, 1, len(predictions))), "several thresholds")
    for column, value in (("y_true", None), ("group", "elsewhere"), ("cluster_id", "nobody")):
        changed = predictions.copy()
        row = changed.index[(changed["arm"] == "real") & (changed["image_id"] == "image_00004")][0]
        changed[column] = changed[column].astype(object)
        changed.loc[row, column] = (changed.loc[row, "y_true"] + 1) % 3 if column == "y_true" else value
        refuse(changed, f"{column} of image image_00004 differs")


def test_unknown_groups_and_thresholds_survive(predictions):
    table = predictions.assign(group=predictions["group"].where(predictions["group"] != "V–VI", None), threshold=np.nan)
    read = read_predictions(table, CLASSES)
    assert set(read.groups) == {"", "I–II", "III–IV"} and set(read.thresholds.values()) == {None}


def test_reads_what_the_table_contract_writes(predictions, tmp_path):
    person = {"diagnosis": "nevus", "tone": pd.array([3] * len(predictions), dtype="Int8"),
              "patient_id": predictions["cluster_id"], "lesion_id": predictions["image_id"]}
    typed = predictions.assign(**person).astype({"fold": "Int8", "seed": "Int32", "y_true": "Int16"})
    typed.loc[typed["group"] == "V–VI", "group"] = None
    write_table("predictions", typed, tmp_path / "predictions.parquet", {"classes": CLASSES, "positive": ["melanoma"]})
    back = read_predictions(read_table("predictions", tmp_path / "predictions.parquet"), CLASSES)
    direct = read_predictions(predictions, CLASSES)
    assert set(back.groups) == {"", "I–II", "III–IV"}
    for run, p in direct.probabilities.items():
        np.testing.assert_array_equal(back.probabilities[run], p)
    np.testing.assert_array_equal(back.y_true, direct.y_true)
