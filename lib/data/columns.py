"""Reading a metadata table: text in, the project's columns out, under every known spelling."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from lib.data.errors import DataError, shorten

_TONES = {spelling: n for n, roman in enumerate(("I", "II", "III", "IV", "V", "VI"), 1) for spelling in (str(n), f"{n}.0", roman)}
_UNKNOWN_TONE = frozenset({"", "-1", "-1.0", "nan", "NaN", "None", "unknown", "UNKNOWN"})
_UNKNOWN_TEXT = frozenset({"", "unknown", "nan", "none", "unk"})


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as text columns, nothing interpreted: empty cells are "" and "NA" stays "NA".

    White space around a cell or a column's name is taken off (" A0" is the patient A0), inside it stays. The separator is the comma,
    semicolon or tab that the header uses. Raises DataError with the line where the file is broken, and where two columns share a name.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
        separator = max(",;\t", key=header.count)
        twice = _twice(next(csv.reader([header], delimiter=separator), []))
        if twice:
            raise DataError(f"{path}: the header has the column {twice[0]!r} twice; rename or delete one of them")
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the table as UTF-8") from None
    except pd.errors.EmptyDataError:
        raise DataError(f"{path}: the file is empty; fetch it again") from None
    except (pd.errors.ParserError, csv.Error) as error:
        raise DataError(f"{path}: not a readable CSV ({str(error).strip()})") from None
    if frame.empty:
        raise DataError(f"{path}: has a header and no rows; fetch it again")
    if isinstance(frame.index, pd.MultiIndex) or not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path}: its rows have more cells than the header names; repair the header")
    frame.columns = [str(column).strip() for column in frame.columns]
    for column in frame:
        frame[column] = frame[column].fillna("").str.strip()
    return frame


def _twice(header: list[str]) -> list[str]:
    names = [name.strip() for name in header if name.strip()]
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def pick_columns(
    frame:     pd.DataFrame,                        # as read_csv gives it
    spellings: Mapping[str, tuple[str, ...]],       # our column → accepted names, the first found wins
    required:  tuple[str, ...],                     # ours
    where:     Path,                                # the file, for the message
) -> dict[str, str]:
    """Which of the file's columns holds which of ours. Raises DataError naming the spellings accepted and the columns there are."""
    present = {_plain(column): column for column in reversed(list(frame.columns))}
    found = {}
    for ours, names in spellings.items():
        theirs = next((present[_plain(name)] for name in names if _plain(name) in present), None)
        if theirs is not None:
            found[ours] = theirs
        elif ours in required:
            has = shorten(list(frame.columns), 30)
            raise DataError(f"{where}: no column for {ours}; looked for {' or '.join(names)}, the file has {has}")
    return found


def _plain(name: str) -> str:
    return str(name).strip().lower().replace(" ", "_")


def parse_tone(
    values: pd.Series,              # text
    where:  Path,
) -> pd.Series:
    """Fitzpatrick types 1–6 (also 1.0 or I–VI) as Int8; empty and −1 are null. Raises DataError on anything else."""
    text = values.astype(str).str.strip()
    kinds = text.unique()
    strange = sorted(kind for kind in kinds if kind not in _TONES and kind not in _UNKNOWN_TONE)
    if strange:
        raise DataError(f"{where}: skin tone {shorten(strange)} is not understood; expected 1–6 or I–VI, and empty or −1 where unknown")
    return text.map({kind: _TONES.get(kind, pd.NA) for kind in kinds}).astype("Int8")


def parse_age(
    values:       pd.Series,        # text
    zero_is_null: bool,             # HAM10000 writes 0.0 for unknown
) -> pd.Series:
    """Years as Float64; what is no number between 0 and 120 is null."""
    years = pd.to_numeric(values, errors="coerce")
    return years.where(years.between(0, 120) & ~(zero_is_null & (years == 0))).astype("Float64")


def parse_text(values: pd.Series) -> pd.Series:
    """Lower-case text; empty and "unknown" are null."""
    text = values.astype(str).str.strip().str.lower()
    return text.mask(text.isin(_UNKNOWN_TEXT))
