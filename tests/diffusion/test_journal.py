"""The journal: whole lines count, whatever a kill or a full disk did to the last one."""

import errno
import os

import pytest

from lib.diffusion.journal import Journal, Line

LINES = [Line(0, 1, None, "a" * 64), Line(1, 1, "zu dunkel “x”", None), Line(1, 2, None, "b" * 64)]


def write(path, lines, mark="m"):
    with Journal(path, mark) as journal:
        for line in lines:
            journal.append([line])
    return journal


def test_what_is_appended_is_read(tmp_path):
    path = tmp_path / "deep" / "journal.jsonl"
    assert list(write(path, LINES).lines()) == LINES
    assert list(write(path, [Line(2, 1, None, "c" * 64)]).lines()) == [*LINES, Line(2, 1, None, "c" * 64)]


@pytest.mark.parametrize("cut", [1, 2, 30, 76])
def test_a_line_cut_short_is_dropped_and_written_over(tmp_path, cut):
    path = tmp_path / "journal.jsonl"
    write(path, LINES)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert list(Journal(path, "m").lines()) == LINES[:2]
    write(path, LINES[2:])
    assert path.read_bytes() == whole


def test_another_run_s_journal_is_not_read(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, LINES)
    other = Journal(path, "other")
    assert not other.belongs() and list(other.lines()) == []
    write(path, [], mark="other")
    assert list(Journal(path, "m").lines()) == []


def test_an_unreadable_line_in_the_middle_costs_that_line_alone(tmp_path):
    path = tmp_path / "journal.jsonl"
    write(path, LINES)
    head, first, _, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + first + b"\x00" * 20 + b"\n" + third)
    assert list(Journal(path, "m").lines()) == [LINES[0], LINES[2]]


def test_a_full_disk_leaves_the_lines_before(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    with Journal(path, "m") as journal:
        journal.append(LINES[:1])

        def full(handle):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError):
            journal.append(LINES[1:])
    assert list(Journal(path, "m").lines()) == LINES[:1]
