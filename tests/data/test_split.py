"""Splits: whole patients, the wished shares, the same result whatever the order of rows."""

from __future__ import annotations

import networkx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data.errors import DataError
from lib.data.split import assign_splits, cluster_ids, missing_from_test

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def people(rows):
    """A frame from (patient, lesion, sha256, label, group) tuples."""
    frame = pd.DataFrame(rows, columns=["patient_id", "lesion_id", "sha256", "label", "group"])
    return frame.assign(image_id=[f"i{n:05d}" for n in range(len(frame))], dataset="a")


def clustered(frame):
    return frame.assign(cluster_id=cluster_ids(frame))


@st.composite
def clinics(draw):
    """Patients with several lesions and images, some images twice, labels per lesion, groups per patient."""
    rows, labels = [], ["a", "b", "c"][:draw(st.integers(2, 3))]
    for patient in range(draw(st.integers(12, 60))):
        group = draw(st.sampled_from(["I–II", "V–VI", None]))
        for lesion in range(draw(st.integers(1, 3))):
            label = draw(st.sampled_from(labels))
            for _ in range(draw(st.integers(1, 3))):
                sha = f"twin{draw(st.integers(0, 30))}" if draw(st.integers(0, 20)) == 0 else f"own{len(rows)}"
                rows.append((f"p{patient}", f"p{patient}/{lesion}", sha, label, group))
    return clustered(people(rows))


