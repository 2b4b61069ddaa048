"""Adapters of DDI, BCN20000, ISIC 2019 and ISIC 2020 on made-up releases in every known layout and spelling."""

from __future__ import annotations

import pandas as pd
import pytest

from lib.data.errors import DataError
from lib.data.mapping import group_rows
from lib.data.sources import read_records
from lib.data.taxonomy import classify
from lib.study import Groups, Labels, Source


def read(dataset, folder, **options):
    return read_records(Source(dataset=dataset, **options), folder)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# ── DDI ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DDI_ROWS = ((12, "melanoma-in-situ", True), (34, "melanocytic-nevi", False), (56, "mycosis-fungoides", True),
            (56, "seborrheic-keratosis", False), (12, "actinic-keratosis", False))


def build_ddi(folder, builders, *, column="malignant", spelling=("TRUE", "FALSE"), index=True):
    rows = [("," if index else "") + f"DDI_ID,DDI_file,skin_tone,{column},disease"]
    for i, (tone, disease, malignant) in enumerate(DDI_ROWS, 1):
        rows.append((f"{i - 1}," if index else "") + f"{i},{i:06d}.png,{tone},{spelling[0] if malignant else spelling[1]},{disease}")
        builders["draw_jpeg"](folder / "images" / f"{i:06d}.png", i)
    write(folder / "ddi_metadata.csv", "\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(("column", "spelling", "index"), [
    ("malignant", ("TRUE", "FALSE"), True), ("malignant", ("True", "False"), False), ("malignancy(malig=1)", ("1", "0"), True),
    ("malignant", ("1.0", "0.0"), False)])
def test_ddi_in_every_spelling(tmp_path, builders, column, spelling, index):
    records = read("ddi", build_ddi(tmp_path / "ddi", builders, column=column, spelling=spelling, index=index))
    frame = records.frame
    assert (records.listed, records.missing) == (5, 0)
    assert frame["image_id"].tolist()[:2] == ["DDI_000001", "DDI_000002"] and frame["file"][0] == "images/000001.png"
    assert frame["malignant"].tolist() == ["True", "False", "True", "False", "False"]
    assert frame["diagnosis"].tolist() == [disease for _, disease, _ in DDI_ROWS]
    assert frame["tone"].isna().all() and str(frame["tone"].dtype) == "Int8", "a pair of types is no type"
    assert frame["tone_group"].tolist() == ["I–II", "III–IV", "V–VI", "V–VI", "I–II"]
    assert (frame["patient_id"] == frame["image_id"]).all() and set(frame["domain"]) == {"clinical"}


def test_ddi_asks_to_be_a_judge(tmp_path, builders):
    folder = build_ddi(tmp_path / "ddi", builders)
    assert any("Give it `role: test_only`" in note for note in read("ddi", folder).notes)
    assert not any("test_only" in note for note in read("ddi", folder, role="test_only").notes)


@pytest.mark.parametrize(("old", "new", "message"), [
    (",34,", ",3,", "skin tone 3 is not understood; expected 12, 34 or 56"),
    (",34,", ",135,", "skin tone 135 is not understood"),
    ("FALSE,melanocytic", "perhaps,melanocytic", "malignant is 'perhaps'; expected TRUE, FALSE, 1 or 0"),
    ("FALSE,melanocytic", ",melanocytic", "malignant is ''"),
    ("skin_tone", "tone", "no column for tone_group; looked for skin_tone"),
    ("malignant", "cancer", r"no column for malignant; looked for malignant or malignancy\(malig=1\)"),
    ("disease", "illness", "no column for diagnosis; looked for disease"),
])
def test_ddi_that_cannot_be_understood(tmp_path, builders, old, new, message):
    table = build_ddi(tmp_path / "ddi", builders) / "ddi_metadata.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read("ddi", tmp_path / "ddi")


def test_ddi_unknown_tone_is_null(tmp_path, builders):
    table = build_ddi(tmp_path / "ddi", builders) / "ddi_metadata.csv"
    table.write_text(table.read_text().replace(",34,", ",,").replace(",12,T", ",-1,T"))
    assert read("ddi", tmp_path / "ddi").frame["tone_group"].isna().tolist() == [True, True, False, False, False]


