"""The validation score: matched cells, fixed seeds, pictures that outlive a restart, and a distance that knows near from far."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from colours import Colours

from lib.diffusion.examples import training_examples
from lib.diffusion.quality import ValidationScore, matched_rows
from lib.diffusion.words import Words
from lib.metrics.kernel_distance import squared_discrepancy


@pytest.fixture
def words(tiny_samples):
    return Words(tiny_samples.prompts, tiny_samples.classes, tiny_samples.groups)


@pytest.fixture
def held_out(tiny_samples, words):
    return training_examples(tiny_samples.samples, words, split="validation")


@pytest.fixture
def make(tiny_pipeline, tiny_samples, held_out, words, tmp_path):
    def score(*, images=6, fingerprint="run", **options):
        return ValidationScore(tiny_pipeline, tiny_samples.pixels, held_out, words, Colours(), images=images, seed=3,
                               folder=tmp_path / "validation", fingerprint=fingerprint, **options)
    return score


def test_cells_take_turns_until_they_have_no_more(held_out):
    cells = lambda rows: Counter(zip(rows["label"], rows["tone"].map(str), strict=True))       # noqa: E731
    present = cells(held_out)
    few = cells(matched_rows(held_out, len(present), seed=0))
    assert few == dict.fromkeys(present, 1)
    assert cells(matched_rows(held_out, 1_000, seed=0)) == present
    some = cells(matched_rows(held_out, len(present) + 1, seed=0))
    assert sum(some.values()) == len(present) + 1


def test_rows_follow_from_the_seed_and_not_from_the_order(held_out):
    first = matched_rows(held_out, 5, seed=1)
    pd.testing.assert_frame_equal(first, matched_rows(held_out, 5, seed=1))
    assert set(first["row"]) != set(matched_rows(held_out, 5, seed=2)["row"])
    assert first["label"].is_monotonic_increasing


def test_only_the_wanted_tones_where_there_are_any(held_out):
    assert set(matched_rows(held_out, 9, seed=0, tones=["5"])["tone"]) == {"5"}
    assert matched_rows(held_out, 9, seed=0, tones=["unknown"])["tone"].isna().all()
    assert len(matched_rows(held_out, 9, seed=0, tones=["6"])) == len(held_out)             # none there: all of them


def test_same_seeds_each_time_and_pictures_are_kept(make):
    score = make()
    first, again = score(10), score(20)
    assert first == again                                                                   # nothing was learnt in between
    kept = score.pictures()
    assert list(kept) == [10, 20]
    np.testing.assert_array_equal(kept[10], kept[20])
    assert kept[10].shape == (6, 32, 32, 3)
    assert list(make().pictures()) == [10, 20]                                              # after a restart
    assert make(fingerprint="other").pictures() == {}


def test_score_is_the_distance_of_the_drawn_from_the_real(make):
    score = make()
    value = score(1)
    drawn = score.pictures()[1]
    real, seen = (Colours().features(images) for images in (score.real, drawn))
    assert value == pytest.approx(squared_discrepancy(real, seen))
    half = len(real) // 2
    assert squared_discrepancy(real[:half], real[half:]) < value                            # an untrained model is far from the real ones


def test_each_image_is_asked_for_what_its_real_one_shows(make, tiny_samples):
    score = make()
    for request, row in zip(score._requests, score.asked.itertuples(), strict=True):
        sample = tiny_samples.samples.iloc[row.row]
        assert (request.label, request.domain) == (sample["label"], sample["domain"])
        assert sample["label"] in request.prompt
        assert sample["domain"] in request.prompt
    np.testing.assert_array_equal(score.real, tiny_samples.pixels[score.asked["row"]])


def test_it_sees_what_is_in_the_pipeline_at_that_moment(make, tiny_pipeline):
    score = make()
    before = score(1)
    with torch.no_grad():
        tiny_pipeline.text_encoder.get_input_embeddings().weight.mul_(3)                    # as a learning token would
    assert score(2) != before


def test_images_that_are_not_finite_give_no_score(make, tiny_pipeline):
    score = make()
    with torch.no_grad():
        tiny_pipeline.unet.conv_out.bias.fill_(float("nan"))
    assert score(1) is None
    assert score.pictures() == {}


def test_too_few_held_out_images(tiny_pipeline, tiny_samples, held_out, words, tmp_path):
    with pytest.raises(ValueError, match=r"1 held-out images to score against, .* raise split\.validation$"):
        ValidationScore(tiny_pipeline, tiny_samples.pixels, held_out.head(1), words, Colours(), images=4, seed=0, folder=tmp_path,
                        fingerprint="run")
