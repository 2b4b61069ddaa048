"""Who has what, and the files: shares, independence, resuming, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chi2_contingency

from lib.phantom import world
from lib.phantom.lesions import USUAL
from lib.phantom.world import sample_world, write_dataset
from lib.study import PhantomOptions


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def p_value(first, second):
    return chi2_contingency(pd.crosstab(first, second)).pvalue


@pytest.fixture(scope="module")
def large():
    return sample_world(PhantomOptions(patients=4_000, seed=7), "large")


@settings(deadline=None, max_examples=25)
@given(
    patients=st.integers(1, 80), lesions=st.tuples(st.integers(1, 3), st.integers(0, 2)),
    images=st.tuples(st.integers(1, 3), st.integers(0, 2)), seed=st.integers(0, 2**40))
def test_a_world_is_whole(patients, lesions, images, seed):
    options = PhantomOptions(
        patients=patients, lesions_per_patient=(lesions[0], sum(lesions)), images_per_lesion=(images[0], sum(images)), seed=seed)
    table = sample_world(options, "w")
    assert table["image_id"].is_unique and table["file"].is_unique and table["view_seed"].is_unique
    assert table["patient_id"].nunique() == patients
    assert (table.groupby("patient_id")[["tone", "melanin", "patient_seed"]].nunique() == 1).all(axis=None)
    assert (table.groupby("lesion_id")[["diagnosis", "patient_id", "lesion_seed"]].nunique() == 1).all(axis=None)
    assert table.groupby("patient_id")["lesion_id"].nunique().between(lesions[0], sum(lesions)).all()
    assert table.groupby("lesion_id").size().between(images[0], sum(images)).all()
    assert (table["view_seed"] >= 0).all()
    pd.testing.assert_frame_equal(table, sample_world(options, "w"))


def test_shares_are_honoured():
    shares = {1: 0.22, 2: 0.30, 3: 0.24, 4: 0.16, 5: 0.05, 6: 0.03}
    table = sample_world(PhantomOptions(
        patients=500, tone_shares=shares, class_shares={"melanoma": 1, "nevus": 3}, domain_shares={"clinical": 1}), "w")
    patients = table.drop_duplicates("patient_id")["tone"].value_counts()
    assert {tone: patients[tone] for tone in shares} == {tone: round(500 * share) for tone, share in shares.items()}
    lesions = table.drop_duplicates("lesion_id")
    assert abs((lesions["diagnosis"] == "nevus").mean() - 0.75) < 0.01
    assert set(table["domain"]) == {"clinical"}
    assert "squamous_cell_carcinoma" not in set(sample_world(PhantomOptions(), "w")["diagnosis"])
    assert set(sample_world(PhantomOptions(class_shares={"squamous_cell_carcinoma": 1}), "w")["diagnosis"]) == {"squamous_cell_carcinoma"}


def test_left_over_patients_go_to_the_largest_remainders():
    table = sample_world(PhantomOptions(patients=7, tone_shares={1: 0.5, 2: 0.3, 6: 0.2}), "w")
    assert table.drop_duplicates("patient_id")["tone"].value_counts().to_dict() == {1: 4, 2: 2, 6: 1}


def test_what_is_independent_of_the_diagnosis(large):
    assert p_value(large["diagnosis"], large["ruler"]) > 0.001
    assert p_value(large["diagnosis"], large["domain"]) > 0.001
    lesions = large.drop_duplicates("lesion_id")
    counts = pd.crosstab(lesions["tone"], lesions["diagnosis"])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    assert 0.05 < large["ruler"].mean() < 0.2


def test_confound_breaks_the_independence(large):
    confounded = sample_world(PhantomOptions(patients=4_000, seed=7, confound=0.3), "large")
    rates = confounded.groupby("diagnosis")["ruler"].mean()
    assert p_value(confounded["diagnosis"], confounded["ruler"]) < 1e-12
    assert rates["melanoma"] > 0.3 > 0.2 > rates.drop("melanoma").max()
    others = large["diagnosis"] != "melanoma"
    pd.testing.assert_frame_equal(large[others], confounded[others])


def test_artefacts_off(large):
    off = sample_world(PhantomOptions(patients=4_000, seed=7, artefacts=False), "large")
    assert not off["ruler"].any()
    pd.testing.assert_frame_equal(large.drop(columns=["ruler", "artefacts"]), off.drop(columns=["ruler", "artefacts"]))


def test_names_and_seeds_make_other_patients():
    seeds = [set(sample_world(PhantomOptions(patients=50, seed=seed), name)["view_seed"]) for seed, name in ((1, "a"), (2, "a"), (1, "b"))]
    assert not seeds[0] & seeds[1] and not seeds[0] & seeds[2]


@pytest.mark.parametrize(("options", "words"), [
    ({"class_shares": {"mole": 1.0}}, ["class_shares", "mole", *USUAL]),
    ({"domain_shares": {"x-ray": 1.0}}, ["domain_shares", "x-ray", "dermoscopic", "clinical", "smartphone"]),
])
def test_unknown_names_are_refused_with_a_list(options, words):
    with pytest.raises(ValueError) as error:
        sample_world(PhantomOptions(**options), "w")
    assert all(word in str(error.value) for word in words)


def test_unknown_tone_is_refused_with_a_list():
    options = PhantomOptions().model_copy(update={"tone_shares": {7: 1.0}})         # the study file refuses it too
    with pytest.raises(ValueError, match=r"7.*1, 2, 3, 4, 5, 6"):
        sample_world(options, "w")


def test_files_and_table(tmp_path):
    options, seen = PhantomOptions(patients=4, image_size=48), []
    table = write_dataset(tmp_path / "a", options, "w", lambda done, of: seen.append((done, of)))
    assert seen == [(k + 1, len(table)) for k in range(len(table))]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a" / "metadata.csv"), table, check_dtype=False)
    for file, mask in zip(table["file"], table["mask"], strict=True):
        picture, patch = (Image.open(tmp_path / "a" / name) for name in (file, mask))
        assert picture.size == patch.size == (48, 48) and picture.mode == "RGB" and patch.mode == "L"
        assert set(np.unique(patch)) == {0, 255}
    assert not list(tmp_path.rglob("*.part"))


def test_resuming_after_a_kill_equals_a_clean_write(tmp_path, monkeypatch):
    options = PhantomOptions(patients=5, image_size=32)
    write_dataset(tmp_path / "clean", options, "w")

    class Killed(BaseException):
        pass

    def stop(done, _):
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        write_dataset(tmp_path / "cut", options, "w", stop)
    assert not (tmp_path / "cut" / "metadata.csv").exists()
    first = next((tmp_path / "cut").rglob("images/*/*.png"))
    (first.parent / (first.name + ".part")).write_bytes(b"half")                   # what a kill in the middle of a write leaves
    drawn = []
    monkeypatch.setattr(world, "draw", lambda scene, size, draw=world.draw: drawn.append(scene["image_id"]) or draw(scene, size))
    table = write_dataset(tmp_path / "cut", options, "w")
    assert len(drawn) == len(table) - 4
    cut = {name: data for name, data in content(tmp_path / "cut").items() if not name.endswith(".part")}
    assert cut == content(tmp_path / "clean")


def test_a_picture_without_its_mask_is_drawn_again(tmp_path):
    options = PhantomOptions(patients=2, image_size=32)
    table = write_dataset(tmp_path / "a", options, "w")
    before = content(tmp_path / "a")
    (tmp_path / "a" / table["mask"][0]).unlink()
    write_dataset(tmp_path / "a", options, "w")
    assert content(tmp_path / "a") == before


def test_other_options_clear_the_folder_and_foreign_files_stop_it(tmp_path):
    write_dataset(tmp_path / "a", PhantomOptions(patients=3, image_size=32), "w")
    write_dataset(tmp_path / "a", PhantomOptions(patients=3, image_size=32, difficulty=0.9), "w")
    write_dataset(tmp_path / "b", PhantomOptions(patients=3, image_size=32, difficulty=0.9), "w")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "holiday.jpg").write_bytes(b"beach")
    with pytest.raises(ValueError, match="empty folder"):
        write_dataset(tmp_path / "c", PhantomOptions(patients=3), "w")
    assert (tmp_path / "c" / "holiday.jpg").exists()


def test_two_processes_write_what_one_writes(tmp_path, monkeypatch):
    options = PhantomOptions(patients=30, image_size=32)
    write_dataset(tmp_path / "one", options, "w")
    monkeypatch.setattr(world, "_PER_PROCESS", 10)
    monkeypatch.setattr(world, "_draw_one", None)                                   # in this process, that is: others load their own
    write_dataset(tmp_path / "two", options, "w", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    def peak(patients):
        options = PhantomOptions(patients=patients, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), image_size=64)
        tracemalloc.start()
        write_dataset(tmp_path / str(patients), options, "w")
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    peak(5)                                                                         # tables are made once
    few, many = peak(15), peak(90)
    assert many - few < 75 * 64 * 64 * 3 / 4, "an image that stays in memory costs 12 kB"
