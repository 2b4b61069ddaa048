"""Ordered keyword rules for the two data sets whose labels are too many and too uneven for a table: DDI and Fitzpatrick17k.

A rule hits a label that has one of its keywords as whole words; the first rule that hits decides. A label that no rule hits is an
error, never "other". `lib.data.taxonomy.keyword_hits` lists what every rule hits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from lib.data.conditions import OTHER_BENIGN, OTHER_MALIGNANT, Meaning, mean


@dataclass(frozen=True)
class Rule:
    """Keywords that stand for one meaning."""

    name:     str                                   # for tables
    meaning:  Meaning
    keywords: tuple[str, ...]                       # whole words in small letters; hyphens and brackets of a label count as spaces
    pattern:  re.Pattern = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(r"\b(?:" + "|".join(map(re.escape, self.keywords)) + r")\b"))


RULES = (
    Rule("melanoma", mean("melanoma"), ("melanoma", "lentigo maligna")),
    Rule("basal cell carcinoma", mean("basal_cell_carcinoma"), ("basal cell carcinoma",)),
    Rule("squamous cell carcinoma, in situ and keratoacanthoma too", mean("squamous_cell_carcinoma"),
         ("squamous cell carcinoma", "keratoacanthoma", "bowen")),
    Rule("actinic keratosis", mean("actinic_keratosis"), ("actinic keratosis",)),
    Rule("other cancers", OTHER_MALIGNANT,
         ("mycosis fungoides", "lymphoma", "leukemia", "sarcoma", "carcinoma", "blastic plasmacytoid dendritic cell neoplasm")),
    Rule("called nevus, but not of pigment cells", OTHER_BENIGN,
         ("nevus sebaceous", "naevus comedonicus", "epidermal nevus", "becker nevus", "nevus lipomatosus")),
    Rule("nevus", mean("nevus"), ("nevus", "nevi", "naevus")),
    Rule("benign keratosis", mean("seborrheic_keratosis"),
         ("seborrheic keratosis", "benign keratosis", "inverted follicular keratosis", "lichenoid keratosis", "solar lentigo")),
    Rule("dermatofibroma", mean("dermatofibroma"), ("dermatofibroma",)),
    Rule("vessels and bleeding, as HAM10000's vasc", mean("vascular"),
         ("angioma", "hemangioma", "lymphangioma", "glomangioma", "pyogenic granuloma", "granuloma pyogenic", "port wine stain",
          "telangiectases", "hematoma")),
    Rule("other benign tumours and cysts", OTHER_BENIGN,
         ("cyst", "milia", "lipoma", "acrochordon", "fibrokeratoma", "fibrous papule", "neurofibroma", "neuroma", "neurothekeoma",
          "trichilemmoma", "trichofolliculoma", "syringocystadenoma", "syringoma", "poroma", "pilomatricoma", "angioleiomyoma",
          "clear cell acanthoma", "porokeratosis", "fordyce spots", "melanotic macule")),
    Rule("infections and bites", mean("non_neoplastic"),
         ("verruca", "wart", "molluscum", "condyloma", "onychomycosis", "tinea", "coccidioidomycosis", "scabies", "myiasis", "tungiasis",
          "nematode infection", "pediculosis", "tick bite", "lyme disease", "abscess", "paronychia", "folliculitis")),
    Rule("inflammation and immune disease", mean("non_neoplastic"),
         ("dermatitis", "eczema", "psoriasis", "acne", "rosacea", "rhinophyma", "lichen", "lupus", "scleroderma", "scleromyxedema",
          "morphea", "dermatomyositis", "erythema", "urticaria", "pityriasis", "drug eruption", "fixed eruptions",
          "drug induced pigmentary changes", "photodermatoses", "neutrophilic dermatoses", "hidradenitis", "sarcoidosis",
          "granuloma annulare", "foreign body granuloma", "necrobiosis lipoidica", "vitiligo", "porphyria", "stevens johnson",
          "behcets", "bullous", "livedo reticularis", "stasis edema", "cheilitis", "mucinosis", "prurigo", "neurodermatitis",
          "neurotic excoriations", "graft vs host", "lymphocytic infiltrations", "lymphoid hyperplasia")),
    Rule("inherited skin disease", mean("non_neoplastic"),
         ("acrodermatitis", "dariers", "ehlers danlos", "epidermolysis bullosa", "hailey hailey", "ichthyosis", "incontinentia pigmenti",
          "neurofibromatosis", "tuberous sclerosis", "xeroderma pigmentosum", "keratosis pilaris", "aplasia cutis")),
    Rule("scars, deposits, thickening, injury and colour", mean("non_neoplastic"),
         ("scar", "keloid", "striae", "sun damaged skin", "hyperpigmentation", "hyperkeratosis", "abrasions", "xanthoma", "xanthomas",
          "xanthogranuloma", "langerhans cell histiocytosis", "calcinosis cutis", "acanthosis nigricans", "papilomatosis confluentes")),
)


@cache
def first_rule(label: str) -> int | None:
    """Number of the first rule that hits a label (place in RULES); None where none does."""
    words = " ".join(re.sub(r"[^a-z0-9]+", " ", label.lower()).split())
    return next((number for number, rule in enumerate(RULES) if rule.pattern.search(words)), None)
