"""Files are the old version or the new one, and what a killed writer left is told from what belongs to somebody."""

from __future__ import annotations

import errno
import os

import pytest

from lib.files import remove_leftovers, reserve, write_atomically, write_json


def test_a_failed_write_changes_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_json_refuses_what_it_cannot_say(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "deep" / "a.json", {"value": float("inf")})
    assert not (tmp_path / "deep").exists() or not list((tmp_path / "deep").iterdir())


def test_leftovers_go_and_others_stay(tmp_path):
    for name in (".a.parquet.123", ".tmpQzR28e", ".hidden", ".env.local", "a.123", ".tmp", "b.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".folder.1").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".env.local", ".folder.1", ".hidden", ".tmp", "a.123", "b.txt"]
    remove_leftovers(tmp_path / "nowhere")


def test_room_is_taken_before_a_file_is_mapped(tmp_path, monkeypatch):
    """A mapped file with holes on a full disk ends in SIGBUS; one without room is refused, where the system can tell."""
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        file.truncate(1_000_000)
    assert path.stat().st_blocks == 0
    reserve(path, "pixels")
    assert path.stat().st_size == 1_000_000 <= path.stat().st_blocks * 512

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for 1 MB of pixels; free some space and run the same command again") as error:
        reserve(path, "pixels")
    assert error.value.errno == errno.ENOSPC
    monkeypatch.delattr(os, "posix_fallocate")
    reserve(path, "pixels")                                         # no such call: written as before
