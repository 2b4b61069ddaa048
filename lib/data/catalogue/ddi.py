"""DDI, Diverse Dermatology Images: clinical photographs with biopsied diagnoses and groups of skin types."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
    name="ddi",
    title="DDI (Diverse Dermatology Images)",
    folder="ddi",
    source="Stanford AIMI, ddi-dataset.github.io",
    citation="Daneshjou et al. 2022, Disparities in dermatology AI performance on a diverse, curated clinical image set, "
             "Science Advances 8(31):eabq6147",
    licence="Stanford University Dataset Research Use Agreement: non-commercial research, no passing on, access on request",
    domain="clinical",
    table=("ddi_metadata.csv",),
    columns={
        "number":     ("DDI_ID",),
        "file":       ("DDI_file",),
        "diagnosis":  ("disease",),
        "malignant":  ("malignant", "malignancy(malig=1)"),
        "tone_group": ("skin_tone",),
    },
    required=("file", "diagnosis", "malignant", "tone_group"),
    counts={
        "rows": 656, "diagnoses": 78, "malignant True": 171, "malignant False": 485,
        "tone_group I–II": 208, "tone_group III–IV": 241, "tone_group V–VI": 207,
    },
    layout="ddi_metadata.csv with the images <number>.png anywhere below it",
    notes=(
        "It is small, biopsied and balanced over skin tones: made to judge a classifier, not to train one.",
    ),
    reader_notes=(
        "Skin tone is a pair of Fitzpatrick types (12, 34, 56), never a single type: it is kept as tone_group, and tone stays unknown.",
        "Patients are not named although some have several images: every image counts as a patient of its own.",
        "actinic-keratosis is marked benign, atypical-spindle-cell-nevus-of-reed malignant; both as released.",
    ),
)
