"""What notebook 07 says of the images an arm draws, against counts made by hand."""

import numpy as np
import pandas as pd
import pytest

from lib.classify.pool import Block, real_pool
from lib.classify.sampling import plan_arm
from lib.report.drawn import beside, composition, describe_composition, describe_stream
from lib.study import Classifier


@pytest.fixture
def pool():
    names = [f"i{k}" for k in range(12)]
    samples = pd.DataFrame({
        "image_id": names, "cluster_id": names, "sha256": "0" * 64, "split": ["train"] * 10 + ["test"] * 2, "label": list("aaaaaabbbbab"),
        "tone": pd.array([1] * 12, dtype="Int8"), "group": ["I–II"] * 9 + [None] * 3,
    })
    pixels = np.repeat(np.arange(12, dtype=np.uint8), 48).reshape(12, 4, 4, 3)
    return real_pool(samples, pixels)


def test_composition_counts_images_and_draws(pool):
    mixed = pool.with_block(Block(np.full((5, 4, 4, 3), 200, np.uint8), list("aabbb"), ["6"] * 5, ["V–VI"] * 5))
    plan = plan_arm("diffusion_curated+ratio=1", mixed, ["a", "b"], Classifier(batch_size=4), {})
    cells = composition(mixed, plan).set_index(["label", "group"])
    assert cells["real"].to_dict() == {("a", "I–II"): 6, ("a", "V–VI"): 0, ("b", "I–II"): 3, ("b", "V–VI"): 0, ("b", "unknown"): 1}
    assert cells["added"].sum() == 5 and cells["drawn"].sum() == pytest.approx(10)          # draws of an epoch
    assert cells["drawn"].to_dict() == pytest.approx({("a", "I–II"): 3, ("a", "V–VI"): 2, ("b", "I–II"): 1.5, ("b", "V–VI"): 3,
                                                      ("b", "unknown"): 0.5})
    assert cells["of_added"].tolist() == [0, 1, 0, 1, 0]
    said = describe_composition(cells.reset_index(), mixed)
    assert said[0] == "10 real images and 5 generated ones; of all draws 50% are generated images."
    assert said[1] == "By group: V–VI 100%, I–II 0% and unknown 0%."
    assert said[2] == "No real training image stands beside those of a × V–VI and b × V–VI."
    bare = pool.with_block(Block(np.full((2, 4, 4, 3), 200, np.uint8), list("ab"), [None] * 2, [None] * 2))
    said = describe_composition(composition(bare, plan_arm("gan_curated", bare, ["a", "b"], Classifier(), {})), bare)
    assert said[1:] == ["They belong to no group: they were asked for by class alone."]
    sides = beside(mixed, ["a", "b"], most=3)
    assert [len(sides["a"][0]), len(sides["a"][1]), len(sides["b"][1])] == [3, 2, 3]
    assert set(sides["a"][0][:, 0, 0, 0]) <= set(range(6)) and (sides["b"][1] == 200).all()


def test_an_arm_of_real_images_says_so(pool):
    plan = plan_arm("real", pool, ["a", "b"], Classifier(batch_size=4), {})
    assert describe_composition(composition(pool, plan), pool) == ["10 real images, and nothing is added to them before training."]
    assert beside(pool, ["a"])["a"][1].shape == (0, 4, 4, 3)


def test_a_stream_is_told_in_images_cells_and_seconds():
    blocks = pd.DataFrame({"seed": [0, 0, 0], "block": [0, 0, 1], "label": ["a", "b", "a"], "tone": ["6", None, "6"], "asked": [4, 2, 6],
                           "images": [4, 1, 4], "attempts": [5, 6, 9]})
    waits = pd.DataFrame({"seed": [0, 0], "epoch": [1, 2], "seconds": [9.0, 1.0]})
    assert describe_stream(blocks, waits) == [
        "2 blocks with 12 images were drawn while training went on, in 20 attempts; the checks let 75% of the images through.",
        "Asked for most: a × 6 (10) and b × unknown (2).",
        "Training stood still for 10 seconds in all, 5.0 in the median epoch.",
    ]
    assert describe_stream(blocks.iloc[:0], waits.iloc[:0]) == ["Nothing was drawn while this arm was trained."]
