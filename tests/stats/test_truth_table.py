"""The table of the truth tests itself: what lies outside what is wanted is marked, with its reason."""

from __future__ import annotations

import pytest
from truth_table import Truth, truth_lines


def test_rows_outside_what_is_wanted_are_marked():
    rows = [Truth("b", "95 % interval holds", 2_000, 0.922, 0.91, 0.98, "few seeds"), Truth("a", "p ≤ 0.05", 2_000, 0.05, 0.04, 0.06),
            Truth("c", "p < 0.05", 8_000, 0.0601, 0.0, 1.0), Truth("d", "found", 2_000, 0.2, 0.1, 0.3)]
    lines = truth_lines(rows)
    assert [line[0] for line in lines] == ["a", "b", "c", "d"]
    assert lines[0].endswith("0.050  must lie in 0.040–0.060") and lines[3].endswith("must lie in 0.100–0.300")
    assert lines[1].endswith("must lie in 0.910–0.980  outside 0.93–0.97: few seeds")
    assert lines[2].endswith("outside 0.04–0.06: no reason given")


@pytest.mark.parametrize(("what", "found", "outside"), [
    ("95 % interval holds", 0.93, False), ("95 % interval holds", 0.9705, True), ("p < 0.05", 0.039, True), ("any false", 0.0, False),
])
def test_what_is_wanted(what, found, outside):
    assert Truth("", what, 1, found, 0, 1).is_outside == outside


def test_a_row_outside_needs_a_reason(report_truth):
    with pytest.raises(AssertionError, match=r"here: 0\.922 is outside what is wanted, and no reason is given"):
        report_truth("here", "95 % interval holds", 2_000, 0.922, 0.9, 1.0)
