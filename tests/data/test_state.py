"""The fingerprint of what lies on disk: it changes with what intake would read, and with nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from lib.data.errors import DataError
from lib.data.state import source_state
from lib.study import ROOT, Data, Duplicates, PhantomOptions, Source, Split


def state_of(root, split=None, **options):
    sources = [Source(dataset="image_folder", name="mine", folder="mine", **options),
               Source(dataset="phantom", phantom=PhantomOptions())]
    roots = {"mine": root / "mine", "phantom": root / "phantom"}
    return source_state(Data(sources=sources), split or Split(), roots, root)


@pytest.fixture
def root(tmp_path):
    for name in ("a/0.jpg", "a/1.jpg", "b/deep/2.jpg", "list.csv", "other.TSV", "tables/in.csv", ".hidden", "a/.DS_Store",
                 "__MACOSX/x.jpg"):
        path = tmp_path / "data" / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(0, 10**9))
    (tmp_path / "data" / "mine" / "own.jpg").symlink_to("a/0.jpg")
    (tmp_path / "data" / "mine" / "knot").symlink_to("knot")
    with open(os.path.join(os.fsencode(tmp_path), b"data", b"mine", b"bad\xff.jpg"), "wb"):
        pass
    return tmp_path / "data"


def touch(path):
    os.utime(path, ns=(0, 2 * 10**9))


def test_each_source_that_is_not_drawn_has_sixteen_digits(root):
    state = state_of(root)
    assert list(state) == ["mine"] and len(state["mine"]) == 16 and int(state["mine"], 16) and state == state_of(root)


@pytest.mark.parametrize("change", [
    lambda mine: (mine / "a" / "new.jpg").write_text(""),
    lambda mine: (mine / "b" / "deep" / "2.jpg").unlink(),
    lambda mine: (mine / "a" / "0.jpg").rename(mine / "b" / "0.jpg"),
    lambda mine: (mine / "a" / "0.jpg").write_text("0/a.jpgg"),
    lambda mine: touch(mine / "b" / "deep" / "2.jpg"),
    lambda mine: touch(mine / "tables" / "in.csv"),
    lambda mine: (mine / "list.csv").write_text("LIST.csv"),
    lambda mine: (mine / "other.TSV").write_text("OTHER.TSV"),
    lambda mine: (mine / "link").symlink_to("/nowhere"),
])
def test_what_intake_would_notice_changes_it(root, change):
    before = state_of(root)
    change(root / "mine")
    assert state_of(root) != before


@pytest.mark.parametrize("change", [
    lambda mine: [touch(mine / name) for name in ("list.csv", "other.TSV")],
    lambda mine: (mine / ".hidden").write_text("seen"),
    lambda mine: (mine / "a" / ".DS_Store").unlink(),
    lambda mine: shutil.rmtree(mine / "__MACOSX"),
    lambda mine: (mine.rename(mine.parent / "disk"), mine.symlink_to("disk")),
])
def test_what_intake_does_not_read_changes_nothing(root, change):
    before = state_of(root)
    change(root / "mine")
    assert state_of(root) == before


@pytest.mark.parametrize("table", ["tables/in.csv", ".hidden"])
def test_the_sources_table_counts_by_its_content_wherever_it_lies(root, table):
    options = {"table": table}
    before = state_of(root, **options)
    content = (root / "mine" / table).read_text()
    (root / "mine" / table).write_text(content.upper())
    os.utime(root / "mine" / table, ns=(0, 10**9))
    assert state_of(root, **options) != before
    (root / "mine" / table).unlink()
    assert state_of(root, **options)["mine"] != "missing"


def test_links_that_leave_the_folder_are_not_followed(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "list.csv").write_text("secret")
    os.mkfifo(root / "mine" / "pipe.csv")                               # opening it would wait for ever
    for name in ("far", "far.csv"):
        (root / "mine" / name).symlink_to(outside if name == "far" else outside / "list.csv")
    before = state_of(root)
    (outside / "list.csv").write_text("changed, too")
    (outside / "new.jpg").write_text("")
    assert state_of(root) == before
    touch(root / "mine" / "a" / "0.jpg")
    assert state_of(root) != before


def test_missing_folders_and_the_split_file(root):
    split = Split(file="lists/s.csv")
    assert state_of(root, split)["split.file"] == "missing"
    (root / "lists").mkdir()
    (root / "lists" / "s.csv").write_text("a")
    first = state_of(root, split)
    touch(root / "lists" / "s.csv")
    assert state_of(root, split) == first and len(first["split.file"]) == 16
    (root / "lists" / "s.csv").write_text("b")
    second = state_of(root, split)
    assert second["split.file"] != first["split.file"] and second["mine"] == first["mine"]
    (root / "mine").rename(root / "gone")
    assert state_of(root) == {"mine": "missing"}
    with pytest.raises(DataError, match=r"split\.file: .*leads out of"):
        state_of(root, Split(file="../s.csv"))


def test_published_lists_of_duplicates_count_by_their_content(root):
    def state(*files):
        data = Data(sources=[Source(dataset="phantom", phantom=PhantomOptions())], duplicates=Duplicates(pairs=files))
        return source_state(data, Split(), {}, root)

    assert state("lists/a.csv", "b.csv") == {"data.duplicates.pairs: lists/a.csv": "missing", "data.duplicates.pairs: b.csv": "missing"}
    (root / "b.csv").write_text("x,y")
    first = state("b.csv")["data.duplicates.pairs: b.csv"]
    touch(root / "b.csv")
    assert state("b.csv")["data.duplicates.pairs: b.csv"] == first and len(first) == 16
    (root / "b.csv").write_text("x,z")
    assert state("b.csv")["data.duplicates.pairs: b.csv"] != first and state() == {}
    for file in ("../b.csv", "/b.csv"):
        with pytest.raises(DataError, match=r"data\.duplicates\.pairs: "):
            state(file)


def test_asking_loads_nothing_heavy():
    code = "import sys, lib.data.state, lib.study; sys.exit(', '.join({'pandas', 'numpy', 'PIL', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""
