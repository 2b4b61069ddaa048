"""BCN20000: dermoscopic images from Barcelona, as the ISIC Archive or Figshare hands them out."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo
from lib.data.catalogue.isic_terms import CODES, NAMES

ENTRY = DatasetInfo(
    name="bcn20000",
    title="BCN20000",
    folder="bcn20000",
    source="ISIC Archive, collection 249, or Figshare, doi:10.6084/m9.figshare.24140028",
    citation="Hernández-Pérez et al. 2024, BCN20000: dermoscopic lesions in the wild, Scientific Data 11:641",
    licence="CC BY-NC 4.0 (the column copyright_license says it image by image)",
    domain="dermoscopic",
    table=("metadata.csv", "bcn20000_metadata*.csv", "bcn_20k_train.csv"),      # the archive puts the day into the name
    columns={
        "image_id":   ("isic_id", "bcn_filename", "image", "image_name"),
        "lesion_id":  ("lesion_id",),
        "patient_id": ("patient_id",),
        "diagnosis":  ("diagnosis", "dx"),
        "age":        ("age_approx", "age"),
        "sex":        ("sex",),
        "site":       ("anatom_site_general", "anatom_site_1", "anatom_site_special"),
    },
    required=("image_id",),
    extras=("diagnosis_1", "diagnosis_2", "diagnosis_3", "diagnosis_4", "diagnosis_5", "benign_malignant", "diagnosis_confirm_type",
            "image_type", "attribution", "copyright_license", "capture_date"),
    diagnoses={**CODES, **NAMES},
    counts={            # of the archive's layout; patients and lesions could not be checked and are left out
        "rows": 18_946,
        "diagnosis nevus": 5_647, "diagnosis melanoma": 4_003, "diagnosis basal_cell_carcinoma": 3_676,
        "diagnosis seborrheic_keratosis": 1_268, "diagnosis actinic_keratosis": 1_088, "diagnosis melanoma_metastasis": 633,
        "diagnosis squamous_cell_carcinoma": 559, "diagnosis scar": 314, "diagnosis solar_lentigo": 283,
        "diagnosis dermatofibroma": 168, "diagnosis vascular": 151,
    },
    layout="the ISIC Archive's metadata.csv (or Figshare's bcn_20k_train.csv) with the images anywhere below it",
    notes=(
        "Most of it is in ISIC 2019.",
    ),
    reader_notes=(
        "1,156 images of the archive have no diagnosis: they were the test of a challenge and their answers are withheld.",
        "diagnosis is the most detailed of diagnosis_1 to diagnosis_5 whose word is known; vascular lesions have none beyond diagnosis_2.",
        "Figshare's table calls solar lentigo and seborrheic keratosis both BKL, read as seborrheic_keratosis.",
    ),
)