def test_ddi_tones_get_the_group_that_holds_both_types(tmp_path, builders):
    frame = read("ddi", build_ddi(tmp_path / "ddi", builders)).frame
    groups, notes = group_rows(frame, Groups())
    assert groups.tolist() == ["I–II", "III–IV", "V–VI", "V–VI", "I–II"] and not notes
    groups, notes = group_rows(frame, Groups(values={"light": [1, 2, 3, 4], "dark": [5, 6]}))
    assert groups.tolist() == ["light", "light", "dark", "dark", "light"] and not notes


def test_ddi_tones_that_a_study_tears_apart_stay_unknown_and_are_counted(tmp_path, builders):
    frame = read("ddi", build_ddi(tmp_path / "ddi", builders)).frame
    groups, notes = group_rows(frame, Groups(values={"light": [1, 2, 3], "dark": [5]}))
    assert groups.fillna("?").tolist() == ["light", "?", "?", "?", "light"]
    assert sorted(note.partition(",")[0] for note in notes) == [
        "tone III–IV: 1 image is in no group", "tone V–VI: 2 images are in no group"]


def test_single_types_and_pairs_side_by_side():
    frame = pd.DataFrame({"tone": pd.array([5, None, None, 2], dtype="Int8"), "tone_group": [None, "V–VI", None, "V–VI"]})
    groups, _ = group_rows(frame, Groups())
    assert groups.fillna("?").tolist() == ["V–VI", "V–VI", "?", "I–II"], "an annotated type stands above a pair"


def test_pairs_mean_nothing_to_groups_of_another_column(tmp_path, builders):
    frame = read("ddi", build_ddi(tmp_path / "ddi", builders)).frame.assign(clinic="a")
    assert group_rows(frame, Groups(column="clinic", values={"A": ["a"]}))[0].tolist() == ["A"] * 5


# ── BCN20000 ─────────────────────────────────────────────────────────────────────────────────────────────────────

HIERARCHY = (("Benign", "Benign melanocytic proliferations", "Nevus"), ("Malignant", "Malignant melanocytic (Melanoma)", "Melanoma, NOS"),
             ("Malignant", "Malignant epidermal proliferations", "Squamous cell carcinoma, NOS"),
             ("Benign", "Benign soft tissue proliferations - Vascular", ""), ("Indeterminate", "Indet.", "Solar or actinic keratosis"),
             ("", "", ""), ("Benign", "Fibro", "Scar"), ("Malignant", "Mel", "Melanoma metastasis"))
NAMES = ["nevus", "melanoma", "squamous_cell_carcinoma", "vascular", "actinic_keratosis", "", "scar", "melanoma_metastasis"]


@pytest.mark.parametrize(("name", "site"), [("metadata.csv", "anatom_site_general"), ("bcn20000_metadata_2025-10-21.csv", "anatom_site_1")])
def test_bcn20000_from_the_archive(tmp_path, builders, name, site):
    rows = [f"isic_id,attribution,copyright_license,age_approx,{site},diagnosis_1,diagnosis_2,diagnosis_3,image_type,lesion_id,sex"]
    for i, levels in enumerate(HIERARCHY):
        kind = "clinical: close-up" if i == 0 else "dermoscopic"
        rows.append(f'ISIC_{i:07d},BCN,CC-BY-NC,{"" if i == 1 else 55},anterior torso,' + ",".join(f'"{level}"' for level in levels)
                    + f",{kind},{'' if i == 2 else f'IL_{i // 2}'},male")
        builders["draw_jpeg"](tmp_path / "ISIC-images" / f"ISIC_{i:07d}.jpg", i)
    write(tmp_path / name, "\n".join(rows) + "\n")
    records = read("bcn20000", tmp_path)
    frame = records.frame
    assert records.missing == 0 and frame["diagnosis"].tolist() == NAMES
    assert frame["diagnosis_3"][1] == "Melanoma, NOS" and frame["copyright_license"][0] == "CC-BY-NC"
    assert frame["lesion_id"].tolist()[:4] == ["IL_0", "IL_0", "ISIC_0000002", "IL_1"]
    assert frame["domain"].tolist()[:2] == ["clinical", "dermoscopic"] and frame["site"][0] == "anterior torso" and frame["age"].isna()[1]
    assert any("1 image has no diagnosis" in note for note in records.notes)
    assert any("a part of the official release, 8 of its 18,946 rows" in note for note in records.notes)


