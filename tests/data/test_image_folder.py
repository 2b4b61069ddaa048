"""Folders of one's own: class folders, CSVs, and paths that must not leave the folder."""

from __future__ import annotations

import os

import pytest

from lib.data.errors import DataError
from lib.data.folders import list_images
from lib.data.intake import SAMPLES
from lib.data.records import COLUMNS, RESERVED
from lib.data.sources import read_records
from lib.study import Source


def read(folder, **options):
    return read_records(Source(dataset="image_folder", name="mine", folder="./clinic/", **options), folder)


def table(folder, text):
    (folder / "list.csv").write_text(text)
    return {"table": "list.csv"}


def test_class_folders(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"burnt": 2, "basic": 3, "basic/dark": 1})
    (tmp_path / "notes.txt").write_text("not an image")
    records = read(tmp_path, domain="kitchen")
    assert records.frame["image_id"].tolist() == ["basic/000.jpg", "basic/001.jpg", "basic/002.jpg", "basic/dark/000.jpg", "burnt/000.jpg",
                                                  "burnt/001.jpg"]
    assert records.frame["diagnosis"].tolist() == ["basic"] * 4 + ["burnt"] * 2
    assert records.frame["patient_id"].is_unique and set(records.frame["domain"]) == {"kitchen"}
    assert any("every image counts as a patient of its own" in note for note in records.notes)


def test_split_folders_are_no_diagnoses(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"train/a": 1, "train/b": 1, "Test/a": 1})
    records = read(tmp_path)
    assert sorted(records.frame["diagnosis"]) == ["a", "a", "b"]
    assert any("Test, train are not taken as diagnoses" in note for note in records.notes)


def test_masks_beside_the_image_or_under_masks(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"a": 2, "b": 2})
    builders["draw_mask"](tmp_path / "a" / "000_mask.png")
    builders["draw_mask"](tmp_path / "masks" / "b" / "001_segmentation.png")
    builders["draw_jpeg"](tmp_path / "a" / "lonely_mask.jpg")           # no image "lonely": a picture with an odd name
    frame = read(tmp_path).frame.set_index("image_id")
    assert frame["mask"].dropna().to_dict() == {"a/000.jpg": "a/000_mask.png", "b/001.jpg": "masks/b/001_segmentation.png"}
    assert set(frame["diagnosis"]) == {"a", "b"} and "a/lonely_mask.jpg" in frame.index


def test_image_outside_any_class_folder_is_refused(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"a": 1})
    builders["draw_jpeg"](tmp_path / "loose.jpg")
    records = read(tmp_path)
    assert records.refused[["image_id", "reason"]].values.tolist() == [["loose.jpg", "lies in no class folder"]]


@pytest.mark.parametrize(("sizes", "message"), [({".": 12}, "all 12 images in .* lie in no class folder"),
                                               ({"train": 2, "test": 1}, "all 3 images in .* lie in no class folder"),
                                               ({".": 1}, "the one image in .* lies in no class folder")])
def test_a_folder_without_class_folders_says_so_once(tmp_path, builders, sizes, message):
    builders["build_class_folders"](tmp_path, sizes)
    with pytest.raises(DataError, match=message + r" \(first: .*000\.jpg\)\. Expected one folder per diagnosis"):
        read(tmp_path)


def test_a_row_without_a_file_and_a_folder_called_like_one(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 1, "i9.jpg": 1})
    records = read(tmp_path, **table(tmp_path, "file,label\nx/000.jpg,a\n,a\ni9.jpg,a\n"))
    assert records.refused["reason"].tolist() == ["the row names no file", "'i9.jpg' is a folder, not a file"] and records.missing == 0


def test_one_patient_with_most_of_the_images_is_asked_about(tmp_path, builders):
    def notes(patients):
        rows = "".join(f"x/{i:03d}.jpg,a,{patient}\n" for i, patient in enumerate(patients))
        return [note for note in read(tmp_path, **table(tmp_path, "file,label,patient\n" + rows)).notes if "real patient" in note]
    few = [str(i) for i in range(1, 21)]
    assert notes(["0"] * 40 + few) == ["mine: patient '0' has 40 of 60 images: is that a real patient? If the word stands for unknown, "
                                       "empty the cell"]
    assert not notes(["0"] * 29 + few), "49 images may be of a few patients"
    assert not notes(["0"] * 12 + [str(i) for i in range(1, 49)]), "a fifth, not more"
    assert notes(["0"] * 13 + [str(i) for i in range(1, 48)])
    assert not notes([""] * 40 + few), "unknown patients are each their own"


def test_an_image_under_two_ids_of_files_is_refused(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 2})
    records = read(tmp_path, **table(tmp_path, "file,label,image_id,patient\nx/000.jpg,a,p,1\nx/001.jpg,a,p,1\n"))
    assert not len(records.frame)
    assert set(records.refused["reason"]) == {"image_id p is listed with file x/000.jpg and with file x/001.jpg; nothing here says "
                                              "which is right"}


def test_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"no image in .*one folder per diagnosis"):
        read(tmp_path)


