"""ISIC 2020, the training part of the challenge: moles and melanomas of 2,056 patients."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
    name="isic_2020",
    title="ISIC 2020",
    folder="isic_2020",
    source="challenge.isic-archive.com/data, 2020, doi:10.34970/2020-ds01",
    citation="Rotemberg et al. 2021, A patient-centric dataset of images and metadata for identifying melanomas using clinical context, "
             "Scientific Data 8:34",
    licence="CC BY-NC 4.0",
    domain="dermoscopic",
    table=("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv"),
    columns={
        "image_id":   ("image_name", "image", "isic_id"),
        "patient_id": ("patient_id",),
        "lesion_id":  ("lesion_id",),
        "diagnosis":  ("diagnosis",),
        "nature":     ("benign_malignant",),
        "age":        ("age_approx",),
        "sex":        ("sex",),
        "site":       ("anatom_site_general_challenge", "anatom_site_general"),
    },
    required=("image_id", "patient_id", "diagnosis", "nature"),
    extras=("benign_malignant",),               # the column target says the same as 0 and 1
    diagnoses={"seborrheic keratosis": "seborrheic_keratosis", "solar lentigo": "solar_lentigo"},
    counts={                                    # rows, patients and melanomas as published; the rest as widely reported, not checked
        "rows": 33_126, "patients": 2_056, "diagnosis melanoma": 584, "benign_malignant malignant": 584,
        "diagnosis unknown": 27_124, "diagnosis nevus": 5_193, "diagnosis seborrheic_keratosis": 135,
    },
    layout="ISIC_2020_Training_GroundTruth_v2.csv with the images of ISIC_2020_Training_JPEG.zip anywhere below it",
    notes=(
        "The first table (without _v2) names no lesions.",
        "425 pairs are published as duplicates (ISIC_2020_Training_Duplicates.csv); data.duplicates.pairs reads such a list.",
    ),
    reader_notes=(
        "unknown means benign without a name: 27,124 images are called benign, but not what they are: a target and no condition.",
        "It has no dermatofibroma, basal or squamous cell carcinoma, actinic keratosis or vascular lesion.",
    ),
)
