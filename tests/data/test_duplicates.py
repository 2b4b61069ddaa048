"""Planted duplicates are found, distinct pictures stay apart, and clusters are formed before anybody is dealt to a split."""

from __future__ import annotations

import hashlib
from pathlib import Path

import networkx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted import COPIES

from lib.data.duplicates import KINDS, PAIRS, check_settings, count_overlap, find_pairs, same_names
from lib.data.errors import DataError
from lib.data.images import decode
from lib.data.perceptual import Fingerprints, fingerprint
from lib.data.published_pairs import SPELLINGS
from lib.phantom.render import draw
from lib.phantom.world import sample_world
from lib.study import Duplicates, PhantomOptions


def table_of(count, *, sha256=None, dataset="a", patients=None, labels=None, names=None):
    """A frame of images as intake hands it over."""
    names = names or [f"i{k:04d}" for k in range(count)]
    return pd.DataFrame({
        "image_id": names, "dataset": dataset, "file": [f"x/{name}.jpg" for name in names],
        "sha256": sha256 if sha256 is not None else [f"s{k}" for k in range(count)],
        "patient_id": patients if patients is not None else [f"p{k}" for k in range(count)],
        "label": labels if labels is not None else "nevus",
    })


def prints_of(images):
    taken = Fingerprints.empty(len(images))
    for row, image in enumerate(images):
        taken.grey[row], taken.colour[row] = fingerprint(image)
    return taken


def find(images, prints=None, *, root=Path("nowhere"), threads=1, **settings):
    return find_pairs(images, prints, Duplicates(near=prints is not None, **settings), {}, root=root, threads=threads)


# ── planted duplicates ───────────────────────────────────────────────────────────────────────────────────────────

DOUBLE = [name for name in COPIES if ", " in name]
SINGLE = [name for name in COPIES if name not in DOUBLE]


def plant(originals, report_truth, scenario):
    """Copies of every original, kind by kind, looked for among all originals."""
    count = len(originals)
    found, false = {}, {}
    for name, change in COPIES.items():
        pairs, _ = find(table_of(2 * count), prints_of([*originals, *map(change, originals)]), threads=2)
        one, other = (pairs[column].str[1:].astype(int) for column in ("image_id", "other_id"))
        right = (one % count) == (other % count)
        found[name] = right.sum() / count
        false[name] = len({*(one[~right] % count), *(other[~right] % count)}) / count
    for changes, kinds, least in (("one change", SINGLE, 0.95), ("several changes at once", DOUBLE, 0.90)):
        worst = min(kinds, key=found.get)
        report_truth(scenario, f"share of copies found, {changes}, worst kind: {worst}", count, found[worst], least, 1)
        assert found[worst] >= least, found
    report_truth(scenario, "share of originals joined with a stranger, worst kind", count, max(false.values()), 0, 0.01)
    assert max(false.values()) <= 0.01, false


def test_planted_duplicates_of_phantoms(report_truth):
    options = PhantomOptions(patients=150, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), image_size=128, seed=1_710_000)
    scenes = sample_world(options, "planted").to_dict("records")
    plant([Image.fromarray(draw(scene, 128)[0]) for scene in scenes], report_truth, "150 phantoms, copies planted")


def test_planted_duplicates_of_ham10000(real_data, report_truth):
    listing = pd.read_csv(real_data / "ham10000" / "HAM10000_metadata.csv").drop_duplicates("lesion_id")
    files = {path.stem: path for path in (real_data / "ham10000").glob("HAM10000_images_part_*/*.jpg")}
    chosen = listing["image_id"].sort_values(key=lambda ids: ids.map(lambda name: hashlib.sha256(name.encode()).hexdigest())).head(300)
    plant([decode(files[name].read_bytes()) for name in chosen], report_truth, "300 lesions of HAM10000, copies planted")


def test_phantoms_of_different_patients_stay_apart():
    options = PhantomOptions(patients=700, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), difficulty=0.45, seed=1_720_000)
    table = sample_world(options, "strangers")
    prints = prints_of([Image.fromarray(draw(scene, 64)[0]) for scene in table.to_dict("records")])
    pairs, _ = find(table_of(len(table), patients=table["patient_id"].tolist()), prints, threads=2)
    assert len(set(pairs["image_id"]) | set(pairs["other_id"])) <= 0.01 * len(table)


# ── what is told of a pair ───────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture(scope="module")
def mixed():
    """Images of two data sets: 0 and 1 identical in both, 2 near 3, 4 near the identical ones 0/1, the rest strangers."""
    options = PhantomOptions(patients=12, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), image_size=128, seed=1_730_000)
    pictures = [Image.fromarray(draw(scene, 128)[0]) for scene in sample_world(options, "mixed").to_dict("records")]
    pictures[1], pictures[3], pictures[4] = pictures[0], COPIES["left-right, JPEG 50"](pictures[2]), COPIES["JPEG 60"](pictures[0])
    sha256 = ["same" if k < 2 else f"s{k}" for k in range(12)]
    labels = ["nevus"] * 3 + ["melanoma"] + ["nevus"] * 8
    images = table_of(12, sha256=sha256, dataset=["a", "b"] * 6, patients=[f"p{k // 4}" for k in range(12)], labels=labels)
    return images, prints_of(pictures)


