"""The level and the power of the test of set distances, on sets whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from lib.curation.distance_power import NONE, features_of, judge_null, null_p_values, power, shifted
from lib.encoders.load import load_encoder
from lib.report.distance_power import describe_null, describe_power, plot_null, plot_power, power_table
from lib.study import SetDistance

OPTIONS = SetDistance(splits=60, draws=39, sizes=[12, 60], dropped=["b"])


@pytest.fixture(scope="module")
def world():
    """160 lesions, most with two images that look alike; label b lies elsewhere."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(160), rng.integers(1, 3, 160))
    labels = np.where(np.arange(160) % 3 == 0, "b", "a")[clusters]
    features = rng.normal(0, 1, (160, 6))[clusters] + rng.normal(0, 0.2, (len(clusters), 6)) + 1.5 * (labels == "b")[:, None]
    shifts = {NONE: features, "hue": features + 0.8, "blur": features}
    return {name: values.astype(np.float32) for name, values in shifts.items()}, clusters, labels


def test_p_values_of_halves_are_uniform_and_not_if_images_of_a_lesion_count_apart(world):
    features, clusters, _ = world
    told = []
    p_values = null_p_values(features[NONE], clusters, OPTIONS, progress=lambda *args: told.append(args))
    found = judge_null(p_values, OPTIONS)
    assert told[-1] == (60, 60) and len(set(p_values)) > 20
    assert found["uniform_p"] > 0.01 and found["rejected"] <= 0.15 and found["low"] <= 0.05
    assert judge_null(np.full(60, 0.03), OPTIONS)["uniform_p"] < 1e-6


def test_a_shift_is_seen_with_enough_images_and_no_shift_is_not(world):
    rows = power(*world, OPTIONS).set_index(["shift", "images"])["power"]
    assert rows["hue", 60] > 0.9 > rows["hue", 12]
    assert rows["no b", 60] > rows["no b", 12] and rows["no b", 60] > 0.5
    assert max(rows["none", 60], rows["blur", 60]) <= 0.2           # "blur" changes nothing here


def test_sizes_that_do_not_fit_give_no_row(world):
    rows = power(*world, OPTIONS.model_copy(update={"sizes": [12, 500], "splits": 20}))
    assert set(rows["images"]) == {12} and (rows["halvings"] == 20).all()


def test_pictures_are_turned_and_blurred():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    hue, blur = (shifted(pixels, shift, OPTIONS).astype(float) for shift in ("hue", "blur"))
    assert shifted(pixels, "no b", OPTIONS) is pixels
    assert np.abs(hue.max(axis=-1) - pixels.max(axis=-1)).max() <= 1 and np.abs(hue - pixels).mean() > 5       # value stays, hue moves
    assert blur.std() < 0.5 * pixels.std() and blur.mean() == pytest.approx(pixels.mean(), abs=2)
    features = features_of(load_encoder("spectrum"), pixels, OPTIONS)
    assert set(features) == {NONE, "hue", "blur"} and len({len(values) for values in features.values()}) == 1


def test_report_says_what_was_found(world):
    features, clusters, labels = world
    seen = {"x": power(features, clusters, labels, OPTIONS)}
    judged = {"x": judge_null(np.linspace(0.02, 1, 60), OPTIONS), "y": judge_null(np.full(60, 0.03), OPTIONS)}
    assert "look uniform" in describe_null(judged)[0] and "do not look uniform" in describe_null(judged)[1]
    assert "hue turned by 5% with 60 images" in describe_power(seen, OPTIONS)[0] and "not seen" in describe_power(seen, OPTIONS)[0]
    wavy = pd.DataFrame({"shift": "hue", "images": [10, 20, 30, 40], "power": [0.85, 0.5, 0.8, 0.9]})
    assert "hue turned by 5% with 30 images" in describe_power({"x": wavy}, OPTIONS)[0]        # seen at 10, and lost again
    falls = describe_power({"x": wavy.iloc[:2]}, OPTIONS)[0]
    assert falls == "x: not seen that often with the most images: hue turned by 5% (50% with 20)."
    assert power_table(seen, OPTIONS).columns.tolist() == ["encoder", "shift", "12 images", "60 images"]
    assert len(plot_power(seen, OPTIONS).axes) == 1 and len(plot_null({"x": np.linspace(0, 1, 9)}).axes) == 1
