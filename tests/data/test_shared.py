"""Images that several sources have are used once, from the source they belong to, and bind whoever shares their patient."""

from __future__ import annotations

import itertools

import networkx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data import intake as intake_module
from lib.data.duplicates import count_overlap
from lib.data.errors import DataError
from lib.data.intake import take_in
from lib.data.shared import by_right, links_through
from lib.data.split import assign_splits, cluster_ids
from lib.study import Duplicates, Groups, Labels, Source

LABELS = Labels(classes={"a": ["nevus", "melanoma", "seborrheic_keratosis"],
                         "b": ["basal_cell_carcinoma", "actinic_keratosis", "vascular", "dermatofibroma"]})


def release(folder, builders, rows):
    """A release in HAM10000's form from (number, lesion, dx, look): `look` seeds the picture, "" leaves an empty file, None none."""
    lines = []
    for number, lesion, dx, look in rows:
        path = folder / "HAM10000_images_part_1" / f"ISIC_{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines.append(f"{lesion},ISIC_{number:07d},{dx},histo,40,male,back")
        if look == "":
            path.write_bytes(b"")
        elif look is not None:
            builders["draw_jpeg"](path, look)
    (folder / "HAM10000_metadata.csv").write_text("\n".join(["lesion_id,image_id,dx,dx_type,age,sex,localization", *lines]) + "\n")
    return folder


def bring(folders, *, judges=(), labels=LABELS, quarantined=1.0, **more):
    sources = [Source(dataset="ham10000", name=title, folder=title, max_quarantined=quarantined, max_missing=1,
                      role="test_only" if title in judges else "development") for title in folders]
    intake = take_in(sources, labels, Groups(), folders, shared_images="first_source", **more)
    account = intake.account.set_index("dataset")
    assert (account["listed"] == account[["missing", "excluded", "refused", "used"]].sum(axis=1)).all()
    assert intake.samples["image_id"].is_unique
    return intake


def fill(first, look, count=3):
    """Images of both classes with nothing in common with others."""
    return [(first + k, f"FILL_{first + k}", "nv" if k % 2 else "bcc", look + k) for k in range(count)]


def fates(intake):
    return {(row.dataset, row.image_id): (row.kind, row.reason) for row in intake.quarantine.itertuples()}


def test_a_lesion_that_two_releases_number_differently_is_one_cluster(tmp_path, builders):
    one = release(tmp_path / "x", builders, [(1, "HAM_1", "nv", 1), (2, "HAM_1", "nv", 2), *fill(100, 100)])
    two = release(tmp_path / "y", builders, [(1, "IL_0", "nv", 51), (3, "IL_0", "nv", 3), *fill(200, 200)])     # 1 was saved anew
    for order in ({"x": one, "y": two}, {"y": two, "x": one}):
        intake = bring(order)
        cluster = intake.samples.set_index("image_id")["cluster_id"]
        assert cluster[["ISIC_0000001", "ISIC_0000002", "ISIC_0000003"]].nunique() == 1 and cluster.nunique() == 7
        first, second = order
        assert fates(intake) == {(second, "ISIC_0000001"): ("excluded", f"stands in {first}, too")}
        assert intake.pairs[["image_id", "other_id", "kind", "dataset", "other_dataset", "same_patient"]].values.tolist() == [
            ["ISIC_0000001", "ISIC_0000001", "same name", first, second, False]]
        assert count_overlap(intake.pairs, ["x", "y"]).set_index(["source", "other"]).loc[("x", "y"), "images"] == 1


def test_a_lesion_is_one_cluster_through_a_copy_with_another_name(tmp_path, builders):
    one = release(tmp_path / "x", builders, [(1, "HAM_1", "nv", 1), *fill(100, 100)])
    two = release(tmp_path / "y", builders, [(8, "IL_0", "nv", 1), (9, "IL_0", "nv", 9), *fill(200, 200)])
    intake = bring({"x": one, "y": two})
    cluster = intake.samples.set_index("image_id")["cluster_id"]
    assert cluster["ISIC_0000001"] == cluster["ISIC_0000009"] and cluster.nunique() == 7
    assert fates(intake) == {("y", "ISIC_0000008"): ("excluded", "stands in x, too")}