def test_the_table_of_pairs(mixed):
    pairs, notes = find(*mixed)
    assert list(pairs.columns) == list(PAIRS) and not notes
    assert pairs[["image_id", "other_id", "kind", "dataset", "other_dataset", "same_patient", "same_label"]].values.tolist() == [
        ["i0000", "i0001", "identical", "a", "b", True, True],
        ["i0000", "i0004", "near", "a", "a", False, True],
        ["i0001", "i0004", "near", "b", "a", False, True],
        ["i0002", "i0003", "near", "a", "b", True, False],
    ]
    assert pairs["distance"].tolist()[0] == 0 and pairs["distance"][1:].between(0.001, 0.5).all()
    assert pairs["distance"][1] < pairs["distance"][3]      # JPEG 60 changes less than JPEG 50 and a mirror
    assert (pairs["path"] == "x/" + pairs["image_id"] + ".jpg").all() and (pairs["other_path"] == "x/" + pairs["other_id"] + ".jpg").all()


@given(st.permutations(range(12)), st.integers(1, 4))
@settings(deadline=None, max_examples=10)
def test_order_and_threads_change_nothing(mixed, order, threads):
    images, prints = mixed
    again, _ = find(images.iloc[order], prints[np.array(order)], threads=threads)
    pd.testing.assert_frame_equal(again, find(images, prints)[0])


def test_blocks_and_portions_change_nothing(mixed, monkeypatch):
    from lib.data import duplicates, perceptual

    whole = find(*mixed)[0]
    monkeypatch.setattr(duplicates, "_PORTION", 1)
    monkeypatch.setattr(perceptual, "_ROWS", 5)
    monkeypatch.setattr(perceptual, "_COLUMNS", 7)
    pd.testing.assert_frame_equal(find(*mixed)[0], whole)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_identical_files_are_joined_whole_and_seen_between_every_two_sources(rows):
    images = table_of(len(rows), sha256=[f"s{sha}" for sha, _ in rows], dataset=[dataset for _, dataset in rows])
    pairs, _ = find(images)
    assert (pairs["kind"] == "identical").all() and (pairs["image_id"] < pairs["other_id"]).all() and not pairs.duplicated().any()
    graph = networkx.Graph(zip(pairs["image_id"], pairs["other_id"], strict=True))
    graph.add_nodes_from(images["image_id"])
    wanted = {frozenset(part) for part in images.groupby("sha256")["image_id"].agg(list)}
    assert {frozenset(part) for part in networkx.connected_components(graph)} == wanted
    overlap = count_overlap(pairs, ["a", "b", "c"])
    for row in overlap[overlap["source"] != overlap["other"]].itertuples():
        mine, theirs = images[images["dataset"] == row.source], images[images["dataset"] == row.other]
        assert row.images == mine["sha256"].isin(theirs["sha256"]).sum() and row.other_images == theirs["sha256"].isin(mine["sha256"]).sum()


def test_overlap_counts_pairs_by_kind_whichever_end_comes_first(mixed):
    overlap = count_overlap(find(*mixed)[0], ["b", "a", "empty"]).set_index(["source", "other"])
    none = dict.fromkeys(KINDS, 0)
    assert overlap.loc[("b", "a")].to_dict() == none | {"images": 2, "other_images": 3, "identical": 1, "near": 2}
    assert overlap.loc[("a", "a")].to_dict() == none | {"images": 2, "other_images": 2, "near": 1}
    assert not overlap.loc[[("b", "empty"), ("empty", "empty"), ("b", "b")]].to_numpy().any()
    assert list(overlap.columns) == ["images", "other_images", *KINDS]


def test_nothing_in_nothing_out():
    for count in (0, 1):
        pairs, notes = find(table_of(count), Fingerprints.empty(count))
        assert list(pairs.columns) == list(PAIRS) and not len(pairs) and not notes
    assert not len(count_overlap(pairs, []))


