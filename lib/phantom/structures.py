"""Single structures of a lesion: where they lie (drawn once per lesion) and what they look like in a view."""

from __future__ import annotations

import numpy as np

from lib.phantom.camera import View
from lib.phantom.marks import Canvas


def place_marks(
    signs: dict[str, dict[str, float]],     # of one lesion
    rng:   np.random.Generator,
) -> dict[str, np.ndarray]:
    """The kinds of marks that the lesion has, float64 in lesion coordinates, a column per mark.

    Vessels [7, N]: x0, y0, x1, y1, width, height, bow. All others [6, N]: x, y, radius, height, stretch, angle.
    """
    surface, depth, vessels, size = signs["surface"], signs["depth"], signs["vessels"], signs["outline"]["radius"]
    marks = {
        "cyst":    _blobs(rng, surface["cysts"], (5, 12), (0.035, 0.085), 0.80 * size),
        "opening": _blobs(rng, surface["openings"], (4, 9), (0.035, 0.09), 0.80 * size),
        "lacuna":  _blobs(rng, vessels["lacunae"], (5, 11), (0.12, 0.30), 0.66 * size),
        "nest":    _blobs(rng, depth["nests"], (3, 7), (0.10, 0.24), 0.70 * size, stretch=1.8),
        "ulcer":   _blobs(rng, surface["ulcer"], (1, 1), (0.18, 0.32), 0.35 * size, stretch=1.5),
        "keratin": _blobs(rng, surface["keratin"], (1, 1), (0.30, 0.45), 0.12 * size, stretch=1.3),
        "vessel":  _tree(rng, vessels["treelike"], size),
    }
    return {kind: placed for kind, placed in marks.items() if placed is not None}


def draw_marks(
    marks:  dict[str, np.ndarray],          # as place_marks returns them
    canvas: Canvas,
    view:   View,
    inside: np.ndarray,                     # [H, W] float32, 1 within the lesion
) -> dict[str, np.ndarray]:
    """A map [H, W] float32 for every kind that the lesion has, 0 outside the lesion."""
    cos, sin = np.cos(view.angle), np.sin(view.angle)

    def seen(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return view.x + view.scale * (cos * x - sin * y), view.y + view.scale * (sin * x + cos * y)

    maps = {}
    for kind, drawn in marks.items():
        target = canvas.zeros()
        if kind == "vessel":
            x0, y0, x1, y1, width, height, bow = drawn
            canvas.strokes(target, *seen(x0, y0), *seen(x1, y1), width * view.scale, height, bow * view.scale)
        else:
            x, y, radius, height, stretch, angle = drawn
            canvas.blobs(target, *seen(x, y), radius * view.scale, height, stretch=stretch, angle=angle + view.angle, soft=0.35)
        target *= inside
        maps[kind] = target
    return maps


def _blobs(
    rng:     np.random.Generator,
    height:  float,                         # 0: none
    count:   tuple[int, int],
    radius:  tuple[float, float],
    reach:   float,                         # farthest from the middle
    stretch: float = 1.25,
) -> np.ndarray | None:
    u = rng.random((count[1], 6))
    n = count[0] + int(rng.random() * (count[1] - count[0] + 1))
    if height <= 0:
        return None
    a, b, c, d, e, f = u[:n].T
    far, turn = reach * np.sqrt(a), 2 * np.pi * b
    size = radius[0] + (radius[1] - radius[0]) * c
    return np.array([far * np.cos(turn), far * np.sin(turn), size, height * (0.6 + 0.4 * d), 1 + (stretch - 1) * e, np.pi * f])


def _tree(
    rng:    np.random.Generator,
    height: float,                          # 0: none
    size:   float,
) -> np.ndarray | None:
    """Two or three trunks from the rim that branch and thin out towards the middle, as in basal cell carcinoma."""
    u = rng.random((3, 31, 4))
    trunks = 2 + int(rng.random() * 2)
    if height <= 0:
        return None
    segments = []
    for trunk in range(trunks):
        start = 2 * np.pi * (u[trunk, 0, 0] + trunk / trunks)
        ends = [(0.95 * size * np.cos(start), 0.95 * size * np.sin(start), start + np.pi + 1.2 * (u[trunk, 0, 1] - 0.5), 0.075, 0.42)]
        node = 0
        for _generation in range(4):
            grown = []
            for x, y, heading, width, length in ends:
                for side in (-1, 1) if _generation else (1,):
                    a, b, c, d = u[trunk, node % 31]
                    node += 1
                    turn = heading + (side * (0.25 + 0.55 * a) if _generation else 0.0)
                    reach = length * (0.7 + 0.6 * b)
                    nx, ny = x + reach * np.cos(turn), y + reach * np.sin(turn)
                    segments.append((x, y, nx, ny, width, height * (0.7 + 0.3 * c), 0.25 * reach * (d - 0.5)))
                    grown.append((nx, ny, turn, 0.72 * width, 0.78 * length))
            ends = grown
    return np.array(segments).T
