"""A folder of images of your own."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
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
