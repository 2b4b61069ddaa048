"""Skin tones given as pairs of Fitzpatrick types: kept as what was annotated, never turned into one type of the pair."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lib.data.errors import DataError, shorten

TONE_GROUPS = {"I–II": (1, 2), "III–IV": (3, 4), "V–VI": (5, 6)}
_UNKNOWN = frozenset({"", "-1", "-1.0", "nan", "none", "unknown"})


def _spellings() -> dict[str, str]:
    """Every spelling, in small letters and with a plain hyphen → the pair: 12, 12.0, 1-2, i-ii."""
    known = {}
    for name, (low, high) in TONE_GROUPS.items():
        known |= dict.fromkeys((f"{low}{high}", f"{low}{high}.0", f"{low}-{high}", name.lower().replace("–", "-")), name)
    return known


_NAME_OF = _spellings()


def parse_tone_group(
    values: pd.Series,              # text
    where:  Path,                   # the file, for the message
) -> pd.Series:
    """Pairs of types as the names in TONE_GROUPS (12 → I–II); empty and −1 are null. Raises DataError on anything else."""
    text = values.astype(str).str.strip().str.lower().str.replace("–", "-").str.replace(" ", "")
    strange = sorted(set(text) - set(_NAME_OF) - _UNKNOWN)
    if strange:
        raise DataError(f"{where}: skin tone {shorten(strange)} is not understood; expected 12, 34 or 56 (pairs of Fitzpatrick types), "
                        "and empty or −1 where unknown")
    return pd.Series([_NAME_OF.get(value) for value in text], index=values.index, dtype=object)


def types_of(annotated: object) -> tuple[int, int] | None:
    """The two Fitzpatrick types that an annotated pair stands for, in any spelling; None where it is no pair."""
    return TONE_GROUPS.get(_NAME_OF.get(str(annotated).strip().lower().replace("–", "-"), ""))
