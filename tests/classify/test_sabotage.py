"""Generators of known worth: what each gives, and that the sabotage is one."""

import numpy as np
import pandas as pd
import pytest

from lib.classify.sabotage import GENERATORS, TURNS, draw_world, pool_of
from lib.classify.sampling import plan_arm
from lib.study import load_study

SMALL = {"data.sources.0.phantom.patients": 40, "data.sources.1.phantom.patients": 12, "null_truth.images": 45}


@pytest.fixture(scope="module")
def study():
    return load_study("params/null_truth.yaml", SMALL)


@pytest.fixture(scope="module")
def world(study):
    return draw_world(study, 3)


def test_a_world_is_split_by_patient_and_its_own(study, world):
    samples = world.samples
    assert world.pixels.shape == (len(samples), 32, 32, 3) and world.pixels.dtype == np.uint8
    assert set(samples["split"]) == {"train", "validation", "test"} and set(samples["label"]) == set(study.labels.names)
    assert samples.groupby("cluster_id")["split"].nunique().max() == 1
    assert set(samples.loc[samples["split"] == "test", "dataset"]) == {"survey"}
    again, other = draw_world(study, 3), draw_world(study, 4)
    assert np.array_equal(again.pixels, world.pixels) and np.array_equal(again.pictures, world.pictures)
    assert not {*samples["sha256"]} & {*other.samples["sha256"]}


def test_the_honest_generator_draws_the_scarce_group_with_its_own_labels(world):
    table, pictures = GENERATORS["honest"](world)
    assert set(table["group"]) == {"V–VI"} and len(table) == len(pictures) == 45
    assert not {picture.tobytes() for picture in pictures} & {picture.tobytes() for picture in world.pixels}


def test_the_sabotage_really_shuffles(world):
    right, pictures = GENERATORS["honest"](world)
    wrong, same = GENERATORS["shuffled"](world)
    assert np.array_equal(pictures, same) and wrong["label"].value_counts().to_dict() == right["label"].value_counts().to_dict()
    agree = (wrong["label"].to_numpy() == right["label"].to_numpy()).mean()
    assert agree < 0.6                                                  # a third by chance; 0.6 is five standard errors off
    assert np.array_equal(wrong["tone"], right["tone"])


def test_copies_are_training_images_and_drawn_as_oversampling_draws_them(study, world):
    pool = pool_of(world, "copies")
    real = world.pixels[(world.samples["split"] == "train").to_numpy()]
    shown = {real[i].tobytes(): label for i, label in enumerate(world.samples.loc[world.samples["split"] == "train", "label"])}
    added = np.flatnonzero(pool.added)
    copied = pool.pixels[pool.rows[added]]
    said = pool.table["label"].iloc[added]
    assert len(added) and all(shown[picture.tobytes()] == label for picture, label in zip(copied, said, strict=True))
    classes = study.labels.names
    plans = {"copies": plan_arm("diffusion_curated", pool, classes, study.classifier, {}),
             "oversampled": plan_arm("oversampled", pool_of(world, None), classes, study.classifier, {})}
    pools = {"copies": pool, "oversampled": pool_of(world, None)}
    often = {name: pools[name].table.assign(often=plan.frequency()).groupby(["label", "group"])["often"].sum()
             for name, plan in plans.items()}
    assert np.allclose(often["copies"], often["oversampled"], atol=1e-9)
    images = {name: [image.tobytes() for image in one.pixels[one.rows]] for name, one in pools.items()}
    each = pd.DataFrame({name: pd.Series(plan.frequency()).groupby(images[name]).sum() for name, plan in plans.items()})
    each = each[each["oversampled"] > 0]
    assert len(each) == len(real) and (each["copies"] / each["oversampled"]).between(1 - 1 / TURNS, 1 + 1 / TURNS).all()
    assert plans["copies"].batch_sizes == plans["oversampled"].batch_sizes
