"""Colour of skin: the table against the model, the model against what is known of skin."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab, xyz2rgb

from lib.data.skin import CUT_POINTS
from lib.phantom import optics
from lib.phantom.camera import EXPOSURE
from lib.phantom.tone import MELANOSOME_EDGES, TYPES
from lib.phantom.world import sample_world
from lib.study import PhantomOptions

fractions = st.floats(0.0, 0.6)


def brightness(melanin, blood=0.01, deep=0.0):
    return optics.linear_srgb(optics.reflectance(melanin, blood, deep)).sum(axis=-1)


@settings(deadline=None, max_examples=60)
@given(melanin=fractions, more=st.floats(0.005, 0.4), blood=st.floats(0, 0.3), deep=st.floats(0, 1))
def test_more_pigment_is_darker(melanin, more, blood, deep):
    assert brightness(melanin + more, blood, deep) < brightness(melanin, blood, deep)
    assert brightness(melanin, blood + more, deep) < brightness(melanin, blood, deep)


def test_table_equals_model():
    rng = np.random.default_rng(0)
    melanin, blood, deep = ((rng.random((50, 100)) ** 2 * top).astype(np.float32) for top in (0.99, 0.59, 0.99))
    for table, model, tolerance in (
        (optics.skin_colour(melanin, blood), optics.reflectance(melanin, blood, 0.0), 0.0035),
        (optics.skin_colour(melanin, blood, deep), optics.reflectance(melanin, blood, deep), 0.014),
    ):
        error = np.abs(optics.encode_srgb(np.moveaxis(table, 0, -1)) - optics.encode_srgb(optics.linear_srgb(model)))
        assert error.max() < tolerance
        assert error.mean() < 0.1 * tolerance


def test_lesion_contrast_falls_on_darker_skin():
    added = 0.15
    skins = np.sqrt(np.array(MELANOSOME_EDGES[:-1]) * MELANOSOME_EDGES[1:])
    skin, lesion = (optics.encode_srgb(optics.linear_srgb(optics.reflectance(skins + extra, 0.01, 0.0))) for extra in (0.0, added))
    contrast = np.abs(skin - lesion).mean(axis=-1)
    assert (np.diff(contrast) < 0).all()
    assert contrast[-1] < 0.5 * contrast[0]


def test_white_is_white_and_gamma_is_srgb():
    assert np.allclose(optics.linear_srgb(np.ones(len(optics.WAVELENGTHS))), 1.0, atol=1e-9)
    level = np.array([0.0, 0.001, 0.18, 1.0])
    reference = xyz2rgb(level[:, None] * np.array([0.95047, 1.0, 1.08883]))[:, 1]
    assert np.allclose(optics.encode_srgb(level), reference, atol=2e-3)


def test_types_stand_in_groh_bands():
    colours = optics.encode_srgb(EXPOSURE * optics.linear_srgb(optics.reflectance(np.array(MELANOSOME_EDGES), 0.01, 0.0)))
    lab = rgb2lab(colours)
    edges = np.degrees(np.arctan2(lab[:, 0] - 50, lab[:, 2]))
    assert (np.diff(edges) < 0).all()
    assert np.abs(edges[1:-1] - [bound for bound, _ in CUT_POINTS["groh"]]).max() < 4


def test_skin_is_never_green_or_grey():
    melanin = np.linspace(MELANOSOME_EDGES[0], MELANOSOME_EDGES[-1], 50)
    for blood in (0.006, 0.014):
        red, green, blue = optics.encode_srgb(optics.linear_srgb(optics.reflectance(melanin, blood, 0.0))).T
        assert (red > 1.12 * green).all()
        assert (green > 1.1 * blue).all()


def test_a_person_stays_within_the_type():
    world = sample_world(PhantomOptions(), "phantom")
    for tone, melanin in world.groupby("tone")["melanin"]:
        assert MELANOSOME_EDGES[tone - 1] <= melanin.min() < melanin.max() <= MELANOSOME_EDGES[tone]
    assert set(world["tone"]) == set(TYPES)
