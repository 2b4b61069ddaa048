"""Why images were left out: reasons of one kind together, what differs between them replaced, nothing lost."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data.account import QUARANTINE
from lib.report.completeness import reasons_table

COLUMNS = ["data set", "fate", "reason", "images"]


def quarantine(*rows):
    """(dataset, image_id, kind, reason)"""
    return pd.DataFrame([(dataset, image_id, f"images/{image_id}.jpg", kind, reason) for dataset, image_id, kind, reason in rows],
                        columns=list(QUARANTINE))


def test_reasons_that_differ_in_names_and_numbers_are_one():
    frame = quarantine(
        ("ham", "IMG_a", "refused", "is 5 × 6, smaller than 8 pixels"), ("ham", "IMG_b", "refused", "is 7 × 6, smaller than 8 pixels"),
        ("ham", "IMG_c", "refused", "image_id IMG_c stands in an earlier row, too"),
        ("ham", "IMG_d", "refused", "image_id IMG_d stands in an earlier row, too"),
        ("ham", "IMG_e", "refused", "image_id IMG_e stands in an earlier row, too"),
        ("pad", "x", "refused", "'../a.jpg' leads out of the data folder ('..')"),
        ("pad", "y", "refused", "'../b.jpg' leads out of the data folder ('..')"),
        ("pad", "z", "excluded", "diagnosis mel is in labels.exclude"), ("pad", "w", "excluded", "diagnosis nv is in labels.exclude"),
        ("pad", "v", "missing", "no such file in /data/pad"))
    table = reasons_table(frame)
    assert list(table.columns) == COLUMNS
    assert table.to_numpy().tolist() == [
        ["ham", "refused (unreadable, or contradicts itself)", "image_id … stands in an earlier row, too", 3],
        ["ham", "refused (unreadable, or contradicts itself)", "is … × 6, smaller than 8 pixels", 2],
        ["pad", "refused (unreadable, or contradicts itself)", "… leads out of the data folder ('..')", 2],
        ["pad", "excluded by the study", "diagnosis mel is in labels.exclude", 1],
        ["pad", "excluded by the study", "diagnosis nv is in labels.exclude", 1],
        ["pad", "listed, but no file", "no such file in /data/pad", 1]]


def test_one_reason_alone_stays_as_it_is_written():
    reason = "'x/a.jpg' may be a/x.jpg or b/x.png; write the folder, too"
    assert reasons_table(quarantine(("mine", "x/a", "refused", reason)))["reason"].tolist() == [reason]


def test_what_is_beyond_the_rows_is_counted():
    frame = quarantine(*[("mine", f"id{i}", "refused", f"reason {'abcdefghijklmno'[j]}") for j in range(15) for i in range(15 - j)])
    table = reasons_table(frame)
    assert len(table) == 13 and table["reason"].tolist()[-1] == "and 3 more reasons" and table["images"].tolist()[-1] == 3 + 2 + 1
    assert table["images"].tolist()[:12] == list(range(15, 3, -1)) and len(reasons_table(frame, rows=15)) == 15
    assert reasons_table(frame, rows=14)["reason"].tolist()[-1] == "and 1 more reason"


def test_nothing_left_out():
    table = reasons_table(quarantine())
    assert list(table.columns) == COLUMNS and table.empty


def test_cells_that_are_no_text():
    frame = quarantine(("mine", "abc", "refused", "the row names no file"))
    frame["file"] = None
    assert reasons_table(frame)["images"].tolist() == [1]


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(max_size=6), st.sampled_from(["refused", "missing", "excluded"]),
                          st.text("ab1'…. /(x", max_size=12)), max_size=12))
@settings(deadline=None, max_examples=60, derandomize=True)
def test_any_text_is_counted_once(rows):
    frame = quarantine(*rows)
    table = reasons_table(frame)
    assert table["images"].sum() == len(frame) and table["images"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(table, reasons_table(frame.iloc[::-1].reset_index(drop=True))) if _unambiguous(table) else None


def _unambiguous(table):
    return not table["reason"].str.contains("…").any()


@pytest.mark.parametrize("fate", ["refused", "excluded", "missing", "odd"])
def test_every_kind_has_a_word(fate):
    assert reasons_table(quarantine(("mine", "abc", fate, "why")))["fate"].iloc[0]
