"""Each adapter on a made-up release in the official layout."""

from __future__ import annotations

import pandas as pd
import pytest
from PIL import Image

from lib.data.adapters.phantom import draw
from lib.data.errors import DataError
from lib.data.info import INFO
from lib.data.records import COLUMNS
from lib.data.sources import ADAPTERS, read_records, source_folder, source_folders
from lib.study import PhantomOptions, Source


def read(dataset, folder, **options):
    return read_records(Source(dataset=dataset, **options), folder)


def test_every_declared_data_set_has_an_adapter():
    assert set(INFO) == set(ADAPTERS)
    for name, info in INFO.items():
        assert info.name == name and info.licence and info.layout and info.folder
        assert set(info.required) <= set(info.columns)


def test_ham10000(made_up_ham10000):
    records = read("ham10000", made_up_ham10000)
    frame = records.frame.set_index("image_id")
    assert list(records.frame.columns[:len(COLUMNS)]) == list(COLUMNS)
    assert (records.listed, records.missing, len(records.refused)) == (56, 0, 0)
    assert frame.loc["ISIC_0024306", "file"] == "HAM10000_images_part_1/ISIC_0024306.jpg"
    assert frame.loc["ISIC_0024307", "file"] == "HAM10000_images_part_2/ISIC_0024307.jpg"
    assert frame.loc["ISIC_0024306", "mask"] == "HAM10000_segmentations_lesion_tschandl/ISIC_0024306_segmentation.png"
    assert frame["diagnosis"].value_counts().to_dict() == dict.fromkeys(INFO["ham10000"].diagnoses.values(), 8)
    assert frame["lesion_id"].nunique() == 28 and (frame["patient_id"] == frame["lesion_id"]).all()
    assert frame["age"].isna().sum() == sum(i % 3 < 2 for i in range(56))              # 0.0 and empty are unknown
    assert frame["sex"].isna().sum() == sum(i % 3 == 2 for i in range(56))
    assert frame["site"].isna().sum() == 12
    assert frame["tone"].isna().all() and (frame["domain"] == "dermoscopic").all()
    assert (frame["dx_type"] == "histo").all()
    assert any("lesion stands for the patient" in note for note in records.notes)
    assert any(note.startswith("ham10000: a part of the official release, 56 of its 10,015 rows") for note in records.notes)


def test_ham10000_diagnosis_that_is_new_stays_as_it_is(made_up_ham10000):
    table = made_up_ham10000 / "HAM10000_metadata.csv"
    table.write_text(table.read_text().replace(",vasc,", ",scc,"))
    assert (read("ham10000", made_up_ham10000).frame["diagnosis"] == "scc").sum() == 8


def test_pad_ufes_20(made_up_pad):
    records = read("pad_ufes_20", made_up_pad)
    frame = records.frame
    assert (records.listed, records.missing, frame["mask"].notna().sum()) == (54, 3, 34)
    assert frame["file"].dropna().str.endswith(".jpg").all()                           # the table says .png
    assert frame["patient_id"].nunique() == 36
    assert frame.groupby("lesion_id")["patient_id"].nunique().max() == 1               # bare numbers are shared by two patients
    assert frame.loc[frame["patient_id"] == "PAT_5", "lesion_id"].unique().tolist() == ["PAT_5/2"]
    assert frame["tone"].isna().sum() == sum(1 + i % 2 for i in range(36) if i % 4 == 0)
    assert str(frame["tone"].dtype) == "Int8"
    assert set(frame["diagnosis"]) == set(INFO["pad_ufes_20"].diagnoses.values())
    assert frame["diameter_2"].isna().all() and (frame["diameter_1"] == "6.0").all()
    assert ("pad_ufes_20: 18 lesion numbers belong to several patients; so a lesion is a patient and a lesion number "
            "together") in records.notes


@pytest.mark.parametrize("old", [False, True])
def test_fitzpatrick17k_in_both_spellings(tmp_path, builders, old):
    records = read("fitzpatrick17k", builders["build_fitzpatrick"](tmp_path / "f", old=old))
    frame = records.frame
    assert (records.listed, records.missing) == (30, 0)
    assert frame["tone"].isna().sum() == 6
    assert frame["tone"].dropna().tolist() == [1 + i % 6 for i in range(30) if i % 5]
    assert (frame["patient_id"] == frame["image_id"]).all()
    assert frame["three_partition_label"].value_counts().to_dict() == {"non-neoplastic": 10, "malignant": 10, "benign": 10}


def test_fitzpatrick17k_without_images_has_all_missing(tmp_path, builders):
    records = read("fitzpatrick17k", builders["build_fitzpatrick"](tmp_path / "f", drawn=False))
    assert records.missing == records.listed == 30


