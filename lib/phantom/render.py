"""One picture from one row of a phantom world: skin, lesion, camera.

A lesion adds melanin or blood to the skin that it sits in; what light comes back follows from the sum. So a brown spot of the same
melanin stands out on type I and hardly on type VI, without any rule that says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lib.phantom.camera import DOMAINS, Domain, View, draw_view, photograph
from lib.phantom.lesions import BORDER_POINTS, draw_border, draw_signs
from lib.phantom.marks import Canvas
from lib.phantom.noise import CELLS, texture
from lib.phantom.optics import skin_colour
from lib.phantom.structures import draw_marks, place_marks

# Colours stand as [3, 1, 1], since pictures are worked on channel by channel.
KERATIN = np.array([0.64, 0.57, 0.44], dtype=np.float32)[:, None, None]     # linear sRGB of scale and cysts
SCAR = np.array([0.62, 0.46, 0.40], dtype=np.float32)[:, None, None]        # linear sRGB of scar tissue
GREASE = np.array([0.30, 0.10, -0.15], dtype=np.float32)[:, None, None]     # what a greasy film adds to the gain of each channel
SIZES = (32, 512)


def draw(
    scene: Mapping,                 # a row of lib.phantom.world.sample_world (mapping, Series)
    size:  int,                     # pixels per side, 32–512
) -> tuple[np.ndarray, np.ndarray]:
    """Picture uint8 [size, size, 3] (sRGB) and mask bool [size, size] (True on the lesion).

    The same row draws the same scene at every size and the same bytes at the same size. Raises ValueError for a size outside 32–512,
    an unknown diagnosis or an unknown domain.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"a phantom of {size} px: sizes from {SIZES[0]} to {SIZES[1]} can be drawn")
    if scene["domain"] not in DOMAINS:
        raise ValueError(f"domain {scene['domain']!r} is unknown; there are {', '.join(DOMAINS)}")
    domain, rng = DOMAINS[scene["domain"]], np.random.default_rng(int(scene["view_seed"]))
    canvas, view = Canvas(size), draw_view(domain, rng)
    light, mask = reflected_light(scene, canvas, domain, view)
    switches = {"artefacts": bool(scene["artefacts"]), "ruler": bool(scene["ruler"])}
    picture = photograph(light, canvas, domain, view, rng, hair_melanin=float(scene["melanin"]), **switches)
    return picture, mask


def reflected_light(
    scene:  Mapping,                # as for draw
    canvas: Canvas,
    domain: Domain,
    view:   View,
) -> tuple[np.ndarray, np.ndarray]:
    """What skin and lesion send back under even light, linear sRGB float32 [3, S, S], and the mask bool [S, S]."""
    lesion = np.random.default_rng(int(scene["lesion_seed"]))
    signs = draw_signs(scene["diagnosis"], float(scene["difficulty"]), lesion)
    border, places = draw_border(signs["outline"], lesion), lesion.random(16).astype(np.float32)
    marks = place_marks(signs, lesion)
    outline = signs["outline"]
    reach = border.max() * np.sqrt(outline["stretch"]) + outline["soft"]

    skin = _Skin(scene)
    whole = _Frame(canvas, view)
    melanin, blood = skin.pigments(whole)
    light = skin_colour(melanin, blood)
    relief = skin.relief(whole, domain)
    light *= relief
    mask = np.zeros(canvas.shape, dtype=bool)

    window = canvas.around(view.x, view.y, reach * view.scale + canvas.pixel)
    frame = _Frame(Canvas(canvas.size, window), view)
    patch = _Patch(frame, signs, border, places)
    light[:, *window] = _lesion_light(patch, marks, domain, melanin[window], blood[window], relief[window])
    mask[window] = patch.mask
    return light, mask


class _Frame:
    """Lesion coordinates of a canvas: a usual lesion has radius 1, and the skin turns and grows with it."""

    def __init__(self, canvas: Canvas, view: View):
        self.canvas, self.view = canvas, view
        cos, sin = np.float32(np.cos(view.angle) / view.scale), np.float32(np.sin(view.angle) / view.scale)
        dx, dy = canvas.x - np.float32(view.x), canvas.y - np.float32(view.y)
        self.x, self.y = cos * dx + sin * dy, cos * dy - sin * dx
        self.pixel = canvas.pixel / view.scale
        self._dx, self._dy = dx, dy

    def uphill(self) -> np.ndarray:
        """Distance towards the light from the lesion's middle, in lesion radii."""
        cos, sin = np.float32(np.cos(self.view.light)), np.float32(np.sin(self.view.light))
        return (cos * self._dx + sin * self._dy) * np.float32(1 / self.view.scale)

    def sideways(self) -> np.ndarray:
        """Distance across the direction of the light, in lesion radii."""
        cos, sin = np.float32(np.cos(self.view.light)), np.float32(np.sin(self.view.light))
        return (cos * self._dy - sin * self._dx) * np.float32(1 / self.view.scale)

    def tile(self, name: str, width: float, across: float, down: float) -> np.ndarray:
        """A texture laid on the skin; `width` is that of one tile in lesion radii."""
        step = np.float32(1 / width)
        u, v = self.x * step, self.y * step
        u += across
        v += down
        return texture(name, u, v, self.pixel / width)


