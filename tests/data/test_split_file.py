"""A split on disk: written the same way each time, reused only when it is whole."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from lib.data.errors import DataError
from lib.data.prepare import split_samples
from lib.data.split import assign_splits, cluster_ids
from lib.data.split_file import reuse_splits, write_splits
from lib.study import Data, Source, Split


@pytest.fixture
def frame():
    rows = pd.DataFrame({"image_id": [f"i{n:02d}" for n in range(40)], "patient_id": [f"p{n // 2:02d}" for n in range(40)],
                         "lesion_id": [f"l{n // 2:02d}" for n in range(40)], "sha256": [f"{n:064x}" for n in range(40)],
                         "label": ["ab"[n // 2 % 2] for n in range(40)], "group": None, "dataset": "own"})
    rows = rows.assign(cluster_id=cluster_ids(rows))
    return rows.assign(split=assign_splits(rows, {"train": 0.6, "validation": 0.2, "test": 0.2}, 0))


def written(tmp_path, text):
    path = tmp_path / "splits.csv"
    path.write_text(text)
    return path


def test_what_is_written_comes_back(frame, tmp_path):
    path = tmp_path / "deep" / "splits.csv"
    digest = write_splits(frame.sample(frac=1, random_state=0), path)
    assert digest == write_splits(frame, path) == hashlib.sha256(path.read_bytes()).hexdigest()
    splits, again = reuse_splits(frame.drop(columns="split"), path)
    assert again == digest and splits.equals(frame["split"])
    assert [file.name for file in path.parent.iterdir()] == ["splits.csv"]


@pytest.mark.parametrize("key", ["cluster_id", "patient_id", "lesion_id"])
def test_a_file_may_name_patients_only(frame, tmp_path, key):
    table = frame[[key, "split"]].drop_duplicates().replace({"validation": "val", "train": "Train"})
    table.to_csv(tmp_path / "s.csv", index=False)
    assert reuse_splits(frame, tmp_path / "s.csv")[0].equals(frame["split"])


def test_new_images_follow_their_patient_and_strangers_are_ignored(frame, tmp_path):
    table = pd.concat([frame.iloc[::2][["image_id", "split"]], pd.DataFrame({"image_id": ["zz"], "split": ["test"]})])
    table.to_csv(tmp_path / "s.csv", index=False)
    assert reuse_splits(frame, tmp_path / "s.csv")[0].equals(frame["split"])


def test_a_reserve_needs_no_rows_and_a_file_may_keep_one_back(frame, tmp_path):
    kept = frame.assign(dataset=["kept" if n >= 36 else "own" for n in range(40)])
    frame[:36][["image_id", "split"]].to_csv(tmp_path / "s.csv", index=False)
    splits = reuse_splits(kept, tmp_path / "s.csv", reserve=["kept"])[0]
    assert splits[:36].equals(frame["split"][:36]) and set(splits[36:]) == {"reserve"}
    with pytest.raises(DataError, match=r"4 images of reserve sources are in another split \(first: i36\)"):
        reuse_splits(kept, written(tmp_path, frame[["image_id", "split"]].to_csv(index=False)), reserve=["kept"])
    named = frame.assign(split=["reserve" if n >= 36 else split for n, split in enumerate(frame["split"])])
    write_splits(named, tmp_path / "t.csv")
    assert reuse_splits(frame, tmp_path / "t.csv")[0].tolist() == named["split"].tolist()


def test_errors_name_the_fault(frame, tmp_path):
    def fails(message, text, **options):
        with pytest.raises(DataError, match=message):
            reuse_splits(frame, written(tmp_path, text), **options)

    lines = ["image_id,split", *[f"{row.image_id},{row.split}" for row in frame.itertuples()]]
    fails(r"unknown split 'dev'; expected train, validation, test, reserve", "\n".join(lines).replace("validation", "dev"))
    fails(r"expected the columns split and one of image_id.*it has name, part", "name,part\na,b\n")
    fails(r"says nothing about 2 of 40 images \(first: i00\)", "\n".join([lines[0], *lines[3:]]))
    other = "test" if frame["split"].iloc[0] != "test" else "train"
    fails(r"patient \(cluster\) p00 is in .* and .* \(1 such\); a patient belongs to one split",
          "\n".join([lines[0], f"i00,{other}", *lines[2:]]))
    fails(r"image_id i00 is in .* and ", "\n".join([*lines, f"i00,{other}"]))
    fails("puts images in train only", "image_id,split\n" + "\n".join(f"i{n:02d},train" for n in range(40)))
    moved = frame["split"].mask((frame["label"] == "b") & (frame["split"] == "validation"), "train")
    fails("has no image of b in validation; every class is needed in every split",
          frame[["image_id"]].assign(split=moved).to_csv(index=False))
    with pytest.raises(DataError, match=r"split\.file: no file .*none\.csv"):
        reuse_splits(frame, tmp_path / "none.csv")


def test_test_only_sources_stay_test(frame, tmp_path):
    judge = frame.assign(dataset=["judge" if split == "test" else "own" for split in frame["split"]])
    path = tmp_path / "s.csv"
    judge[judge["dataset"] == "own"][["image_id", "split"]].to_csv(path, index=False)
    assert reuse_splits(judge, path, test_only=["judge"])[0].equals(frame["split"])
    frame.assign(split="train")[["image_id", "split"]].to_csv(path, index=False)
    with pytest.raises(DataError, match="images of test-only sources are in another split"):
        reuse_splits(judge, path, test_only=["judge"])


def test_names_with_white_space_around_them_come_back(frame, tmp_path):
    frame = frame.assign(image_id=" " + frame["image_id"])              # a file in a folder called " a"
    write_splits(frame, tmp_path / "s.csv")
    assert reuse_splits(frame, tmp_path / "s.csv")[0].equals(frame["split"])


def test_split_file_lies_under_the_data_root(frame, tmp_path):
    data, root = Data(sources=[Source(dataset="image_folder", name="own")]), tmp_path / "data"
    (root / "lists").mkdir(parents=True)
    for path in (tmp_path / "s.csv", root / "lists" / "s.csv"):
        write_splits(frame, path)
    samples = frame.drop(columns="split")
    assert split_samples(samples, data, Split(file="lists/s.csv"), root)["split"].equals(frame["split"])
    for file, why in ((str(root / "lists/s.csv"), "is an absolute path"), ("../s.csv", "leads out"), ("lists/../../s.csv", "leads out")):
        with pytest.raises(DataError, match=rf"split\.file: .*{why}.*it is read under DATA_ROOT"):
            split_samples(samples, data, Split(file=file), root)
