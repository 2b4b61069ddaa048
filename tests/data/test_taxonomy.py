"""From diagnoses to conditions and targets: tables, keyword rules, the study's words, policies; Fitzpatrick17k's real labels."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from lib.data.conditions import CONDITIONS, NATURES, check_conditions
from lib.data.diagnosis_tables import TABLES
from lib.data.errors import DataError
from lib.data.info import INFO
from lib.data.intake import take_in
from lib.data.keyword_rules import RULES, first_rule
from lib.data.mapping import empty_classes, label_rows, unused_values
from lib.data.policies import compare_policies, policy_remarks
from lib.data.records import Records
from lib.data.sources import read_records
from lib.data.taxonomy import classify, covers, describe_disagreements, disagreements, keyword_hits
from lib.study import Groups, Labels, Source

BINARY = {"malignant": ["malignant"], "benign": ["benign"]}
# The 78 diseases of DDI (Daneshjou et al. 2022), and whether its column `malignant` says so.
_MALIGNANT = """melanoma-in-situ mycosis-fungoides squamous-cell-carcinoma-in-situ basal-cell-carcinoma squamous-cell-carcinoma
    melanoma-acral-lentiginous basal-cell-carcinoma-superficial squamous-cell-carcinoma-keratoacanthoma subcutaneous-t-cell-lymphoma
    basal-cell-carcinoma-nodular kaposi-sarcoma metastatic-carcinoma melanoma nodular-melanoma-(nm) leukemia-cutis sebaceous-carcinoma
    blastic-plasmacytoid-dendritic-cell-neoplasm"""
_OTHERS = """melanocytic-nevi seborrheic-keratosis-irritated focal-acral-hyperkeratosis hyperpigmentation lipoma foreign-body-granuloma
    blue-nevus verruca-vulgaris acrochordon wart epidermal-nevus abrasions-ulcerations-and-physical-injuries epidermal-cyst
    acquired-digital-fibrokeratoma seborrheic-keratosis trichilemmoma pyogenic-granuloma neurofibroma syringocystadenoma-papilliferum
    nevus-lipomatosus-superficialis benign-keratosis inverted-follicular-keratosis onychomycosis dermatofibroma trichofolliculoma
    lymphocytic-infiltrations prurigo-nodularis scar eccrine-poroma angioleiomyoma keloid hematoma angioma folliculitis
    atypical-spindle-cell-nevus-of-reed xanthogranuloma eczema-spongiotic-dermatitis arteriovenous-hemangioma acne-cystic
    verruciform-xanthoma molluscum-contagiosum condyloma-accuminatum morphea neuroma dysplastic-nevus actinic-keratosis
    pigmented-spindle-cell-nevus-of-reed dermatomyositis glomangioma cellular-neurothekeoma fibrous-papule graft-vs-host-disease
    lichenoid-keratosis reactive-lymphoid-hyperplasia coccidioidomycosis chondroid-syringoma tinea-pedis solar-lentigo
    clear-cell-acanthoma abscess acral-melanotic-macule"""
DDI_MALIGNANT, DDI_OTHERS = _MALIGNANT.split(), _OTHERS.split()


def records_of(dataset, diagnoses, name=None, **columns):
    """Rows of a data set as its adapter would give them, without a folder."""
    n = len(diagnoses)
    title = name or dataset
    frame = pd.DataFrame({
        "image_id": [f"{title}{i}" for i in range(n)], "file": [f"{i}.jpg" for i in range(n)], "dataset": title, "domain": "clinical",
        "diagnosis": diagnoses, "tone": pd.array([None] * n, dtype="Int8"), "patient_id": [f"p{i}" for i in range(n)],
        "lesion_id": [f"l{i}" for i in range(n)], "mask": None, "age": None, "sex": None, "site": None, **columns})
    return Records(title, INFO[dataset], None, frame, pd.DataFrame())


def labels_of(column="target", classes=None, **options):
    return Labels(column=column, classes=classes or BINARY, **options)


def labels_in(marks):
    """The labels of label_rows, None where there is none."""
    return [None if pd.isna(label) else label for label in marks["label"]]


def one(dataset, diagnosis, labels=None, **columns):
    """(condition, nature) of one row."""
    record = records_of(dataset, [diagnosis], **{name: [value] for name, value in columns.items()})
    row = classify([record], labels or labels_of())[0].iloc[0]
    return row["condition"], row["nature"]


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────

def test_tables_speak_of_known_conditions():
    for table in TABLES.values():
        for meaning in table.values():
            assert meaning.condition in (None, *CONDITIONS)
            assert meaning.nature in (None, "malignant", "benign", "non_neoplastic", "actinic_keratosis")
            assert meaning.condition or meaning.why, "what is left out has a reason"
            if meaning.condition not in (None, "other"):
                assert meaning.nature == NATURES[meaning.condition]
    assert len(CONDITIONS) == 10


@pytest.mark.parametrize("dataset", ["ham10000", "pad_ufes_20", "isic_2019"])
def test_every_declared_diagnosis_has_a_condition(dataset):
    assert set(INFO[dataset].diagnoses.values()) == set(TABLES[dataset])


def test_phantoms_are_called_as_conditions_are():
    from lib.phantom.lesions import DIAGNOSES
    for diagnosis in DIAGNOSES:
        assert one("phantom", diagnosis) == (diagnosis, NATURES[diagnosis])


@pytest.mark.parametrize(("diagnosis", "condition", "nature"), [
    ("melanoma", "melanoma", "malignant"), ("Melanoma, NOS", "melanoma", "malignant"), ("Melanoma in situ", "melanoma", "malignant"),
    ("melanoma_metastasis", "melanoma", "malignant"),
    ("Squamous cell carcinoma in situ, Bowens disease", "squamous_cell_carcinoma", "malignant"),
    ("Nevus, NOS, Dermal", "nevus", "benign"), ("solar_lentigo", "seborrheic_keratosis", "benign"),
    ("scar", "non_neoplastic", "non_neoplastic"),
    ("actinic_keratosis", "actinic_keratosis", "actinic_keratosis"), ("Benign - Other", "other", "benign"),
    ("Collision - At least one malignant proliferation", "other", "malignant"), ("Malignant", None, "malignant"),
    ("Atypical melanocytic neoplasm", None, None)])
def test_bcn20000(diagnosis, condition, nature):
    assert one("bcn20000", diagnosis) == (condition, nature)


@pytest.mark.parametrize(("diagnosis", "flag", "condition", "nature"), [
    ("unknown", "benign", None, "benign"), ("unknown", "malignant", None, "malignant"), ("nevus", "benign", "nevus", "benign"),
    ("melanoma", "malignant", "melanoma", "malignant"), ("lentigo NOS", "benign", "other", "benign"),
    ("lichenoid keratosis", "benign", "seborrheic_keratosis", "benign"), ("atypical melanocytic proliferation", "benign", None, "benign"),
    ("cafe-au-lait macule", "benign", "other", "benign"), ("unknown", None, None, None)])
def test_isic_2020_has_a_target_where_it_has_no_condition(diagnosis, flag, condition, nature):
    assert one("isic_2020", diagnosis, benign_malignant=flag) == (condition, nature)


@pytest.mark.parametrize(("diagnosis", "level", "nature"), [
    ("scar", "Benign", "non_neoplastic"), ("actinic_keratosis", "Indeterminate", "actinic_keratosis"), ("nevus", "Malignant", "malignant"),
    ("melanoma", "Benign", "benign"), ("melanoma", None, "malignant")])
def test_the_data_sets_own_word_counts_for_the_target(diagnosis, level, nature):
    assert one("bcn20000", diagnosis, diagnosis_1=level)[1] == nature


# ── keyword rules ────────────────────────────────────────────────────────────────────────────────────────────────

def test_all_diseases_of_ddi_are_read_and_agree_with_its_own_column():
    diagnoses = DDI_MALIGNANT + DDI_OTHERS
    assert len(set(diagnoses)) == len(diagnoses) == 78
    rows = classify([records_of("ddi", diagnoses, malignant=["True"] * len(DDI_MALIGNANT) + ["False"] * len(DDI_OTHERS))], labels_of())[0]
    assert rows["condition"].notna().all() and disagreements([rows]).empty
    assert (rows["nature"] == "malignant").tolist() == [True] * len(DDI_MALIGNANT) + [False] * len(DDI_OTHERS)
    assert rows["condition"].value_counts().to_dict() == {
        "non_neoplastic": 25, "other": 25, "seborrheic_keratosis": 6, "nevus": 5, "vascular": 5, "melanoma": 4, "basal_cell_carcinoma": 3,
        "squamous_cell_carcinoma": 3, "actinic_keratosis": 1, "dermatofibroma": 1}


@pytest.mark.parametrize(("label", "condition", "nature"), [
    ("epidermal-nevus", "other", "benign"), ("dysplastic-nevus", "nevus", "benign"), ("acne-cystic", "non_neoplastic", "non_neoplastic"),
    ("solid cystic basal cell carcinoma", "basal_cell_carcinoma", "malignant"),
    ("seborrheic dermatitis", "non_neoplastic", "non_neoplastic"), ("sarcoidosis", "non_neoplastic", "non_neoplastic"),
    ("neurofibromatosis", "non_neoplastic", "non_neoplastic"), ("neurofibroma", "other", "benign"),
    ("kaposi sarcoma", "other", "malignant"), ("merkel cell carcinoma", "other", "malignant"), ("lentigo maligna", "melanoma", "malignant"),
    ("nodular-melanoma-(nm)", "melanoma", "malignant"), ("porokeratosis actinic", "other", "benign"),
    ("PSORIASIS", "non_neoplastic", "non_neoplastic")])
def test_words_that_sound_alike(label, condition, nature):
    assert one("ddi", label) == (condition, nature)


def test_a_malignant_nevus_of_ddi_keeps_both_words():
    record = records_of("ddi", ["atypical-spindle-cell-nevus-of-reed", "actinic-keratosis"], malignant=["True", "False"])
    rows = classify([record], labels_of())
    assert rows[0][["condition", "nature"]].to_numpy().tolist() == [["nevus", "malignant"], ["actinic_keratosis", "actinic_keratosis"]]
    assert disagreements(rows)[["diagnosis", "worded", "nature", "images"]].to_numpy().tolist() == [
        ["atypical-spindle-cell-nevus-of-reed", "benign", "malignant", 1]]
    assert describe_disagreements(disagreements(rows)) == [
        "ddi: its own column decides the target, not the diagnosis, for atypical-spindle-cell-nevus-of-reed "
        "(1: malignant, by its name benign)"]
    assert unused_values([record], labels_of())[-1].startswith("ddi: its own column decides the target")


def test_no_keyword_stands_in_two_rules_and_none_is_dead():
    words = [word for rule in RULES for word in rule.keywords]
    assert len(set(words)) == len(words)
    assert all(first_rule(word) is not None for word in words)


def test_hits_list_every_rule_and_every_label():
    ddi = records_of("ddi", ["melanoma", "melanoma-in-situ", "melanoma", "wart", "stardust"])
    hits = keyword_hits([ddi, records_of("ham10000", ["nevus"])])
    assert hits.loc[hits["images"] > 0, ["rule", "diagnosis", "images"]].to_numpy().tolist() == [
        ["melanoma", "melanoma", 2], ["melanoma", "melanoma-in-situ", 1], ["infections and bites", "wart", 1], ["none", "stardust", 1]]
    assert set(hits["rule"]) == {*(rule.name for rule in RULES), "none"} and hits["images"].sum() == 5
    assert keyword_hits([records_of("ham10000", ["nevus"])]).empty


# ── the study's words ────────────────────────────────────────────────────────────────────────────────────────────

def test_diagnoses_without_a_word_are_listed_all_with_their_numbers():
    records = [records_of("ddi", ["stardust", "melanoma", "stardust", "moonlight"]), records_of("ham10000", ["nevus", "scc"])]
    with pytest.raises(DataError) as caught:
        label_rows(records, labels_of())
    text = str(caught.value)
    assert "ddi: stardust (2), moonlight (1); ham10000: scc (1)" in text and "labels.conditions" in text and "melanoma (" not in text
    assert "labels.conditions: {ddi: {<diagnosis>: other benign}}" in text and ", ".join(CONDITIONS) in text


def test_the_study_adds_and_overrides():
    record = records_of("ddi", ["stardust", "melanocytic-nevi", "wart"], malignant=["True", "True", "False"])
    labels = labels_of(conditions={"ddi": {"stardust": "other malignant", "melanocytic-nevi": "nevus", "wart": "other"}})
    assert classify([record], labels)[0][["condition", "nature"]].to_numpy().tolist() == [
        ["other", "malignant"], ["nevus", "benign"], ["other", "benign"]], "the study's word stands above the data set's column"


def test_other_without_malignant_or_benign_is_left_out_of_the_target():
    record = records_of("image_folder", ["lump", "mole"], name="mine")
    labels = labels_of(conditions={"mine": {"lump": "other", "mole": "nevus"}})
    marks = label_rows([record], labels)[0]
    assert labels_in(marks) == [None, "benign"] and marks["kind"][0] == "excluded"
    assert marks["reason"][0] == "mine: lump is called other, and neither the study nor the data set says whether it is malignant or benign"
    by_condition = labels_of("condition", {"other": ["other"], "nevus": ["nevus"]}, conditions=labels.conditions)
    assert labels_in(label_rows([record], by_condition)[0]) == ["other", "nevus"]


@pytest.mark.parametrize(("conditions", "message"), [
    ({"ddi": {"wart": "warts"}}, r"labels\.conditions\.ddi\.wart: no condition is called 'warts'; .*known: melanoma, basal_cell_carcinoma"),
    ({"ddi": {"unmet": "nevi"}}, r"labels\.conditions\.ddi\.unmet: no condition is called 'nevi'; did you mean nevus\?"),
])
def test_words_that_do_not_exist(conditions, message):
    with pytest.raises(DataError, match=message):
        label_rows([records_of("ddi", ["wart"])], labels_of(conditions=conditions))
    with pytest.raises(DataError, match=message):
        check_conditions(labels_of("diagnosis", conditions=conditions))


def test_words_that_exist_pass_the_check():
    check_conditions(labels_of(conditions={"mine": {name: name for name in (*CONDITIONS, "other benign", "other malignant")}}))
    check_conditions(labels_of())


def test_the_check_of_words_loads_no_tables():
    code = "import sys; import lib.data.conditions; assert not {'pandas', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_words_that_meet_no_row_are_noted():
    notes = unused_values([records_of("ddi", ["melanoma", "wart"])], labels_of(conditions={"ddi": {"stardust": "nevus"}}))
    assert notes == ["labels.conditions: no row of ddi has the diagnosis 'stardust'"]


# ── labels and policies ──────────────────────────────────────────────────────────────────────────────────────────

FOUR = ["melanoma", "nevus", "actinic_keratosis", "psoriasis"]


def four():
    return records_of("image_folder", FOUR, name="mine")


FOUR_WORDS = {"mine": {"melanoma": "melanoma", "nevus": "nevus", "actinic_keratosis": "actinic_keratosis", "psoriasis": "non_neoplastic"}}


@pytest.mark.parametrize(("ak", "non_neoplastic", "expected"), [
    ("malignant", "benign", ["malignant", "benign", "malignant", "benign"]),
    ("benign", "benign", ["malignant", "benign", "benign", "benign"]),
    ("exclude", "separate", ["malignant", "benign", None, "neither"]),
    ("malignant", "exclude", ["malignant", "benign", "malignant", None]),
])
def test_policies(ak, non_neoplastic, expected):
    classes = {**BINARY, **({"neither": ["non_neoplastic"]} if non_neoplastic == "separate" else {})}
    marks = label_rows([four()], labels_of(classes=classes, conditions=FOUR_WORDS, ak_policy=ak, non_neoplastic_policy=non_neoplastic))[0]
    assert labels_in(marks) == expected
    reasons = {2: "ak_policy excludes actinic keratosis", 3: "non_neoplastic_policy excludes disease that is no tumour"}
    for row, label in enumerate(expected):
        assert (marks["kind"][row], marks["reason"][row]) == ((None, None) if label else ("excluded", reasons[row]))


def test_policies_do_not_touch_conditions():
    classes = {name: [name] for name in ("melanoma", "nevus", "actinic_keratosis", "non_neoplastic")}
    labels = labels_of("condition", classes, conditions=FOUR_WORDS, ak_policy="exclude", non_neoplastic_policy="exclude")
    marks = label_rows([four()], labels)[0]
    assert labels_in(marks) == list(classes)


def test_conditions_that_no_class_names_are_an_error_and_can_be_excluded():
    classes = {"melanoma": ["melanoma"], "nevus": ["nevus"]}
    with pytest.raises(DataError, match=r"2 values of condition no class names: actinic_keratosis \(1\), non_neoplastic \(1\)"):
        label_rows([four()], labels_of("condition", classes, conditions=FOUR_WORDS))
    marks = label_rows([four()], labels_of("condition", classes, conditions=FOUR_WORDS, exclude=["actinic_keratosis", "non_neoplastic"]))[0]
    assert marks["reason"][2] == "condition actinic_keratosis is in labels.exclude"


def test_rows_without_a_diagnosis():
    marks = label_rows([records_of("ddi", ["", "wart"]), records_of("bcn20000", ["", "nevus"])], labels_of(classes=BINARY, exclude=[]))
    assert marks[0].loc[0, ["kind", "reason"]].tolist() == ["refused", "has no target"]
    assert marks[1].loc[0, ["kind", "reason"]].tolist() == ["excluded", "has no diagnosis in the release"]


def test_a_benign_lesion_without_a_name_has_no_condition():
    record = records_of("isic_2020", ["unknown", "nevus"], benign_malignant=["benign", "benign"])
    classes = {"nevus": ["nevus"], "melanoma": ["melanoma"]}
    marks = label_rows([record], labels_of("condition", classes))[0]
    assert labels_in(marks) == [None, "nevus"]
    assert marks.loc[0, ["kind", "reason"]].tolist() == ["excluded", "isic_2020: unknown is called benign, but not what it is"]
    assert label_rows([record], labels_of())[0]["label"].tolist() == ["benign", "benign"]
    named = labels_of("condition", classes, conditions={"isic_2020": {"unknown": "nevus"}})
    assert label_rows([record], named)[0]["label"].tolist() == ["nevus", "nevus"]


def test_a_column_of_ones_own_is_not_touched():
    wounds = records_of("image_folder", ["a", "b"], name="wounds", condition=["dry", "wet"], target=["heals", "does not"])
    assert label_rows([wounds], labels_of("condition", {"d": ["dry"], "w": ["wet"]}))[0]["label"].tolist() == ["d", "w"]
    assert label_rows([wounds], labels_of("target", {"h": ["heals"], "n": ["does not"]}))[0]["label"].tolist() == ["h", "n"]
    drawn = records_of("phantom", ["nevus", "melanoma"], target=["heals", "does not"])
    assert labels_in(label_rows([drawn], labels_of("target", {"h": ["heals"], "n": ["does not"]}))[0]) == ["h", "n"]
    named = labels_of("target", conditions={"wounds": {"a": "nevus", "b": "melanoma"}})
    assert labels_in(label_rows([wounds], named)[0]) == ["benign", "malignant"], "unless the study says what its diagnoses are"
    plain = records_of("image_folder", ["a", "b"], name="wounds")
    with pytest.raises(DataError, match=r"'condition', which wounds does not have; .*or name its diagnoses in labels\.conditions\.wounds"):
        label_rows([plain], labels_of("condition", {"d": ["dry"], "w": ["wet"]}))
    assert label_rows([plain], Labels(classes={"A": ["a"], "B": ["b"]}))[0]["label"].tolist() == ["A", "B"]


def test_a_class_without_images_names_what_there_is():
    record = records_of("ham10000", ["nevus", "melanoma"])
    labels = labels_of(classes={**BINARY, "neither": ["non_neoplastic"]})
    with pytest.raises(DataError, match=r"class 'neither' has no image: no row has target 'non_neoplastic'; there are .*malignant \(1\)"):
        empty_classes(pd.Series(["malignant", "benign"]), [record], labels, limited=False)


def test_ddi_and_ham_come_in_under_one_target(tmp_path, builders):
    builders["build_ham10000"](tmp_path / "ham10000")
    builders["draw_jpeg"](tmp_path / "ddi" / "000001.png", 9_001)
    builders["draw_jpeg"](tmp_path / "ddi" / "000002.png", 9_002)
    (tmp_path / "ddi" / "ddi_metadata.csv").write_text(
        "DDI_ID,DDI_file,skin_tone,malignant,disease\n1,000001.png,56,TRUE,mycosis-fungoides\n2,000002.png,12,FALSE,wart\n")
    sources = [Source(dataset="ham10000"), Source(dataset="ddi", role="test_only")]
    intake = take_in(sources, labels_of(ak_policy="exclude"), Groups(), {name: tmp_path / name for name in ("ham10000", "ddi")})
    account = intake.account.set_index("dataset")
    assert account.loc["ham10000", ["listed", "excluded", "used"]].tolist() == [56, 8, 48]
    assert set(intake.quarantine["reason"]) == {"ak_policy excludes actinic keratosis"}
    ddi = intake.samples[intake.samples["dataset"] == "ddi"].set_index("image_id")
    assert ddi["label"].to_dict() == {"DDI_000001": "malignant", "DDI_000002": "benign"}
    assert ddi["group"].to_dict() == {"DDI_000001": "V–VI", "DDI_000002": "I–II"} and ddi["tone"].isna().all()


# ── every reading side by side ───────────────────────────────────────────────────────────────────────────────────

def test_policies_compared_by_hand():
    record = records_of("ddi", ["melanoma", "actinic-keratosis", "wart", "blue-nevus", "psoriasis"],
                        tone_group=["I–II", "I–II", "V–VI", None, "I–II"], malignant=["True", "False", "False", "False", "False"])
    table = compare_policies([record], labels_of(non_neoplastic_policy="separate")).set_index(["question", "policy", "group"])
    assert list(table.index.get_level_values("group").unique()) == ["all", "I–II", "V–VI", "unknown"]
    counts = ["images", "malignant", "benign", "non_neoplastic", "left_out"]
    everybody = table.xs("all", level="group")[counts]
    assert everybody.loc[("non-neoplastic", "exclude")].tolist() == [3, 2, 1, 0, 2]
    assert everybody.loc[("non-neoplastic", "separate")].tolist() == [5, 2, 1, 2, 0]
    assert everybody.loc[("non-neoplastic", "benign")].tolist() == [5, 2, 3, 0, 0]
    assert everybody.loc[("actinic keratosis", "malignant")].tolist() == [5, 2, 1, 2, 0]
    assert everybody.loc[("actinic keratosis", "benign")].tolist() == [5, 1, 2, 2, 0]
    assert everybody.loc[("actinic keratosis", "exclude")].tolist() == [4, 1, 1, 2, 1]
    nobody = table.loc[("non-neoplastic", "exclude", "V–VI")]
    assert nobody["images"] == 0 and pd.isna(nobody["malignant_share"])
    assert table.loc[("non-neoplastic", "benign", "I–II"), "malignant_share"] == pytest.approx(2 / 3)
    assert table["chosen"].xs("all", level="group").tolist() == [False, True, False, True, False, False]
    parts = table.drop("all", level="group").groupby(level=[0, 1])[counts].sum()
    pd.testing.assert_frame_equal(parts.sort_index(), everybody.sort_index())


def test_what_a_policy_cannot_keep_apart_is_said():
    remarks = policy_remarks([records_of("ham10000", ["nevus"], name="vienna"), records_of("ddi", ["melanoma"])])
    assert len(remarks) == 1 and remarks[0].startswith("vienna: akiec mixes actinic keratosis with Bowen's disease")
    assert "carcinoma in situ is counted as benign, too" in remarks[0]


def test_policies_count_images_that_are_here():
    record = records_of("ham10000", ["melanoma", "nevus"], file=["a.jpg", None])
    assert compare_policies([record], labels_of())["images"].max() == 1
    assert compare_policies([record], labels_of(), listed=True)["images"].max() == 2


def test_policies_where_the_taxonomy_has_no_say():
    mine = records_of("image_folder", ["wound"], name="mine")
    assert not covers(mine, labels_of()) and compare_policies([mine], Labels(classes={"a": ["wound"], "b": ["x"]})) is None
    assert compare_policies([records_of("ham10000", ["nevus"]), mine], labels_of()) is None
    strange = records_of("ddi", ["stardust"])
    assert compare_policies([strange], Labels(classes={"a": ["stardust"], "b": ["x"]})) is None
    with pytest.raises(DataError, match="stardust"):
        compare_policies([strange], labels_of())
    named = labels_of(conditions={"mine": {"wound": "non_neoplastic"}})
    assert compare_policies([mine], named, Groups(column="clinic"))["group"].unique().tolist() == ["all"]


# ── the real labels ──────────────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture
def fitzpatrick(real_data):
    return read_records(Source(dataset="fitzpatrick17k"), real_data / INFO["fitzpatrick17k"].folder)


def test_fitzpatrick17k_all_114_labels(fitzpatrick):
    rows = classify([fitzpatrick], labels_of())
    assert rows[0].groupby("condition")["diagnosis"].agg(["size", "nunique"]).T.to_dict("list") == {
        "actinic_keratosis": [175, 1], "basal_cell_carcinoma": [596, 3], "dermatofibroma": [79, 1], "melanoma": [573, 4], "nevus": [236, 3],
        "non_neoplastic": [12_250, 80], "other": [1_545, 15], "seborrheic_keratosis": [69, 1], "squamous_cell_carcinoma": [581, 1],
        "vascular": [473, 5]}
    assert rows[0]["nature"].value_counts().to_dict() == {
        "non_neoplastic": 12_080, "benign": 2_234, "malignant": 2_263 - 175, "actinic_keratosis": 175}, "as three_partition_label has it"
    assert disagreements(rows)[["diagnosis", "worded", "nature", "images"]].to_numpy().tolist() == [
        ["prurigo nodularis", "non_neoplastic", "benign", 170]]
    other = rows[0][rows[0]["condition"] == "other"]
    assert set(other.loc[other["nature"] == "malignant", "diagnosis"]) == {"mycosis fungoides", "kaposi sarcoma"}


def test_fitzpatrick17k_under_the_three_readings(fitzpatrick):
    table = compare_policies([fitzpatrick], labels_of(), listed=True).query("group == 'all'").set_index(["question", "policy"])
    assert table.loc[("non-neoplastic", "benign"), ["images", "malignant"]].tolist() == [16_577, 2_263]
    assert table.loc[("non-neoplastic", "exclude"), ["images", "malignant"]].tolist() == [4_497, 2_263]
    assert table.loc[("actinic keratosis", "benign"), ["images", "malignant"]].tolist() == [16_577, 2_088]
    assert table.loc[("actinic keratosis", "exclude"), ["images", "malignant"]].tolist() == [16_402, 2_088]


def test_fitzpatrick17k_every_rule_and_label(fitzpatrick):
    hits = keyword_hits([fitzpatrick])
    assert hits["images"].sum() == 16_577 and hits["diagnosis"].nunique() == 114 and "none" not in set(hits["rule"])


@pytest.mark.parametrize("dataset", ["ham10000", "pad_ufes_20"])
def test_real_tables_have_a_word_for_everything(real_data, dataset):
    rows = classify([read_records(Source(dataset=dataset), real_data / INFO[dataset].folder)], labels_of())[0]
    assert rows["condition"].notna().all() and disagreements([rows]).empty