def test_table_with_own_column_names(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 3, "deep/er": 1})
    columns = {"file": "picture", "diagnosis": "what", "patient_id": "who", "clinic": "place"}
    options = table(tmp_path, "picture,what,who,place,lesion_id,fitspatrick,light,split\nx/000,nevus,1,north,1,VI,dim,train\n"
                              "x\\001.png,melanoma,1,south,2,,harsh,test\nx/002.jpg,nevus,2,south,1,3,dim,train\nx/404.jpg,nevus,3,south,1,3,dim,train\n")
    records = read(tmp_path, columns=columns, **options)
    frame = records.frame
    assert frame["file"].tolist()[:3] == ["x/000.jpg", "x/001.jpg", "x/002.jpg"] and records.missing == 1
    assert frame["image_id"].tolist() == ["x/000.jpg", "x/001.jpg", "x/002.jpg", "x/404.jpg"]
    assert frame["patient_id"].tolist() == ["clinic/1", "clinic/1", "clinic/2", "clinic/3"]
    assert frame["lesion_id"].tolist() == ["clinic/1/1", "clinic/1/2", "clinic/2/1", "clinic/3/1"]
    assert frame["tone"].astype(object).tolist()[0] == 6 and frame["tone"].isna().tolist() == [False, True, False, False]
    assert frame["clinic"].tolist() == ["north", "south", "south", "south"] and "place" not in frame
    assert frame["light"].tolist() == ["dim", "harsh", "dim", "dim"] and frame["split_in_table"].tolist()[0] == "train"
    assert any("1 image file in the folder is not in list.csv and not used" in note for note in records.notes)
    assert not any("patient of its own" in note for note in records.notes)


def test_table_with_known_spellings_needs_no_columns(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 2})
    records = read(tmp_path, **table(tmp_path, "file_name,label\n000,a\n001.jpg,b\n"))
    assert records.frame["file"].tolist() == ["x/000.jpg", "x/001.jpg"] and records.frame["diagnosis"].tolist() == ["a", "b"]
    assert any("patient of its own" in note for note in records.notes)


@pytest.mark.parametrize(("written", "reason"), [
    ("../secret.jpg", "leads out of the data folder"),
    ("x/../../secret.jpg", "leads out of the data folder"),
    ("/etc/passwd.jpg", "is an absolute path"),
    ("C:\\secret.jpg", "is an absolute path"),
    ("000", "write the folder, too"),
])
def test_unsafe_and_ambiguous_paths_are_refused(tmp_path, builders, written, reason):
    builders["draw_jpeg"](tmp_path / "secret.jpg")
    folder = builders["build_class_folders"](tmp_path / "in", {"x": 1, "y": 1})
    records = read(folder, **table(folder, f"file,label\n{written},a\nx/000.jpg,a\n"))
    assert len(records.frame) == 1 and reason in records.refused["reason"].iloc[0]


def test_links_that_leave_the_folder_are_refused(tmp_path, builders):
    outside = builders["build_class_folders"](tmp_path / "outside", {"c": 2, "c/deeper": 1})
    folder = builders["build_class_folders"](tmp_path / "in", {"a": 2})
    builders["draw_mask"](outside / "m.png")
    (folder / "a" / "stolen.jpg").symlink_to(outside / "c" / "000.jpg")
    (folder / "a" / "000_mask.png").symlink_to(outside / "m.png")
    (folder / "a" / "own.jpg").symlink_to(folder / "a" / "001.jpg")
    (folder / "b").symlink_to(outside / "c")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    (folder / "knot.jpg").symlink_to("knot.jpg")
    records = read(folder)
    assert records.frame["image_id"].tolist() == ["a/000.jpg", "a/001.jpg", "a/own.jpg"] and records.frame["mask"].isna().all()
    reasons = records.refused.set_index("image_id")["reason"]
    assert set(reasons.index) == {"a/stolen.jpg", "b/000.jpg", "b/001.jpg", "nowhere.jpg", "knot.jpg"}
    assert reasons["a/stolen.jpg"].startswith("a/stolen.jpg is a link that leaves") and reasons["b/000.jpg"].startswith("b is a link")


def test_a_linked_root_is_fine(tmp_path, builders):
    builders["build_class_folders"](tmp_path / "disk", {"a": 1})
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    assert len(read(tmp_path / "root").frame) == 1


