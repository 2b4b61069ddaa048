"""ITA against scikit-image, its groups against the published cut points, and what must not count as skin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from skimage.color import rgb2lab

from lib.data.skin import CUT_POINTS, ita_group, lab_from_srgb, measure_skin, typology_angle


@given(arrays(np.uint8, (7, 5, 3)))
@settings(deadline=None, max_examples=50)
def test_lab_equals_scikit_image(pixels):
    np.testing.assert_allclose(lab_from_srgb(pixels), rgb2lab(pixels / 255), atol=2e-3)


@given(st.tuples(*[st.integers(25, 245)] * 3), st.integers(16, 300), st.integers(16, 300))
@settings(deadline=None, max_examples=50)
def test_ita_of_an_even_surface(colour, width, height):
    lightness, _, yellow = rgb2lab(np.array([[colour]]) / 255)[0, 0]
    angle = np.degrees(np.arctan2(lightness - 50, yellow))
    reading = measure_skin(Image.new("RGB", (width, height), colour))
    if angle < -90:
        assert np.isnan(reading.ita) and reading.region == "not skin-coloured"
    elif abs(angle + 90) > 1 and np.hypot(lightness - 50, yellow) > 0.5:
        assert reading.ita == pytest.approx(angle, abs=0.5) and reading.region == "border ring"


@pytest.mark.parametrize(("cut_points", "ita", "group"), [
    ("groh", 60, 1), ("groh", 45, 1), ("groh", 44.9, 2), ("groh", 28, 3), ("groh", 28.1, 2), ("groh", 17, 4), ("groh", 5, 5),
    ("groh", -20, 6), ("groh", -19.9, 5), ("groh", -60, 6),
    ("kinyanjui", 55.1, 1), ("kinyanjui", 55, 2), ("kinyanjui", 41, 3), ("kinyanjui", 28, 4), ("kinyanjui", 19, 5), ("kinyanjui", 10, 6),
    ("kinyanjui", 10.1, 5), ("kinyanjui", -30, 6),
])
def test_groups_at_their_cut_points(cut_points, ita, group):
    assert ita_group(ita, cut_points) == group


def test_groups_of_many_and_of_the_unknown():
    np.testing.assert_array_equal(ita_group(np.array([50, np.nan, 0])), [1, np.nan, 5])
    assert set(CUT_POINTS) == {"groh", "kinyanjui"}
    with pytest.raises(ValueError, match="there are groh, kinyanjui"):
        ita_group(10, "fitzpatrick")


def scene(skin=(200, 160, 130), size=(160, 120)):
    """Noisy skin with a dark lesion in the middle, and the lesion's mask."""
    rng = np.random.default_rng(0)
    pixels = np.clip(np.array(skin) + rng.normal(0, 4, (size[1], size[0], 3)), 0, 255)
    rows, columns = np.mgrid[: size[1], : size[0]]
    mask = (rows - size[1] / 2) ** 2 + (columns - size[0] / 2) ** 2 < (min(size) / 3.2) ** 2
    pixels[mask] = (90, 50, 40)
    return pixels, mask


def angle_of(colour):
    lightness, _, yellow = rgb2lab(np.array([[colour]]) / 255)[0, 0]
    return float(typology_angle(lightness, yellow))


def as_image(pixels):
    return Image.fromarray(pixels.astype(np.uint8))


def test_lesion_hair_vignette_and_highlights_do_not_count():
    skin = (200, 160, 130)
    pixels, mask = scene(skin)
    pixels[:, 10:16] = (30, 25, 22)                     # hair
    pixels[5:9] = (255, 255, 255)                       # highlight
    rows, columns = np.mgrid[:120, :160]
    pixels[(rows - 60) ** 2 + (columns - 80) ** 2 > 85**2] = 3
    reading = measure_skin(as_image(pixels), mask)
    assert reading.region == "outside mask" and 0.2 < reading.share < 0.7
    assert reading.ita == pytest.approx(angle_of(skin), abs=1.5)


def test_dark_skin_is_not_taken_for_a_vignette():
    skin = (75, 50, 38)
    pixels, mask = scene(skin)
    assert measure_skin(as_image(pixels), mask).ita == pytest.approx(angle_of(skin), abs=4)
    assert ita_group(measure_skin(as_image(pixels), mask).ita) == 6


def test_a_halo_within_the_widened_mask_does_not_count():
    pixels = np.full((100, 100, 3), (200, 160, 130))
    pixels[:96] = (205, 140, 125)                       # the halo, four rows of it outside the mask
    mask = np.zeros((100, 100), dtype=bool)
    mask[:92] = True
    assert measure_skin(as_image(pixels), mask).ita == pytest.approx(angle_of((200, 160, 130)), abs=0.1)


def test_a_third_of_hair_does_not_shift_the_middle():
    light = np.linspace(-12, 12, 100)
    pixels = np.array([200, 160, 130]) + np.zeros((100, 100, 1)) + light[:, None, None]
    pixels[:, ::3] = (30, 25, 22)
    assert measure_skin(as_image(pixels)).ita == pytest.approx(angle_of((200, 160, 130)), abs=3)


def test_without_a_mask_or_with_an_empty_one_the_border_is_measured():
    pixels, mask = scene()
    for given_mask in (None, np.zeros_like(mask)):
        reading = measure_skin(as_image(pixels), given_mask)
        assert reading.region == "border ring" and reading.ita == pytest.approx(angle_of((200, 160, 130)), abs=1)


def test_no_skin_is_no_number():
    pixels, mask = scene()
    reading = measure_skin(as_image(pixels), np.ones_like(mask))
    assert np.isnan(reading.ita) and reading.region == "no skin"
    assert np.isnan(measure_skin(Image.new("RGB", (50, 50), "black")).ita)


def test_size_changes_little():
    pixels, mask = scene(size=(640, 480))
    small = as_image(pixels).resize((80, 60), Image.Resampling.BOX)
    small_mask = np.asarray(Image.fromarray(mask).resize((80, 60)))
    assert measure_skin(as_image(pixels), mask).ita == pytest.approx(measure_skin(small, small_mask).ita, abs=1)
