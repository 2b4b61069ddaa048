"""Pictures that look alike are found whichever way up, copies score above distinct pictures, and the arithmetic is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted import COPIES
from scipy.fft import dctn

from lib.data import alignment, perceptual
from lib.data.alignment import SAME, sameness
from lib.data.perceptual import (
    COARSE,
    COLOUR_SHIFT,
    DETAIL,
    ORIENTATIONS,
    SIMILAR,
    VERY_SIMILAR,
    Fingerprints,
    best_orientation,
    even_contrast,
    fingerprint,
    make_signatures,
    similar_pairs,
    turn,
    turn_signatures,
)
from lib.phantom.render import draw
from lib.phantom.world import sample_world
from lib.study import PhantomOptions


def prints_of(images):
    taken = Fingerprints.empty(len(images))
    for row, image in enumerate(images):
        taken.grey[row], taken.colour[row] = fingerprint(image)
    return taken


@pytest.fixture(scope="module")
def phantoms():
    """40 pictures of 40 patients, 128 px."""
    options = PhantomOptions(patients=40, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), image_size=128, seed=1_700_000)
    table = sample_world(options, "perceptual")
    return [Image.fromarray(draw(scene, 128)[0]) for scene in table.to_dict("records")]


@pytest.fixture(scope="module")
def noise():
    """Fingerprints of 60 pictures without anything in common, then of copies: 20 turned, 20 cut (0–9 of them the wholes), 10 dark."""
    rng = np.random.default_rng(5)
    few = rng.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
    pictures = [Image.fromarray(pixels).resize((90, 70), Image.Resampling.BICUBIC) for pixels in few]
    wholes, pictures[20:30] = pictures[20:30], [picture.crop((5, 4, 85, 66)) for picture in pictures[20:30]]
    cut = [picture.crop((5, 4, 85, 66)) for picture in pictures[30:40]]
    dark = [picture.crop((0, 0, 84, 70)).point(lambda level: level // 2) for picture in pictures[40:50]]
    return prints_of(pictures + [pictures[k].transpose(Image.Transpose(k % 7)) for k in range(20)] + wholes + cut + dark)


def test_a_fingerprint_is_the_small_picture(phantoms):
    grey, colour = fingerprint(phantoms[0])
    assert grey.shape == (DETAIL, DETAIL) and colour.shape == (COARSE, COARSE, 3) and grey.dtype == colour.dtype == np.uint8
    pixels = np.asarray(phantoms[0], dtype=float)
    assert np.abs(colour - pixels.reshape(COARSE, 8, COARSE, 8, 3).mean(axis=(1, 3))).mean() < 4
    assert abs(grey.mean() - (pixels @ [0.299, 0.587, 0.114]).mean()) < 1


@pytest.mark.parametrize("size", [(8, 8), (8, 500), (31, 47), (48, 48), (3000, 20)])
def test_any_size_has_a_fingerprint(size):
    grey, colour = fingerprint(Image.new("RGB", size, (200, 150, 120)))
    assert (colour == (200, 150, 120)).all() and (grey == grey[0, 0]).all()


def test_signatures_are_whole_numbers_of_one_length_and_nothing_where_there_is_nothing(noise):
    flat = np.full((1, DETAIL, DETAIL), 77, np.uint8)
    signatures = make_signatures(np.concatenate([noise.grey, flat]))
    assert (signatures == np.rint(signatures)).all() and (signatures[-1] == 0).all()
    assert np.sqrt((signatures[:-1] ** 2).sum(axis=(1, 2))) == pytest.approx(1000, abs=5)
    one = noise.grey[3].astype(float).reshape(24, 2, 24, 2).mean(axis=(1, 3))
    spectrum = dctn(even_contrast(one[None], 0.09 * 24, 4.0)[0].astype(float), norm="ortho")[:10, :10]
    u = np.arange(10)
    spectrum[(u[:, None] ** 2 + u ** 2 >= 100) | (u[:, None] + u == 0)] = 0
    assert signatures[3] == pytest.approx(1000 * spectrum / np.linalg.norm(spectrum), abs=0.51)


@given(st.integers(0, ORIENTATIONS - 1), st.integers(0, 59))
@settings(deadline=None, max_examples=30)
def test_a_turned_picture_has_the_turned_signature(noise, orientation, row):
    signatures = make_signatures(noise.grey[[row]])
    turned = make_signatures(np.ascontiguousarray(turn(noise.grey[[row]], orientation)))
    assert turned == pytest.approx(turn_signatures(signatures, orientation), abs=1)
    assert (turn_signatures(signatures, best_orientation(signatures, turned)[0][0]) == pytest.approx(turned, abs=1)) or \
        best_orientation(turned, signatures)[1][0] > 0.99


def test_pairs_equal_those_found_one_by_one_in_every_orientation(noise, monkeypatch):
    signatures, middles = make_signatures(noise.grey).astype(int), make_signatures(noise.grey, middle=True).astype(int)
    means = noise.colour.mean(axis=(1, 2))
    wanted = set()
    for i in range(len(noise)):
        for j in range(i + 1, len(noise)):
            met = (signatures[i], signatures[[j]]), (middles[i], signatures[[j]]), (signatures[i], middles[[j]])
            likeness = max(int((one * turn_signatures(other, orientation)).sum()) / 1e6 for orientation in range(8) for one, other in met)
            if likeness >= SIMILAR and (likeness >= VERY_SIMILAR or np.abs(means[i] - means[j]).max() <= COLOUR_SHIFT):
                wanted.add((i, j))
    assert {(k, 60 + k) for k in range(40)} <= wanted and len(wanted) < 80
    assert {(k, 60 + k) for k in range(40, 50)} - wanted
    for rows, columns in ((512, 4096), (7, 13), (16, 16), (100, 3)):
        monkeypatch.setattr(perceptual, "_ROWS", rows)
        monkeypatch.setattr(perceptual, "_COLUMNS", columns)
        found = list(zip(*similar_pairs(noise, signatures.astype(np.float32), threads=rows % 3).tolist(), strict=True))
        assert len(found) == len(set(found)) and set(found) == wanted


@pytest.mark.parametrize("name", COPIES)
def test_copies_score_above_the_limit_and_strangers_below(phantoms, name):
    prints = prints_of([*phantoms, *map(COPIES[name], phantoms)])
    signatures, count = make_signatures(prints.grey), len(phantoms)
    one = np.arange(count)
    assert (sameness(prints, signatures, one, one + count) >= SAME).mean() >= 0.95
    assert (sameness(prints, signatures, one, (one + 1) % count + count) >= SAME).sum() == 0


def test_the_same_pixels_score_one_and_the_batch_does_not_matter(phantoms):
    prints = prints_of([*phantoms, *map(COPIES["cropped, left-right, JPEG 60"], phantoms)])
    signatures, one = make_signatures(prints.grey), np.arange(len(phantoms))
    assert sameness(prints, signatures, one, one) == pytest.approx(1, abs=1e-4)
    whole = sameness(prints, signatures, one, one + len(one))
    parts = [sameness(prints, signatures, one[[k]], one[[k]] + len(one))[0] for k in one]
    assert whole.tolist() == parts and sameness(prints, signatures, one[:0], one[:0]).shape == (0,)


def test_a_copy_in_other_colours_is_still_one_picture(phantoms):
    def tint(image):
        return Image.fromarray((np.asarray(image) * [0.8, 0.95, 1.0] * 0.85).astype(np.uint8))

    prints = prints_of([*phantoms, *map(tint, phantoms)])
    signatures, one = make_signatures(prints.grey), np.arange(len(phantoms))
    assert (sameness(prints, signatures, one, one + len(one)) >= SAME).mean() > 0.8


def test_colour_costs_what_is_said(phantoms):
    plain = [Image.fromarray((60 + np.asarray(image) * 0.5).astype(np.uint8)) for image in phantoms]       # leaves room to be brighter
    brighter = [Image.fromarray(np.asarray(image) + np.uint8(3)) for image in plain]
    prints = prints_of([*plain, *brighter])
    one, contrast = np.arange(len(plain)), prints.colour[:len(plain)].std(axis=(1, 2)).mean(axis=1) + 3
    price = 1 - sameness(prints, make_signatures(prints.grey), one, one + len(one))
    assert price == pytest.approx(np.minimum(0.3 + 3 / contrast, 0.8), abs=0.03)


def test_moved_edges_cost_what_is_said(phantoms, monkeypatch):
    prints = prints_of([*phantoms, *(COPIES["5 % cropped at each side"](image) for image in phantoms)])
    signatures, one = make_signatures(prints.grey), np.arange(len(phantoms))
    cropped = sameness(prints, signatures, one, one + len(one))
    monkeypatch.setattr(alignment, "_PER_SIDE", 0)
    price = sameness(prints, signatures, one, one + len(one)) - cropped
    assert np.median(price) == pytest.approx(2 * (1 / 0.9 - 1) / 2, abs=0.015)         # the whole is 1/0.9 as long as what is left of it


def test_flat_and_black_pictures_are_nobodys_copy():
    prints = prints_of([Image.new("RGB", (40, 40), colour) for colour in ("black", "black", "white", (200, 160, 140))])
    assert not similar_pairs(prints, make_signatures(prints.grey)).size
