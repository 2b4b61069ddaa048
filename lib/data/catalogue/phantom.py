"""Phantoms, drawn by lib/phantom."""

from __future__ import annotations

from lib.data.catalogue.entry import DatasetInfo

ENTRY = DatasetInfo(
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
    reader_notes=("Drawn by a model, not photographed: nothing measured on them is a statement about people.",),
)