@pytest.mark.parametrize("order", [("judge", "own"), ("own", "judge")])
@pytest.mark.parametrize("by_content", [False, True])
def test_a_test_only_source_keeps_its_images_whatever_its_place(tmp_path, builders, order, by_content):
    judge = release(tmp_path / "judge", builders, [(7 if by_content else 1, "J_1", "nv", 1), *fill(100, 100)])
    own = release(tmp_path / "own", builders, [(1, "O_1", "nv", 1), (2, "O_1", "bcc", 2), *fill(200, 200, 8)])
    folders = {"judge": judge, "own": own}
    intake = bring({title: folders[title] for title in order}, judges=["judge"], quarantined=0.0)
    assert fates(intake) == {
        ("own", "ISIC_0000001"): ("excluded", "stands in judge, too"),
        ("own", "ISIC_0000002"): ("excluded", "its patient or an identical image is in a test-only source (judge)")}
    assert (intake.samples["dataset"] == "judge").sum() == 4
    assign_splits(intake.samples, {"train": 0.5, "validation": 0.5, "test": 0}, 0, test_only=["judge"])


def test_order_of_right():
    sources = [Source(dataset="ham10000", name=name, role=role) for name, role in
               (("x", "development"), ("y", "test_only"), ("z", "development"), ("w", "test_only"))]
    assert by_right(sources) == ["y", "w", "x", "z"]
    assert by_right([sources[0].model_copy(update={"role": "reserve"}), *sources[1:]]) == ["y", "w", "z", "x"]


@pytest.mark.parametrize(("look", "dx", "kind"), [("", "nv", "refused"), (None, "nv", "missing"), (1, "df", "excluded")])
def test_the_next_source_gives_what_the_first_cannot(tmp_path, builders, look, dx, kind):
    labels = Labels(classes={"a": ["nevus"], "b": ["basal_cell_carcinoma"]}, exclude=["dermatofibroma"])
    one = release(tmp_path / "x", builders, [(1, "HAM_1", dx, look), (2, "HAM_1", "nv", 2), *fill(100, 100)])
    two = release(tmp_path / "y", builders, [(1, "IL_0", "nv", 51), *fill(200, 200)])
    three = release(tmp_path / "z", builders, [(1, "Z_0", "nv", 52), *fill(300, 300)])
    intake = bring({"x": one, "y": two, "z": three}, labels=labels)
    assert intake.samples.set_index("image_id").loc["ISIC_0000001", "dataset"] == "y"
    told = fates(intake)
    assert told["x", "ISIC_0000001"][0] == kind and told["z", "ISIC_0000001"] == ("excluded", "stands in y, too") and len(told) == 2
    cluster = intake.samples.set_index("image_id")["cluster_id"]
    assert cluster["ISIC_0000001"] == cluster["ISIC_0000002"]          # the table of x knows the lesion, whatever its file is worth
    named = intake.pairs[intake.pairs["kind"] == "same name"]
    assert set(named["dataset"]) == {"y"} and set(named["other_dataset"]) == ({"z"} if look is None else {"x", "z"})


def test_an_image_with_two_labels_in_the_first_source_comes_from_the_next(tmp_path, builders):
    one = release(tmp_path / "x", builders, [(1, "A", "nv", 1), (2, "B", "bcc", 1), *fill(100, 100)])
    two = release(tmp_path / "y", builders, [(1, "C", "nv", 1), (5, "C", "nv", 5), *fill(200, 200)])
    intake = bring({"x": one, "y": two}, duplicates=Duplicates())
    assert intake.samples.set_index("image_id").loc["ISIC_0000001", ["dataset", "label"]].tolist() == ["y", "a"]
    assert {key: kind for key, (kind, _) in fates(intake).items()} == {("x", "ISIC_0000001"): "refused", ("x", "ISIC_0000002"): "refused"}