class _Skin:
    """One person's skin."""

    def __init__(self, scene: Mapping):
        self.melanin = np.float32(scene["melanin"])
        self.u = np.random.default_rng(int(scene["patient_seed"])).random(5).astype(np.float32)

    def pigments(self, frame: _Frame) -> tuple[np.ndarray, np.ndarray]:
        """Melanosome and blood fraction, slightly uneven."""
        cloud = frame.tile("cloud", 6.0, self.u[0], self.u[1])
        blood = np.float32(0.006) + np.float32(0.008) * self.u[2]
        return self.melanin * (1 + np.float32(0.05) * cloud), blood * (1 - np.float32(0.08) * cloud)

    def relief(self, frame: _Frame, domain: Domain) -> np.ndarray:
        """Gain from the skin's fine furrows."""
        return 1 - np.float32(0.05 + 0.09 * domain.relief) * frame.tile("furrows", 2.4, self.u[3], self.u[4])


class _Patch:
    """A lesion's shape and its textures within a window."""

    def __init__(self, frame: _Frame, signs: dict, border: np.ndarray, places: np.ndarray):
        self.frame, self.signs, self.places = frame, signs, places
        stretch = np.float32(np.sqrt(signs["outline"]["stretch"]))
        x, y = frame.x / stretch, frame.y * stretch
        radius = np.sqrt(x * x + y * y)
        step = np.arctan2(y, x) * np.float32(BORDER_POINTS / (2 * np.pi)) + np.float32(BORDER_POINTS)
        before = step.astype(np.intp)
        step -= before
        edge = border.take(before, mode="wrap")
        edge += (border.take(before + 1, mode="wrap") - edge) * step
        inside = edge - radius
        inside /= np.float32(max(signs["outline"]["soft"], frame.pixel))
        inside += np.float32(0.5)
        inside.clip(0, 1, out=inside)
        self.mask = inside >= 0.5
        self.inside = inside * inside * (3 - 2 * inside)            # 0 outside … 1 inside
        radius /= edge
        self.near = radius.clip(0, 2, out=radius)                   # 0 in the middle, 1 on the border
        self.patches = self.tile("cloud", 4.0, 0)

    def tile(self, name: str, width: float, place: int) -> np.ndarray:
        return self.frame.tile(name, width, self.places[place], self.places[place + 1])


