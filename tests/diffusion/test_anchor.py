"""Anchor colours against images whose skin colour is known, and drawn phantoms."""

import numpy as np
import pandas as pd
import pytest

from lib.diffusion.anchor import Anchors, anchor_image, colour_of, hex_of, measure_anchors, skin_colour


def on_skin(colour, *, lesion=(60, 30, 25), size=64, radius=18, seed=0):
    y, x = np.mgrid[:size, :size]
    disc = (y - size / 2) ** 2 + (x - size / 2) ** 2 < radius**2
    noise = np.random.default_rng(seed).normal(0, 4, (size, size, 3))
    return (np.where(disc[..., None], lesion, colour) + noise).clip(0, 255).astype(np.uint8)


def examples(tones, groups=None, domains=None, labels=None):
    count = len(tones)
    return pd.DataFrame({"row": range(count), "label": labels or ["nevus"] * count, "tone": pd.Series(tones, dtype=object),
                         "domain": domains or ["clinical"] * count, "group": pd.Series(groups or [None] * count, dtype=object)})


@pytest.mark.parametrize("colour", [(225, 190, 165), (120, 80, 60), (45, 30, 22)])
def test_the_skin_beside_a_lesion(colour):
    assert np.abs(skin_colour(on_skin(colour)) - colour).max() <= 1


def test_vignette_and_highlights_are_no_skin():
    image = on_skin((120, 80, 60))
    y, x = np.mgrid[:64, :64]
    image[(y - 32) ** 2 + (x - 32) ** 2 > 34**2] = 5
    image[:8, 30:34] = 255
    assert np.abs(skin_colour(image) - (120, 80, 60)).max() <= 2
    assert skin_colour(np.full((64, 64, 3), 3, np.uint8)).tolist() == [3, 3, 3]         # nothing else there


def test_shades_span_a_tone_from_light_to_dark_and_leave_out_strays():
    colours = [(200 - 4 * i, 150 - 4 * i, 130 - 4 * i) for i in range(21)] + [(255, 0, 255)]
    pixels = np.stack([on_skin(colour, seed=i) for i, colour in enumerate(colours)])
    shades = measure_anchors(pixels, examples(["5"] * 22)).colours["5", None]
    brightness = [sum(shade) for shade in shades]
    assert len(shades) == 7 and brightness == sorted(brightness, reverse=True)
    assert np.abs(np.array(shades[3]) - colours[10]).max() <= 6
    assert 30 <= shades[0][0] - shades[6][0] <= 42                  # of 80 levels: noise adds the rest
    assert all(abs(shade[0] - shade[1] - 50) <= 6 for shade in shades)                  # the stray one is nobody's median


def test_domains_count_where_they_have_enough_images_and_groups_stand_in_for_types():
    dark, darker = (90, 60, 45), (60, 40, 30)
    pixels = np.stack([on_skin(dark)] * 12 + [on_skin(darker)] * 11)
    anchors = measure_anchors(pixels, examples(["6"] * 23, ["V–VI"] * 23, ["clinical"] * 12 + ["dermoscopic"] * 11))
    assert set(anchors.colours) == {("6", None), ("6", "clinical"), ("V–VI", None), ("V–VI", "clinical")}
    assert np.abs(np.array(anchors.colour("6", "V–VI", "clinical", 1)) - dark).max() <= 2
    seen = {anchors.colour("6", "V–VI", "dermoscopic", seed) for seed in range(60)}
    assert len(seen) > 1 and seen == set(anchors.colours["6", None])
    assert anchors.colour("5", "V–VI", "clinical", 1) in anchors.colours["V–VI", "clinical"]      # no image of type V
    assert anchors.colour("1", "I–II", "clinical", 1) is None and anchors.colour(None, "V–VI", "clinical", 1) is None
    assert anchors.colour("6", None, "clinical", 5) == anchors.colour("6", None, "clinical", 5)
    table = anchors.table()
    assert table["images"].tolist() == [23, 12, 23, 12] and table["shades"].str.match(r"^#\w{6}( #\w{6})*$").all()