def test_bcn20000_newest_of_several_dated_tables(tmp_path):
    for day, diagnosis in (("2024-12-27", "Nevus"), ("2025-10-21", "Melanoma, NOS")):
        write(tmp_path / f"bcn20000_metadata_{day}.csv", f'isic_id,diagnosis_1,diagnosis_3\nISIC_0000001,x,"{diagnosis}"\n')
    assert read("bcn20000", tmp_path).frame["diagnosis"].tolist() == ["melanoma"]


def test_bcn20000_levels_four_and_five_are_deeper(tmp_path):
    write(tmp_path / "metadata.csv", "isic_id,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_4,diagnosis_5\n"
                                     'ISIC_1,Benign,b,Nevus,"Nevus, Spitz",\nISIC_2,Malignant,b,"Melanoma, NOS",x,Melanoma in situ\n')
    assert read("bcn20000", tmp_path).frame["diagnosis"].tolist() == ["Nevus, Spitz", "Melanoma in situ"]


def test_bcn20000_takes_the_deepest_level_with_a_word(tmp_path):
    rows = (("Malignant", "Malignant adnexal epithelial proliferations - Follicular", "Basal cell carcinoma",
             "Basal cell carcinoma, Nodular"),
            ("Benign", "Benign melanocytic proliferations", "Nevus", "Nevus, Atypical, Dysplastic, or Clark"),
            ("Malignant", "Malignant epidermal proliferations", "something new", ""), ("Malignant", "new", "newer", "newest"),
            ("odd", "odder", "", ""))
    write(tmp_path / "metadata.csv", "isic_id,lesion_id,diagnosis_1,diagnosis_2,diagnosis_3,diagnosis_4\n" + "".join(
        f"ISIC_{i},L{i}," + ",".join(f'"{level}"' for level in levels) + "\n" for i, levels in enumerate(rows)))
    records = read("bcn20000", tmp_path)
    assert records.frame["diagnosis"].tolist() == ["basal_cell_carcinoma", "nevus", "Malignant epidermal proliferations",
                                                    "Malignant", "odder"]
    assert records.frame["diagnosis_4"][0] == "Basal cell carcinoma, Nodular"
    labels = Labels(column="target", classes={"malignant": ["malignant"], "benign": ["benign"]})
    with pytest.raises(DataError, match=r"diagnoses without a condition: bcn20000: odder \(1\)\. Name"):
        classify([records], labels)
    known = Labels(column="target", classes=labels.classes, conditions={"bcn20000": {"odder": "other benign"}})
    told = classify([records], known)[0]
    assert told["nature"].tolist() == ["malignant", "benign", "malignant", "malignant", "benign"]
    assert told["condition"].where(told["condition"].notna(), None).tolist() == ["basal_cell_carcinoma", "nevus", None, None, "other"]


def test_bcn20000_from_the_older_archive(tmp_path):
    write(tmp_path / "metadata.csv", "isic_id,diagnosis,benign_malignant,patient_id\nISIC_1,melanoma,malignant,P1\n"
                                     "ISIC_2,vascular lesion,benign,P1\nISIC_3,Melanoma NOS,malignant,P2\n")
    records = read("bcn20000", tmp_path)
    assert records.frame["diagnosis"].tolist() == ["melanoma", "vascular", "melanoma"]
    assert records.frame["patient_id"].tolist() == ["P1", "P1", "P2"]
    assert not any("official release" in note for note in records.notes), "its counts are of the hierarchy"


