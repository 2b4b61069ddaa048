"""HAM10000: dermoscopic images from Vienna and Queensland."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
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
    reader_notes=(
        "Patients are not named: the lesion stands for the patient, so two lesions of one person may lie in two splits.",
        "bkl is benign keratosis (seborrheic keratosis, solar lentigo, lichen-planus-like keratosis), read as seborrheic_keratosis.",
        "No skin type was annotated. An age of 0 means unknown.",
    ),
    policy_notes=(
        "akiec mixes actinic keratosis with Bowen's disease (squamous cell carcinoma in situ) and is read as actinic keratosis as a whole, "
        "so wherever actinic keratosis is counted as benign, carcinoma in situ is counted as benign, too.",
    ),
)
