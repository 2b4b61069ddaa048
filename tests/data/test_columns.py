"""Tables as text: against pandas, cell by cell, and the readings of tone, age and words."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data.columns import parse_age, parse_text, parse_tone, pick_columns, read_csv
from lib.data.errors import DataError

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
WHERE = Path("t.csv")


@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8), separator=st.sampled_from(",;\t"),
       end=st.sampled_from(["\n", "\r\n", "\r"]))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_whatever_is_written_is_read(rows, separator, end, tmp_path_factory):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["first", "second", "third"], *[[f"x{row[0]}x", row[1], f"<{row[2]}>"] for row in rows]])
    path.write_bytes(text.getvalue().encode())
    frame = read_csv(path)
    assert frame.shape == (len(rows), 3) and list(frame.columns) == ["first", "second", "third"]
    for row, cells in zip(rows, frame.itertuples(index=False), strict=True):
        for before, after in zip((f"x{row[0]}x", row[1], f"<{row[2]}>"), cells, strict=True):
            assert after == after.strip() and "\n" not in after
            if before.isprintable():
                assert after == before.strip().strip("\u200b\ufeff")
    assert all(dtype == pd.Series([""], dtype="str").dtype for dtype in frame.dtypes)


def test_the_line_named_is_the_line_in_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n\n1,"two\nlines"\r\n3,4\n5\n')
    with pytest.raises(DataError, match="line 6 has 1 cell, the header names 2"):
        read_csv(path)
    path.write_text('a,b\n1,"two\nlines"\n3,"4\n5,6\n')
    with pytest.raises(DataError, match="line 4: a quotation mark opens here"):
        read_csv(path)


def test_separators_that_are_not_read_are_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("file|label\n0.png|a\n")
    with pytest.raises(DataError, match=r"none of the separators that are read \(comma, semicolon, tab\), but has '\|'"):
        read_csv(path)
    path.write_text("file\n0.png\n")
    assert read_csv(path).shape == (1, 1)


def test_pick_columns_takes_the_first_spelling_there_is():
    frame = pd.DataFrame(columns=["Skin Tone", "FILE", "file"])
    picked = pick_columns(frame, {"tone": ("fitzpatrick", "skin_tone"), "file": ("file",)}, ("file",), WHERE)
    assert picked == {"tone": "Skin Tone", "file": "FILE"}
    with pytest.raises(DataError, match="no column for age; looked for age or years, the file has Skin Tone, FILE, file"):
        pick_columns(frame, {"age": ("age", "years")}, ("age",), WHERE)


def test_tones():
    found = parse_tone(pd.Series(["1", "2.0", "III", "iv", " V ", "6", "-1", "", "unknown", "NaN", "None"]), WHERE)
    assert found.tolist()[:6] == [1, 2, 3, 4, 5, 6] and found[6:].isna().all() and found.dtype == "Int8"
    for wrong in ("7", "0", "2-3", "3.5", "light", "I–II"):
        with pytest.raises(DataError, match=rf"skin tone {wrong} is not understood; .*\(first: row 2 under the header\)"):
            parse_tone(pd.Series(["1", wrong, wrong]), WHERE)


def test_ages_and_words():
    assert parse_age(pd.Series(["0.0", "44", "-1", "121", "x", "inf", "nan", ""]), False).tolist()[:2] == [0, 44]
    assert parse_age(pd.Series(["0.0", "44", "-1", "121", "x", "inf", "nan", ""]), True).isna().tolist() == [True, False] + [True] * 6
    assert parse_text(pd.Series(["Male", " UNKNOWN ", "", "unk", "N/A", "-", "face"])).isna().tolist() == [
        False, *[True] * 5, False]