def test_phantom_reads_its_folder(tmp_path, builders):
    builders["draw_jpeg"](tmp_path / "images" / "00" / "a.png")
    builders["draw_mask"](tmp_path / "masks" / "00" / "a.png")
    (tmp_path / "metadata.csv").write_text(
        "image_id,file,mask,diagnosis,tone,patient_id,lesion_id,domain,view_seed\n"
        "a,images/00/a.png,masks/00/a.png,melanoma,6,p0,p0_0,clinical,17\nb,images/00/b.png,masks/00/b.png,nevus,1,p1,p1_0,dermoscopic,18\n")
    records = read("phantom", tmp_path, phantom=PhantomOptions())
    first = records.frame.iloc[0]
    assert records.missing == 1 and first["mask"] == "masks/00/a.png" and first["tone"] == 6 and first["domain"] == "clinical"
    assert first["patient_id"] == "p0" and first["view_seed"] == "17"


def test_no_image_is_opened_to_read_a_table(made_up_ham10000, made_up_pad, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    for path in [*made_up_ham10000.rglob("*.jpg"), *made_up_pad.rglob("*.jpg")]:
        path.write_bytes(b"no image at all")
    assert read("ham10000", made_up_ham10000).missing == 0
    assert read("pad_ufes_20", made_up_pad).missing == 3


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("lesion", "diagnosis", "refused", "reason"), [
    (None, "nv", 1, "image_id ISIC_0024306 stands in an earlier row, too"),
    (None, "mel", 2, "image_id ISIC_0024306 is listed with melanoma and with nevus; nothing here says which is right"),
    (None, "", 2, "image_id ISIC_0024306 is listed with none and with nevus; nothing here says which is right"),
    ("Z", "nv", 2, "image_id ISIC_0024306 is listed with patient HAM_0000000 and with patient Z; nothing here says which is right")])
def test_of_rows_with_the_same_id_one_stays_only_where_they_agree(made_up_ham10000, reverse, lesion, diagnosis, refused, reason):
    table = made_up_ham10000 / "HAM10000_metadata.csv"
    head, *rows = table.read_text().splitlines()
    cells = next(row for row in rows if "ISIC_0024306" in row).split(",")
    rows.append(",".join([lesion or cells[0], cells[1], diagnosis, *cells[3:]]))
    table.write_text("\n".join([head, *(rows[::-1] if reverse else rows)]) + "\n")
    records = read("ham10000", made_up_ham10000)
    assert records.listed == 57 and len(records.refused) == refused
    assert ("ISIC_0024306" in set(records.frame["image_id"])) == (refused == 1)
    if lesion:
        reason = reason.replace("HAM_0000000", cells[0])
    assert set(records.refused["image_id"]) == {"ISIC_0024306"} and set(records.refused["reason"]) == {reason}


@pytest.mark.parametrize("word", ["nan", "NA", "n/a", "Unknown", "None", "-", "unk"])
def test_words_for_nobody_make_no_patient(made_up_pad, word):
    table = made_up_pad / "metadata.csv"
    text = table.read_text().splitlines()
    names = text[0].split(",")
    patient, lesion = names.index("patient_id"), names.index("lesion_id")
    for line in range(1, 9):
        cells = text[line].split(",")
        cells[patient] = cells[lesion] = word
        text[line] = ",".join(cells)
    table.write_text("\n".join(text) + "\n")
    records = read("pad_ufes_20", made_up_pad)
    first = records.frame.iloc[:8]
    assert (first["patient_id"] == first["image_id"]).all() and (first["lesion_id"] == first["image_id"]).all()
    assert any(f"in 8 rows the patient is written as {word!r}, which is read as unknown" in note for note in records.notes)
    assert any(f"in 8 rows the lesion is written as {word!r}" in note for note in records.notes)


def test_no_note_on_unknown_ids_where_they_are_empty_or_names(made_up_pad):
    table = made_up_pad / "metadata.csv"
    table.write_text(table.read_text().replace("PAT_5,", ",").replace("PAT_6,", "Nana,"))
    assert not any("read as unknown" in note for note in read("pad_ufes_20", made_up_pad).notes)


def test_files_of_one_name_are_counted(made_up_ham10000, builders):
    assert not any("more than once" in note for note in read("ham10000", made_up_ham10000).notes)
    for number in (24306, 24308):
        builders["draw_jpeg"](made_up_ham10000 / "again" / f"ISIC_00{number}.png", 1)
    records = read("ham10000", made_up_ham10000)
    assert records.frame["file"][0] == "HAM10000_images_part_1/ISIC_0024306.jpg"
    assert ("ham10000: 2 file names stand in the folder more than once (first: HAM10000_images_part_1/ISIC_0024306.jpg and "
            "again/ISIC_0024306.png); of each the first in alphabetical order is read. If the contents differ, take the wrong ones "
            "out") in records.notes


def test_counts_are_listed_one_by_one_only_where_the_rows_are_all_there(made_up_ham10000, monkeypatch):
    notes = [note for note in read("ham10000", made_up_ham10000).notes if "official" in note]
    assert len(notes) == 1
    monkeypatch.setitem(INFO["ham10000"].counts, "rows", 56)
    notes = [note for note in read("ham10000", made_up_ham10000).notes if "official" in note]
    assert len(notes) == 8 and "ham10000: 8 diagnosis nevus, the official release has 6,705" in notes
    monkeypatch.setitem(INFO["ham10000"].counts, "rows", 50)
    notes = [note for note in read("ham10000", made_up_ham10000).notes if "official" in note]
    assert notes == ["ham10000: 56 rows, the official release has 50; counts by diagnosis and the like differ accordingly"]