def test_copies_of_a_shared_picture_with_two_labels_are_copies_still(tmp_path, builders):
    one = release(tmp_path / "x", builders, [(1, "A", "nv", 1), *fill(100, 100)])
    two = release(tmp_path / "y", builders, [(8, "B", "nv", 1), (9, "C", "bcc", 1), *fill(200, 200)])
    intake = bring({"x": one, "y": two})
    assert set(fates(intake).values()) == {("excluded", "stands in x, too")} and len(intake.quarantine) == 2
    assert "1 image has another label in a source that it is not taken from; the label of the source used counts" in intake.notes


def test_a_source_of_which_all_is_shared_does_no_harm(tmp_path, builders):
    rows = fill(100, 100, 6)
    folders = {name: release(tmp_path / name, builders, rows) for name in "xy"}
    for near in (False, True):
        intake = bring(folders, duplicates=Duplicates(near=near), rows=4)
        assert intake.account["used"].tolist() == [4, 2] and set(intake.samples["image_id"]) == {f"ISIC_{100 + k:07d}" for k in range(6)}
        assert bring(folders, duplicates=Duplicates(near=near)).account["used"].tolist() == [6, 0]


def test_lists_and_encoder_are_tried_before_any_image_is_opened(tmp_path, builders, monkeypatch):
    folder = release(tmp_path / "x", builders, fill(100, 100))
    monkeypatch.setattr(intake_module, "open_all", lambda *_, **__: pytest.fail("an image was opened"))
    with pytest.raises(DataError, match=r"data\.duplicates\.pairs: no file .*gone\.csv"):
        bring({"x": folder}, duplicates=Duplicates(pairs=["gone.csv"]), pairs_root=tmp_path)
    with pytest.raises(DataError, match=r"data\.duplicates\.encoder: .* cannot be loaded"):
        bring({"x": folder}, duplicates=Duplicates(encoder=str(tmp_path / "gone")), pairs_root=tmp_path)


# ── links through rows that are not used ─────────────────────────────────────────────────────────────────────────

ROW = st.tuples(*(st.integers(0, 7) for _ in range(4)), st.booleans())


@given(st.lists(ROW, min_size=1, max_size=14), st.lists(st.tuples(st.integers(0, 13), st.integers(0, 13)), max_size=3))
@settings(deadline=None, max_examples=80, derandomize=True)
def test_links_through_rows_equal_a_graph(rows, extra):
    listed = pd.DataFrame([(f"i{i}", f"p{p}", f"l{lesion}", f"s{s}" if s < 4 else None, use) for i, p, lesion, s, use in rows],
                          columns=["image_id", "patient_id", "lesion_id", "sha256", "use"])
    ids = listed["image_id"].tolist()
    pairs = pd.DataFrame([(ids[i % len(ids)], ids[j % len(ids)]) for i, j in extra], columns=["image_id", "other_id"])
    used = listed[listed["use"]].drop_duplicates("image_id")
    graph = networkx.Graph()
    for row in listed.itertuples():
        graph.add_edges_from(("image", row.image_id, kind) and (("image", row.image_id), (kind, value)) for kind, value in (
            ("patient", row.patient_id), ("lesion", row.lesion_id), ("sha256", row.sha256)) if value is not None)
    graph.add_edges_from((("image", one), ("image", other)) for one, other in pairs.values.tolist())
    part = {node: number for number, nodes in enumerate(networkx.connected_components(graph)) for node in nodes}
    cluster = cluster_ids(used, links_through(listed, used, pairs))
    for (i, one), (j, other) in itertools.combinations(zip(used["image_id"], cluster, strict=True), 2):
        assert (one == other) == (part["image", i] == part["image", j])
