"""Grouped cross-validation: each patient tested once, nobody on two sides of a fold, every class to learn from in each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from lib.data.errors import DataError
from lib.data.folds import describe_folds, fold_columns, in_fold, judged, split_folds
from lib.data.split import missing_from_test
from lib.data.split_file import write_splits
from lib.report.eda import count_tested, describe_splits
from lib.study import Split, StudyError, load_study
from lib.tables import TableError, write_table


def clinic(patients, *, seed=0, labels="ab", most=4):
    """Patients with 1 … `most` images of a label and a group each."""
    rng = np.random.default_rng(seed)
    rows = [(f"p{p:03d}", labels[p % len(labels)], ("I–II", "V–VI", None)[p % 7 % 3])
            for p in range(patients) for _ in range(rng.integers(1, most + 1))]
    frame = pd.DataFrame(rows, columns=["cluster_id", "label", "group"])
    return frame.assign(image_id=[f"i{n:05d}" for n in range(len(frame))], dataset="own")


@given(st.integers(12, 40), st.integers(2, 5), st.integers(0, 1_000), st.integers(0, 50))
@settings(deadline=None, max_examples=10)
def test_each_image_is_tested_once_and_nobody_is_on_two_sides(patients, folds, seed, order):
    frame, split = clinic(patients, seed=seed), Split(folds=folds, seed=seed)
    dealt = split_folds(frame, split)
    columns = fold_columns(dealt)
    assert columns == [f"split_{fold}" for fold in range(1, folds + 1)]
    assert dealt[columns].eq("test").sum(axis=1).eq(1).all()
    assert dealt.groupby("cluster_id")[columns].nunique().eq(1).all(axis=None)
    for column in columns:
        there = pd.crosstab(dealt["label"], dealt[column])
        assert (there[["train", "validation"]] > 0).all(axis=None) and there["test"].sum() > 0
    mixed = split_folds(frame.sample(frac=1, random_state=order), split).sort_index()
    pd.testing.assert_frame_equal(mixed, dealt)


def test_folds_are_as_even_as_scikit_learns():
    frame = clinic(300, labels="aaaab", most=6)
    dealt = split_folds(frame, Split(folds=5))
    ours = pd.crosstab(frame["label"], dealt[fold_columns(dealt)].eq("test").to_numpy().argmax(axis=1))
    other = np.zeros(len(frame), dtype=int)
    for k, (_, test) in enumerate(StratifiedGroupKFold(5).split(frame, frame["label"], frame["cluster_id"])):
        other[test] = k
    theirs = pd.crosstab(frame["label"], other)
    assert np.ptp(ours, axis=1).max() <= max(6, np.ptp(theirs, axis=1).max())      # 6: the most images of one patient


def test_train_and_validation_keep_their_proportion():
    dealt = split_folds(clinic(400), Split(train=0.6, validation=0.2, test=0.2, folds=4))
    for column in fold_columns(dealt):
        shares = dealt[column].value_counts(normalize=True)
        assert shares[["test", "train", "validation"]].tolist() == pytest.approx([0.25, 0.5625, 0.1875], abs=0.015)


def test_a_fold_has_a_validation_of_its_own():
    dealt = split_folds(clinic(200), Split(folds=3))
    both = dealt["split_1"].ne("test") & dealt["split_2"].ne("test")
    assert (dealt.loc[both, "split_1"] != dealt.loc[both, "split_2"]).any()


def test_a_class_need_not_be_in_every_fold():
    frame = pd.concat([clinic(60, labels="a"), clinic(4, labels="r").assign(cluster_id=lambda t: "r" + t["cluster_id"])], ignore_index=True)
    dealt = split_folds(frame, Split(folds=6))
    assert dealt.loc[dealt["label"].eq("r"), fold_columns(dealt)].eq("test").any().sum() == 4
    assert missing_from_test(dealt, ["a", "r"]) == [] and missing_from_test(dealt, ["a", "r", "z"]) == [
        "no test image of class z: it cannot be judged"]


def test_too_few_patients_name_the_fold_and_the_class():
    frame = pd.concat([clinic(60, labels="a"), clinic(2, labels="r").assign(cluster_id=lambda t: "r" + t["cluster_id"])], ignore_index=True)
    with pytest.raises(DataError, match=r"split\.folds, fold \d of 5: class 'r': its \d images for learning come from 1 patient"):
        split_folds(frame, Split(folds=5))
    with pytest.raises(DataError, match=r"split\.folds is 70, and the images are of 12 patients .* set it to 12 or less"):
        split_folds(clinic(12), Split(folds=70))


def test_the_reserve_stays_out_of_every_fold():
    frame = clinic(80)
    frame.loc[frame["cluster_id"].isin(["p003", "p004"]), "dataset"] = "kept"
    dealt = split_folds(frame, Split(folds=4), reserve=["kept"])
    kept = dealt["dataset"].eq("kept")
    assert dealt.loc[kept, fold_columns(dealt)].eq("reserve").all(axis=None)
    assert not dealt.loc[~kept, fold_columns(dealt)].eq("reserve").any(axis=None)
    frame.loc[frame["cluster_id"].eq("p003").idxmax(), "dataset"] = "own"
    with pytest.raises(DataError, match=r"in a reserve and in another source \(p003\)"):
        split_folds(frame, Split(folds=4), reserve=["kept"])


def test_a_job_of_a_fold_sees_that_fold_alone(tmp_path):
    frame = clinic(60)
    dealt = split_folds(frame, Split(folds=3))
    second = in_fold(dealt, 2)
    assert fold_columns(second) == [] and second["split"].tolist() == dealt["split_2"].tolist()
    assert in_fold(dealt, None) is dealt and dealt["split"].tolist() == dealt["split_1"].tolist()
    assert sorted(judged(dealt)["image_id"]) == sorted(frame["image_id"]) and set(judged(dealt)["split"]) == {"test"}
    assert judged(second)["image_id"].tolist() == second.loc[second["split"].eq("test"), "image_id"].tolist()
    assert count_tested(dealt, ["a", "b"], ["I–II", "V–VI"]).to_numpy().sum() == len(frame)
    write_splits(dealt, tmp_path / "splits.csv")
    assert list(pd.read_csv(tmp_path / "splits.csv")) == ["image_id", "cluster_id", "split", "split_1", "split_2", "split_3"]


def test_folds_are_told():
    dealt = split_folds(clinic(60), Split(folds=3)).assign(domain="clinical")
    sentence = describe_splits(dealt, ["a", "b"])[-1]
    assert describe_folds(dealt) == [sentence] and sentence.startswith("Cross-validation in 3 folds: each tests ")
    sizes = [dealt[column].eq("test").sum() for column in fold_columns(dealt)]
    assert f"each tests {min(sizes)} to {max(sizes)} images" in sentence or f"each tests {sizes[0]} images" in sentence
    assert describe_folds(in_fold(dealt, 1)) == []


# ── the contract of the table ────────────────────────────────────────────────────────────────────────────────────

def typed(dealt):
    """The rows as a `samples` table."""
    columns = {"path": dealt["image_id"] + ".png", "domain": "clinical", "diagnosis": "nevus", "tone": 1, "patient_id": dealt["cluster_id"],
               "lesion_id": dealt["cluster_id"], "sha256": "0" * 64, "mask_path": None, "ita": 12.5, "width": 4, "height": 4}
    kinds = {"group": "str", "mask_path": "str", "tone": "Int8", "width": "Int32", "height": "Int32"}
    return dealt.assign(**columns).astype(kinds)


def test_the_table_refuses_folds_that_leak(tmp_path):
    good = typed(split_folds(clinic(30), Split(folds=3)))
    write_table("samples", good, tmp_path / "good.parquet")
    first = good.index[good["split_2"].eq("test")][0]
    for change, message in (
        ({"split_2": good["split_2"].where(good.index != first, "train")}, "not tested in exactly one"),
        ({"split_1": good["split_1"].where(good["cluster_id"] != good["cluster_id"][first], "test")}, "not tested in exactly one"),
        ({"split_3": good["split_3"].replace("train", "elsewhere")}, "split_3"),
    ):
        with pytest.raises(TableError, match=message):
            write_table("samples", good.assign(**change), tmp_path / "bad.parquet")
    crossing = good.index[good["split_3"].eq("train") & good["cluster_id"].duplicated(keep=False)][0]
    with pytest.raises(TableError, match="cluster_id lies in two splits"):
        write_table("samples", good.assign(split_3=good["split_3"].where(good.index != crossing, "validation")), tmp_path / "bad.parquet")


# ── what does not go together ────────────────────────────────────────────────────────────────────────────────────

FREE = {"data.sources.1.role": "development", "truth": None, "split.folds": 3}


@pytest.mark.parametrize(("overrides", "message"), [
    ({"data.sources.1.role": "test_only"}, r"split\.folds judges every image in turn, and a source with `role: test_only`"),
    ({"split.file": "splits.csv"},         "file names one split and folds asks for several"),
    ({"truth": {}},                        r"truth looks at one generator, and with split\.folds there is one per fold; take truth out"),
    ({"curation": {"review": {"keep": 3}}}, r"curation\.review\.keep asks people about one set of images"),
    ({"split.folds": 0},                   r"split\.folds: got 0"),
])
def test_what_contradicts_folds_is_refused(overrides, message):
    assert load_study("params/ci.yaml", FREE).split.fold_numbers == range(1, 4)
    with pytest.raises(StudyError, match=message):
        load_study("params/ci.yaml", FREE | overrides)