def test_files_of_one_name_are_pairs_of_their_own_kind():
    """i0 is used from b because a's file is of no use; i1 from a; i2 has one file only; i3 has no label in b."""
    rows = [("a", "i0", "1.jpg", "p", "x"), ("a", "i1", "2.jpg", "p", "x"), ("a", "i2", "3.jpg", "q", "x"), ("a", "i3", "4.jpg", "q", "x"),
            ("b", "i0", "5.jpg", "r", "x"), ("b", "i1", "6.jpg", "p", "y"), ("b", "i2", None, "q", "x"), ("b", "i3", "7.jpg", "q", None),
            ("c", "i0", "8.jpg", "r", "x")]
    listed = pd.DataFrame(rows, columns=["dataset", "image_id", "file", "patient_id", "label"])
    pairs = same_names(listed, listed.iloc[[1, 2, 3, 4]])
    assert list(pairs.columns) == list(PAIRS) and set(pairs["kind"]) == {"same name"} and pairs["distance"].isna().all()
    assert pairs[["image_id", "other_id", "path", "other_path", "same_patient", "same_label"]].values.tolist() == [
        ["i0", "i0", "5.jpg", "1.jpg", False, True], ["i0", "i0", "5.jpg", "8.jpg", True, True],
        ["i1", "i1", "2.jpg", "6.jpg", True, False], ["i3", "i3", "4.jpg", "7.jpg", True, True]]
    overlap = count_overlap(pairs, ["a", "b", "c"]).set_index(["source", "other"])
    assert overlap.loc[("a", "b"), ["images", "other_images", "same name"]].tolist() == [3, 3, 3]
    assert overlap["same name"].sum() == 4 and not len(same_names(listed.iloc[:4], listed.iloc[:4]))


# ── published lists ──────────────────────────────────────────────────────────────────────────────────────────────

def write(folder, text, name="list.csv"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [name]


@pytest.mark.parametrize("one,other", SPELLINGS)
def test_every_known_spelling_of_the_columns(tmp_path, one, other):
    files = write(tmp_path, f"similarity,{other},note,{one}\n0.98,i0001,x,i0003\n")
    pairs, _ = find(table_of(5), root=tmp_path, pairs=files)
    assert pairs[["image_id", "other_id", "kind"]].values.tolist() == [["i0001", "i0003", "published"]] and pairs["distance"].isna().all()


def test_names_are_ids_or_files_and_the_rest_is_counted(tmp_path):
    images = table_of(6, names=["i0", "i1", "i2", "a/0.jpg", "a/1.jpg", "b/1.jpg"])
    images["file"] = ["x/i0.jpg", "x/other.png", "x/i2.jpg", "a/0.jpg", "a/1.jpg", "b/1.jpg"]
    lines = ["/far/i0.jpg,i1", "other.jpeg,I2", "i2,a/1.jpg", "0,i0", "1,i0", "i1,i1", "gone,i0", "gone,lost", "i0,i1"]
    pairs, notes = find(images, root=tmp_path, pairs=write(tmp_path, "\n".join(["first,second", *lines]) + "\n", "deep/list.csv"))
    assert {frozenset(pair) for pair in pairs[["image_id", "other_id"]].values.tolist()} == {
        frozenset({"i0", "i1"}), frozenset({"i2", "a/1.jpg"}), frozenset({"a/0.jpg", "i0"})}
    assert notes == ["deep/list.csv: 4 of 9 published pairs of duplicates are among the images; 4 of its image names are not among the "
                     "images"]


def test_a_pair_is_told_once_by_its_surest_evidence(mixed, tmp_path):
    files = write(tmp_path, "image_name_1,image_name_2\ni0003,i0002\ni0001,i0000\ni0010,i0011\n")
    pairs, notes = find(*mixed, root=tmp_path, pairs=[*files, *write(tmp_path, "a,b\ni0011,i0010\n", "more.csv")])
    kinds = pairs.set_index(["image_id", "other_id"])["kind"]
    assert kinds[("i0002", "i0003")] == "near" and kinds[("i0000", "i0001")] == "identical" and kinds[("i0010", "i0011")] == "published"
    assert len(kinds) == 5 and notes[0] == "list.csv: 3 of 3 published pairs of duplicates are among the images"


@pytest.mark.parametrize(("name", "text", "message"), [
    ("gone.csv", None, r"data\.duplicates\.pairs: no file .*gone\.csv; it is read under DATA_ROOT .* take gone\.csv out of the list"),
    ("../list.csv", None, r"data\.duplicates\.pairs: '\.\./list\.csv' leads out of the data folder"),
    ("/etc/list.csv", None, r"data\.duplicates\.pairs: '/etc/list\.csv' is an absolute path"),
    ("one.csv", "image_name_1\ni0000\n", r"has the columns image_name_1; expected two columns of image names, e\.g\. image_name_1, "),
    ("index.csv", ",image\n0,i0000\n", r"expected two columns of image names"),
    ("empty.csv", "", r"empty\.csv: the file is empty"),
])
def test_lists_that_cannot_be_read(tmp_path, name, text, message):
    if text is not None:
        write(tmp_path, text, name)
    with pytest.raises(DataError, match=message):
        find(table_of(3), root=tmp_path, pairs=[name])
    with pytest.raises(DataError, match=message):
        check_settings(Duplicates(pairs=[name]), tmp_path)


def test_settings_that_are_fine_pass(tmp_path):
    check_settings(Duplicates(pairs=write(tmp_path, "image_name_1,image_name_2\ni0000,i0001\n")), tmp_path)