@given(clinics(), st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_nobody_is_in_two_splits_and_order_changes_nothing(frame, seed):
    try:
        splits = assign_splits(frame, SHARES, seed)
    except DataError as error:
        assert "patient" in str(error)
        return
    for column in ("patient_id", "lesion_id", "sha256", "cluster_id"):
        assert splits.groupby(frame[column]).nunique().max() == 1
    assert set(pd.crosstab(frame["label"], splits).columns) == set(SHARES)
    assert pd.crosstab(frame["label"], splits).min().min() > 0
    mixed = frame.sample(frac=1, random_state=seed)
    again = clustered(mixed.drop(columns="cluster_id"))
    pd.testing.assert_series_equal(again["cluster_id"].sort_index(), frame["cluster_id"])
    pd.testing.assert_series_equal(assign_splits(again, SHARES, seed).sort_index(), splits)


@given(st.integers(3, 300), st.integers(3, 40), st.integers(0, 1_000), st.floats(0.1, 0.4), st.floats(0.1, 0.4))
@settings(deadline=None, max_examples=60)
def test_shares_of_single_images_are_as_wished(many, few, seed, validation, test):
    rows = [(f"p{n}", f"l{n}", f"s{n}", "many" if n < many else "few", ("x", "y")[n % 2]) for n in range(many + few)]
    frame, wish = clustered(people(rows)), {"train": 1 - validation - test, "validation": validation, "test": test}
    splits = assign_splits(frame, wish, seed)
    for label, count in (("many", many), ("few", few)):
        for split, share in wish.items():
            assert abs((splits[frame["label"] == label] == split).sum() - share * count) <= 2.5
    strata = frame.groupby(["label", "group"]).size()
    for (label, group), count in strata.items():
        inside = (frame["label"] == label) & (frame["group"] == group)
        for split, share in wish.items():
            assert abs((splits[inside] == split).sum() - share * count) <= 2.5


def test_shares_of_whole_patients_stay_within_the_largest_patient():
    rng = np.random.default_rng(1)
    rows = [(f"p{p}", f"p{p}/{k}", f"s{p}/{k}", ("a", "b", "c")[p % 3], ("x", "y", None)[p % 7 % 3])
            for p in range(400) for k in range(rng.integers(1, 7))]
    frame = clustered(people(rows))
    splits = assign_splits(frame, SHARES, 3)
    for keys in (["label"], ["label", "group"]):
        for _, part in frame.assign(split=splits).groupby(keys, dropna=False):
            for split, share in SHARES.items():
                assert abs((part["split"] == split).sum() - share * len(part)) <= 6


def test_patients_with_many_images_are_spread_over_the_splits():
    rows = [(f"p{p}", f"p{p}/{k}", f"s{p}/{k}", "ab"[p % 2], "x") for p in range(600) for k in range(1 + 5 * (p % 6 == 0 or p % 6 == 1))]
    frame = clustered(people(rows))
    size = frame.groupby("cluster_id")["image_id"].transform("size")
    share = pd.crosstab(assign_splits(frame, SHARES, 0), size > 1, normalize="columns")
    for split, wished in SHARES.items():
        assert share.loc[split].to_numpy() == pytest.approx(wished, abs=0.02)


def test_the_seed_decides_and_nothing_else():
    frame = clustered(people([(f"p{n}", f"l{n}", f"s{n}", "ab"[n % 2], "x") for n in range(200)]))
    first = assign_splits(frame, SHARES, 1)
    assert first.equals(assign_splits(frame, SHARES, 1)) and not first.equals(assign_splits(frame, SHARES, 2))


@pytest.mark.parametrize("patients", [3, 4, 5, 6, 7])
def test_a_class_with_just_enough_patients_is_in_every_split(patients):
    rows = [(f"p{n}", f"l{n}", f"s{n}", "common", "x") for n in range(200)]
    rows += [(f"r{n}", f"r{n}/{k}", f"r{n}/{k}", "rare", f"g{n}") for n in range(patients) for k in range(1 + 3 * (n == 0))]
    frame = clustered(people(rows))
    for seed in range(20):
        splits = assign_splits(frame, SHARES, seed)
        assert set(splits[frame["label"] == "rare"]) == set(SHARES)


@pytest.mark.parametrize(("patients", "words"), [(1, "from 1 patient "), (2, "from 2 patients ")])
def test_a_class_with_too_few_patients_is_one_clear_error(patients, words):
    rows = [(f"p{n}", f"l{n}", f"s{n}", "common", "x") for n in range(50)]
    rows += [(f"r{n % patients}", f"m{n}", f"t{n}", "rare", "x") for n in range(30)]
    with pytest.raises(DataError, match="class 'rare': its 30 images") as caught:
        assign_splits(clustered(people(rows)), SHARES, 0)
    for part in (words, "train, validation, test each need", "Add images", "labels.classes", "labels.exclude"):
        assert part in str(caught.value)


def test_without_a_test_share_two_patients_are_enough():
    frame = clustered(people([(f"p{n}", f"l{n}", f"s{n}", "ab"[n // 2], "x") for n in range(4)]))
    splits = assign_splits(frame, {"train": 0.8, "validation": 0.2, "test": 0.0}, 0)
    assert pd.crosstab(frame["label"], splits).to_numpy().tolist() == [[1, 1], [1, 1]]


def test_test_only_sources_are_test_and_do_not_count():
    frame = people([(f"p{n}", f"l{n}", f"s{n}", "ab"[n % 2], "x") for n in range(120)])
    frame["dataset"] = ["judge" if n < 20 else "own" for n in range(120)]
    splits = assign_splits(clustered(frame), SHARES, 0, test_only=["judge"])
    assert (splits[:20] == "test").all() and (splits[20:] == "test").sum() == pytest.approx(15, abs=2)
    frame.loc[0, "patient_id"] = "p100"
    with pytest.raises(DataError, match=r"1 patients have images both in a test-only and in another source \(p100\)"):
        assign_splits(clustered(frame), SHARES, 0, test_only=["judge"])


def test_the_reserve_is_kept_back_and_does_not_count():
    frame = people([(f"p{n}", f"l{n}", f"s{n}", "ab"[n % 2], "x") for n in range(140)])
    frame["dataset"] = ["judge" if n < 20 else "kept" if n < 60 else "own" for n in range(140)]
    splits = assign_splits(clustered(frame), SHARES, 0, test_only=["judge"], reserve=["kept"])
    assert (splits[:20] == "test").all() and (splits[20:60] == "reserve").all() and "reserve" not in set(splits[60:])
    alone = assign_splits(clustered(frame[60:]), SHARES, 0)
    assert splits[60:].equals(alone)                                          # the others are dealt as if there were no reserve
    frame.loc[30, "patient_id"] = "p100"
    with pytest.raises(DataError, match=r"1 patients have images both in a reserve and in another source \(p100\).*nobody new"):
        assign_splits(clustered(frame), SHARES, 0, test_only=["judge"], reserve=["kept"])


def test_a_class_that_only_the_judges_have_is_an_error():
    frame = people([(f"p{n}", f"l{n}", f"s{n}", "abc"[n % 3], "x") for n in range(90)])
    frame["dataset"] = np.where(frame["label"] == "c", "judge", "own")
    for role in ("test_only", "reserve"):
        with pytest.raises(DataError, match="class 'c': its 0 images for learning come from 0 patients"):
            assign_splits(clustered(frame), SHARES, 0, **{role: ["judge"]})


@pytest.mark.parametrize("shares", [{"train": 0.5}, {"train": 0.5, "dev": 0.5}, {}])
def test_wrong_shares(shares):
    with pytest.raises(DataError, match="expected shares of train, validation, test with a sum of 1"):
        assign_splits(clustered(people([("p", "l", "s", "a", "x")])), shares, 0)


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.integers(0, 15))] * 3), min_size=1, max_size=40),
       st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=5))