def test_a_group_is_all_of_its_images_also_beside_images_that_have_the_group_alone():
    typed, untyped = (120, 80, 60), (60, 40, 30)
    pixels = np.stack([on_skin(typed)] * 13 + [on_skin(untyped)] * 2)
    anchors = measure_anchors(pixels, examples(["6"] * 13 + ["V–VI"] * 2, ["V–VI"] * 15))
    assert anchors.images["V–VI", None] == 15
    assert np.abs(np.array(anchors.colours["V–VI", None][0]) - typed).max() <= 2


def test_images_without_tone_and_group_do_not_count():
    anchors = measure_anchors(np.stack([on_skin((90, 60, 45))] * 3), examples([None, None, "1"]))
    assert set(anchors.colours) == {("1", None)} and anchors.images["1", None] == 1
    assert measure_anchors(np.zeros((1, 8, 8, 3), np.uint8), examples([None])) == Anchors({}, {})


@pytest.mark.parametrize("size", [64, 61])
def test_a_shape_is_how_images_of_a_cell_differ_from_their_skin(size):
    dark, darker, red = (90, 60, 45), (60, 40, 30), (120, 20, 20)
    pixels = np.stack([on_skin(dark, size=size, seed=i) for i in range(8)]
                      + [on_skin(darker, lesion=red, size=size, seed=i) for i in range(8)] + [on_skin(dark, lesion=red, size=size)] * 3)
    labels = ["nevus"] * 8 + ["angioma"] * 8 + ["melanoma"] * 3
    anchors = measure_anchors(pixels, examples(["5"] * 8 + ["6"] * 11, labels=labels))
    cells = [("nevus", None), ("nevus", "5"), ("angioma", None), ("angioma", "6")]      # three melanomas are too few
    assert list(anchors.shapes) == cells                    # in this order in every process: a journal's mark depends on it
    assert anchors.shape("nevus", "6", 1) in anchors.shapes["nevus", None] and anchors.shape("melanoma", "6", 1) is None
    image = anchor_image(dark, anchors.shape("nevus", "5", 1), size).astype(int)
    assert np.abs(image[0, 0] - dark).max() <= 3 and np.abs(image[size // 2, size // 2] - (60, 30, 25)).max() <= 3
    middle = anchor_image(darker, anchors.shape("angioma", "6", 1), size)[size // 2, size // 2].astype(int)
    assert np.abs(middle - red).max() <= 3


@pytest.mark.parametrize("images, expected", [(7, 0), (8, 2), (21, 5), (60, 7)])
def test_shapes_span_a_cell_from_dark_lesions_to_faint_ones_and_none_is_a_picture_of_few(images, expected):
    skin = (200, 160, 140)
    pixels = np.stack([on_skin(skin, lesion=(110, 70, 60), radius=6 + 20 * i / images, seed=i) for i in range(images)])
    of_cell = measure_anchors(pixels, examples(["2"] * images)).shapes.get(("nevus", "2"), ())
    assert len(of_cell) == expected
    light = [sum(shape) for shape in of_cell]
    assert light == sorted(light)
    if expected:
        anchors = measure_anchors(pixels, examples(["2"] * images))
        assert {anchors.shape("nevus", "2", seed) for seed in range(80)} == set(of_cell)
        assert anchors.shape("nevus", "2", 5) == anchors.shape("nevus", "2", 5)
        offsets = np.array([[*shape] for shape in of_cell]).mean(axis=0)               # together they are the cell's mean
        assert np.abs(offsets - (level(pixels, skin) + 128)).max() <= 4


def level(pixels, skin):
    """Of each of 8 × 8 places, against the skin."""
    return (pixels.reshape(len(pixels), 8, 8, 8, 8, 3).mean(axis=(0, 2, 4)) - skin).ravel()


def test_without_a_shape_the_image_is_flat_and_levels_stay_in_range():
    assert (anchor_image((90, 60, 45), None, 16) == (90, 60, 45)).all()
    assert anchor_image((250, 3, 45), bytes([255, 0, 128] * 64), 16)[8, 8].tolist() == [255, 0, 45]


def test_colours_as_text():
    assert hex_of((225, 0, 15)) == "#e1000f" and colour_of("#e1000f") == (225, 0, 15)
