"""What dermatologists look for, as numbers: the signs of each diagnosis, and how a lesion draws its own.

A lesion has six families of signs. At difficulty 0 all come from its own diagnosis. As difficulty grows a family is more often
borrowed from another diagnosis, shown weakly, or missing. The families stay independent given the diagnosis, so what an ideal
observer could reach is known (`lib.phantom.truth`). The signs are textbook ones (e.g. Braun et al., "Dermoscopy of pigmented skin
lesions", J Am Acad Dermatol 52 (2005) 109–121, from memory); the numbers are ours, chosen by eye.
"""

from __future__ import annotations

from functools import cache

import numpy as np

# Every family: parameter → (low, high), drawn uniformly. What a diagnosis leaves out is 0 unless DEFAULTS says otherwise.
DEFAULTS: dict[str, dict[str, tuple[float, float]]] = {
    # added melanosome fraction, added blood fraction, patchiness of the pigment, one-sidedness of the pigment, melanin taken away
    "tint": {"melanin": (0, 0), "blood": (0, 0), "patches": (0, 0.1), "lopsided": (0, 0.1), "bleach": (0, 0)},
    # length over width, roughness σ and decay p of the border, width of the border, radius
    "outline": {"stretch": (1.0, 1.2), "rough": (0.02, 0.05), "decay": (1.2, 1.6), "soft": (0.1, 0.2), "radius": (0.8, 1.1)},
    # strength of lines and globules, size of a mesh cell, 1 where the mesh is atypical, 1 where only the rim has it, folds of the surface
    "network": {"lines": (0, 0), "cell": (0.16, 0.2), "atypical": (0, 0), "rim": (0, 0), "globules": (0, 0), "folds": (0, 0)},
    # treelike vessels, dotted vessels, blood-filled lacunae
    "vessels": {"treelike": (0, 0), "dotted": (0, 0), "lacunae": (0, 0)},
    # scale, milia-like cysts, comedo-like openings, waxy film, gloss, ulcer, central keratin
    "surface": {
        "scale": (0, 0), "cysts": (0, 0), "openings": (0, 0), "wax": (0, 0), "gloss": (0, 0.15), "ulcer": (0, 0), "keratin": (0, 0)},
    # blue-white veil, blue-grey ovoid nests, central white scar, dark centre
    "depth": {"veil": (0, 0), "nests": (0, 0), "scar": (0, 0), "core": (0, 0.2)},
}
FAMILIES = tuple(DEFAULTS)

SIGNS: dict[str, dict[str, dict[str, tuple[float, float]]]] = {
    "melanoma": {
        "tint": {"melanin": (0.18, 0.40), "blood": (0.0, 0.02), "patches": (0.6, 1.0), "lopsided": (0.5, 1.0)},
        "outline": {"stretch": (1.15, 1.6), "rough": (0.07, 0.13), "decay": (0.9, 1.3), "soft": (0.05, 0.16), "radius": (1.0, 1.25)},
        "network": {"lines": (0.6, 1.0), "cell": (0.20, 0.30), "atypical": (1, 1), "globules": (0.3, 0.9)},
        "vessels": {"dotted": (0.0, 0.3)},
        "surface": {"ulcer": (0.0, 0.4)},
        "depth": {"veil": (0.6, 1.0)},
    },
    "nevus": {
        "tint": {"melanin": (0.10, 0.24), "patches": (0.0, 0.15)},
        "outline": {"stretch": (1.0, 1.2), "rough": (0.01, 0.04), "decay": (1.4, 1.8), "soft": (0.12, 0.25), "radius": (0.75, 1.0)},
        "network": {"lines": (0.6, 1.0), "cell": (0.11, 0.15), "globules": (0.0, 0.3)},
        "vessels": {},
        "surface": {"gloss": (0.0, 0.1)},
        "depth": {"core": (0.3, 0.8)},
    },
    "basal_cell_carcinoma": {
        "tint": {"melanin": (0.0, 0.02), "blood": (0.015, 0.05), "patches": (0.1, 0.4), "bleach": (0.05, 0.25)},
        "outline": {"stretch": (1.0, 1.3), "rough": (0.04, 0.09), "decay": (1.1, 1.5), "soft": (0.10, 0.22), "radius": (0.85, 1.1)},
        "network": {},
        "vessels": {"treelike": (0.7, 1.0)},
        "surface": {"gloss": (0.6, 1.0), "ulcer": (0.3, 0.9)},
        "depth": {"nests": (0.6, 1.0)},
    },
    "actinic_keratosis": {
        "tint": {"melanin": (0.0, 0.03), "blood": (0.04, 0.09), "patches": (0.5, 0.9)},
        "outline": {"stretch": (1.1, 1.5), "rough": (0.07, 0.12), "decay": (1.0, 1.3), "soft": (0.35, 0.6), "radius": (0.85, 1.15)},
        "network": {},
        "vessels": {"dotted": (0.4, 0.9)},
        "surface": {"scale": (0.6, 1.0)},
        "depth": {},
    },
    "seborrheic_keratosis": {
        "tint": {"melanin": (0.08, 0.26), "patches": (0.2, 0.5)},
        "outline": {"stretch": (1.0, 1.4), "rough": (0.04, 0.09), "decay": (0.9, 1.3), "soft": (0.02, 0.05), "radius": (0.85, 1.15)},
        "network": {"folds": (0.5, 1.0)},
        "vessels": {},
        "surface": {"cysts": (0.6, 1.0), "openings": (0.5, 1.0), "wax": (0.5, 1.0)},
        "depth": {},
    },
    "dermatofibroma": {
        "tint": {"melanin": (0.05, 0.12), "blood": (0.01, 0.03), "patches": (0.0, 0.2)},
        "outline": {"stretch": (1.0, 1.2), "rough": (0.02, 0.05), "decay": (1.3, 1.7), "soft": (0.35, 0.6), "radius": (0.75, 1.0)},
        "network": {"lines": (0.35, 0.7), "cell": (0.10, 0.13), "rim": (1, 1)},
        "vessels": {},
        "surface": {},
        "depth": {"scar": (0.6, 1.0)},
    },
    "vascular": {
        "tint": {"melanin": (0.0, 0.02), "blood": (0.10, 0.25), "patches": (0.1, 0.3)},
        "outline": {"stretch": (1.0, 1.3), "rough": (0.03, 0.08), "decay": (1.1, 1.5), "soft": (0.05, 0.10), "radius": (0.7, 1.0)},
        "network": {},
        "vessels": {"lacunae": (0.6, 1.0)},
        "surface": {"gloss": (0.2, 0.6)},
        "depth": {},
    },
    "squamous_cell_carcinoma": {
        "tint": {"melanin": (0.0, 0.04), "blood": (0.05, 0.10), "patches": (0.3, 0.7)},
        "outline": {"stretch": (1.0, 1.35), "rough": (0.06, 0.12), "decay": (1.0, 1.3), "soft": (0.12, 0.25), "radius": (0.95, 1.25)},
        "network": {},
        "vessels": {"dotted": (0.5, 1.0)},
        "surface": {"keratin": (0.6, 1.0), "ulcer": (0.2, 0.7), "scale": (0.1, 0.4)},
        "depth": {},
    },
}
DIAGNOSES = tuple(SIGNS)
USUAL = DIAGNOSES[:7]                                               # drawn when a study names no class shares
BORDER_WAVES = 14
BORDER_POINTS = 256
_HALF_WAVES = np.arange(2, BORDER_WAVES + 2) / 2.0


