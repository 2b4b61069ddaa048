"""Fitzpatrick types as ranges of melanosome fraction, and the individual typology angle that a colour has."""

from __future__ import annotations

import numpy as np

TYPES = (1, 2, 3, 4, 5, 6)

# Melanosome volume fraction of the epidermis at the edges of types I…VI (DESIGN §6; the inner five stand at Groh's ITA cut points).
MELANOSOME_EDGES = (0.013, 0.038, 0.084, 0.122, 0.174, 0.307, 0.43)

# Individual typology angle in degrees at the inner edges, light to dark (Groh et al. 2021, empirical cut points).
GROH_CUT_POINTS = (45.0, 28.0, 17.0, 5.0, -20.0)


def melanosome_range(
    tone: int,                  # Fitzpatrick type, 1–6
) -> tuple[float, float]:
    """Lowest and highest melanosome fraction of a type. Raises ValueError for anything but 1–6."""
    if tone not in TYPES:
        raise ValueError(f"tone {tone!r}: expected a Fitzpatrick type from 1 to 6")
    return MELANOSOME_EDGES[tone - 1], MELANOSOME_EDGES[tone]


def draw_melanosome_fraction(
    tone: int,                          # Fitzpatrick type, 1–6
    rng:  np.random.Generator,
) -> float:
    """One person's melanosome fraction, uniform on a log scale inside the type's range."""
    low, high = melanosome_range(tone)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def typology_angle(
    linear: np.ndarray,         # [..., 3] linear sRGB under D65
) -> np.ndarray:
    """ITA = atan2(L* − 50, b*) in degrees (Chardon et al. 1991); large is light, negative is dark."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = np.asarray(linear, dtype=np.float64) @ (matrix / matrix.sum(axis=1, keepdims=True)).T
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.degrees(np.arctan2(116 * f[..., 1] - 16 - 50, 200 * (f[..., 1] - f[..., 2])))
