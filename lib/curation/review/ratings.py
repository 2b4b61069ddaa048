"""Reading what raters sent back: one table, and every way in which a file can be wrong told in one sentence."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lib.curation.review.errors import ReviewError
from lib.curation.review.key import Key
from lib.data.errors import counted, shorten

NAMES     = ["review", "rater", "item"]
SIMULATED = "simulated"                 # how the names of raters begin that are no people


def read_ratings(
    paths: Sequence[Path],
    key:   Key,
) -> tuple[pd.DataFrame, list[str]]:
    """Columns rater, item and one per scale (Int64, missing where a question was skipped), and notices of what is missing, counted.

    A file may come from the page or from a spreadsheet (comma, semicolon or tab, with or without a byte order mark). Raises ReviewError:
    unreadable file, missing column, another page's ratings, unknown item, item rated twice by one rater, one rater in two files,
    rating outside its scale, simulated rater, nothing rated.
    """
    names = [scale.name for scale in key.scales]
    tables = [_read(Path(path), key) for path in paths]
    seen: dict[str, Path] = {}
    for path, table in zip(paths, tables, strict=True):
        for rater in table["rater"].unique():
            if (other := seen.setdefault(rater.casefold(), path)) is not path:
                raise ReviewError(f"{rater} is in {other} and in {path}; give the newer alone, or rename one where they are two people")
    ratings = pd.concat(tables, ignore_index=True)
    ratings = ratings[ratings[names].notna().any(axis=1)].reset_index(drop=True)
    if ratings.empty:
        raise ReviewError(f"{shorten([str(path) for path in paths])}: no picture is rated; give files that the page saved after rating")
    ratings["rater"] = ratings.groupby(ratings["rater"].str.casefold())["rater"].transform("first")
    return ratings, _gaps(ratings, key, names)


def review_of(path: Path) -> str:
    """Which page a file's ratings are of. Raises ReviewError."""
    rows = _rows(Path(path))
    found = sorted({row["review"] for _, row in rows})
    if len(found) != 1:
        raise ReviewError(f"{path}: ratings of {shorten(found) or 'no page'}; a file holds ratings of one page")
    return found[0]


def _read(path: Path, key: Key) -> pd.DataFrame:
    rows = _rows(path)
    lacking = [scale.name for scale in key.scales if rows and scale.name not in rows[0][1]]
    if lacking:
        raise ReviewError(f"{path}: no column {', '.join(lacking)}; the page asks for {', '.join(scale.name for scale in key.scales)}")
    known, seen, table = set(key.items["item"]), {}, []
    for line, row in rows:
        where = f"{path}:{line}"
        rater, item = " ".join(row["rater"].split()), row["item"]
        if row["review"] != key.review:
            raise ReviewError(f"{where}: a rating of the page {row['review'] or '(none)'}, others are of {key.review}; collect the files "
                              "of each page apart")
        if not rater:
            raise ReviewError(f"{where}: no name of the rater; fill in the column rater")
        if rater.casefold().startswith(SIMULATED):
            raise ReviewError(f"{where}: {rater} is no person; simulated ratings are never collected")
        if item not in known:
            raise ReviewError(f"{where}: item {item or '(none)'} is not on the page {key.review}; was the file edited?")
        if (first := seen.setdefault((rater.casefold(), item), line)) != line:
            raise ReviewError(f"{where}: {rater} rated item {item} in line {first} already; keep one of the two lines")
        table.append({"rater": rater, "item": item, **{scale.name: _rating(row[scale.name], scale, where, item) for scale in key.scales}})
    columns = {scale.name: "Int64" for scale in key.scales}
    return pd.DataFrame(table, columns=["rater", "item", *columns]).astype({"rater": object, "item": object, **columns})


def _rating(text: str, scale, where: str, item: str) -> int | None:
    if not text:
        return None
    whole = re.fullmatch(r"(\d+)(?:[.,]0*)?", text)         # spreadsheets write 5 as 5.0 or 5,0
    if not whole or int(whole[1]) not in scale.points:
        raise ReviewError(f"{where}: {scale.name} of item {item} is {text!r}, expected a whole number from {scale.low} to {scale.high}, or "
                          "nothing")
    return int(whole[1])


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of every row that is not blank."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ReviewError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise ReviewError(f"{path}: is not text in UTF-8; give the file as the page saved it") from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(",;\t", key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=None), delimiter=mark, strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ReviewError(f"{path}: is no readable CSV ({error}); give the file as the page saved it") from None
    head = [name.lower() for name in lines[0][1]] if lines else []
    if lacking := [name for name in NAMES if name not in head]:
        raise ReviewError(f"{path}: no column {', '.join(lacking)}; give a file that the page saved (columns {', '.join(NAMES)}, scales)")
    if uneven := next((line for line, cells in lines[1:] if len(cells) != len(head)), None):
        raise ReviewError(f"{path}:{uneven}: has other columns than the first line; give the file as the page saved it")
    return [(line, dict(zip(head, cells, strict=True))) for line, cells in lines[1:]]


def _gaps(ratings: pd.DataFrame, key: Key, names: list[str]) -> list[str]:
    notices = []
    for rater, mine in ratings.groupby("rater", sort=True):
        if len(mine) < len(key.items):
            notices.append(f"{rater} rated {len(mine):,} of {counted(len(key.items), 'picture')}")
        if skipped := int(mine[names].isna().sum().sum()):
            notices.append(f"{rater} left {counted(skipped, 'question')} unanswered")
    return notices
