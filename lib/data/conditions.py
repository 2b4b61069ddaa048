"""The ten conditions that diagnoses of every data set are brought to, and what each says about malignancy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.data.errors import DataError
from lib.names import look_up

if TYPE_CHECKING:
    from lib.study import Labels

MALIGNANT, BENIGN, NON_NEOPLASTIC = "malignant", "benign", "non_neoplastic"
ACTINIC_KERATOSIS = "actinic_keratosis"         # sources disagree on it, so a policy decides
OTHER = "other"                                 # any other tumour; malignant or benign must be said beside it

NATURES: dict[str, str | None] = {              # condition → what it is; None: has to be said diagnosis by diagnosis
    "melanoma":                MALIGNANT,
    "basal_cell_carcinoma":    MALIGNANT,
    "squamous_cell_carcinoma": MALIGNANT,
    ACTINIC_KERATOSIS:         ACTINIC_KERATOSIS,
    "nevus":                   BENIGN,
    "seborrheic_keratosis":    BENIGN,          # benign keratoses, as HAM10000 and ISIC 2019 group them: solar lentigo, lichenoid keratosis
    "dermatofibroma":          BENIGN,
    "vascular":                BENIGN,
    "non_neoplastic":          NON_NEOPLASTIC,
    OTHER:                     None,
}
CONDITIONS = tuple(NATURES)


@dataclass(frozen=True)
class Meaning:
    """What one diagnosis of a data set stands for."""

    condition: str | None           # one of CONDITIONS; None: the data set does not say enough
    nature:    str | None           # malignant, benign, non_neoplastic or actinic_keratosis; None: not known
    why:       str = ""             # where either is None: the reason, as it is written beside the image that is left out


def mean(condition: str, nature: str | None = None) -> Meaning:
    """A condition with its own nature, or with the one given (which `other` needs)."""
    return Meaning(condition, nature or NATURES[condition])


OTHER_MALIGNANT, OTHER_BENIGN = mean(OTHER, MALIGNANT), mean(OTHER, BENIGN)


def read_condition(word: str) -> Meaning:
    """A study's word for a condition: one of CONDITIONS, "other malignant" or "other benign".

    A bare "other" has no nature unless the data set says it. Raises ValueError that lists the words.
    """
    words = {**{name: mean(name) for name in CONDITIONS}, "other malignant": OTHER_MALIGNANT, "other benign": OTHER_BENIGN}
    return look_up("condition", word, words)


def check_conditions(labels: Labels) -> None:
    """Raise DataError for the first word in labels.conditions that is no condition, naming its place and the words there are."""
    given: Mapping[str, Mapping[str, str]] = labels.conditions
    for source, words in given.items():
        for diagnosis, word in words.items():
            try:
                read_condition(word)
            except ValueError as error:
                raise DataError(f"labels.conditions.{source}.{diagnosis}: {error}") from None
