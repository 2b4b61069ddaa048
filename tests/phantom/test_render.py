"""Pictures: the same scene at every size, what the mask covers, what a camera adds."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.phantom.camera import DOMAINS, draw_view, photograph
from lib.phantom.lesions import DIAGNOSES, FAMILIES, USUAL, draw_border, draw_signs
from lib.phantom.marks import Canvas
from lib.phantom.render import draw
from lib.phantom.tone import MELANOSOME_EDGES
from lib.phantom.truth import ideal_auroc

ROOT = Path(__file__).resolve().parents[2]


def scene(**changes):
    base = {
        "diagnosis": "nevus", "domain": "dermoscopic", "difficulty": 0.3, "melanin": 0.05, "artefacts": True, "ruler": False,
        "patient_seed": 1, "lesion_seed": 2, "view_seed": 3,
    }
    return {**base, **changes}


def shrink(picture, factor):
    side = picture.shape[0] // factor
    return picture.astype(float).reshape(side, factor, side, factor, -1).mean(axis=(1, 3))


def cut(diagnosis, lesion_seed, melanin, **changes):
    """Mean colour distance in sRGB between lesion and the skin around it."""
    picture, mask = draw(scene(diagnosis=diagnosis, lesion_seed=lesion_seed, melanin=melanin, artefacts=False, **changes), 64)
    return np.abs(picture[mask].mean(axis=0) - picture[~mask].mean(axis=0)).mean()


@settings(deadline=None, max_examples=25)
@given(
    diagnosis=st.sampled_from(DIAGNOSES), domain=st.sampled_from(list(DOMAINS)), seed=st.integers(0, 2**62),
    melanin=st.floats(0.013, 0.43))
def test_any_size_draws_the_same_scene(diagnosis, domain, seed, melanin):
    row = scene(diagnosis=diagnosis, domain=domain, melanin=melanin, lesion_seed=seed, view_seed=seed // 3, patient_seed=seed // 5)
    (small, small_mask), (large, large_mask) = draw(row, 64), draw(row, 256)
    difference = np.abs(shrink(large, 4) - small)
    assert difference.mean() < 3.5, "mean difference in grey levels of 255"
    assert (difference.max(axis=-1) > 40).mean() < 0.03
    assert np.abs(shrink(large_mask, 4)[..., 0] - small_mask).mean() < 0.02


@pytest.mark.parametrize("size", [32, 64, 100, 512])
def test_sizes(size):
    picture, mask = draw(scene(), size)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    assert mask.shape == (size, size) and mask.dtype == bool
    assert 0.03 < mask.mean() < 0.7


@pytest.mark.parametrize("size", [16, 513])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match="from 32 to 512"):
        draw(scene(), size)


def test_unknown_words_are_refused_with_a_list():
    with pytest.raises(ValueError, match="melanoma, nevus"):
        draw(scene(diagnosis="mole"), 64)
    with pytest.raises(ValueError, match="dermoscopic, clinical, smartphone"):
        draw(scene(domain="x-ray"), 64)


def test_the_same_row_draws_the_same_bytes_in_another_process():
    rows = [scene(diagnosis=d, lesion_seed=k, domain=list(DOMAINS)[k % 3]) for k, d in enumerate(USUAL)]
    here = [draw(row, 64)[0].tobytes() for row in rows]
    again = [draw(row, 64)[0].tobytes() for row in reversed(rows)][::-1]
    assert here == again
    code = ("import sys, hashlib; from lib.phantom.render import draw\n"
            f"for row in {rows[::-1]!r}: print(hashlib.sha256(draw(row, 64)[0].tobytes()).hexdigest())")
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert [hashlib.sha256(content).hexdigest() for content in here[::-1]] == there


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**62), melanin=st.floats(0.013, 0.40), domain=st.sampled_from(list(DOMAINS)))
def test_more_melanin_is_darker(seed, melanin, domain):
    light, dark = (draw(scene(melanin=m, view_seed=seed, domain=domain, artefacts=False), 32)[0].mean() for m in (melanin, melanin + 0.03))
    assert dark < light


def test_contrast_of_pigmented_lesions_falls_with_tone():
    middle = [np.sqrt(MELANOSOME_EDGES[k] * MELANOSOME_EDGES[k + 1]) for k in range(6)]
    for diagnosis in ("nevus", "dermatofibroma", "vascular", "melanoma", "basal_cell_carcinoma"):
        contrast = [np.mean([cut(diagnosis, seed, m, difficulty=0.0) for seed in range(6)]) for m in middle]
        assert contrast[5] < contrast[3] < contrast[0], diagnosis
        assert contrast[5] < 0.6 * contrast[0], diagnosis


@pytest.mark.parametrize("domain", list(DOMAINS))
def test_mask_covers_the_lesion(domain):
    for seed in range(5):
        row = scene(diagnosis="melanoma", difficulty=0.0, lesion_seed=seed, view_seed=seed, domain=domain, artefacts=False)
        with_lesion, mask = draw(row, 96)
        assert np.median(with_lesion[mask].mean(axis=-1)) < 0.75 * np.median(with_lesion[~mask].mean(axis=-1))
        dark = with_lesion.mean(axis=-1) < 0.6 * np.median(with_lesion[~mask].mean(axis=-1))
        assert mask[dark].mean() > 0.9


def test_no_ruler_without_one():
    for seed in range(12):
        without, with_one = (draw(scene(view_seed=seed, ruler=on, artefacts=False), 64)[0].astype(int) for on in (False, True))
        assert ((without != with_one).any(axis=-1)).mean() > 0.01, seed


@pytest.mark.parametrize("width", [0.004, 0.02, 0.1])
def test_a_line_carries_the_same_ink_at_every_size(width):
    ink = []
    for size in (32, 64, 512):
        canvas = Canvas(size)
        cover = canvas.zeros()
        canvas.strokes(cover, *np.array([-0.6, -0.3, 0.5, 0.37, width, 1.0, 0.0])[:, None])
        ink.append(cover.mean() * 4)
        assert cover[canvas.around(0.8, -0.8, 0.1)].max() == 0
    assert np.allclose(ink, width * np.hypot(1.1, 0.67), rtol=0.08, atol=0.0004 + 0.8 * width**2)


def test_fine_structure_stays_fine_in_large_pictures():
    """A network drawn at 512 px holds detail that 64 px cannot, and at 64 px it is the mean of it, not another pattern."""
    row = scene(difficulty=0.0, artefacts=False)
    (small, mask), (large, large_mask) = draw(row, 64), draw(row, 512)
    detail = large.astype(float) - np.kron(shrink(large, 8), np.ones((8, 8, 1)))
    assert detail[large_mask].std() > 9
    assert np.abs(shrink(large, 8) - small)[mask].mean() < 3


def test_blur_is_a_share_of_the_picture():
    domain = replace(DOMAINS["clinical"], blur=(0.02, 0.02), hair=0, vignette=0, noise=0, shading=0, jpeg=(100, 100))
    width = []
    for size in (64, 512):
        canvas, rng = Canvas(size), np.random.default_rng(0)
        light = np.full((3, size, size), 0.2, dtype=np.float32) * (1 + (canvas.x > 0))
        row = photograph(light, canvas, domain, draw_view(domain, rng), rng, artefacts=True, ruler=False, hair_melanin=0.1)[size // 2, :, 1]
        share = (row.astype(float) - row.min()) / np.ptp(row)
        width.append(((share > 0.1) & (share < 0.9)).mean())
    assert 0.02 < width[1] < 0.08
    assert abs(width[0] - width[1]) < 1.5 / 64


def test_views_share_the_lesion_but_not_the_picture():
    pictures = [draw(scene(view_seed=seed, artefacts=False), 64) for seed in (3, 4)]
    assert not np.array_equal(pictures[0][0], pictures[1][0])
    colours = [picture[mask].mean(axis=0) for picture, mask in pictures]
    assert np.abs(colours[0] - colours[1]).max() < 30


def test_ruler_and_artefacts_change_only_what_they_say():
    plain, with_ruler = (draw(scene(ruler=on, artefacts=False), 64)[0].astype(int) for on in (False, True))
    changed = (plain != with_ruler).any(axis=-1)
    assert 0.01 < changed.mean() < 0.2
    assert not changed[20:44, 20:44].any()
    assert np.array_equal(draw(scene(artefacts=False), 64)[1], draw(scene(artefacts=True), 64)[1])
    assert (draw(scene(artefacts=True), 64)[0] != plain).any()


def test_difficulty_mixes_signs():
    def own(difficulty):
        same = 0
        for seed in range(200):
            signs = draw_signs("seborrheic_keratosis", difficulty, np.random.default_rng(seed))
            same += sum([signs["surface"]["wax"] > 0, signs["network"]["folds"] > 0, signs["outline"]["soft"] <= 0.05])
        return same / 600
    assert own(0.0) == 1
    assert own(0.0) > own(0.4) > own(0.8) > 0.1


def test_every_family_has_its_parameters():
    for diagnosis in DIAGNOSES:
        signs = draw_signs(diagnosis, 0.7, np.random.default_rng(0))
        assert tuple(signs) == FAMILIES
        assert np.isfinite([value for family in signs.values() for value in family.values()]).all()


def test_border_is_the_stated_fourier_series():
    outline = {"rough": 0.1, "decay": 1.3, "radius": 1.0}
    borders = np.array([draw_border(outline, np.random.default_rng(seed)) for seed in range(400)])
    spectrum = np.abs(np.fft.rfft(borders, axis=1)) / (borders.shape[1] / 2)
    root = np.sqrt((spectrum**2).mean(axis=0))[2:10]
    assert np.allclose(root, 0.1 * (np.arange(2, 10) / 2.0) ** -1.3, rtol=0.2)


def test_ideal_observer_falls_with_difficulty():
    values = [ideal_auroc(d, lesions=6_000) for d in (0.0, 0.3, 0.6, 1.0)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert 0.5 < values[-1] < 0.7