@pytest.mark.parametrize(("options", "message"), [
    ({"table": "none.csv"}, "no table none.csv"),
    ({"table": "../list.csv"}, "leads out of the data folder"),
    ({"table": "list.csv", "columns": {"tone": "skin"}}, "`columns` names tone: skin, the file has file, what"),
    ({"table": "list.csv"}, "no column for diagnosis; looked for diagnosis or label or class or dx"),
])
def test_wrong_table_options(tmp_path, builders, options, message):
    builders["build_class_folders"](tmp_path, {"x": 1})
    table(tmp_path, "file,what\nx/000.jpg,a\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path, **options)


def test_listing_skips_hidden_files_and_takes_any_extension(tmp_path, builders):
    for name in ("b.PNG", "a.jpeg", ".hidden.jpg", "__MACOSX/a.jpg", ".git/c.jpg", "c.txt", "d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    listing = list_images(tmp_path)
    assert listing.files == ["a.jpeg", "b.PNG"] and listing.by_stem("b") == "b.PNG" and listing.by_stem("c") is None
    assert listing.resolve("./a.jpg") == ("a.jpeg", None)


def test_white_space_around_cells_is_nothing(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 3})
    frame = read(tmp_path, **table(tmp_path, "file , patient, label,hospital\nx/000.jpg,A0,a ,Saint  Mary\nx/001.jpg, A0,a,\tSaint  Mary \n"
                                             "x/002.jpg,\u00a0A0\u00a0,a,\n")).frame
    assert set(frame["patient_id"]) == {"clinic/A0"} and set(frame["diagnosis"]) == {"a"}
    assert frame["hospital"].tolist()[:2] == ["Saint  Mary"] * 2 and frame["hospital"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("header", ["file,label,note,note", "file,label,note, note"])
def test_a_header_with_a_column_twice_is_an_error(tmp_path, builders, header):
    builders["build_class_folders"](tmp_path, {"x": 1})
    with pytest.raises(DataError, match="has the column 'note' twice; rename"):
        read(tmp_path, **table(tmp_path, f"{header}\nx/000.jpg,a,b,c\n"))


@pytest.mark.parametrize(("header", "kept"), [
    ("file,path,label", {"path_in_table"}),
    ("file_name,path,label", {"path_in_table"}),
    ("path,file,label", {"path_in_table"}),
    ("mask,mask_path,file,label", {"mask_path_in_table"}),
    ("file,label,diagnosis", {"label_in_table"}),
])
def test_two_known_spellings_in_one_table(tmp_path, builders, header, kept):
    builders["build_class_folders"](tmp_path, {"x": 1})
    records = read(tmp_path, **table(tmp_path, header + "\n" + ",".join(["x/000.jpg"] * len(header.split(","))) + "\n"))
    assert set(records.extras) == kept and len(records.frame) == 1


def test_columns_called_like_ours_keep_their_values_under_another_name(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"x": 1})
    assert {*COLUMNS, *SAMPLES, "split", "region", "ita_group"} == RESERVED
    odd = sorted(RESERVED - {"file", "diagnosis"})
    columns = {"file": "picture", "diagnosis": "what", "tone": "skin", "age": "years", "clinic": "place", "width": "breadth"}
    names = [name for name in odd if name not in ("mask_path", "patient_id", "lesion_id", "image_id", "domain", "mask", "sex")]
    header = [*columns.values(), *names, "file", "clinic"]
    frame = read(tmp_path, columns=columns, **table(tmp_path, ",".join(header) + "\nx/000.jpg,a,3,40," + ",".join(header[4:]) + "\n")).frame
    assert frame.columns.is_unique
    row = frame.iloc[0]
    assert (row["file"], row["diagnosis"], row["tone"], row["age"], row["clinic"]) == ("x/000.jpg", "a", 3, 40, "place")
    assert row["width_in_table"] == "breadth" and row["width_in_table_in_table"] == "width"
    for name in ("path", "label", "group", "split", "sha256", "ita", "height", "region", "ita_group", "cluster_id", "file",
                 "clinic", "dataset", "tone", "age"):
        assert row[f"{name}_in_table"] == name


def test_files_whose_names_no_table_can_hold_are_refused_one_by_one(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"a": 2})
    picture = (tmp_path / "a" / "000.jpg").read_bytes()
    for name in (b"bad\xff.jpg", b"back\\slash.jpg", "größe.jpg".encode()):
        with open(os.path.join(os.fsencode(tmp_path), b"a", name), "wb") as file:
            file.write(picture)
    os.symlink(b"/etc/hosts", os.path.join(os.fsencode(tmp_path), b"a", b"out\xfe.jpg"))
    records = read(tmp_path)
    assert records.frame["image_id"].tolist() == ["a/000.jpg", "a/001.jpg", "a/größe.jpg"]
    reasons = records.refused.set_index("file")["reason"].to_dict()
    assert {file: reason.split("; ")[0] for file, reason in reasons.items()} == {
        "a/bad\\xff.jpg": "a/bad\\xff.jpg: the name is not UTF-8 text",
        "a/back\\slash.jpg": "a/back\\slash.jpg: the name has a backslash, which tables read as a folder",
        "a/out\\xfe.jpg": "a/out\\xfe.jpg is a link that leaves the data folder"}
    records.refused.to_csv(tmp_path / "refused.csv")                    # UTF-8 throughout


def test_a_table_that_is_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere.csv").write_text("file,diagnosis\na.jpg,nevus\n", encoding="utf-8")
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "labels.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(DataError, match=r"labels\.csv is a link that leaves the data folder"):
        read_records(Source(dataset="image_folder", folder="photos", table="labels.csv"), folder)
