"""Every listed image is used or set aside with a reason, and the study's words mean what it says."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import networkx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from planted import COPIES

from lib.data.errors import DataError
from lib.data.intake import QUARANTINE, SAMPLES, take_in
from lib.data.split import assign_splits
from lib.phantom.render import draw
from lib.phantom.world import sample_world
from lib.study import Duplicates, Groups, Labels, PhantomOptions, Source
from lib.tables import read_table, write_table

HAM = ["nevus", "melanoma", "seborrheic_keratosis", "basal_cell_carcinoma", "actinic_keratosis", "vascular", "dermatofibroma"]
ALL_HAM = Labels(classes={name: [name] for name in HAM})
PAD = Labels(classes={"bad": ["melanoma", "basal_cell_carcinoma", "squamous_cell_carcinoma", "actinic_keratosis"], "good": ["nevus"]},
             exclude=["seborrheic_keratosis"])
AB = Labels(classes={"a": ["a"], "b": ["b"]})


def bring(folders, labels, *, groups=None, options=None, **more):
    """Take in {title: (dataset, folder)}."""
    options = {title: {"folder": title, **(options or {}).get(title, {})} for title in folders}
    sources = [Source(dataset=dataset, name=title, **options[title]) for title, (dataset, _) in folders.items()]
    return take_in(sources, labels, groups or Groups(), {title: folder for title, (_, folder) in folders.items()}, **more)


def check_account(intake):
    account = intake.account.set_index("dataset")
    assert (account["listed"] == account[["missing", "excluded", "refused", "used"]].sum(axis=1)).all()
    assert len(intake.samples) == account["used"].sum()
    assert len(intake.quarantine) == account[["missing", "excluded", "refused"]].sum().sum()
    assert list(intake.quarantine.columns) == list(QUARANTINE) and intake.quarantine["reason"].str.len().gt(0).all()
    return account


def test_samples_of_ham10000_keep_the_tables_contract(made_up_ham10000, tmp_path):
    intake = bring({"ham10000": ("ham10000", made_up_ham10000)}, ALL_HAM)
    assert list(intake.samples.columns) == list(SAMPLES) and intake.samples["image_id"].is_monotonic_increasing
    split = assign_splits(intake.samples, {"train": 0.5, "validation": 0.25, "test": 0.25}, 0)
    write_table("samples", intake.samples.assign(split=split), tmp_path / "samples.parquet")
    again = read_table("samples", tmp_path / "samples.parquet")
    first = again.iloc[0]
    assert first["sha256"] == hashlib.sha256((made_up_ham10000 / first["path"]).read_bytes()).hexdigest()
    assert (first["width"], first["height"]) == (32, 24) and first["ita"] > 40
    assert again["group"].isna().all() and (again["label"] == again["diagnosis"]).all()
    assert list(intake.facts["image_id"]) == list(again["image_id"]) and {"age", "sex", "site", "dx_type", "region"} <= set(intake.facts)
    assert set(intake.facts["region"]) == {"outside mask"}
    assert check_account(intake)["used"].to_dict() == {"ham10000": 56}


def test_labels_groups_and_account_of_pad(made_up_pad):
    intake = bring({"pad": ("pad_ufes_20", made_up_pad)}, PAD)
    account = check_account(intake).loc["pad"]
    assert account.to_dict() == {"listed": 54, "missing": 3, "excluded": 12, "refused": 0, "used": 39}
    samples = intake.samples
    assert set(samples["label"]) == {"bad", "good"} and set(samples["dataset"]) == {"pad"}
    known = samples["tone"].notna()
    named = {1: "I–II", 2: "I–II", 3: "III–IV", 4: "III–IV", 5: "V–VI", 6: "V–VI"}
    assert samples.loc[known, "group"].tolist() == samples.loc[known, "tone"].map(named).tolist()
    assert samples.loc[~known, "group"].isna().all() and (~known).any()
    left_out = intake.quarantine[intake.quarantine["kind"] == "excluded"]
    assert set(left_out["reason"]) == {"diagnosis seborrheic_keratosis is in labels.exclude"}
    assert any("ITA was measured on the skin outside the lesion's mask (" in note and "picture's border (" in note for note in intake.notes)


def test_another_column_can_be_the_label(tmp_path, builders):
    labels = Labels(column="three_partition_label", classes={"cancer": ["malignant"], "no cancer": ["benign", "non-neoplastic"]})
    intake = bring({"f": ("fitzpatrick17k", builders["build_fitzpatrick"](tmp_path / "f"))}, labels)
    assert intake.samples["label"].value_counts().to_dict() == {"no cancer": 20, "cancer": 10}
    assert set(intake.samples["diagnosis"]) == {"psoriasis", "melanoma", "dermatofibroma"}


def test_unknown_values_are_listed_with_counts(made_up_ham10000):
    labels = Labels(classes={"a": ["nevus"], "b": ["melanoma", "vasclar"]}, exclude=["basal_cell_carcinoma"])
    with pytest.raises(DataError, match="4 values of diagnosis no class names") as caught:
        bring({"h": ("ham10000", made_up_ham10000)}, labels)
    for part in ("seborrheic_keratosis (8)", "vascular (8; did labels.classes mean it by 'vasclar'?)", "labels.exclude"):
        assert part in str(caught.value)


def test_an_empty_class_names_what_was_looked_for_and_what_there_is(made_up_ham10000):
    labels = Labels(classes={**ALL_HAM.classes, "scc": ["squamous_cell_carcinoma", "bowen"]})
    with pytest.raises(DataError, match=r"there are .*nevus \(8\)") as caught:
        bring({"h": ("ham10000", made_up_ham10000)}, labels)
    assert "class 'scc' has no image: no row has diagnosis 'squamous_cell_carcinoma' or 'bowen'" in str(caught.value)


def test_a_class_whose_images_are_all_missing_says_so(made_up_ham10000):
    for i in range(56):
        if i // 2 % 7 == 5:
            next(made_up_ham10000.rglob(f"ISIC_{24306 + i:07d}.jpg")).unlink()
    with pytest.raises(DataError, match="class 'vascular' has no image: 8 rows are listed as 'vascular', but the folder lacks"):
        bring({"h": ("ham10000", made_up_ham10000)}, ALL_HAM)


def test_wrong_columns_list_the_right_ones(made_up_ham10000):
    with pytest.raises(DataError, match=r"labels\.column is 'dx', which h does not have; it has age, dataset, diagnosis"):
        bring({"h": ("ham10000", made_up_ham10000)}, Labels(column="dx", classes={"a": ["nv"], "b": ["mel"]}))
    with pytest.raises(DataError, match=r"groups\.column is 'skin', which no source has; there are .*sex"):
        bring({"h": ("ham10000", made_up_ham10000)}, ALL_HAM, groups=Groups(column="skin"))
    with pytest.raises(DataError, match=r"groups\.values: male stands in m and in both"):
        values = {"m": ["male"], "both": ["male", "female"]}
        bring({"h": ("ham10000", made_up_ham10000)}, ALL_HAM, groups=Groups.model_construct(column="sex", values=values))


def test_groups_by_any_column_and_by_ita(made_up_ham10000):
    folders = {"h": ("ham10000", made_up_ham10000)}
    intake = bring(folders, ALL_HAM, groups=Groups(column="sex", values={"women": ["female"]}))
    assert (intake.samples["group"] == "women").sum() == sum(i % 3 == 1 for i in range(56))
    assert "sex male: 19 images are in no group, because groups.values does not name it" in intake.notes
    intake = bring(folders, ALL_HAM, groups=Groups(column="ita_group", values={"light": [1, 2], "dark": [3, 4, 5, 6]}))
    assert set(intake.samples["group"]) == {"light"}


def test_broken_images_are_refused_up_to_the_limit(made_up_ham10000):
    (made_up_ham10000 / "HAM10000_images_part_1" / "ISIC_0024306.jpg").write_bytes(b"")
    next(made_up_ham10000.rglob("ISIC_0024308_segmentation.png")).write_bytes(b"no mask")
    folders = {"h": ("ham10000", made_up_ham10000)}
    intake = bring(folders, ALL_HAM, options={"h": {"max_quarantined": 0.05}})
    assert intake.quarantine.values.tolist() == [
        ["h", "ISIC_0024306", "HAM10000_images_part_1/ISIC_0024306.jpg", "refused", "the file is empty"]]
    assert intake.samples.set_index("image_id").loc["ISIC_0024308", ["mask_path"]].isna().all()
    assert any(note.startswith("1 lesion mask is not used (mask cannot be decoded") for note in intake.notes)
    with pytest.raises(DataError, match=r"h: 1 of the 56 images present are refused \(first: ISIC_0024306: the file is empty\)") as caught:
        bring(folders, ALL_HAM, quarantine_path="out/quarantine.csv")
    assert "Listed in out/quarantine.csv; the limit is max_quarantined=0.01" in str(caught.value)
    assert caught.value.quarantine["image_id"].tolist() == ["ISIC_0024306"]


def test_missing_images_count_up_to_the_limit(made_up_pad):
    message = r"p: 3 of 54 images are missing under .* \(first: PAT_0_0_0\)\. Listed in .*max_missing=0\.05"
    with pytest.raises(DataError, match=message) as caught:
        bring({"p": ("pad_ufes_20", made_up_pad)}, PAD, options={"p": {"max_missing": 0.05}})
    assert caught.value.quarantine["kind"].tolist() == ["missing"] * 3


def test_a_source_without_any_image_is_an_error(tmp_path, builders):
    folder = builders["build_fitzpatrick"](tmp_path / "f", drawn=False)
    labels = Labels(column="three_partition_label", classes={"a": ["malignant"], "b": ["benign"]}, exclude=["non-neoplastic"])
    with pytest.raises(DataError, match=r"none of the 30 listed images is under .*<md5hash>\.jpg"):
        bring({"f": ("fitzpatrick17k", folder)}, labels)


def test_rows_keeps_the_same_images_whatever_the_order(made_up_ham10000):
    folders = {"h": ("ham10000", made_up_ham10000)}
    labels = Labels(classes={"a": HAM[:3], "b": HAM[3:]})
    intake = bring(folders, labels, rows=20)
    account = check_account(intake).loc["h"]
    assert (account["used"], account["excluded"]) == (20, 36) and set(intake.quarantine["reason"]) == {"beyond data.rows = 20"}
    table = made_up_ham10000 / "HAM10000_metadata.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows[::-1]]) + "\n")
    pd.testing.assert_frame_equal(bring(folders, labels, rows=20).samples, intake.samples)
    assert set(intake.samples["image_id"]) < set(bring(folders, labels, rows=40).samples["image_id"])
    with pytest.raises(DataError, match=r"or data\.rows keeps too few"):
        bring(folders, ALL_HAM, rows=2)


def test_threads_and_progress_change_nothing(made_up_ham10000):
    folders, seen = {"h": ("ham10000", made_up_ham10000)}, []
    one = bring(folders, ALL_HAM)
    four = bring(folders, ALL_HAM, threads=4, progress=lambda *numbers: seen.append(numbers))
    pd.testing.assert_frame_equal(one.samples, four.samples)
    assert seen == [(i + 1, 56) for i in range(56)]


def test_a_release_read_twice_is_an_error_and_own_folders_get_their_name(made_up_ham10000, tmp_path, builders):
    with pytest.raises(DataError, match=r"56 images are in two sources \(first: ISIC_0024306 in x and y\)"):
        bring({"x": ("ham10000", made_up_ham10000), "y": ("ham10000", made_up_ham10000)}, ALL_HAM)
    one = builders["build_class_folders"](tmp_path / "one", {"a": 2, "b": 2})
    two = builders["build_class_folders"](tmp_path / "two", {"a": 1, "b": 3}, first_seed=9_000)
    samples = bring({"x": ("image_folder", one), "y": ("image_folder", two)}, AB).samples
    assert samples["image_id"].tolist()[:2] == ["x/a/000.jpg", "x/a/001.jpg"] and samples["image_id"].is_unique
    assert samples["path"].tolist()[0] == "a/000.jpg" and samples["cluster_id"].nunique() == 8


def test_identical_images_are_one_cluster_and_leave_training_when_a_judge_has_them(tmp_path, builders):
    own = builders["build_class_folders"](tmp_path / "own", {"a": 40, "b": 40})
    judge = builders["build_class_folders"](tmp_path / "judge", {"a": 2, "b": 2}, first_seed=9_000)
    (own / "a" / "039.jpg").write_bytes((own / "a" / "000.jpg").read_bytes())
    (judge / "a" / "000.jpg").write_bytes((own / "a" / "007.jpg").read_bytes())
    folders = {"own": ("image_folder", own), "judge": ("image_folder", judge)}
    intake = bring(folders, AB, options={"own": {"max_quarantined": 0.02}, "judge": {"role": "test_only"}})
    clusters = intake.samples.set_index(["dataset", "path"])["cluster_id"]
    assert clusters["own", "a/000.jpg"] == clusters["own", "a/039.jpg"] and clusters.nunique() == 82
    assert intake.quarantine[["image_id", "kind", "reason"]].values.tolist() == [
        ["own/a/007.jpg", "excluded", "its patient or an identical image is in a test-only source (judge)"]]
    assign_splits(intake.samples, {"train": 0.7, "validation": 0.15, "test": 0.15}, 0, test_only=["judge"])


def test_the_reserve_holds_nobody_that_another_source_has(tmp_path, builders):
    own, kept, judge = (builders["build_class_folders"](tmp_path / name, {"a": 3, "b": 3}, first_seed=seed)
                        for name, seed in (("own", 0), ("kept", 7_000), ("judge", 9_000)))
    (kept / "a" / "001.jpg").write_bytes((own / "a" / "000.jpg").read_bytes())
    (kept / "b" / "002.jpg").write_bytes((judge / "b" / "000.jpg").read_bytes())
    folders = {"kept": ("image_folder", kept), "own": ("image_folder", own), "judge": ("image_folder", judge)}
    intake = bring(folders, AB, options={"kept": {"role": "reserve"}, "judge": {"role": "test_only"}})
    fates = {row.image_id: (row.kind, row.reason) for row in intake.quarantine.itertuples()}
    assert fates == {
        "kept/a/001.jpg": ("excluded", "its patient or an identical image is in a source that is not kept in reserve (own, judge)"),
        "kept/b/002.jpg": ("excluded", "its patient or an identical image is in a test-only source (judge)"),
    }
    splits = assign_splits(intake.samples, {"train": 0.5, "validation": 0.5, "test": 0}, 0, test_only=["judge"], reserve=["kept"])
    assert splits.groupby(intake.samples["dataset"]).nunique().to_dict() == {"judge": 1, "kept": 1, "own": 2}
    assert (splits == "reserve").sum() == 4


def folder_with_tables(folder, builders, *tables):
    """One folder of twelve images and a table t<n>.csv for each list of (image, label, patient, group)."""
    for i in range(12):
        builders["draw_jpeg"](folder / f"{i}.jpg", i)
    for n, rows in enumerate(tables):
        lines = [f"{image}.jpg,{label},{patient},{group},x{label}" for image, label, patient, group in rows]
        (folder / f"t{n}.csv").write_text("\n".join(["file,diagnosis,patient,group,label", *lines]) + "\n")
    return folder


def test_two_tables_of_one_folder_share_their_patients(tmp_path, builders):
    train = [(i, "ab"[i % 2], f"A{i}", "") for i in range(8)]
    test = [(8 + i, "ab"[i % 2], f" A{i}", "") for i in range(2)] + [(10, "a", "B0", ""), (11, "b", "B1", "")]
    folder = folder_with_tables(tmp_path / "c", builders, train, test)
    options = {"train": {"folder": "c", "table": "t0.csv", "max_quarantined": 0.5},
               "test": {"folder": "./c/", "table": "t1.csv", "role": "test_only"}}
    folders = {"train": ("image_folder", folder), "test": ("image_folder", folder)}
    intake = bring(folders, AB, options=options)
    reason = "its patient or an identical image is in a test-only source (test)"
    assert intake.quarantine[["dataset", "file", "kind", "reason"]].values.tolist() == [
        ["train", "0.jpg", "excluded", reason], ["train", "1.jpg", "excluded", reason]]
    assert check_account(intake)["used"].to_dict() == {"train": 6, "test": 4}
    options["train"]["folder"] = "elsewhere"                # another folder's A0 is another person, but this is the same folder
    with pytest.raises(DataError, match="train and test: the folders elsewhere and c are one folder"):
        bring(folders, AB, options=options)
    folders["train"] = ("image_folder", folder_with_tables(tmp_path / "e", builders, train))
    assert check_account(bring(folders, AB, options=options))["used"].to_dict() == {"train": 8, "test": 4}


@pytest.mark.parametrize("image_ids", [False, True])
def test_a_file_that_two_tables_list_is_one_image(tmp_path, builders, image_ids):
    folder = folder_with_tables(tmp_path / "c", builders)
    header = "image_id,file,dx" if image_ids else "file,dx"         # numbers that start again in each table are no one's name
    for name, images in (("t0", range(8)), ("t1", (7, 8, 9, 10, 11))):
        rows = [f"{n},{i}.jpg,{'ab'[i % 2]}" if image_ids else f"{i}.jpg,{'ab'[i % 2]}" for n, i in enumerate(images)]
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    folders = {"train": ("image_folder", folder), "test": ("image_folder", folder)}
    options = {"train": {"folder": "c", "table": "t0.csv", "max_quarantined": 0.5}, "test": {"folder": "c", "table": "t1.csv"}}
    intake = bring(folders, AB, options=options)
    assert len(intake.samples) == 13 and intake.samples["cluster_id"].nunique() == 12
    assert any(note.startswith("1 image is an exact copy of another with the same label (first: test/") for note in intake.notes)
    options["test"]["role"] = "test_only"
    intake = bring(folders, AB, options=options)
    assert intake.quarantine[["dataset", "file"]].values.tolist() == [["train", "7.jpg"]] and intake.samples["cluster_id"].nunique() == 12
    assert not any("exact copies" in note for note in intake.notes)


def test_identical_images_with_different_labels_are_refused(tmp_path, builders):
    own = builders["build_class_folders"](tmp_path / "own", {"a": 5, "b": 5})
    other = builders["build_class_folders"](tmp_path / "other", {"b": 4}, first_seed=9_000)
    for copy in (own / "b" / "000.jpg", own / "a" / "004.jpg", other / "b" / "000.jpg"):
        copy.write_bytes((own / "a" / "000.jpg").read_bytes())
    for copy in (own / "b" / "003.jpg", own / "b" / "004.jpg", other / "b" / "003.jpg"):
        copy.write_bytes((own / "b" / "002.jpg").read_bytes())
    options = {"own": {"max_quarantined": 1}, "other": {"max_quarantined": 1}}
    folders = {"own": ("image_folder", own), "other": ("image_folder", other)}
    intake = bring(folders, AB, options=options)
    assert intake.quarantine[["dataset", "file", "kind", "reason"]].values.tolist() == [
        [*place, "refused", "identical image carries the labels a and b"]
        for place in (("other", "b/000.jpg"), ("own", "a/000.jpg"), ("own", "a/004.jpg"), ("own", "b/000.jpg"))]
    assert check_account(intake)["used"].to_dict() == {"own": 7, "other": 3}
    assert [note for note in intake.notes if "copies" in note] == [
        "3 images are exact copies of another with the same label (first: other/b/003.jpg and own/b/002.jpg); they stay, each copy in the "
        "same split as the other, and count more than once"]
    one_class = Labels(classes={"both": ["a", "b"], "none": ["c"]})
    (own / "c").mkdir()
    builders["draw_jpeg"](own / "c" / "000.jpg", 77)
    assert check_account(bring(folders, one_class, options=options))["refused"].sum() == 0          # labels count, not diagnoses


def test_a_readers_own_group_and_label_columns_can_be_named(tmp_path, builders):
    folder = folder_with_tables(tmp_path, builders, [(i, "ab"[i % 2], f"p{i}", "uv"[i // 6]) for i in range(12)])
    labels = Labels(column="label", classes={"a": ["xa"], "b": ["xb"]})
    intake = bring({"m": ("image_folder", folder)}, labels, groups=Groups(column="group", values={"U": ["u"], "V": ["v"]}),
                   options={"m": {"table": "t0.csv"}})
    assert intake.samples["group"].value_counts().to_dict() == {"U": 6, "V": 6}
    assert (intake.samples["label"] == intake.samples["diagnosis"]).all() and {"group_in_table", "label_in_table"} <= set(intake.facts)
    write_table("samples", intake.samples.assign(split="train"), tmp_path / "samples.parquet")


FATES = st.sampled_from(["good", "good", "good", "missing", "empty", "text", "cut", "tiny", "outside", "twice", "nameless", "left out"])


@given(st.lists(FATES, min_size=1, max_size=25), st.integers(1, 3), st.one_of(st.none(), st.integers(2, 10)))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_is_used_and_quarantined_for_any_mixture(tmp_path, builders, fates, threads, rows):
    folder = Path(tmp_path) / os.urandom(8).hex()
    lines, good = ["file,label,patient_id"], 0
    for i, fate in enumerate(["good"] * 4 + fates):
        name, label = f"{i}.jpg", "ab"[i % 2]
        builders["draw_jpeg"](folder / name, i)
        if fate == "missing":
            (folder / name).unlink()
        elif fate in ("empty", "text", "cut"):
            (folder / name).write_bytes({"empty": b"", "text": b"hello", "cut": (folder / name).read_bytes()[:300]}[fate])
        elif fate == "tiny":
            builders["draw_jpeg"](folder / name, i, size=(5, 5))
        name = {"outside": f"../{name}", "twice": "0.jpg"}.get(fate, name)
        label = {"nameless": "", "left out": "other"}.get(fate, label)
        lines.append(f"{name},{label},p{i}")
        good += fate == "good"
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    labels = Labels(classes={"a": ["a"], "b": ["b"]}, exclude=["other"])
    options = {"m": {"table": "t.csv", "max_quarantined": 1}}
    try:
        intake = bring({"m": ("image_folder", folder)}, labels, options=options, rows=rows, threads=threads)
    except DataError as error:
        assert rows is not None and "data.rows keeps too few" in str(error)
        return
    account = check_account(intake).loc["m"]
    number = {fate: fates.count(fate) for fate in set(fates)}
    assert account["listed"] == len(fates) + 4 and account["missing"] == number.get("missing", 0)
    if rows is None:
        first = int("twice" in fates)                   # the row whose file another row gives to another patient is refused with it
        assert account["used"] == good - first and account["excluded"] == number.get("left out", 0)
        assert account["refused"] == sum(number.get(fate, 0) for fate in ("empty", "text", "cut", "tiny", "outside", "twice",
                                                                               "nameless")) + first
    else:
        assert account["used"] <= rows


def test_nothing_usable_is_still_accounted_for(tmp_path, builders):
    folder = builders["build_class_folders"](tmp_path, {"a": 3, "b": 3})
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="6 of the 6 images present are refused") as caught:
        bring({"m": ("image_folder", folder)}, AB)
    assert len(caught.value.quarantine) == 6
    with pytest.raises(DataError, match="class 'a' has no image: 3 rows are listed as 'a'"):
        bring({"m": ("image_folder", folder)}, AB, options={"m": {"max_quarantined": 1}})


def test_a_source_of_which_all_is_excluded_does_no_harm(tmp_path, builders):
    one = builders["build_class_folders"](tmp_path / "one", {"a": 3, "b": 3})
    two = builders["build_class_folders"](tmp_path / "two", {"c": 3}, first_seed=9_000)
    intake = bring({"x": ("image_folder", one), "y": ("image_folder", two)}, Labels(classes={"a": ["a", "aa"], "b": ["b"]}, exclude=["c"]))
    assert check_account(intake)["excluded"].to_dict() == {"x": 0, "y": 3}
    assert "labels.classes: no row has diagnosis 'aa' (class a)" in intake.notes


def test_a_table_with_file_and_path_and_mask_and_mask_path_comes_in(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 4})
    builders["draw_mask"](tmp_path / "x" / "m.png")
    lines = [f"x/00{i}.jpg,/somewhere/{i},x/m.png,far/m.png,{'ab'[i % 2]},train,7" for i in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["file,path,mask,mask_path,diagnosis,split,sha256", *lines]) + "\n")
    intake = bring({"m": ("image_folder", tmp_path)}, AB, options={"m": {"table": "t.csv"}})
    assert intake.samples["path"].tolist() == [f"x/00{i}.jpg" for i in range(4)] and set(intake.samples["mask_path"]) == {"x/m.png"}
    assert intake.samples["sha256"].str.len().eq(64).all()
    assert {"path_in_table", "mask_path_in_table", "split_in_table", "sha256_in_table"} <= set(intake.facts)


# ── near-duplicates and shared images ────────────────────────────────────────────────────────────────────────────

def phantom_pictures(count, seed):
    options = PhantomOptions(patients=count, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), image_size=96, seed=seed)
    return [Image.fromarray(draw(scene, 96)[0]) for scene in sample_world(options, "intake").to_dict("records")]


def put(folder, pictures):
    """Write {"class/name.png": picture} below a folder."""
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)
    return folder


@pytest.fixture(scope="module")
def twelve():
    return phantom_pictures(12, 1_740_000)


def test_near_duplicates_share_a_cluster_through_others_and_stay_whatever_their_labels(tmp_path, twelve):
    pictures = {f"{'ab'[k % 2]}/{k}.png": picture for k, picture in enumerate(twelve)}
    pictures["a/flipped.png"] = COPIES["left-right, JPEG 50"](twelve[0])
    pictures["b/small.png"] = COPIES["half the size, JPEG 70"](COPIES["left-right"](twelve[0]))
    folders, options = {"m": ("image_folder", put(tmp_path / "m", pictures))}, {"m": {"max_quarantined": 0.1}}
    (tmp_path / "m" / "a" / "00.png").write_bytes(b"refused, and no other picture takes its place")
    plain = bring(folders, AB, options=options)
    assert plain.samples["cluster_id"].nunique() == 14 and not len(plain.pairs)
    intake = bring(folders, AB, options=options, duplicates=Duplicates())
    assert check_account(intake).loc["m", "used"] == 14
    cluster = intake.samples.set_index("image_id")["cluster_id"]
    assert cluster.nunique() == 12 and cluster[["a/0.png", "a/flipped.png", "b/small.png"]].nunique() == 1
    assert intake.pairs[["image_id", "other_id", "kind", "same_label"]].values.tolist() == [
        ["a/0.png", "a/flipped.png", "near", True], ["a/0.png", "b/small.png", "near", False],
        ["a/flipped.png", "b/small.png", "near", False]]
    for threads in (2, 5):
        again = bring(folders, AB, options=options, duplicates=Duplicates(), threads=threads)
        pd.testing.assert_frame_equal(again.pairs, intake.pairs)
        pd.testing.assert_frame_equal(again.samples, intake.samples)


def test_a_published_pair_joins_two_patients(tmp_path, twelve):
    folders = {"m": ("image_folder", put(tmp_path / "m", {f"{'ab'[k % 2]}/{k}.png": picture for k, picture in enumerate(twelve)}))}
    (tmp_path / "list.csv").write_text("image_name_1,image_name_2\n3.png,8\n3,unheard\n")
    intake = bring(folders, AB, duplicates=Duplicates(near=False, pairs=["list.csv"]), pairs_root=tmp_path)
    cluster = intake.samples.set_index("image_id")["cluster_id"]
    assert cluster["b/3.png"] == cluster["a/8.png"] and cluster.nunique() == 11
    assert "list.csv: 1 of 2 published pairs of duplicates are among the images; 1 of its image names are not among the images" in \
        intake.notes


def test_a_near_duplicate_of_a_judges_image_leaves_training_with_its_patient(tmp_path, twelve):
    rows = [f"{k}.png,{'ab'[k % 2]},p{k // 2}" for k in range(10)]
    own = put(tmp_path / "own", {f"{k}.png": twelve[k] for k in range(10)})
    (own / "t.csv").write_text("\n".join(["file,label,patient_id", *rows]) + "\n")
    judge = put(tmp_path / "judge", {"a/0.png": COPIES["5 % cropped all round"](twelve[4]), "b/1.png": twelve[10], "b/2.png": twelve[7]})
    folders = {"own": ("image_folder", own), "judge": ("image_folder", judge)}
    options = {"own": {"table": "t.csv", "max_quarantined": 0.5}, "judge": {"role": "test_only"}}
    intake = bring(folders, AB, options=options, duplicates=Duplicates())
    near, same = (f"{what} is in a test-only source (judge)"
                  for what in ("a near-duplicate of it or of its patient's images", "its patient or an identical image"))
    assert intake.quarantine[["image_id", "kind", "reason"]].values.tolist() == [
        ["4.png", "excluded", near], ["5.png", "excluded", near], ["6.png", "excluded", same], ["7.png", "excluded", same]]
    assert intake.pairs[["image_id", "other_id", "kind"]].values.tolist() == [
        ["4.png", "a/0.png", "near"], ["7.png", "b/2.png", "identical"]]
    assert not set(intake.samples.loc[intake.samples["dataset"] == "own", "cluster_id"]) & \
        set(intake.samples.loc[intake.samples["dataset"] == "judge", "cluster_id"])
    assign_splits(intake.samples, {"train": 0.8, "validation": 0.2, "test": 0}, 0, test_only=["judge"])


def test_an_identical_copy_stands_for_the_one_set_aside_when_clusters_are_formed(tmp_path, twelve):
    one = put(tmp_path / "one", {f"{'ab'[k % 2]}/{k}.png": twelve[k] for k in range(8)})
    two = put(tmp_path / "two", {"a/z.png": twelve[0], "b/near.png": COPIES["upside down"](twelve[0]), "a/far.png": twelve[9]})
    intake = bring({"two": ("image_folder", two), "one": ("image_folder", one)}, AB, duplicates=Duplicates(), shared_images="first_source")
    assert set(intake.quarantine["reason"]) == {"stands in two, too"} and intake.quarantine["image_id"].tolist() == ["a/0.png"]
    cluster = intake.samples.set_index("image_id")["cluster_id"]
    assert cluster["a/z.png"] == cluster["b/near.png"] and cluster.nunique() == len(cluster) - 1
    assert ["a/0.png", "a/z.png", "identical"] in intake.pairs[["image_id", "other_id", "kind"]].values.tolist()


def test_shared_images_are_refused_or_taken_from_the_first_source(tmp_path, builders):
    one, two = (builders["build_ham10000"](tmp_path / name) for name in ("one", "two"))
    (one / "HAM10000_images_part_1" / "ISIC_0024306.jpg").unlink()
    next(two.rglob("ISIC_0024308.jpg")).unlink()
    folders = {"x": ("ham10000", one), "y": ("ham10000", two)}
    with pytest.raises(DataError, match=r"first: ISIC_0024306 in x and y.* or write data\.shared_images: first_source"):
        bring(folders, ALL_HAM)
    intake = bring(folders, ALL_HAM, shared_images="first_source")
    account = check_account(intake)
    assert account["used"].to_dict() == {"x": 55, "y": 1} and account["missing"].to_dict() == {"x": 1, "y": 1}
    assert account["excluded"].to_dict() == {"x": 0, "y": 54} and intake.samples["image_id"].nunique() == 56
    shared = intake.quarantine[intake.quarantine["kind"] == "excluded"]
    assert set(shared["reason"]) == {"stands in x, too"} and set(shared["dataset"]) == {"y"}


def test_identical_content_under_other_names_is_taken_from_the_first_source(tmp_path, builders):
    one = builders["build_class_folders"](tmp_path / "one", {"a": 4, "b": 4})
    two = builders["build_class_folders"](tmp_path / "two", {"a": 4, "b": 4}, first_seed=9_000)
    for name, copied in (("a/900.jpg", "a/001.jpg"), ("b/901.jpg", "a/002.jpg")):
        (two / name).write_bytes((one / copied).read_bytes())
    folders = {"x": ("image_folder", one), "y": ("image_folder", two)}
    options = {name: {"max_quarantined": 0.5} for name in folders}
    account = check_account(bring(folders, AB, options=options))
    assert account["refused"].to_dict() == {"x": 1, "y": 1} and account["excluded"].sum() == 0
    for order in (["x", "y"], ["y", "x"]):
        intake = bring({name: folders[name] for name in order}, AB, options=options, shared_images="first_source")
        account = check_account(intake)
        assert account["excluded"].to_dict() == {order[0]: 0, order[1]: 2} and account["refused"].sum() == 0
        assert set(intake.quarantine["reason"]) == {f"stands in {order[0]}, too"}
        assert any(note.startswith("1 image has another label in a source that it is not taken from") for note in intake.notes)
        assert any(note.startswith("8 image names stand in several sources") for note in intake.notes)
        kept = intake.samples.set_index("sha256")["label"]
        shared = hashlib.sha256((one / "a" / "002.jpg").read_bytes()).hexdigest()
        assert kept[shared] == ("a" if order[0] == "x" else "b")


COPIED = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=8)


@given(COPIED, st.booleans(), st.sampled_from(["refuse", "first_source"]))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_is_used_and_quarantined_for_any_copies_in_two_sources(tmp_path, twelve, copies, near, shared_images):
    root = Path(tmp_path) / os.urandom(8).hex()
    put(root / "x", {f"{'ab'[k % 2]}/{k}.png": twelve[k] for k in range(6)})
    put(root / "y", {"a/own.png": twelve[6], "b/own.png": twelve[7]}
        | {f"{'ab'[k % 2]}/copy{k}.png": COPIES["JPEG 60"](twelve[source]) if changed else twelve[source]
           for k, (source, changed) in enumerate(copies)})
    folders = {name: ("image_folder", root / name) for name in ("x", "y")}
    options = {name: {"max_quarantined": 1} for name in folders}
    try:
        intake = bring(folders, AB, options=options, shared_images=shared_images, duplicates=Duplicates(near=near))
    except DataError as error:
        assert "has no image" in str(error)                 # every image of a class may be refused for a second label
        return
    account = check_account(intake)
    assert account["listed"].to_dict() == {"x": 6, "y": 2 + len(copies)}
    if shared_images == "first_source":
        assert account.loc["y", "excluded"] == sum(not changed for _, changed in copies)
    scenes = networkx.Graph(intake.pairs[["image_id", "other_id"]].values.tolist())
    for k, (source, changed) in enumerate(copies):
        if not changed or near:
            assert networkx.has_path(scenes, f"{'ab'[source % 2]}/{source}.png", f"{'ab'[k % 2]}/copy{k}.png")
