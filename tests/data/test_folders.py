"""Listing a folder: what is found, by which name, and what is said of the rest."""

from __future__ import annotations

import os
import unicodedata

import pytest

from lib.data.errors import DataError
from lib.data.folders import Listing, find_table, leaves_root, lies_inside, list_images


@pytest.fixture
def touch(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return list_images(tmp_path)
    return make


def test_pictures_of_kinds_that_are_not_read_are_listed_and_refused(touch):
    listing = touch("a/x.jpg", "a/x.heic", "a/y.SVG", "a/z.dcm", "a/notes.txt", "a/w.gif")
    assert listing.files == ["a/w.gif", "a/x.heic", "a/x.jpg", "a/y.SVG", "a/z.dcm"]
    kinds = {file: reason.split()[0] for file, reason in listing.refused.items()}
    assert kinds == {"a/x.heic": "HEIC", "a/y.SVG": "SVG", "a/z.dcm": "DICOM"}


def test_a_readable_file_is_found_before_its_unread_twin(touch):
    listing = touch("a/x.jpg", "a/x.heic", "a/y.heic", "b/x.dng")
    assert listing.by_body("a/x") == "a/x.jpg" and listing.by_stem("x") == "a/x.jpg" and listing.stems["y"] == "a/y.heic"
    assert listing.resolve("x") == ("a/x.jpg", None) and listing.resolve("a/y.jpg") == ("a/y.heic", None)
    assert listing.resolve("a/x.heic") == ("a/x.jpg", None)                 # the same picture, readable


def test_names_in_either_spelling_of_accents(touch):
    composed, parted = (unicodedata.normalize(form, "a/größe.jpg") for form in ("NFC", "NFD"))
    assert composed != parted
    listing = touch(parted)
    assert listing.resolve(composed) == (parted, None) == listing.resolve(parted)
    assert listing.by_body(composed.removesuffix(".jpg")) == parted


def test_two_files_of_one_name_need_the_extension():
    listing = Listing(None, ["a/x.jpg", "a/x.png"], {})
    assert listing.resolve("a/x.png") == ("a/x.png", None)
    assert listing.resolve("a/x")[1].endswith("may be a/x.jpg or a/x.png; write the extension, too")


@pytest.mark.parametrize(("name", "shown"), [
    ("two\nlines.jpg", "two\\nlines.jpg"), ("bell\x07.jpg", "bell\\x07.jpg"), ("x\x85.jpg", "x\\x85.jpg"),
])
def test_names_with_control_characters(touch, name, shown):
    listing = touch(name)
    assert listing.files == [shown] and "line break or another control character; rename" in listing.refused[shown]


@pytest.mark.parametrize(("written", "reason"), [
    ("https://x.org/a.jpg", "web address"), ("s3://bucket/a.jpg", "web address"), ("file:///etc/passwd", "web address"),
    ("/a.jpg", "absolute"), ("C:/a.jpg", "absolute"), ("c:a.jpg", "absolute"), ("//server/a.jpg", "absolute"), ("a/../b.jpg", "'..'"),
    ("a/b.jpg", None), ("a..b/c...jpg", None), ("", None), ("~/a.jpg", None), ("a:b/c.jpg", "absolute"),
])
def test_leaves_root(written, reason):
    found = leaves_root(written)
    assert found is None if reason is None else reason in found


def test_a_folder_that_cannot_be_opened(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scan(path) if not str(path).endswith("closed") else scan("/nowhere"))
    with pytest.raises(DataError, match="closed: the folder cannot be read"):
        list_images(tmp_path)


def test_lies_inside_and_find_table(tmp_path):
    assert lies_inside("/a/b", "/a") and lies_inside("/a", "/a") and not lies_inside("/ab", "/a") and lies_inside("/a", "/")
    (tmp_path / "b.csv").mkdir()
    (tmp_path / "c.csv").write_text("x")
    assert find_table(tmp_path, ("a.csv", "b.csv", "c.csv"), "tables").name == "c.csv"
    with pytest.raises(DataError, match=r"no a\.csv or b\.csv in it\. Expected tables"):
        find_table(tmp_path, ("a.csv", "b.csv"), "tables")
