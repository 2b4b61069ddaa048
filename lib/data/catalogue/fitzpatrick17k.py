"""Fitzpatrick17k: clinical images of two atlases under 114 labels, with skin types."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
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
    ),
    reader_notes=(
        "Patients are not named: every image counts as a patient of its own.",
        "The release holds addresses, not images: what was never fetched is counted as missing.",
    ),
)