def borrowing(
    difficulty: float,              # 0 textbook … 1 hardly differ
) -> tuple[float, float]:
    """Chance that a family is borrowed from a diagnosis drawn at random, and chance that it is missing."""
    return 0.92 * difficulty**1.2, 0.2 * difficulty**1.2


def draw_signs(
    diagnosis:  str,                # one of DIAGNOSES
    difficulty: float,              # 0–1
    rng:        np.random.Generator,
) -> dict[str, dict[str, float]]:
    """A lesion's own signs, family by family. Raises ValueError for a diagnosis that is not drawn here, listing those that are."""
    if diagnosis not in SIGNS:
        raise ValueError(f"diagnosis {diagnosis!r} has no phantom; there are {', '.join(DIAGNOSES)}")
    borrowed, missing = borrowing(difficulty)
    signs = {}
    for family in FAMILIES:
        chances = rng.random(3)
        # At rising difficulty the seven usual diagnoses lend each other their signs; a borrowed family may by chance be the lesion's own.
        source = USUAL[int(chances[1] * len(USUAL))] if chances[0] < borrowed else diagnosis
        names, low, span = _ranges(source, family)
        drawn = dict(zip(names, (low + span * rng.random(len(names))).tolist(), strict=True))
        strength = 1 - 0.6 * difficulty * rng.random()
        if chances[2] < missing and family not in ("tint", "outline"):
            strength = 0.0
        if family not in ("tint", "outline"):
            drawn = {name: value * strength if name not in ("cell", "atypical", "rim") else value for name, value in drawn.items()}
        signs[family] = drawn
    return signs


@cache
def _ranges(diagnosis: str, family: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, lower ends and widths of the parameters of a family."""
    ranges = {**DEFAULTS[family], **SIGNS[diagnosis][family]}
    low, high = np.array(list(ranges.values()), dtype=np.float64).T
    return tuple(ranges), low, high - low


def draw_border(
    outline: dict[str, float],      # the family `outline` of a lesion's signs
    rng:     np.random.Generator,
) -> np.ndarray:
    """Border r(θ) = r₀ (1 + Σ σ k^−p cos(kθ + φ)) on BORDER_POINTS angles once around, float32.

    k counts from 2 and σ is the height at k = 2."""
    heights = outline["rough"] * rng.standard_normal(BORDER_WAVES) * _HALF_WAVES ** -outline["decay"]
    spectrum = np.zeros(BORDER_POINTS // 2 + 1, dtype=complex)
    spectrum[2:BORDER_WAVES + 2] = heights * np.exp(1j * rng.uniform(0, 2 * np.pi, BORDER_WAVES)) * (BORDER_POINTS / 2)
    wave = np.fft.irfft(spectrum, BORDER_POINTS)
    return (outline["radius"] * (1 + wave).clip(0.4, 1.7)).astype(np.float32)
