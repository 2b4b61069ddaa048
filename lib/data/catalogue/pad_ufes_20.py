"""PAD-UFES-20: smartphone images from Brazil, with skin types."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
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
        "rows": 2_298, "patients": 1_373, "lesions": 1_891,             # by patient and lesion number together; 1,641 lesion numbers
        "diagnosis basal_cell_carcinoma": 845, "diagnosis actinic_keratosis": 730, "diagnosis nevus": 244,
        "diagnosis seborrheic_keratosis": 235, "diagnosis squamous_cell_carcinoma": 192, "diagnosis melanoma": 52,
        "tone 1": 153, "tone 2": 876, "tone 3": 392, "tone 4": 62, "tone 5": 10, "tone 6": 1, "tone unknown": 804,
    },
    layout="metadata.csv beside a folder images (sub-folders imgs_part_1 … are fine) and, optionally, a folder of *_mask.png masks",
    reader_notes=(
        "The 804 rows without a skin type are the unbiopsied ACK, NEV and SEK: leaving them out shifts the share of every diagnosis.",
        "Squamous cell carcinoma includes Bowen's disease.",
    ),
)
