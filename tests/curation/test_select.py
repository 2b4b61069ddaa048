"""Selection: quotas are met where they can be, every cluster gives its share, and the order of rows changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lib.curation.select import select, wanted_images
from lib.study import Curation, load_study


def images(count: int = 90, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Two cells with three clear clusters each; every fifth image did not pass."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({
        "image_id": [f"image-{place:03d}" for place in range(count)], "label": np.where(np.arange(count) % 2, "a", "b"),
        "tone_key": None, "verdict": np.where(np.arange(count) % 5 == 0, "blur", "passed"),
    })
    vectors = np.eye(3)[np.arange(count) // 2 % 3] * 10 + rng.normal(scale=0.1, size=(count, 3))
    return table, vectors, rng.random(count)


WANTED = pd.DataFrame({"label": ["a", "b"], "tone": [None, None], "images": [9, 100]})


def test_quota_clusters_and_random_subset():
    table, vectors, realism = images()
    options = Curation(clusters=3, least_per_cluster=2)
    chosen = table.join(select(table, vectors, realism, WANTED, options))
    kept = chosen[chosen["selected"]]
    assert kept["verdict"].eq("passed").all()
    assert kept["label"].value_counts().to_dict() == {"b": int(chosen[chosen["label"] == "b"]["verdict"].eq("passed").sum()), "a": 9}
    assert kept[kept["label"] == "a"]["cluster"].value_counts().min() >= 2
    assert chosen.groupby("label")[["selected", "random_subset"]].sum().eval("selected == random_subset").all()
    assert chosen["cluster"].notna().eq(chosen["verdict"].eq("passed")).all()
    assert chosen.loc[chosen["random_subset"], "verdict"].ne("passed").any()


def test_the_best_come_first_beyond_the_minimum():
    table, vectors, realism = images()
    chosen = table.assign(realism=realism).join(select(table, vectors, realism, WANTED, Curation(clusters=1, least_per_cluster=0)))
    cell = chosen[(chosen["label"] == "a") & (chosen["verdict"] == "passed")]
    assert set(cell.nlargest(9, "realism")["image_id"]) == set(cell.loc[cell["selected"], "image_id"])


def test_a_copy_does_not_come_before_what_is_as_good_as_real():
    """Realism over 1 says how near a training image lies, so it earns nothing."""
    table, vectors, _ = images()
    passed = table[(table["label"] == "a") & (table["verdict"] == "passed")].index
    realism = np.full(len(table), 1.2)
    realism[passed[-1]], realism[passed[0]] = np.inf, 0.9
    chosen = select(table, vectors, realism, WANTED, Curation(clusters=1, least_per_cluster=0))
    assert chosen.index[chosen["selected"] & (table["label"] == "a")].tolist() == passed[1:10].tolist()


def test_the_order_of_rows_changes_nothing():
    table, vectors, realism = images()
    order = np.random.default_rng(1).permutation(len(table))
    first = table.join(select(table, vectors, realism, WANTED, Curation()))
    shuffled = table.iloc[order].reset_index(drop=True)
    second = shuffled.join(select(shuffled, vectors[order], realism[order], WANTED, Curation()))
    pd.testing.assert_frame_equal(first, second.sort_values("image_id").reset_index(drop=True))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_alike_none_wanted_and_all_rejected(count):
    table, _, realism = images(count)
    same = np.ones((count, 4))
    chosen = select(table.assign(verdict="passed"), same, np.full(count, np.nan), WANTED, Curation())
    assert chosen["selected"].all() and set(chosen["cluster"]) == {0}
    assert not select(table, same, realism, WANTED[:0], Curation())["selected"].any()
    nothing = select(table.assign(verdict="blur"), same, realism, WANTED, Curation())
    assert not nothing["selected"].any() and not nothing["random_subset"].any() and nothing["cluster"].isna().all()


def test_what_is_wanted_is_the_quota_without_its_surplus():
    study = load_study("params/demo.yaml", {"curation": {}, "generation.images": 112})
    wanted = wanted_images(study, [*"123456"], "diffusion")
    assert wanted["images"].sum() == study.generation.images == 112 and set(wanted["tone"]) == {"5", "6"}
    assert wanted_images(study, [*"123456"], "gan")["images"].sum() == 112
    own = load_study("params/demo.yaml", {"curation": {"quota": {"nevus": {"6": 4, "5": 0}}}})
    assert wanted_images(own, [*"123456"], "diffusion").values.tolist() == [["nevus", "6", 4]]