def test_bcn20000_from_figshare(tmp_path, builders):
    rows = ["bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex,split"]
    for i, code in enumerate(("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "mel")):
        rows.append(f"BCN_{i:010d}.jpg,55.0,head/neck,{code},BCN_{i // 2},2012-05-16,male,train")
    builders["draw_jpeg"](tmp_path / "BCN_20k_train" / "bcn_20k_train" / "BCN_0000000000.jpg")
    write(tmp_path / "bcn_20k_train.csv", "\n".join(rows) + "\n")
    frame = read("bcn20000", tmp_path).frame
    assert frame["image_id"][0] == "BCN_0000000000" and frame["file"][0].endswith("bcn_20k_train/BCN_0000000000.jpg")
    assert frame["diagnosis"].tolist() == ["melanoma", "nevus", "basal_cell_carcinoma", "actinic_keratosis", "seborrheic_keratosis",
                                           "dermatofibroma", "vascular", "squamous_cell_carcinoma", "melanoma"]
    assert frame["lesion_id"].nunique() == 5


def test_bcn20000_without_diagnosis_or_lesions(tmp_path):
    write(tmp_path / "metadata.csv", "isic_id,sex\nISIC_1,male\n")
    with pytest.raises(DataError, match="no column for diagnosis; looked for diagnosis_1 to diagnosis_5, diagnosis or dx"):
        read("bcn20000", tmp_path)
    write(tmp_path / "metadata.csv", "isic_id,diagnosis_1\nISIC_1,Benign\n")
    assert any("names neither lesions nor patients" in note for note in read("bcn20000", tmp_path).notes)
    (tmp_path / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"no metadata\.csv or bcn20000_metadata\*\.csv or bcn_20k_train\.csv in it"):
        read("bcn20000", tmp_path)


# ── ISIC 2019 ────────────────────────────────────────────────────────────────────────────────────────────────────

CODES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")


def build_isic_2019(folder, builders, marks, *, one="1.0", image="image", metadata="image,age_approx,anatom_site_general,lesion_id,sex"):
    rows, facts = [f"{image},{','.join(CODES)}"], [metadata]
    for i, ones in enumerate(marks):
        name = f"ISIC_{i:07d}" + ("_downsampled" if i % 3 == 1 else "")
        rows.append(name + "," + ",".join(one if code in ones else "0.0" for code in CODES))
        facts.append(f"{name},{5 * i},head/neck,{'' if i % 4 == 3 else f'BCN_{i // 2}'},{'female' if i % 2 else ''}")
        builders["draw_jpeg"](folder / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input" / f"{name}.jpg", i)
    write(folder / "ISIC_2019_Training_GroundTruth.csv", "\n".join(rows) + "\n")
    write(folder / "ISIC_2019_Training_Metadata.csv", "\n".join([facts[0], *facts[:0:-1]]) + "\n")      # another order
    return folder


@pytest.mark.parametrize(("one", "image"), [("1.0", "image"), ("1", "image_name")])
def test_isic_2019(tmp_path, builders, one, image):
    marks = [(code,) for code in CODES]
    records = read("isic_2019", build_isic_2019(tmp_path, builders, marks, one=one, image=image))
    frame = records.frame
    assert (records.missing, len(records.refused)) == (0, 0)
    assert frame["diagnosis"].tolist() == ["melanoma", "nevus", "basal_cell_carcinoma", "actinic_keratosis", "seborrheic_keratosis",
                                           "dermatofibroma", "vascular", "squamous_cell_carcinoma", "unknown"]
    assert frame["image_id"][1] == "ISIC_0000001" and frame["file"][1].endswith("ISIC_0000001_downsampled.jpg")
    assert frame["lesion_id"].tolist()[:4] == ["BCN_0", "BCN_0", "BCN_1", "ISIC_0000003"]
    assert (frame["patient_id"] == frame["lesion_id"]).all()
    assert frame["age"].isna().tolist() == [True] + [False] * 8 and frame["sex"][1] == "female"
    assert any("2 images have no lesion number" in note for note in records.notes)
    assert any("all of HAM10000" in note for note in records.notes)


def test_isic_2019_images_under_the_plain_name(tmp_path, builders):
    folder = build_isic_2019(tmp_path, builders, [("MEL",), ("NV",)])
    images = folder / "ISIC_2019_Training_Input" / "ISIC_2019_Training_Input"
    (images / "ISIC_0000001_downsampled.jpg").rename(images / "ISIC_0000001.jpg")
    (images / "ISIC_0000000.jpg").rename(images / "ISIC_0000000_downsampled.jpg")
    assert read("isic_2019", folder).missing == 0


def test_isic_2019_rows_that_mark_no_class_or_two_are_refused(tmp_path, builders):
    folder = build_isic_2019(tmp_path, builders, [("MEL",), (), ("NV", "DF"), ("BCC",)])
    table = folder / "ISIC_2019_Training_GroundTruth.csv"
    lines = table.read_text().splitlines()
    lines[4] = lines[4].replace("1.0", "0.7")
    table.write_text("\n".join(lines) + "\n")
    records = read("isic_2019", folder)
    assert records.frame["image_id"].tolist() == ["ISIC_0000000"] and records.listed == 4
    assert records.refused["reason"].tolist() == ["is marked as no class", "is marked as NV and DF", "a class column holds neither 0 nor 1"]


def test_isic_2019_without_lesions_is_an_error(tmp_path, builders):
    folder = build_isic_2019(tmp_path, builders, [("MEL",)], metadata="image,age_approx,anatom_site_general,number,sex")
    with pytest.raises(DataError, match="no column for lesion_id"):
        read("isic_2019", folder)
    (folder / "ISIC_2019_Training_Metadata.csv").unlink()
    with pytest.raises(DataError, match=r"no ISIC_2019_Training_Metadata\.csv in it"):
        read("isic_2019", folder)
    write(folder / "ISIC_2019_Training_GroundTruth.csv", "image,label\nISIC_0000000,MEL\n")
    with pytest.raises(DataError, match="no column for a class; looked for MEL or NV"):
        read("isic_2019", folder)


# ── ISIC 2020 ────────────────────────────────────────────────────────────────────────────────────────────────────

_REST = "sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target"
ISIC_2020 = {
    "ISIC_2020_Training_GroundTruth_v2.csv": f"image_name,patient_id,lesion_id,{_REST}",
    "ISIC_2020_Training_GroundTruth.csv": f"image_name,patient_id,{_REST}",
    "train.csv": f"image_name,patient_id,{_REST}",
}


@pytest.mark.parametrize("name", ISIC_2020)
def test_isic_2020(tmp_path, builders, name):
    lesions = "lesion_id" in ISIC_2020[name]
    rows = [ISIC_2020[name]]
    for i, (diagnosis, nature) in enumerate((("unknown", "benign"), ("melanoma", "malignant"), ("seborrheic keratosis", "benign"),
                                             ("lentigo NOS", "benign"), ("unknown", "benign"))):
        rows.append(f"ISIC_{i:07d},IP_{i // 2}," + (f"IL_{i}," if lesions else "")
                    + f"male,0,torso,{diagnosis},{nature},{int(nature == 'malignant')}")
        builders["draw_jpeg"](tmp_path / "train" / f"ISIC_{i:07d}.jpg", i)
    write(tmp_path / name, "\n".join(rows) + "\n")
    records = read("isic_2020", tmp_path)
    frame = records.frame
    assert records.missing == 0 and frame["diagnosis"].tolist() == ["unknown", "melanoma", "seborrheic_keratosis", "lentigo NOS", "unknown"]
    assert frame["patient_id"].nunique() == 3 and frame["lesion_id"].nunique() == 5
    assert frame["lesion_id"][0] == ("IL_0" if lesions else "ISIC_0000000") and (frame["age"] == 0).all()
    assert "target" not in frame and frame["benign_malignant"].tolist() == ["benign", "malignant", "benign", "benign", "benign"]
    assert any("put ISIC_2020_Training_Duplicates.csv beside" in note for note in records.notes)
    assert any("names no lesions" in note for note in records.notes) == (not lesions)
    assert any("a part of the official release, 5 of its 33,126 rows" in note for note in records.notes)
    write(tmp_path / "ISIC_2020_Training_Duplicates.csv", "image_name_1,image_name_2\nISIC_0000000,ISIC_0000004\n")
    assert any(f"name {tmp_path.name}/ISIC_2020_Training_Duplicates.csv in data.duplicates.pairs" in note
               for note in read("isic_2020", tmp_path).notes)


def test_isic_2020_needs_patients_and_natures(tmp_path):
    write(tmp_path / "train.csv", "image_name,diagnosis,benign_malignant\nISIC_1,nevus,benign\n")
    with pytest.raises(DataError, match="no column for patient_id"):
        read("isic_2020", tmp_path)
    write(tmp_path / "train.csv", "image_name,patient_id,diagnosis\nISIC_1,P,nevus\n")
    with pytest.raises(DataError, match="no column for nature; looked for benign_malignant"):
        read("isic_2020", tmp_path)
