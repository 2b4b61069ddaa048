"""What each data set's diagnoses stand for, and which of its columns says how malignant a lesion is.

Keys are the diagnoses as the adapters give them. What no table (here), no rule (`keyword_rules`) and no study names is an error.
"""

from __future__ import annotations

from lib.data.catalogue.isic_terms import CODES, NAMES, plain_term
from lib.data.conditions import BENIGN, CONDITIONS, MALIGNANT, NON_NEOPLASTIC, OTHER, OTHER_BENIGN, OTHER_MALIGNANT, Meaning, mean
from lib.data.info import INFO

NOT_MALIGNANT = "not malignant"         # a column's word where it does not tell benign tumours from other disease

_BY_NAME = {name: mean(name) for name in CONDITIONS if name != OTHER}
_UNCERTAIN = Meaning(None, None, "is neither clearly benign nor clearly malignant")
_BENIGN_OF_A_KIND = Meaning(None, BENIGN, "names a family of benign growths, but not which")
_MALIGNANT_OF_A_KIND = Meaning(None, MALIGNANT, "names a family of malignant growths, but not which")
_WITHHELD = Meaning(None, None, "has no diagnosis in the release")


_ADNEXAL, _SOFT = ("follicular", "sebaceous", "apocrine or eccrine"), ("fibro-histiocytic", "neural", "lipomatous")


def _all(meaning: Meaning, *terms: str) -> dict[str, Meaning]:
    return dict.fromkeys(terms, meaning)


# The ISIC Archive's finer terms, in small letters and without NOS at the end (see isic_terms.plain_term).
_ARCHIVE = {
    **{ours: _BY_NAME[ours] for ours in (*CODES.values(), *NAMES.values()) if ours in _BY_NAME},
    **_all(mean("melanoma"), "melanoma_metastasis", "melanoma in situ", "melanoma invasive", "lentigo maligna"),
    **_all(mean("squamous_cell_carcinoma"), "squamous cell carcinoma in situ", "squamous cell carcinoma in situ, bowens disease",
           "squamous cell carcinoma, invasive", "keratoacanthoma"),
    **_all(OTHER_MALIGNANT, "collision - at least one malignant proliferation", "merkel cell carcinoma", "kaposi sarcoma"),
    **_all(mean("nevus"), "blue nevus", *(f"nevus, {kind}" for kind in (
        "acral", "nos, compound", "nos, dermal", "nos, junctional", "congenital", "combined", "recurrent or persistent", "spitz", "reed",
        "balloon cell", "spilus", "bap-1 deficient"))),
    **_all(mean("seborrheic_keratosis"), "solar_lentigo", "lichen planus like keratosis", "lichenoid keratosis", "ink-spot lentigo"),
    **_all(mean("vascular"), "hemangioma", "hemangioma, hobnail", "angioma", "angiokeratoma", "pyogenic granuloma"),
    **_all(mean("non_neoplastic"), "scar", "inflammatory or infectious diseases", "molluscum", "verruca", "juvenile xanthogranuloma",
           "exogenous"),
    **_all(OTHER_BENIGN, "benign - other", "collision - only benign proliferations",
           "clear cell acanthoma", "porokeratosis", "mucosal melanotic macule", "sebaceous hyperplasia", "trichoblastoma",
           "infundibular or epidermal cyst", "supernumerary nipple", "mastocytosis", "acrochordon", "fibroepithelial polyp", "angiofibroma",
           "neurofibroma", "lipoma", "lentigo", "lentigo simplex", "cafe-au-lait macule"),
    # Families of diagnosis_2: what is benign or malignant in them is certain, which of the ten conditions it is mostly not.
    **_all(mean("melanoma"), "malignant melanocytic proliferations (melanoma)"),
    **_all(_MALIGNANT_OF_A_KIND, "malignant epidermal proliferations",
           *(f"malignant adnexal epithelial proliferations - {kind}" for kind in _ADNEXAL),
           *(f"malignant soft tissue proliferations - {kind}" for kind in (*_SOFT, "vascular"))),
    **_all(_BENIGN_OF_A_KIND, "benign melanocytic proliferations", "benign epidermal proliferations",
           *(f"benign adnexal epithelial proliferations - {kind}" for kind in _ADNEXAL),
           *(f"benign soft tissue proliferations - {kind}" for kind in _SOFT)),
    **_all(_UNCERTAIN, "indeterminate", "indeterminate melanocytic proliferations", "indeterminate epidermal proliferations",
           "atypical melanocytic neoplasm", "atypical intraepithelial melanocytic proliferation", "atypical melanocytic proliferation"),
    "benign":    Meaning(None, BENIGN, "is called benign, but not what it is"),
    "malignant": Meaning(None, MALIGNANT, "is called malignant, but not what it is"),
    "unknown":   Meaning(None, None, "is called unknown"),
    "":          _WITHHELD,
}

TABLES: dict[str, dict[str, Meaning]] = {
    "phantom":     _BY_NAME,
    "ham10000":    {name: _BY_NAME[name] for name in INFO["ham10000"].diagnoses.values()},
    "pad_ufes_20": {name: _BY_NAME[name] for name in INFO["pad_ufes_20"].diagnoses.values()},
    "bcn20000":    _ARCHIVE,
    "isic_2019":   {**{name: _BY_NAME[name] for name in CODES.values() if name != "unknown"},
                    "unknown": Meaning(None, None, "is of none of the challenge's classes (UNK)")},
    "isic_2020":   {
        **_all(OTHER_BENIGN, "lentigo", "cafe-au-lait macule"),
        **{name: _ARCHIVE[name] for name in ("melanoma", "nevus", "seborrheic_keratosis", "solar_lentigo", "lichenoid keratosis",
                                             "atypical melanocytic proliferation")},
        # 27,124 images. They are benign by the data set's own column, so they have a target; what they are nobody wrote down.
        "unknown": Meaning(None, None, "is called benign, but not what it is"),
    },
}
RULED = ("ddi", "fitzpatrick17k")       # data sets read by keyword_rules

# Data set → columns that say how malignant a lesion is (the first present counts), each with its words.
NATURE_COLUMNS: dict[str, dict[str, dict[str, str]]] = {
    "ddi":            {"malignant": {"True": MALIGNANT, "False": NOT_MALIGNANT}},
    "fitzpatrick17k": {"three_partition_label": {"malignant": MALIGNANT, "benign": BENIGN, "non-neoplastic": NON_NEOPLASTIC}},
    "bcn20000":       {"diagnosis_1":      {"Malignant": MALIGNANT, "Benign": NOT_MALIGNANT},
                       "benign_malignant": {"malignant": MALIGNANT, "benign": NOT_MALIGNANT}},
    "isic_2020":      {"benign_malignant": {"malignant": MALIGNANT, "benign": NOT_MALIGNANT}},
}


def from_table(dataset: str, diagnosis: str) -> Meaning | None:
    """What a data set's table says of a diagnosis, ", NOS" and capitals aside; None where it says nothing."""
    table = TABLES.get(dataset, {})
    return table.get(diagnosis) or table.get(plain_term(diagnosis))
