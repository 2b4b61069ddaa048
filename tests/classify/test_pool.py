"""Pools: each arm gets the images it names and no others, drawn ones are training images and nothing else."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.classify.grid import Cell
from lib.classify.images import Stacked
from lib.classify.pool import Pool, open_pool, real_pool
from lib.classify.sampling import plan_arm
from lib.data.errors import DataError
from lib.study import Classifier
from lib.tables import TableError, write_table

SPLITS = {"train": 20, "validation": 6, "test": 6, "reserve": 16}


@pytest.fixture
def samples():
    split = [name for name, count in SPLITS.items() for _ in range(count)]
    names = [f"{name}{i:02d}" for i, name in enumerate(split)]
    dark = np.arange(len(split)) % 3 == 0
    return pd.DataFrame({
        "image_id": names, "cluster_id": names, "patient_id": names, "split": split, "label": np.resize(["a", "b"], len(split)),
        "tone": pd.array(np.where(dark, 6, 1), dtype="Int8"), "group": np.where(dark, "V–VI", "I–II"), "sha256": "0" * 64,
    })


@pytest.fixture
def pixels(samples):
    return np.repeat(np.arange(len(samples), dtype=np.uint8), 16 * 16 * 3).reshape(-1, 16, 16, 3)


class Drawn:
    """What 05 and 06 leave behind: images of both generators on disk, of which every third is selected."""

    def __init__(self, folder):
        self.folder, self.asked, rows = folder, [], []
        for generator, count, size in (("diffusion", 12, 16), ("gan", 6, 8)):
            for i in range(count):
                path = folder / generator / f"{i}.png"
                path.parent.mkdir(exist_ok=True)
                Image.new("RGB", (size, size), (100 + i, i, 50)).save(path)
                key, group = ("6", "V–VI") if generator == "diffusion" else (None, None)
                rows.append({"image_id": f"{generator}-{i:02d}", "path": f"{generator}/{i}.png", "generator": generator,
                             "label": "ab"[i % 2], "tone_key": key, "group": group, "accepted": i != 1, "selected": i % 3 == 0,
                             "random_subset": i % 3 == 1, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        self.tables = {"synthetic": pd.DataFrame(rows)[::-1], "curated": pd.DataFrame(rows).query("accepted")}

    def __call__(self, name):
        self.asked.append(name)
        return self.tables[name]


@pytest.fixture
def drawn(tmp_path):
    return Drawn(tmp_path)


def opened(arm, samples, pixels, drawn, fraction=1.0):
    return open_pool(Cell(arm, "small_cnn", 0, fraction), samples, pixels, read=drawn, folder=drawn.folder, seed=42,
                     generators=["diffusion", "gan"], cache=drawn.folder / "cache")


@pytest.mark.parametrize(("arm", "asked", "added"), [
    ("real",                           [],            []),
    ("oversampled",                    [],            []),
    ("diffusion_uncurated",            ["synthetic"], [f"diffusion-{i:02d}" for i in range(12) if i != 1]),
    ("diffusion_curated+mixup",        ["curated"],   ["diffusion-00", "diffusion-03", "diffusion-06", "diffusion-09"]),
    ("diffusion_random",               ["curated"],   ["diffusion-04", "diffusion-07", "diffusion-10"]),
    ("gan_curated",                    ["curated"],   ["gan-00", "gan-03"]),
    ("diffusion_and_gan",              ["curated"],   ["diffusion-00", "diffusion-03", "diffusion-06", "diffusion-09", "gan-00", "gan-03"]),
    ("synthetic_only",                 ["curated"],   ["diffusion-00", "diffusion-03", "diffusion-06", "diffusion-09", "gan-00", "gan-03"]),
    ("diffusion_uncurated+on_the_fly", [],            []),
    ("diffusion_curated+hybrid",       ["curated"],   ["diffusion-00", "diffusion-03", "diffusion-06", "diffusion-09"]),
])
def test_an_arm_gets_the_images_it_names(samples, pixels, drawn, arm, asked, added):
    pool = opened(arm, samples, pixels, drawn)
    assert drawn.asked == asked and pool.table.loc[pool.added, "image_id"].tolist() == added and pool.count == 20
    real = [] if arm == "synthetic_only" else samples.loc[samples["split"] == "train", "image_id"].tolist()
    assert pool.table.loc[~pool.added, "image_id"].tolist() == real
    seen = pool.pixels[pool.rows]
    assert (seen[~pool.added][:, 0, 0, 0] == np.arange(len(real))).all()
    for name, picture in zip(pool.table.loc[pool.added, "image_id"], seen[pool.added], strict=True):
        assert (picture == (100 + int(name[-2:]), int(name[-2:]), 50)).all()         # a GAN's, drawn at 8 pixels, is enlarged
    write_table("training", pool.table, drawn.folder / "training.parquet")


def test_collected_images_come_from_the_reserve_cell_by_cell(samples, pixels, drawn):
    pool = opened("collected", samples, pixels, drawn)
    more = pool.table[pool.added]
    assert not more["synthetic"].any() and (more["split"] == "reserve").all() and not pool.notes
    assert more.groupby(["label", "tone_key"]).size().to_dict() == {("a", "6"): 2, ("b", "6"): 2}      # as many as were selected
    assert (pool.pixels[pool.rows][:, 0, 0, 0] == pool.rows).all()
    assert opened("collected", samples, pixels, drawn).table.equals(pool.table)


def test_a_reserve_that_is_short_says_so(samples, pixels, drawn):
    few = samples.assign(split=samples["split"].where(~((samples["split"] == "reserve") & (samples["tone"] == 6)), "test"))
    few.loc[few.index[-4:], ["split", "tone", "group", "label"]] = ["reserve", 6, "V–VI", "a"]
    drawn.tables["curated"] = drawn.tables["curated"].assign(label="a", selected=True)
    pool = opened("collected", few, pixels, drawn)
    assert pool.added.sum() == 4 and "The reserve lacks 7 of 11 images" in pool.notes[0]


def test_a_reserve_without_images_is_refused(samples, pixels, drawn):
    none = samples.assign(split=samples["split"].replace("reserve", "test"))
    with pytest.raises(ValueError, match=r"samples hold none; name some in split\.file"):
        opened("collected", none, pixels, drawn)


def test_where_nothing_was_selected_the_arm_draws_real_images_and_says_so(samples, pixels, drawn):
    drawn.tables["curated"] = drawn.tables["curated"].assign(selected=False)
    pool = opened("diffusion_curated", samples, pixels, drawn)
    assert not pool.added.any() and len(pool.table) == 20 and "no generated image was selected" in pool.notes[0]


def test_generated_images_alone_may_lack_a_class_but_not_all(samples, pixels, drawn):
    curated = drawn.tables["curated"]
    drawn.tables["curated"] = curated.assign(selected=curated["selected"] & curated["label"].eq("a"))
    pool = opened("synthetic_only", samples, pixels, drawn)
    assert pool.notes == ("No image of b was selected, so synthetic_only cannot learn to name them.",)
    plan = plan_arm("synthetic_only", pool, ["a", "b"], Classifier(), {})
    assert plan.class_weights.tolist() == [1, 0] and len(plan.batches(0, 0)[0]) == 20
    drawn.tables["curated"] = curated.assign(selected=False)
    with pytest.raises(ValueError, match="synthetic_only: no generated image was selected, so there is nothing to train on"):
        plan_arm("synthetic_only", opened("synthetic_only", samples, pixels, drawn), ["a", "b"], Classifier(), {})


def test_a_fraction_takes_fewer_or_more_real_images_and_leaves_the_budget(samples, pixels, drawn):
    sizes = {fraction: len(opened("real", samples, pixels, drawn, fraction).table) for fraction in (0.5, 1.0, 1.5)}
    assert sizes[0.5] < sizes[1.0] == 20 < sizes[1.5]
    more = opened("real", samples, pixels, drawn, 1.5)
    assert more.count == 20 and set(more.table["split"]) == {"train", "reserve"} and not more.added.any()


def test_a_generated_image_that_was_altered_is_refused(samples, pixels, drawn):
    Image.new("RGB", (16, 16), (0, 0, 0)).save(drawn.folder / "diffusion/3.png")
    with pytest.raises(DataError, match=r"diffusion/3\.png has changed .*run 05_generation again"):
        opened("diffusion_curated", samples, pixels, drawn)


# ── synthetic images never stand in validation or test ───────────────────────────────────────────────────────────────

@pytest.mark.parametrize("split", ["validation", "test", "reserve"])
def test_the_schema_refuses_a_generated_image_in_another_split(samples, pixels, drawn, split, tmp_path):
    table = opened("diffusion_curated", samples, pixels, drawn).table.copy()
    table.loc[table.index[-1], "split"] = split
    words = "split: isin" if split != "reserve" else "a generated image outside the split train"
    with pytest.raises(TableError, match=words):
        write_table("training", table, tmp_path / "training.parquet")
    assert not (tmp_path / "training.parquet").exists()


def test_a_pool_refuses_images_of_validation_and_test_and_drawn_ones_that_pass_for_real(samples, pixels, drawn):
    pool = opened("diffusion_curated", samples, pixels, drawn)

    def broken(**change):
        parts = {"table": pool.table, "rows": pool.rows, "added": pool.added, "samples": samples, "real": pixels, "count": 20,
                 "drawn": pool.drawn}
        return Pool(**(parts | change))

    for place in (20, 26):                                              # of validation, of test
        rows = pool.rows.copy()
        rows[0] = place
        with pytest.raises(ValueError, match="holds a validation or test image"):
            broken(rows=rows)
    table = pool.table.copy()
    table.loc[table.index[-1], ["synthetic", "generator"]] = [False, None]
    with pytest.raises(ValueError, match="takes a generated image for a real one"):
        broken(table=table)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.data())
def test_stacked_pixels_are_the_arrays_end_to_end(sizes, data):
    rng = np.random.default_rng(sum(sizes))
    parts = [rng.integers(0, 255, (size, 4, 4, 3), dtype=np.uint8) for size in sizes]
    whole, stacked = np.concatenate(parts), Stacked([Stacked(parts[:1]), *parts[1:]])
    assert stacked.shape == whole.shape and len(stacked) == len(whole) and stacked.ndim == 4 and stacked.dtype == np.uint8
    if len(whole):
        rows = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=12))
        assert np.array_equal(stacked[np.array(rows, dtype=int)], whole[np.array(rows, dtype=int)])


def test_stacked_pixels_have_one_size():
    with pytest.raises(ValueError, match=r"of one size, got \(4, 4, 3\) and \(8, 8, 3\)"):
        Stacked([np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)])


def test_a_pool_without_training_rows_is_refused(samples, pixels):
    with pytest.raises(ValueError, match="no training rows"):
        real_pool(samples.assign(split="test"), pixels)
