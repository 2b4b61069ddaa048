"""ISIC 2019, the training part of the challenge: HAM10000, much of BCN20000, and images of MSK in one."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo
from lib.data.catalogue.isic_terms import CODES

ENTRY = DatasetInfo(
    name="isic_2019",
    title="ISIC 2019",
    folder="isic_2019",
    source="challenge.isic-archive.com/data, 2019",
    citation="Tschandl et al. 2018 (HAM10000); Codella et al. 2018, arXiv 1710.05006; Combalia et al. 2019, arXiv 1908.02288 (BCN_20000)",
    licence="CC BY-NC 4.0",
    domain="dermoscopic",
    table=("ISIC_2019_Training_GroundTruth.csv",),
    columns={
        "image_id":  ("image", "image_name", "isic_id", "img_id"),
        "lesion_id": ("lesion_id",),
        "age":       ("age_approx", "age"),
        "sex":       ("sex",),
        "site":      ("anatom_site_general", "anatom_site_general_challenge"),
    },
    required=("image_id",),
    diagnoses=CODES,
    counts={            # rows as published; those by diagnosis as widely reported, not checked against the release
        "rows": 25_331,
        "diagnosis nevus": 12_875, "diagnosis melanoma": 4_522, "diagnosis basal_cell_carcinoma": 3_323,
        "diagnosis seborrheic_keratosis": 2_624, "diagnosis actinic_keratosis": 867, "diagnosis squamous_cell_carcinoma": 628,
        "diagnosis vascular": 253, "diagnosis dermatofibroma": 239,
    },
    layout="ISIC_2019_Training_GroundTruth.csv and ISIC_2019_Training_Metadata.csv beside a folder ISIC_2019_Training_Input",
    notes=(                     # the adapter shows the first two
        "It holds all of HAM10000 and much of BCN20000: pool it with either only under data.shared_images: first_source, which uses each "
        "shared image once.",
        "Patients are not named: the lesion stands for the patient, and an image without a lesion for itself.",
        "Some images are called <id>_downsampled; the id without that word is the ISIC Archive's.",
    ),
    reader_notes=(
        "bkl is benign keratosis (seborrheic keratosis, solar lentigo, lichen-planus-like keratosis), read as seborrheic_keratosis.",
    ),
)
