"""The real releases against the counts that they publish; skipped where DATA_ROOT is not set."""

from __future__ import annotations

from PIL import Image

from lib.data.info import INFO
from lib.data.intake import take_in
from lib.data.sources import read_records
from lib.data.split import assign_splits
from lib.study import Groups, Labels, Source


def records_of(dataset, root):
    return read_records(Source(dataset=dataset), root / INFO[dataset].folder)


def test_ham10000(real_data):
    records = records_of("ham10000", real_data)
    frame = records.frame
    assert (len(frame), frame["lesion_id"].nunique(), records.missing, len(records.refused)) == (10_015, 7_470, 0, 0)
    assert frame["diagnosis"].value_counts().to_dict() == {
        "nevus": 6_705, "melanoma": 1_113, "seborrheic_keratosis": 1_099, "basal_cell_carcinoma": 514, "actinic_keratosis": 327,
        "vascular": 142, "dermatofibroma": 115}
    folders = frame["file"].str.split("/").str[0].value_counts()
    assert folders.to_dict() == {"HAM10000_images_part_1": 5_000, "HAM10000_images_part_2": 5_015}
    assert frame["mask"].notna().all()
    assert frame["tone"].isna().all() and frame["age"].isna().sum() == 57 + 39 and frame["sex"].isna().sum() == 57
    assert not any("official release" in note for note in records.notes)


def test_ham10000_masks(real_data):
    frame = records_of("ham10000", real_data).frame
    palettes = 0
    for mask in frame["mask"]:
        with Image.open(real_data / INFO["ham10000"].folder / mask) as image:
            palettes += image.mode == "P"
    assert palettes == 402


def test_pad_ufes_20(real_data):
    records = records_of("pad_ufes_20", real_data)
    frame = records.frame
    assert (len(frame), records.missing, frame["file"].notna().sum(), frame["mask"].notna().sum()) == (2_298, 1_841, 457, 447)
    assert frame["tone"].value_counts().to_dict() == {1: 153, 2: 876, 3: 392, 4: 62, 5: 10, 6: 1} and frame["tone"].isna().sum() == 804
    unknown = frame[frame["tone"].isna()]
    assert set(unknown["diagnosis"]) == {"actinic_keratosis", "nevus", "seborrheic_keratosis"} and set(unknown["biopsed"]) == {"False"}
    assert frame["patient_id"].nunique() == 1_373
    assert frame.groupby("lesion_id")["patient_id"].nunique().max() == 1
    assert frame["lesion_id"].str.split("/").str[1].nunique() == 1_641
    assert any("250 lesion numbers belong to several patients" in note for note in records.notes)
    assert not any("official release" in note for note in records.notes)


def test_fitzpatrick17k(real_data):
    records = records_of("fitzpatrick17k", real_data)
    frame = records.frame
    assert (len(frame), records.missing, frame["tone"].isna().sum()) == (16_577, 16_577, 565)
    assert frame["three_partition_label"].value_counts().to_dict() == {"non-neoplastic": 12_080, "malignant": 2_263, "benign": 2_234}
    assert frame["diagnosis"].nunique() == 114
    assert not any("official release" in note for note in records.notes)


def test_pad_ufes_20_comes_in_and_splits_by_patient(real_data):
    labels = Labels(classes={name: [name] for name in INFO["pad_ufes_20"].diagnoses.values()})
    intake = take_in([Source(dataset="pad_ufes_20")], labels, Groups(), {"pad_ufes_20": real_data / "pad_ufes_20"}, threads=2)
    assert intake.account.to_dict("records") == [
        {"dataset": "pad_ufes_20", "listed": 2_298, "missing": 1_841, "excluded": 0, "refused": 2, "used": 455}]
    refused = intake.quarantine[intake.quarantine["kind"] == "refused"]
    assert sorted(refused["image_id"]) == ["PAT_419_2767_323", "PAT_419_833_148"]         # one picture, two diagnoses in the release
    assert set(refused["reason"]) == {"identical image carries the labels actinic_keratosis and squamous_cell_carcinoma"}
    splits = assign_splits(intake.samples, {"train": 0.7, "validation": 0.15, "test": 0.15}, 42)
    assert splits.groupby(intake.samples["patient_id"]).nunique().max() == 1
    assert splits.groupby(intake.samples["label"]).nunique().min() == 3