def test_every_note_for_readers_is_shown(made_up_ham10000, made_up_pad):
    for name, folder in (("ham10000", made_up_ham10000), ("pad_ufes_20", made_up_pad)):
        info, notes = INFO[name], read(name, folder).notes
        assert info.reader_notes and len(set(notes)) == len(notes)
        assert {f"{name}: {note}" for note in (*info.reader_notes, *info.policy_notes)} <= set(notes)
    assert any("Bowen's disease" in note for note in read("ham10000", made_up_ham10000).notes)


def test_domain_of_the_source_overrides(made_up_ham10000):
    assert set(read("ham10000", made_up_ham10000, domain="clinical").frame["domain"]) == {"clinical"}


def test_missing_folder_names_folder_and_data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    source = Source(dataset="ham10000")
    with pytest.raises(DataError, match=r"Put HAM10000 there .*or set DATA_ROOT") as caught:
        read_records(source, source_folder(source))
    assert f"no folder {tmp_path}/ham10000 (DATA_ROOT is {tmp_path})" in str(caught.value)
    monkeypatch.delenv("DATA_ROOT")
    with pytest.raises(DataError, match="DATA_ROOT is not set"):
        read_records(Source(dataset="ham10000", folder="not there"), source_folder(Source(dataset="ham10000", folder="not there")))


def test_folders_of_sources(tmp_path):
    sources = [Source(dataset="pad_ufes_20"), Source(dataset="phantom", name="easy", phantom=PhantomOptions()),
               Source(dataset="image_folder", name="mine", folder="my/own")]
    assert source_folders(sources, root=tmp_path, phantom_root=tmp_path / "drawn") == {
        "pad_ufes_20": tmp_path / "pad_ufes_20", "easy": tmp_path / "drawn" / "easy", "mine": tmp_path / "my/own"}


@pytest.mark.parametrize("folder", ["../elsewhere", "/etc", "a/../../b"])
def test_a_source_folder_stays_under_data_root(folder, tmp_path):
    with pytest.raises(DataError, match="read under DATA_ROOT"):
        source_folder(Source(dataset="image_folder", folder=folder), root=tmp_path)


def test_unknown_data_set_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"'ham1000'; did you mean ham10000\? known: ham10000, pad_ufes_20"):
        read("ham1000", tmp_path)


def test_missing_table_is_named(made_up_pad):
    (made_up_pad / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"no metadata\.csv in it.*metadata\.csv beside a folder images"):
        read("pad_ufes_20", made_up_pad)


def test_missing_column_names_the_spellings(made_up_pad):
    table = made_up_pad / "metadata.csv"
    table.write_text(table.read_text().replace("fitspatrick", "skin"))
    with pytest.raises(DataError, match="no column for tone; looked for fitspatrick or fitzpatrick, the file has patient_id"):
        read("pad_ufes_20", made_up_pad)


def test_strange_tone_is_an_error(made_up_pad):
    table = made_up_pad / "metadata.csv"
    table.write_text(table.read_text().replace(",3.0,", ",34,"))
    with pytest.raises(DataError, match="skin tone 34 is not understood; expected 1–6"):
        read("pad_ufes_20", made_up_pad)


@pytest.mark.parametrize(("content", "message"), [
    (b"", "the file is empty"),
    (b"lesion_id,image_id,dx\n", "a header and no rows"),
    (b"lesion_id,image_id,dx\na,b,\xff\xfe\n", "not UTF-8"),
    (b"lesion_id,image_id,dx\na,b,c\na,b,c,d,e\n", "line 3"),
])
def test_broken_tables(made_up_ham10000, content, message):
    (made_up_ham10000 / "HAM10000_metadata.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read("ham10000", made_up_ham10000)


def test_semicolons_byte_order_mark_and_capitals(made_up_ham10000):
    table = made_up_ham10000 / "HAM10000_metadata.csv"
    head, _, rest = table.read_text().partition("\n")
    table.write_text((head.upper() + "\n" + rest).replace(",", ";"), encoding="utf-8-sig")
    assert read("ham10000", made_up_ham10000).frame["lesion_id"].nunique() == 28


def test_order_of_rows_changes_nothing(made_up_pad):
    before = read("pad_ufes_20", made_up_pad).frame.sort_values("image_id", ignore_index=True)
    table = made_up_pad / "metadata.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows[::-1]]) + "\n")
    pd.testing.assert_frame_equal(before, read("pad_ufes_20", made_up_pad).frame.sort_values("image_id", ignore_index=True))


def test_phantoms_as_they_are_drawn(tmp_path):
    source = Source(dataset="phantom", name="tiny", phantom=PhantomOptions(patients=3, image_size=32, seed=5))
    draw(source, tmp_path / "tiny")
    records = read_records(source, tmp_path / "tiny")
    assert records.listed and records.missing == 0 and records.frame["mask"].notna().all() and records.frame["tone"].notna().all()
    assert records.frame["patient_id"].nunique() == 3 and set(records.frame["dataset"]) == {"tiny"}
