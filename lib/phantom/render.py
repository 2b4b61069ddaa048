"""One picture from one row of a phantom world: skin, lesion, camera.

A lesion adds melanin or blood to the skin that it sits in; what light comes back follows from the sum. So a brown spot of the same melanin stands out
on type I and hardly on type VI, without any rule that says so.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lib.phantom.camera import DOMAINS, draw_view, photograph
from lib.phantom.lesions import BORDER_POINTS, draw_border, draw_signs
from lib.phantom.marks import Canvas
from lib.phantom.noise import CELLS, texture
from lib.phantom.optics import skin_colour
from lib.phantom.structures import draw_marks, place_marks

KERATIN = np.array([0.64, 0.57, 0.44], dtype=np.float32)            # linear sRGB of scale and cysts
WAX = np.array([0.50, 0.34, 0.18], dtype=np.float32)                # linear sRGB of a greasy film
SCAR = np.array([0.62, 0.46, 0.40], dtype=np.float32)               # linear sRGB of scar tissue


def draw(
    scene: Mapping,                 # a row of lib.phantom.world.sample_world (mapping, Series or record)
    size:  int,                     # pixels per side, 32–512
) -> tuple[np.ndarray, np.ndarray]:
    """Picture uint8 [size, size, 3] (sRGB) and mask bool [size, size] (True on the lesion).

    The same row draws the same scene at every size and the same bytes at the same size. Raises ValueError for a size outside 32–512,
    an unknown diagnosis or an unknown domain.
    """
    light, mask, canvas, parts = draw_reflectance(scene, size)
    domain, view, rng = parts
    return photograph(light, canvas, domain, view, rng, artefacts=bool(scene["artefacts"]), ruler=bool(scene["ruler"])), mask


def draw_reflectance(
    scene: Mapping,                 # as for draw
    size:  int,                     # pixels per side, 32–512
) -> tuple[np.ndarray, np.ndarray, Canvas, tuple]:
    """What the skin sends back before any camera: linear sRGB float32 [size, size, 3], the mask, and what the camera needs to go on."""
    if not 32 <= size <= 512:
        raise ValueError(f"a phantom of {size} px: sizes from 32 to 512 can be drawn")
    if scene["domain"] not in DOMAINS:
        raise ValueError(f"domain {scene['domain']!r} is unknown; there are {', '.join(DOMAINS)}")
    domain = DOMAINS[scene["domain"]]
    person, lesion, shot = (np.random.default_rng(int(scene[key])) for key in ("patient_seed", "lesion_seed", "view_seed"))
    signs = draw_signs(scene["diagnosis"], float(scene["difficulty"]), lesion)
    border = draw_border(signs["outline"], lesion)
    marks = place_marks(signs, lesion)
    places = lesion.random(16).astype(np.float32)
    skin = person.random(8).astype(np.float32)
    view = draw_view(domain, shot)

    canvas = Canvas(size)
    scale, cos, sin = np.float32(1 / view.scale), np.float32(np.cos(view.angle)), np.float32(np.sin(view.angle))
    dx, dy = (canvas.x - np.float32(view.x)) * scale, (canvas.y - np.float32(view.y)) * scale
    x, y = cos * dx + sin * dy, cos * dy - sin * dx                 # lesion coordinates: a usual lesion has radius 1
    pixel = canvas.pixel / view.scale

    stretch = np.float32(np.sqrt(signs["outline"]["stretch"]))
    radius = np.sqrt((x / stretch) ** 2 + (y * stretch) ** 2)
    step = np.arctan2(y * stretch, x / stretch) * np.float32(BORDER_POINTS / (2 * np.pi)) + np.float32(BORDER_POINTS / 2)
    before = step.astype(np.int32)
    edge = border.take(before, mode="wrap")
    edge += (border.take(before + 1, mode="wrap") - edge) * (step - before)
    inside = np.clip((edge - radius) / np.float32(max(signs["outline"]["soft"], pixel)) + np.float32(0.5), 0, 1)
    mask = inside >= 0.5
    inside = inside * inside * (3 - 2 * inside)

    def tile(name: str, width: float, place: int) -> np.ndarray:
        """A texture in lesion coordinates; `width` is that of one tile."""
        return texture(name, x * np.float32(1 / width) + places[place], y * np.float32(1 / width) + places[place + 1], pixel / width)

    tint, network, vessels, surface, depth = (signs[family] for family in ("tint", "network", "vessels", "surface", "depth"))
    deeper, relief = domain.structure, domain.relief
    patches = tile("cloud", 4.0, 0)
    near = np.clip(radius / edge, 0, 2)                             # 0 in the middle, 1 on the border

    # ── melanin ──
    across = x * np.float32(np.cos(6.28 * places[14])) + y * np.float32(np.sin(6.28 * places[14]))
    pigment = 1 + np.float32(0.55 * tint["patches"]) * patches + np.float32(0.55 * tint["lopsided"]) * across
    if depth["core"] > 0:
        pigment += np.float32(0.9 * depth["core"]) * (0.5 - near**2)
    if network["lines"] > 0:
        mesh = tile("broken_mesh" if network["atypical"] > 0.5 else "mesh", CELLS * network["cell"], 2)
        lines = np.float32(network["lines"] * deeper)
        if network["rim"] > 0.5:
            lines = lines * np.clip(2.5 * near - 1.0, 0, 1)
        pigment *= 1 + lines * (np.float32(1.9) * mesh - np.float32(0.65))
    if network["folds"] > 0:
        pigment *= 1 + np.float32(0.35 * network["folds"]) * tile("ridges", 3.2, 4)
    added = np.float32(tint["melanin"]) * np.maximum(pigment, np.float32(0.05))
    if network["globules"] > 0:
        added += np.float32(0.28 * network["globules"] * deeper) * tile("dots", CELLS * 0.21, 6)
    if depth["scar"] > 0:
        scar = np.clip(1.15 - near * np.float32(1.7) + np.float32(0.12) * patches, 0, 1) * np.float32(depth["scar"])
        added *= 1 - scar
    around = np.float32(scene["melanin"]) * (1 + np.float32(0.05) * texture(
        "cloud", x * np.float32(0.16) + skin[0], y * np.float32(0.16) + skin[1], pixel * 0.16))
    melanin = around * (1 - np.float32(tint["bleach"]) * inside) + added * inside

    # ── blood ──
    blood = np.float32(0.006 + 0.008 * skin[2]) * (1 - np.float32(0.10) * patches.clip(-1.5, 1.5) * (1 - inside))
    blood = blood + inside * np.float32(tint["blood"]) * np.maximum(1 + np.float32(0.5 * tint["patches"]) * patches, np.float32(0.1))
    if vessels["dotted"] > 0:
        blood += inside * np.float32(0.10 * vessels["dotted"] * deeper) * tile("dots", CELLS * 0.12, 8)
    drawn = draw_marks(marks, canvas, view, inside)
    blood += np.float32(0.16 * deeper) * drawn["vessel"] + np.float32(0.34) * drawn["lacuna"] + np.float32(0.25) * drawn["ulcer"]
    melanin += np.float32(0.10) * drawn["ulcer"] + np.float32(0.75) * drawn["opening"]

    # ── deep melanin ──
    deep = None
    if depth["veil"] > 0 or drawn["nests"]:
        deep = np.float32(0.7 * deeper) * drawn["nest"]
        if depth["veil"] > 0:
            veil = np.clip(0.35 + 0.9 * tile("cloud", 3.0, 10), 0, 1) * inside * np.clip(2.2 - 2.2 * near, 0, 1)
            deep = deep + np.float32(0.7 * depth["veil"] * (0.4 + 0.6 * deeper)) * veil
            melanin *= 1 - np.float32(0.9 * depth["veil"]) * veil
        if drawn["nests"]:
            melanin *= 1 - np.float32(0.4) * drawn["nest"]

    light = skin_colour(melanin, blood, deep)

    # ── white things on and in the surface ──
    white = np.float32(0.75 * (0.4 + 0.6 * deeper)) * drawn["cyst"] + np.float32(0.8) * drawn["keratin"]
    if surface["scale"] > 0:
        flakes = np.clip(tile("ridges", 2.2, 12) * np.float32(0.45) + patches * np.float32(0.45) + np.float32(0.1), 0, 1)
        white += np.float32(surface["scale"] * (0.2 + 0.4 * relief)) * flakes * inside
    if surface["wax"] > 0:
        film = np.float32(0.22 * surface["wax"]) * inside * np.clip(1 + np.float32(0.6) * tile("ridges", 2.4, 12), 0, 2)
        light += (WAX - light) * film[..., None]
    np.clip(white, 0, 0.9, out=white)
    light += (KERATIN - light) * white[..., None]
    if depth["scar"] > 0:
        light += (SCAR - light) * (np.float32(0.4) * scar * inside * (1 + np.float32(0.15) * patches))[..., None]

    # ── relief ──
    furrows = texture("furrows", x * np.float32(0.42) + skin[3], y * np.float32(0.42) + skin[4], pixel * 0.42)
    shade = 1 - np.float32(0.05 + 0.09 * relief) * furrows * (1 - np.float32(0.5) * inside)
    slope = np.float32(np.cos(view.light)) * canvas.x + np.float32(np.sin(view.light)) * canvas.y
    slope -= np.float32(np.cos(view.light) * view.x + np.sin(view.light) * view.y)
    shade += np.float32(0.16 * relief * (0.3 + surface["gloss"])) * slope * scale * inside
    light *= shade[..., None]
    if surface["gloss"] > 0:
        glint = np.clip(slope * scale - np.float32(0.15), 0, 0.6) * inside * np.clip(1 + np.float32(0.6) * patches, 0, 2)
        light += (np.float32(0.40 * surface["gloss"] * relief) * glint)[..., None]
    return light, mask, canvas, (domain, view, shot)
