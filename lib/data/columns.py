"""Reading a metadata table: text in, the project's columns out, under every known spelling."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from lib.data.errors import DataError, counted, shorten
from lib.data.formats import signature

_TONES = {spelling: n for n, roman in enumerate(("I", "II", "III", "IV", "V", "VI"), 1) for spelling in (str(n), f"{n}.0", roman)}
_UNKNOWN_TONE = frozenset({"", "-1", "-1.0", "NAN", "NONE", "UNKNOWN"})
UNKNOWN_WORDS = frozenset({"", "unknown", "nan", "none", "unk", "na", "n/a", "-"})        # in small letters
_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_INVISIBLE = "\ufeff\u200b\u200e\u200f"                                      # marks that tables carry along when they are put together
_TO_SPACE = dict.fromkeys([*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " ")
# (line breaks, terminal commands and turns of the writing direction: messages are one line and read as written)


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as text columns, nothing interpreted: empty cells are "" and "NA" stays "NA".

    The separator is the comma, semicolon or tab that the header uses; any line ends do. White space around a cell or a column's name
    is taken off (" A0" is the patient A0), inside it stays, and a line break inside becomes a space. Lines without a single filled
    cell are left out, and so is a column with neither a name nor a filled cell.
    Raises DataError, with the line where there is one, for a file that is no text in UTF-8, an unclosed quotation mark, a line with
    more or fewer cells than the header names, two columns of one name, and a header that stands there twice.
    """
    text = _read_text(path)
    first = (re.search(r"[^\r\n]*\S[^\r\n]*", text) or [""])[0]
    separator = max(",;\t", key=first.count)
    if separator not in first and "|" in first:
        raise DataError(f"{path}: the header has none of the separators that are read ({', '.join(_SEPARATORS.values())}), but has '|'; "
                        "save the table with one of them")
    lines, rows = _filled_lines(path, csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    if not rows:
        raise DataError(f"{path}: the file is empty; fetch it again")
    header, *body = rows
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise DataError(f"{path}: the header has the column {twice[0]!r} twice; rename or delete one of them")
    width = len(header)
    for number, cells in zip(lines[1:], body, strict=True):
        if len(cells) != width:
            if len(cells) < width or any(cells[width:]):
                raise DataError(f"{path}: line {number} has {counted(len(cells), 'cell')}, the header names {width}; repair the line, or "
                                f"put a cell that holds a {_SEPARATORS[separator]} in quotation marks")
            del cells[width:]
        if cells == header and len(header) > 1:
            raise DataError(f"{path}: line {number} repeats the header, as if two tables were put together; take the line out")
    if not body:
        raise DataError(f"{path}: has a header and no rows; fetch it again")
    columns = [(name or f"column {i}", values) for i, (name, values) in enumerate(zip(header, zip(*body, strict=True), strict=True), 1)
               if name or any(values)]
    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns})


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    known = signature(content)
    if known:
        raise DataError(f"{path}: is {known[0]}, not a CSV; save the table as CSV text")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: not UTF-8 text but UTF-16; save the table as UTF-8")
    for fault, at in (("a NUL byte, which no text has", content.find(b"\0")), ("not UTF-8 text", _first_undecodable(content))):
        if at >= 0:
            line = len(re.findall(rb"\r\n|\r|\n", content[:at])) + 1
            raise DataError(f"{path}: {fault} (byte {at}, line {line}); save the table as UTF-8")
    return content.decode("utf-8-sig")


def _filled_lines(path: Path, reader: Iterator[list[str]]) -> tuple[list[int], list[list[str]]]:
    """The lines with anything in them, as numbers and cells."""
    lines, rows, line = [], [], 1
    try:
        for row in reader:
            cells = [cell if cell.isalnum() else _clean(cell) for cell in row]
            if any(cells):
                lines.append(line)
                rows.append(cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}: line {line}: {_advice(str(error))}") from None
    return lines, rows


def _first_undecodable(content: bytes) -> int:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return -1


def _clean(cell: str) -> str:
    cell = cell.strip().strip(_INVISIBLE)
    return cell if cell.isprintable() else cell.replace("\r\n", " ").translate(_TO_SPACE).strip()


def _advice(error: str) -> str:
    if "unexpected end" in error:
        return "a quotation mark opens here and none closes it"
    if "field limit" in error:
        return f"a cell of more than {csv.field_size_limit():,} characters; perhaps a quotation mark is not closed"
    return f"not a readable CSV ({error}); write a quotation mark inside a cell twice"


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
    text = values.astype(str).str.strip().str.upper()
    kinds = text.unique()
    strange = sorted(kind for kind in kinds if kind not in _TONES and kind not in _UNKNOWN_TONE)
    if strange:
        first = int(text.isin(strange).to_numpy().argmax())
        written = sorted(set(values.astype(str).str.strip()[text.isin(strange).to_numpy()]))
        raise DataError(f"{where}: skin tone {shorten(written)} is not understood; expected 1–6 or I–VI, and empty or −1 where unknown "
                        f"(first: row {first + 1} under the header)")
    return text.map({kind: _TONES.get(kind, pd.NA) for kind in kinds}).astype("Int8")


def parse_age(
    values:       pd.Series,        # text
    zero_is_null: bool,             # HAM10000 writes 0.0 for unknown
) -> pd.Series:
    """Years as Float64; what is no number between 0 and 120 is null."""
    years = pd.to_numeric(values, errors="coerce")
    return years.where(years.between(0, 120) & ~(zero_is_null & (years == 0))).astype("Float64")


def parse_text(values: pd.Series) -> pd.Series:
    """Lower-case text; empty, "unknown", "N/A" and the like are null."""
    text = values.astype(str).str.strip().str.lower()
    return text.mask(text.isin(UNKNOWN_WORDS))


def parse_person(
    table:        pd.DataFrame,         # text
    names:        Mapping[str, str],    # of pick_columns
    zero_is_null: bool,                 # see parse_age
) -> dict[str, pd.Series]:
    """Age, sex and site, those of them that the table has."""
    age = {"age": parse_age(table[names["age"]], zero_is_null)} if "age" in names else {}
    return age | {ours: parse_text(table[names[ours]]) for ours in ("sex", "site") if ours in names}
