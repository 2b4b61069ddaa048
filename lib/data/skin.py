"""How light the skin beside a lesion is: the individual typology angle (ITA) and its groups.

ITA = atan2(L* − 50, b*)·180/π (Chardon et al. 1991, Int. J. Cosmet. Sci. 13:191), the median over skin pixels. It describes the
photograph, light and camera included, and agrees poorly with annotated Fitzpatrick types: a class of it is an "ITA group",
never a Fitzpatrick type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

# Lower bounds in degrees from group 1 (lightest) on, and whether the bound itself belongs to the group.
CUT_POINTS: dict[str, tuple[tuple[float, bool], ...]] = {
    "groh":      ((45, True), (28, False), (17, False), (5, False), (-20, False)),      # Groh et al. 2021, arXiv 2104.09957, empirical
    "kinyanjui": ((55, False), (41, False), (28, False), (19, False), (10, False)),     # Kinyanjui et al. 2020, MICCAI, after Chardon
}
LONGEST_SIDE  = 100         # pixels; a median over skin needs no more, and large photographs stay cheap
_DILATION     = 0.04        # of the longest side: the lesion's halo and the mask's error are not skin
_RING         = 0.12        # of the shorter side: width of the border ring where there is no mask
_LEAST_PIXELS = 50
_MOST_PIXELS  = 2_000       # a sample of this many is enough: the median moves by a fraction of a degree
_BLACK        = 20          # a pixel whose brightest channel is under this is a dermoscope's vignette, not skin
_WHITE        = 250         # a pixel whose darkest channel is over this is a highlight or paper

_LINEAR = np.where(np.arange(256) / 255 <= 0.04045, np.arange(256) / 255 / 12.92, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4)
_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])    # sRGB, D65
_WHITE_POINT = np.array([0.95047, 1.0, 1.08883])                                                                        # D65, 2°


@dataclass(frozen=True)
class SkinReading:
    """What was measured and on which part of the picture."""

    ita:    float           # degrees, −90 to 180; NaN where it could not be measured
    region: str             # "outside mask" or "border ring"; "no skin" or "not skin-coloured" where it could not be measured
    share:  float           # of the picture that was taken as skin


def lab_from_srgb(pixels: np.ndarray) -> np.ndarray:        # uint8 [..., 3]
    """CIE L*a*b* (D65, 2° observer) of sRGB pixels, float64 [..., 3] (CIE 15:2004)."""
    x, y, z = (_cube_root(_LINEAR[pixels] @ (row / white)) for row, white in zip(_TO_XYZ, _WHITE_POINT, strict=True))
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _cube_root(ratio: np.ndarray) -> np.ndarray:
    return np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)


def typology_angle(
    lightness: np.ndarray,      # L*, 0–100
    yellow:    np.ndarray,      # b*
) -> np.ndarray:
    """ITA in degrees; 90 where b* is 0 and L* above 50."""
    return np.degrees(np.arctan2(np.asarray(lightness) - 50, yellow))


def ita_group(
    ita:        float | np.ndarray,     # degrees; NaN where not measured
    cut_points: str = "groh",           # a key of CUT_POINTS
) -> np.ndarray:
    """ITA group 1 (lightest) to 6 (darkest) as float64, NaN where ITA is. Raises ValueError for unknown cut points."""
    if cut_points not in CUT_POINTS:
        raise ValueError(f"cut_points is {cut_points!r}; there are {', '.join(CUT_POINTS)}")
    angle = np.asarray(ita, dtype=float)
    below = sum((~(angle >= bound if closed else angle > bound)).astype(float) for bound, closed in CUT_POINTS[cut_points])
    return np.where(np.isnan(angle), np.nan, 1 + below)


def measure_skin(
    image: Image.Image,                 # RGB, any size
    mask:  np.ndarray | None = None,    # bool [H, W] of the same size, True inside the lesion; None or empty: not known
) -> SkinReading:
    """Median ITA of the skin around a lesion.

    Skin is what lies outside the widened mask or, without a mask, the ring along the picture's border; black vignettes and
    white highlights are left out, then what is far darker or lighter than the rest (hair, ink, gel, ruler).
    """
    image, mask = _reduce(image, mask)
    pixels = np.asarray(image)
    if mask is not None and mask.any():
        region, where = "outside mask", ~_widen(mask, max(1, round(_DILATION * max(mask.shape))))
    else:
        region, where = "border ring", _border(pixels.shape[:2])
    candidates = pixels[where]
    sample = candidates
    if len(candidates) > _MOST_PIXELS:      # drawn, not every n-th: a ruler's or a comb's period must not decide which are seen
        sample = candidates[np.random.default_rng(0).integers(0, len(candidates), _MOST_PIXELS)]
    skin = _skin_only(sample)
    if len(skin) < _LEAST_PIXELS:
        return SkinReading(float("nan"), "no skin", 0.0)
    angle = float(np.median(typology_angle(skin[:, 0], skin[:, 2])))
    if angle < -90:         # darker than L* 50 and bluer than grey: the light's colour, not a skin's
        return SkinReading(float("nan"), "not skin-coloured", 0.0)
    return SkinReading(angle, region, len(skin) / len(sample) * len(candidates) / where.size)


def _skin_only(pixels: np.ndarray) -> np.ndarray:       # uint8 [N, 3] → float64 [M, 3] L*a*b*
    red, green, blue = pixels.T
    brightest, darkest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    lab = lab_from_srgb(pixels[(brightest >= _BLACK) & (darkest < _WHITE)])
    if not len(lab):
        return lab
    lightness = lab[:, 0]
    middle = np.median(lightness)
    spread = max(3.0, 1.4826 * np.median(np.abs(lightness - middle)))      # 3 L* units: an even surface must not lose its noise
    return lab[np.abs(lightness - middle) <= 2.5 * spread]


def _reduce(image: Image.Image, mask: np.ndarray | None) -> tuple[Image.Image, np.ndarray | None]:
    """Picture and mask at no more than LONGEST_SIDE: block means of the picture, "any lesion in the block" of the mask."""
    factor = -(-max(image.size) // LONGEST_SIDE)
    if factor < 2:
        return image, mask
    if mask is not None:
        mask = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).reduce(factor)) > 0
    return image.reduce(factor), mask


def _widen(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask grown by a square of ±pixels."""
    grown = mask.copy()
    for axis in (0, 1):
        source = grown.copy()
        for step in range(1, pixels + 1):
            ahead = [slice(None), slice(None)]
            behind = [slice(None), slice(None)]
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            grown[tuple(ahead)] |= source[tuple(behind)]
            grown[tuple(behind)] |= source[tuple(ahead)]
    return grown


def _border(shape: tuple[int, int]) -> np.ndarray:
    width = max(1, round(_RING * min(shape)))
    ring = np.ones(shape, dtype=bool)
    ring[width:-width, width:-width] = False
    return ring