def _lesion_light(
    patch:   _Patch,
    marks:   dict[str, np.ndarray],
    domain:  Domain,
    melanin: np.ndarray,            # [H, W] of the skin under the lesion
    blood:   np.ndarray,            # [H, W]
    relief:  np.ndarray,            # [H, W] gain of the skin's furrows
) -> np.ndarray:
    """Linear sRGB [3, H, W] of the window around the lesion."""
    inside, near, patches, structure = patch.inside, patch.near, patch.patches, domain.structure
    tint, vessels, surface, depth = (patch.signs[family] for family in ("tint", "vessels", "surface", "depth"))
    drawn = draw_marks(marks, patch.frame.canvas, patch.frame.view, inside)
    added = _added_melanin(patch, structure)
    scar = 0.0
    if depth["scar"] > 0:
        scar = (np.float32(1.15) - near * np.float32(1.7) + np.float32(0.12) * patches).clip(0, 1) * np.float32(depth["scar"])
        added *= 1 - scar
    melanin = melanin * (1 - np.float32(tint["bleach"]) * inside) + added * inside
    _add(melanin, drawn, ulcer=0.10, opening=0.75)

    reddening = np.float32(tint["blood"]) * (1 + np.float32(0.5 * tint["patches"]) * patches).clip(0.1, 4)
    if vessels["dotted"] > 0:
        reddening += np.float32(0.10 * vessels["dotted"] * structure) * patch.tile("dots", CELLS * 0.12, 8)
    blood = blood + inside * reddening
    _add(blood, drawn, vessel=0.16 * structure, lacuna=0.34, ulcer=0.25)

    deep = None
    if depth["veil"] > 0:
        veil = (np.float32(0.35) + np.float32(0.9) * patch.tile("cloud", 3.0, 10)).clip(0, 1)
        veil *= inside * (np.float32(2.2) - np.float32(2.2) * near).clip(0, 1)
        deep = np.float32(0.5 * depth["veil"] * (0.4 + 0.6 * structure)) * veil
        melanin *= 1 - np.float32(0.9 * depth["veil"]) * veil
    if "nest" in drawn:
        nests = np.float32(0.2 + 0.35 * structure) * drawn["nest"]
        deep = nests if deep is None else deep + nests
        melanin *= 1 - np.float32(0.4) * drawn["nest"]

    light = skin_colour(melanin, blood, deep)
    if surface["wax"] > 0:
        film = np.float32(surface["wax"]) * inside * (1 + np.float32(0.6) * patch.tile("ridges", 2.4, 12)).clip(0, 2)
        light *= 1 + GREASE * film
    white = patch.frame.canvas.zeros()
    _add(white, drawn, cyst=0.75 * (0.4 + 0.6 * structure), keratin=0.8)
    if surface["scale"] > 0:
        flakes = (patch.tile("ridges", 2.2, 12) * np.float32(0.45) + patches * np.float32(0.45) + np.float32(0.1)).clip(0, 1)
        white += np.float32(surface["scale"] * (0.15 + 0.33 * domain.relief)) * flakes * inside
    if surface["scale"] > 0 or "cyst" in drawn or "keratin" in drawn:
        light += (KERATIN - light) * white.clip(0, 0.9)
    if depth["scar"] > 0:
        light += (SCAR - light) * (np.float32(0.3) * scar * inside)

    uphill = patch.frame.uphill()
    gain = relief + (1 - relief) * np.float32(0.5) * inside         # the lesion stretches the furrows and bulges towards the light
    gain += np.float32(0.16 * domain.relief * (0.3 + surface["gloss"])) * uphill * inside
    light *= gain
    if surface["gloss"] > 0:
        glint = 1 - ((uphill - np.float32(0.42)) / np.float32(0.22)) ** 2 - (patch.frame.sideways() / np.float32(0.38)) ** 2
        glint = glint.clip(0, 1) * inside * (1 + np.float32(0.5) * patches).clip(0, 2)
        light += np.float32(0.22 * surface["gloss"] * domain.relief) * glint
    return light


def _add(
    target: np.ndarray,             # [H, W], changed in place
    drawn:  dict[str, np.ndarray],  # maps of the marks that the lesion has
    **share: float,                 # how much of each kind's map to add
) -> None:
    maps = [np.float32(share[kind]) * drawn[kind] for kind in share if kind in drawn]
    if maps:
        target += sum(maps[1:], start=maps[0])


def _added_melanin(
    patch:     _Patch,
    structure: float,               # how well structures under the surface show, 0–1
) -> np.ndarray:
    """Melanosome fraction that the lesion adds, [H, W], before the border cuts it off."""
    tint, network, depth, frame = patch.signs["tint"], patch.signs["network"], patch.signs["depth"], patch.frame
    turn = 2 * np.pi * float(patch.places[14])
    across = frame.x * np.float32(np.cos(turn)) + frame.y * np.float32(np.sin(turn))
    pigment = 1 + np.float32(0.55 * tint["patches"]) * patch.patches + np.float32(0.55 * tint["lopsided"]) * across
    if depth["core"] > 0:
        pigment += np.float32(0.9 * depth["core"]) * (np.float32(0.5) - patch.near**2)
    if network["lines"] > 0:
        mesh = patch.tile("broken_mesh" if network["atypical"] > 0.5 else "mesh", CELLS * network["cell"], 2)
        lines = np.float32(network["lines"] * structure)
        if network["rim"] > 0.5:
            lines = lines * (np.float32(2.5) * patch.near - 1).clip(0, 1)
        pigment *= 1 + lines * (np.float32(1.9) * mesh - np.float32(0.65))
    if network["folds"] > 0:
        pigment *= 1 + np.float32(0.35 * network["folds"]) * patch.tile("ridges", 3.2, 4)
    added = np.float32(tint["melanin"]) * pigment.clip(0.05, 8)
    if network["globules"] > 0:
        added += np.float32(0.28 * network["globules"] * structure) * patch.tile("dots", CELLS * 0.21, 6)
    return added
