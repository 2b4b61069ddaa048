"""The contracts between stages: what is accepted, what is refused, and that files are whole or not there."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.tables import TableError, read_metadata, read_table, write_table


def samples(**changes):
    """Two good rows, with columns replaced."""
    frame = pd.DataFrame({
        "image_id": ["a", "b"], "path": ["x/a.png", "x/b.png"], "dataset": "d", "domain": "clinical", "label": ["n", "m"],
        "diagnosis": ["nevus", "melanoma"], "tone": pd.array([1, None], dtype="Int8"), "group": ["I–II", None], "patient_id": ["p", "q"],
        "lesion_id": ["l", "k"], "cluster_id": ["p", "q"], "split": ["train", "test"], "sha256": ["0" * 64, "f" * 64],
        "mask_path": [None, "m.png"], "ita": [12.5, float("nan")], "width": pd.array([4, 4], dtype="Int32"),
        "height": pd.array([4, 4], dtype="Int32"),
    })
    return frame.assign(**changes).astype({"group": "str", "mask_path": "str"})


def predictions(**changes):
    """Two good rows, with columns replaced."""
    frame = pd.DataFrame({
        "image_id": ["a", "b"], "split": ["test", "validation"], "fold": pd.array([0, 0], dtype="Int8"), "arm": "real",
        "architecture": "small_cnn", "seed": pd.array([0, 0], dtype="Int32"), "train_fraction": 1.0, "condition": "clean",
        "target": "label",
        "y_true": pd.array([0, 1], dtype="Int16"), "p_0": [0.25, 1.0], "p_1": [0.75, 0.0], "threshold": [0.5, float("nan")],
        "diagnosis": "nevus", "tone": pd.array([1, None], dtype="Int8"), "group": ["I–II", None], "patient_id": ["p", "q"],
        "lesion_id": ["l", "k"], "cluster_id": ["p", "q"],
    })
    return frame.assign(**changes).astype({"group": "str"})


@pytest.mark.parametrize(("name", "frame"), [("samples", samples()), ("predictions", predictions())])
def test_what_is_written_is_read(name, frame, tmp_path):
    path = tmp_path / "deep" / f"{name}.parquet"
    write_table(name, frame, path, {"classes": ["ü", "b"]})
    pd.testing.assert_frame_equal(read_table(name, path), frame)
    assert read_metadata(path) == {"classes": ["ü", "b"]}
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_same_table_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_table("samples", samples(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


BAD_SAMPLES = {
    "image twice":            ({"image_id": ["a", "a"]}, "image_id"),
    "empty id":               ({"image_id": ["a", ""]}, "image_id"),
    "absolute path":          ({"path": ["/etc/passwd", "b.png"]}, "leaves its root"),
    "path upwards":           ({"path": ["../a.png", "b.png"]}, "leaves its root"),
    "path upwards, windows":  ({"path": ["..\\a.png", "b.png"]}, "leaves its root"),
    "mask upwards":           ({"mask_path": ["x/../../m.png", None]}, "leaves its root"),
    "type 7":                 ({"tone": pd.array([7, 1], dtype="Int8")}, "tone"),
    "unknown split":          ({"split": ["train", "val"]}, "split"),
    "no hash":                ({"sha256": ["0", "1"]}, "sha256"),
    "cluster in two splits":  ({"cluster_id": ["p", "p"]}, "a cluster_id lies in two splits"),
    "patient in two splits":  ({"patient_id": ["p", "p"]}, "a patient_id lies in two splits"),
    "a column too many":      ({"extra": 1}, "extra"),
    "text for a number":      ({"ita": ["x", "y"]}, "ita"),
    "no width":               ({"width": pd.array([0, 1], dtype="Int32")}, "width"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_samples_that_break_the_contract(case, tmp_path):
    changes, message = BAD_SAMPLES[case]
    with pytest.raises(TableError, match=message):
        write_table("samples", samples(**changes), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


BAD_PREDICTIONS = {
    "training image":     ({"split": ["train", "test"]}, "split"),
    "not a distribution": ({"p_0": [0.5, 1.0]}, "do not sum to 1"),
    "above one":          ({"p_0": [1.5, 1.0], "p_1": [-0.5, 0.0]}, "p_"),
    "class past the end": ({"y_true": pd.array([0, 2], dtype="Int16")}, "past the last class"),
    "same image twice":   ({"image_id": ["a", "a"]}, "image_id"),
    "NaN":                ({"p_0": [float("nan"), 1.0]}, "p_0"),
}


@pytest.mark.parametrize("case", BAD_PREDICTIONS)
def test_predictions_that_break_the_contract(case, tmp_path):
    changes, message = BAD_PREDICTIONS[case]
    with pytest.raises(TableError, match=message):
        write_table("predictions", predictions(**changes), tmp_path / "t.parquet")


def test_missing_column_is_named(tmp_path):
    with pytest.raises(TableError, match="lesion_id"):
        write_table("samples", samples().drop(columns="lesion_id"), tmp_path / "t.parquet")


def test_missing_and_broken_files_say_what_to_do(tmp_path):
    with pytest.raises(TableError, match="run the stage that makes it"):
        read_table("samples", tmp_path / "none.parquet")
    path = tmp_path / "cut.parquet"
    write_table("samples", samples(), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TableError, match="delete it and run its stage again"):
        read_table("samples", path)


def test_a_tampered_file_is_refused_on_reading(tmp_path):
    path = tmp_path / "t.parquet"
    samples(split=["train", "elsewhere"]).to_parquet(path)
    with pytest.raises(TableError, match="split"):
        read_table("samples", path)


def test_an_empty_table_is_a_table(tmp_path):
    write_table("samples", samples().iloc[:0], tmp_path / "t.parquet")
    assert len(read_table("samples", tmp_path / "t.parquet")) == 0


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["train", "validation", "test"])), min_size=1, max_size=12))
def test_no_patient_in_two_splits_gets_through(rows):
    frame = pd.concat([samples().iloc[[0]]] * len(rows), ignore_index=True)
    frame = frame.assign(image_id=[f"i{n}" for n in range(len(rows))], patient_id=[f"p{p}" for p, _ in rows],
                         cluster_id=[f"c{n}" for n in range(len(rows))], split=[split for _, split in rows])
    leaks = any(len({split for patient, split in rows if patient == one}) > 1 for one, _ in rows)
    from lib.tables import check_table
    if leaks:
        with pytest.raises(TableError, match="two splits"):
            check_table("samples", frame, "here")
    else:
        check_table("samples", frame, "here")
