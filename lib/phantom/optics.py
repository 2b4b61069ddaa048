"""Colour of skin from its pigments: a two-layer reflectance model, integrated to linear sRGB, kept as a look-up table.

    R(λ) = Rs + (1 − Rs) · exp(−2 μa_epidermis d) · Rd(dermis),     Rd = exp(−A / √(3 (1 + μs′/μa)))

Sources. Baseline absorption, melanosome absorption and the recipe: S. L. Jacques, "Skin optics", Oregon Medical Laser Center News,
January 1998. Diffuse reflectance of a semi-infinite medium: S. L. Jacques, Oregon Medical Laser Center News, May 1999. Haemoglobin:
molar extinction compiled by S. Prahl from Gratzer and Kollias. Colour matching: Wyman, Sloan & Shirley, "Simple analytic
approximations to the CIE XYZ color matching functions", JCGT 2(2), 2013, multi-lobe form. D65: CIE 15. sRGB: IEC 61966-2-1.

Checked against the cited page: the baseline. Seen in third-party code that names its source: the melanosome term, the haemoglobin
table. Taken from the project's design or from memory and not checked against the original: the dermis' scattering power law (said to
be from Jacques, Phys. Med. Biol. 58 (2013) R37), the three numbers in A, the epidermis' thickness d, the colour matching lobes, D65.
A model of our own, not from a paper: the deep-melanin term. The share of light that turns back above a pigmented layer in the dermis
is larger in blue, so deep pigment looks blue-grey; its strength and power were chosen by eye. So was the surface reflection, with
the exposure in lib.phantom.camera: as large as lets Groh's ITA cut points fall near the design's melanosome fractions.
"""

from __future__ import annotations

from functools import cache

import numpy as np

EPIDERMIS_THICKNESS = 0.0060        # cm
SURFACE_REFLECTION = 0.022          # what a camera sees of the surface's own, white reflection (a half of the usual 4 %)
OXYGENATION = 0.75                  # share of haemoglobin that carries oxygen
DEEP_DEPTH = 0.007                  # cm of clear dermis above deep melanin
DEEP_THICKNESS = 0.008              # cm of dermis that deep melanin fills at fraction 1

MELANIN_TOP, BLOOD_TOP = 1.0, 0.6   # ends of the table's axes (volume fractions)
_NODES = (112, 44, 9)               # melanin × blood × deep melanin

WAVELENGTHS = np.arange(380, 740, 10.0)     # nm

# Molar extinction in cm⁻¹ / (mol/L) at WAVELENGTHS: oxygenated and deoxygenated haemoglobin.
_HBO2 = np.array([
    109564, 167748, 266232, 466840, 480360, 246072, 102580, 62816, 44480, 33209, 26629, 23684, 20933, 20035, 24202, 39957, 53236, 43016,
    32613, 44496, 50104, 14401, 3200, 1506, 942, 610, 442, 368, 320, 294, 278, 276, 290, 314, 348, 390.0])
_HB = np.array([
    145232, 167780, 223296, 303956, 407560, 528600, 413280, 103292, 23389, 16156, 14550, 16684, 20862, 25774, 31590, 39036, 46592, 53412,
    53788, 45072, 37020, 28324, 14677, 9444, 6510, 5149, 4345, 3750, 3227, 2795, 2408, 2052, 1794, 1540, 1326, 1102.0])
# CIE standard illuminant D65, relative power at WAVELENGTHS.
_D65 = np.array([
    49.98, 54.65, 82.75, 91.49, 93.43, 86.68, 104.87, 117.01, 117.81, 114.86, 115.92, 108.81, 109.35, 107.80, 104.79, 107.69, 104.41,
    104.05, 100.00, 96.33, 95.79, 88.69, 90.01, 89.60, 87.70, 83.29, 83.70, 80.03, 80.21, 82.28, 78.28, 69.72, 71.61, 74.35, 61.60, 69.89])
_XYZ_TO_SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])


def melanosome_absorption(
    wavelength: np.ndarray,     # nm
) -> np.ndarray:
    """Absorption inside a melanosome in cm⁻¹ (Jacques 1998)."""
    return 6.6e11 * wavelength**-3.33


def baseline_absorption(
    wavelength: np.ndarray,     # nm
) -> np.ndarray:
    """Absorption of skin without melanin and blood in cm⁻¹ (Jacques 1998)."""
    return 0.244 + 85.3 * np.exp(-(wavelength - 154.0) / 66.2)


def blood_absorption() -> np.ndarray:
    """Absorption of whole blood (150 g/L haemoglobin) at WAVELENGTHS in cm⁻¹."""
    mixed = OXYGENATION * _HBO2 + (1 - OXYGENATION) * _HB
    return np.log(10) * mixed * 150.0 / 64_500.0


