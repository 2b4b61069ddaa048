"""What every known data set is: where it lies, who made it, what may be done with it, how its columns are called.

Counts are those of the official release. They are compared when a source is read; a difference is a note, not an error,
because a reduced or corrected copy is often what a reader has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lib.names import look_up


@dataclass(frozen=True)
class DatasetInfo:
    """One data set, declared."""

    name:      str                                          # how a study names it
    title:     str
    folder:    str                                          # under DATA_ROOT, unless the study says otherwise
    source:    str                                          # where it is published
    citation:  str
    licence:   str
    domain:    str                                          # dermoscopic, clinical, smartphone, or "unknown"
    table:     tuple[str, ...]            = ()              # accepted names of the metadata file
    columns:   dict[str, tuple[str, ...]] = field(default_factory=dict)   # our column → every known spelling
    required:  tuple[str, ...]            = ()              # our columns without which nothing can be done
    extras:    tuple[str, ...]            = ()              # columns of the release that are kept under their own name
    diagnoses: dict[str, str]             = field(default_factory=dict)   # the data set's term → ours; others stay as they are
    mask_suffix: str | None               = None            # masks are called <image><suffix>.png
    counts:    dict[str, int]             = field(default_factory=dict)   # "rows", "patients", "lesions", "<column> <value>"
    local_ids: bool                       = False           # its patient numbers mean nothing outside its folder, and one person inside
    layout:    str                        = ""              # what the folder must look like, for error messages
    notes:     tuple[str, ...]            = ()


_HAM10000 = DatasetInfo(
    name="ham10000",
    title="HAM10000",
    folder="ham10000",
    source="Harvard Dataverse, doi:10.7910/DVN/DBW86T",
    citation="Tschandl, Rosendahl, Kittler 2018, The HAM10000 dataset, Scientific Data 5:180161",
    licence="CC BY-NC 4.0",
    domain="dermoscopic",
    table=("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab"),
    columns={
        "image_id":  ("image_id",),
        "lesion_id": ("lesion_id",),
        "diagnosis": ("dx",),
        "age":       ("age",),
        "sex":       ("sex",),
        "site":      ("localization",),
    },
    required=("image_id", "lesion_id", "diagnosis"),
    extras=("dx_type",),
    diagnoses={
        "nv":    "nevus",
        "mel":   "melanoma",
        "bkl":   "seborrheic_keratosis",
        "bcc":   "basal_cell_carcinoma",
        "akiec": "actinic_keratosis",
        "vasc":  "vascular",
        "df":    "dermatofibroma",
    },
    mask_suffix="_segmentation",
    counts={
        "rows": 10_015, "lesions": 7_470,
        "diagnosis nevus": 6_705, "diagnosis melanoma": 1_113, "diagnosis seborrheic_keratosis": 1_099,
        "diagnosis basal_cell_carcinoma": 514, "diagnosis actinic_keratosis": 327, "diagnosis vascular": 142,
        "diagnosis dermatofibroma": 115,
    },
    layout="HAM10000_metadata.csv beside HAM10000_images_part_1 and _part_2 and, optionally, a folder of *_segmentation.png masks",
    notes=(
        "Patients are not named: the lesion stands for the patient, so two lesions of one person may lie in two splits.",
        "akiec mixes actinic keratosis with in-situ squamous cell carcinoma (Bowen's disease); it is read as actinic_keratosis.",
        "bkl is benign keratosis (seborrheic keratosis, solar lentigo, lichen-planus-like keratosis), read as seborrheic_keratosis.",
        "No skin type was annotated. An age of 0 means unknown.",
    ),
)

_PAD_UFES_20 = DatasetInfo(
    name="pad_ufes_20",
    title="PAD-UFES-20",
    folder="pad_ufes_20",
    source="Mendeley Data, doi:10.17632/zr7vgbcyr2.1",
    citation="Pacheco et al. 2020, PAD-UFES-20: a skin lesion dataset composed of patient data and clinical images collected from "
             "smartphones, Data in Brief 32:106221",
    licence="CC BY 4.0",
    domain="smartphone",
    table=("metadata.csv",),
    columns={
        "image_id":   ("img_id",),
        "patient_id": ("patient_id",),
        "lesion_id":  ("lesion_id",),
        "diagnosis":  ("diagnostic",),
        "tone":       ("fitspatrick", "fitzpatrick"),       # the release spells it with an s
        "age":        ("age",),
        "sex":        ("gender",),
        "site":       ("region",),
    },
    required=("image_id", "patient_id", "lesion_id", "diagnosis", "tone"),
    extras=("biopsed", "diameter_1", "diameter_2"),
    diagnoses={
        "ACK": "actinic_keratosis",
        "BCC": "basal_cell_carcinoma",
        "MEL": "melanoma",
        "NEV": "nevus",
        "SCC": "squamous_cell_carcinoma",
        "SEK": "seborrheic_keratosis",
    },
    mask_suffix="_mask",
    counts={
        "rows": 2_298, "patients": 1_373, "lesions": 1_891,             # keyed on the patient; 1,641 bare lesion numbers
        "diagnosis basal_cell_carcinoma": 845, "diagnosis actinic_keratosis": 730, "diagnosis nevus": 244,
        "diagnosis seborrheic_keratosis": 235, "diagnosis squamous_cell_carcinoma": 192, "diagnosis melanoma": 52,
        "tone 1": 153, "tone 2": 876, "tone 3": 392, "tone 4": 62, "tone 5": 10, "tone 6": 1, "tone unknown": 804,
    },
    layout="metadata.csv beside a folder images (sub-folders imgs_part_1 … are fine) and, optionally, a folder of *_mask.png masks",
    notes=(
        "Lesions are keyed on patient and lesion together, because a lesion number may belong to several patients.",
        "The 804 rows without a skin type are the unbiopsied ACK, NEV and SEK: leaving them out shifts the share of every diagnosis.",
        "Squamous cell carcinoma includes Bowen's disease.",
    ),
)

_FITZPATRICK17K = DatasetInfo(
    name="fitzpatrick17k",
    title="Fitzpatrick17k",
    folder="fitzpatrick17k",
    source="github.com/mattgroh/fitzpatrick17k",
    citation="Groh et al. 2021, Evaluating deep neural networks trained on clinical images in dermatology with the Fitzpatrick 17k "
             "dataset, arXiv 2104.09957",
    licence="CC BY-NC-SA 3.0",
    domain="clinical",
    table=("fitzpatrick17k.csv",),
    columns={
        "image_id":  ("md5hash",),
        "diagnosis": ("label",),
        "tone":      ("fitzpatrick_scale", "fitzpatrick"),
    },
    required=("image_id", "diagnosis", "tone"),
    extras=("three_partition_label", "nine_partition_label", "fitzpatrick_centaur", "qc"),
    counts={
        "rows": 16_577, "diagnoses": 114,
        "tone 1": 2_947, "tone 2": 4_808, "tone 3": 3_308, "tone 4": 2_781, "tone 5": 1_533, "tone 6": 635, "tone unknown": 565,
        "three_partition_label non-neoplastic": 12_080, "three_partition_label malignant": 2_263, "three_partition_label benign": 2_234,
    },
    layout="fitzpatrick17k.csv with the images <md5hash>.jpg anywhere below it",
    notes=(
        "Its 114 labels are kept as they are; a study maps them, or uses three_partition_label or nine_partition_label.",
        "Patients are not named: every image counts as a patient of its own.",
        "The release holds addresses, not images: what was never fetched is counted as missing.",
    ),
)

_IMAGE_FOLDER = DatasetInfo(
    name="image_folder",
    title="A folder of images",
    folder="image_folder",
    source="your own images",
    citation="",
    licence="not stated",
    domain="unknown",
    columns={
        "file":       ("file", "file_name", "filename", "path", "image_path", "image"),
        "diagnosis":  ("diagnosis", "label", "class", "dx"),
        "image_id":   ("image_id",),
        "patient_id": ("patient_id", "patient"),
        "lesion_id":  ("lesion_id", "lesion"),
        "tone":       ("tone", "fitzpatrick_scale", "fitzpatrick", "fitspatrick"),
        "domain":     ("domain",),
        "mask":       ("mask", "mask_path"),
        "age":        ("age",),
        "sex":        ("sex", "gender"),
        "site":       ("site", "localization", "region"),
    },
    required=("file", "diagnosis"),
    mask_suffix="_mask",
    local_ids=True,
    layout="one folder per diagnosis with its images, or a CSV named by `table` with a file column and a diagnosis column",
)

_PHANTOM = DatasetInfo(
    name="phantom",
    title="Phantoms",
    folder="phantom",
    source="drawn by lib/phantom",
    citation="",
    licence="Apache-2.0",
    domain="unknown",
    table=("metadata.csv",),
    columns={
        "image_id":   ("image_id",),
        "file":       ("file",),
        "diagnosis":  ("diagnosis",),
        "tone":       ("tone",),
        "patient_id": ("patient_id",),
        "lesion_id":  ("lesion_id",),
        "domain":     ("domain",),
        "mask":       ("mask", "mask_file"),
    },
    required=("image_id", "file", "diagnosis", "tone", "patient_id", "lesion_id", "domain"),
    mask_suffix="_mask",
    layout="metadata.csv with the images and masks it names, as lib.phantom.world.write_dataset makes them",
    notes=("Drawn by a model, not photographed: nothing measured on them is a statement about people.",),
)

INFO: dict[str, DatasetInfo] = {info.name: info for info in (_HAM10000, _PAD_UFES_20, _FITZPATRICK17K, _IMAGE_FOLDER, _PHANTOM)}


def find_info(name: str) -> DatasetInfo:
    """The data set called `name`. ValueError lists the known ones."""
    return look_up("data set", name, INFO)