@settings(deadline=None, max_examples=150)
def test_clusters_equal_the_connected_components_of_networkx(ids, pairs):
    frame = people([(p and f"p{p}", m and f"m{m}", f"s{len(ids) if s is None else s}.{n if s is None else ''}", "a", "x")
                    for n, (p, m, s) in enumerate(ids)])
    pairs = [pair for pair in pairs if max(pair) < len(frame)]
    names = cluster_ids(frame, [(f"i{a:05d}", f"i{b:05d}") for a, b in pairs])
    graph = networkx.Graph(pairs)
    graph.add_nodes_from(range(len(frame)))
    for column in ("patient_id", "lesion_id", "sha256"):
        for rows in frame.groupby(column).indices.values():
            networkx.add_path(graph, rows)
    components = {frozenset(part) for part in networkx.connected_components(graph)}
    assert components == {frozenset(part) for part in names.groupby(names).indices.values()}


def test_clusters_are_named_after_a_patient_and_never_share_a_name():
    frame = people([("p2", "a", "s1", "a", "x"), ("p1", "b", "s1", "a", "x"), (None, "c", "s2", "a", "x"), (None, None, "s3", "a", "x"),
                    ("i00003", "d", "s4", "a", "x")])
    names = cluster_ids(frame)
    assert names.tolist()[:3] == ["p1", "p1", "c"] and names.nunique() == 4
    with pytest.raises(DataError, match="not in the table: nobody"):
        cluster_ids(frame, [("i00000", "nobody")])


def test_classes_without_a_test_image_are_named():
    frame = people([(f"p{n}", f"l{n}", f"s{n}", "abc"[n % 3], "x") for n in range(90)])
    frame["dataset"] = np.where((frame["label"] == "a") & (frame.index < 30), "judge", "own")
    frame = clustered(frame)
    judged = frame.assign(split=assign_splits(frame, {"train": 0.8, "validation": 0.2, "test": 0}, 0, test_only=["judge"]))
    assert missing_from_test(judged, ["c", "a", "b"]) == ["no test image of class c: it cannot be judged",
                                                          "no test image of class b: it cannot be judged"]
    assert missing_from_test(frame.assign(split=assign_splits(frame, SHARES, 0)), ["a", "b", "c"]) == []