def reflectance(
    melanin: np.ndarray,        # [...] melanosome volume fraction of the epidermis, 0–1
    blood:   np.ndarray,        # [...] blood volume fraction of the dermis, 0–1
    deep:    np.ndarray,        # [...] melanosome fraction of a layer in the dermis, 0–1
) -> np.ndarray:
    """Share of light sent back at WAVELENGTHS, [..., 36]; falls with every pigment."""
    melanin, blood, deep = (np.asarray(value, dtype=np.float64)[..., None] for value in (melanin, blood, deep))
    pigment, base = melanosome_absorption(WAVELENGTHS), baseline_absorption(WAVELENGTHS)
    epidermis = melanin * pigment + (1 - melanin) * base
    dermis = blood * blood_absorption() + (1 - blood) * base
    scattering = 45.3 * (WAVELENGTHS / 500.0) ** -1.292
    ratio = scattering / dermis
    diffuse = np.exp(-(6.3744 + 0.35688 * np.exp(np.log(ratio) / 3.4739)) / np.sqrt(3 * (1 + ratio)))
    optical_depth = 0.75 * 32.0 * (WAVELENGTHS / 500.0) ** -2.5 * DEEP_DEPTH    # between Rayleigh and Mie: blue turns back first
    above = np.minimum(optical_depth / (1 + optical_depth), diffuse)
    diffuse = above + (diffuse - above) * np.exp(-2 * deep * pigment * DEEP_THICKNESS)
    return SURFACE_REFLECTION + (1 - SURFACE_REFLECTION) * np.exp(-2 * epidermis * EPIDERMIS_THICKNESS) * diffuse


def linear_srgb(
    spectrum: np.ndarray,       # [..., 36] reflectance at WAVELENGTHS
) -> np.ndarray:
    """Linear sRGB under D65, [..., 3]; a perfect white is (1, 1, 1) and out-of-gamut values are clipped at 0."""
    weights = _matching_functions() * _D65
    xyz = spectrum @ weights.T / weights[1].sum()
    white = weights.sum(axis=1) / weights[1].sum()
    rgb = xyz @ _XYZ_TO_SRGB.T / (_XYZ_TO_SRGB @ white)
    return np.maximum(rgb, 0.0)


def skin_colour(
    melanin: np.ndarray,        # [...] float32, melanosome fraction of the epidermis
    blood:   np.ndarray,        # [...] float32, blood fraction of the dermis
    deep:    np.ndarray | None = None,  # [...] float32, melanin in the dermis; None: none anywhere
) -> np.ndarray:
    """Linear sRGB from the table, interpolated linearly; pigments beyond the table's ends are clipped.

    Returns [3, ...], channel by channel: arithmetic on whole planes is several times faster than on interleaved colours.
    """
    across, up, depth = _NODES
    cell, m = _node(melanin, MELANIN_TOP, across)
    b0, b = _node(blood, BLOOD_TOP, up)
    cell *= up
    cell += b0
    tables, steps = _table()
    light = np.empty((3, *m.shape), dtype=np.float32)
    if deep is not None:
        d0, d = _node(deep, 1.0, depth)
        d0 *= across * up
        cell += d0
    for channel, table, step in zip(light, tables, steps, strict=True):
        _plane(table, step, cell, m, b, channel)
        if deep is not None:
            below = np.empty_like(channel)
            _plane(table[across * up:], step[across * up:], cell, m, b, below)
            below -= channel
            below *= d
            channel += below
    return light


def _node(pigment: np.ndarray, top: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the table's node below each value, and how far on the value lies towards the next node (0–1)."""
    place = pigment.clip(0, 0.9999 * top)
    if top != 1:
        place *= np.float32(1 / top)
    np.sqrt(place, out=place)
    place *= np.float32(nodes - 1)
    node = place.astype(np.intp)
    place -= node
    return node, place


def _plane(table: np.ndarray, step: np.ndarray, cell: np.ndarray, m: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """One channel of the table, between the four nodes of each cell; no cell is outside, and "clip" spares numpy a look first."""
    up = _NODES[1]
    low, more = table.take(cell, mode="clip"), step.take(cell, mode="clip")
    more *= b
    low += more
    table[up:].take(cell, mode="clip", out=out)
    step[up:].take(cell, mode="clip", out=more)
    more *= b
    out += more
    out -= low
    out *= m
    out += low


def encode_srgb(
    linear: np.ndarray,         # [...] linear sRGB
) -> np.ndarray:
    """Gamma-encoded sRGB 0–1 as float32, by a table of 16,384 steps; values above 1 are clipped as a sensor does."""
    steps = _gamma()
    place = linear.clip(0, 1)
    place *= np.float32(len(steps) - 1)
    place += np.float32(0.5)
    return steps.take(place.astype(np.intp), mode="clip")


@cache
def _gamma() -> np.ndarray:
    value = np.linspace(0, 1, 16_384)
    return np.where(value < 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Colours [3, deep · melanin · blood] float32 and their steps along blood.

    The nodes are spaced by square roots, since colour changes fastest where there is little pigment."""
    melanin, blood, deep = (np.linspace(0, 1, n) ** 2 for n in _NODES)
    shape = np.meshgrid(deep, melanin * MELANIN_TOP, blood * BLOOD_TOP, indexing="ij")
    table = np.ascontiguousarray(linear_srgb(reflectance(shape[1], shape[2], shape[0])).reshape(-1, 3).T, dtype=np.float32)
    return table, np.roll(table, -1, axis=1) - table


def _matching_functions() -> np.ndarray:
    """CIE 1931 x̄, ȳ, z̄ at WAVELENGTHS, [3, 36] (Wyman et al. 2013, table 1)."""
    def lobe(height, centre, left, right):
        width = np.where(centre > WAVELENGTHS, left, right)
        return height * np.exp(-0.5 * ((WAVELENGTHS - centre) / width) ** 2)

    x = lobe(1.056, 599.8, 37.9, 31.0) + lobe(0.362, 442.0, 16.0, 26.7) + lobe(-0.065, 501.1, 20.4, 26.2)
    y = lobe(0.821, 568.8, 46.9, 40.5) + lobe(0.286, 530.9, 16.3, 31.1)
    z = lobe(1.217, 437.0, 11.8, 36.0) + lobe(0.681, 459.0, 26.0, 13.8)
    return np.stack([x, y, z])
