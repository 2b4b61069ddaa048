"""How the ISIC Archive and its challenges call a diagnosis, and how we do."""

from __future__ import annotations

CODES = {               # ISIC 2019, and BCN20000 on Figshare
    "MEL":  "melanoma",
    "NV":   "nevus",
    "BCC":  "basal_cell_carcinoma",
    "AK":   "actinic_keratosis",
    "BKL":  "seborrheic_keratosis",
    "DF":   "dermatofibroma",
    "VASC": "vascular",
    "SCC":  "squamous_cell_carcinoma",
    "UNK":  "unknown",
}
NAMES = {               # the archive's hierarchy and its older single column, without ", NOS" and in small letters
    "melanoma":                    "melanoma",
    "melanoma metastasis":         "melanoma_metastasis",
    "nevus":                       "nevus",
    "melanocytic nevus":           "nevus",
    "basal cell carcinoma":        "basal_cell_carcinoma",
    "squamous cell carcinoma":     "squamous_cell_carcinoma",
    "solar or actinic keratosis":  "actinic_keratosis",
    "actinic keratosis":           "actinic_keratosis",
    "seborrheic keratosis":        "seborrheic_keratosis",
    "pigmented benign keratosis":  "seborrheic_keratosis",
    "solar lentigo":               "solar_lentigo",
    "dermatofibroma":              "dermatofibroma",
    "scar":                        "scar",
    "vascular lesion":             "vascular",
    "benign soft tissue proliferations - vascular": "vascular",
}


def plain_term(term: str) -> str:
    """A term in small letters without "NOS" (not otherwise specified) at its end: "Melanoma, NOS" and "melanoma NOS" are melanoma."""
    text = " ".join(term.lower().split())
    return text.removesuffix(" nos").removesuffix(",")
