"""What raters are shown: dealt by stratum, matched with real images, the same again from the same seed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.curation.review.errors import ReviewError
from lib.curation.review.sample import COLUMNS, draw_sample
from lib.study.review import Review

REUSED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@REUSED
@given(images=st.integers(2, 200), real=st.floats(0, 0.9), seed=st.integers(0, 5), which=st.sampled_from(["selected", "passed", "all"]))
def test_sizes_and_names_hold_for_any_request(curated, held_out, images, real, seed, which):
    review = Review(images=images, real=real, seed=seed, which=which)
    items, notices = draw_sample(curated, held_out, review)
    generated = items[items["kind"] == "generated"]
    there = {"selected": 60, "passed": 90, "all": 120}[which]
    assert list(items) == COLUMNS and items["item"].is_unique and items["image_id"].is_unique
    assert len(generated) == min(there, max(1, round(images * (1 - real))))
    assert (items["kind"] == "real").sum() == min(90, round(len(generated) * real / (1 - real)))
    assert bool(notices) or len(items) == pytest.approx(images, abs=1 + 1 / (1 - real))
    drawn = curated.set_index("image_id").loc[generated["image_id"]]
    assert drawn["selected"].all() if which == "selected" else which == "all" or drawn["verdict"].eq("passed").all()


def test_strata_have_their_share_within_one_image(curated, held_out):
    items, _ = draw_sample(curated, held_out, Review(images=60, which="all"))
    found = items[items["kind"] == "generated"].groupby(["label", "group"]).size()
    exact = curated.groupby(["label", "group"]).size() * 30 / len(curated)
    assert ((found - exact).abs() < 1).all() and found.sum() == 30


def test_real_images_match_in_label_and_group_as_far_as_there_are_and_the_rest_is_counted(curated, held_out):
    items, notices = draw_sample(curated, held_out, Review(images=None, which="all"))
    real = items[items["kind"] == "real"]
    assert len(real) == 90 and "120 real images wanted, 90 held out" in notices[0]
    dark = real["group"].eq("V–VI").sum()
    assert dark == held_out["group"].eq("V–VI").sum() < (items["kind"].eq("generated") & items["group"].eq("V–VI")).sum()
    assert "match no generated one in both label and group" in notices[1]
    few, calm = draw_sample(curated, held_out, Review(images=12))
    pairs = few.groupby("kind")[["label", "group"]].apply(lambda part: sorted(map(tuple, part.to_numpy())))
    assert calm == [] and pairs["real"] == pairs["generated"]


def test_an_image_without_a_group_is_matched_by_label_alone(curated, held_out):
    items, notices = draw_sample(curated.assign(group=None, generator="gan"), held_out, Review(images=30))
    real = items[items["kind"] == "real"]
    assert notices == [] and set(real["generator"]) == {"gan"}
    assert real["label"].value_counts().to_dict() == items[items["kind"] == "generated"]["label"].value_counts().to_dict()


def test_another_patient_comes_before_a_second_image_of_the_same(curated, held_out):
    items, _ = draw_sample(curated.assign(label="nevus", group="I–II"), held_out.assign(label="nevus", group="I–II"), Review(images=90))
    assert items[items["kind"] == "real"]["cluster_id"].is_unique


def test_the_same_seed_gives_the_same_items_whatever_the_order_of_the_tables(curated, held_out):
    review = Review(images=40)
    items, _ = draw_sample(curated, held_out, review)
    again, _ = draw_sample(curated.sample(frac=1, random_state=1), held_out.sample(frac=1, random_state=2), review)
    other, _ = draw_sample(curated, held_out, Review(images=40, seed=1))
    assert items.equals(again)
    assert not set(items["item"]) & set(other["item"])


def test_kinds_are_mixed(curated, held_out):
    items, _ = draw_sample(curated, held_out, Review(images=60))
    runs = items["kind"].ne(items["kind"].shift()).sum()
    assert 15 < runs < 46                       # 31 expected; the kinds one after the other would give 2, in turns 60


def test_nothing_selected_and_test_images_are_refused(curated, held_out):
    with pytest.raises(ReviewError, match=r"no generated image is selected.*curation\.review\.which"):
        draw_sample(curated.assign(selected=False), held_out, Review())
    with pytest.raises(ReviewError, match="test images"):
        draw_sample(curated, held_out.assign(split="test"), Review())
