"""From light to a picture file: domains (dermoscope, clinic camera, smartphone) and their artefacts.

Nothing in this module knows the diagnosis. Every random number is drawn whether it is needed or not, so switching artefacts
off or changing the size leaves the rest of the picture as it was.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from lib.phantom.marks import Canvas
from lib.phantom.noise import texture
from lib.phantom.optics import encode_srgb

EXPOSURE = 1.2                      # a perfect white is 1.2, so it clips; with it Groh's ITA cut points hold for blood of about 1.2 %


@dataclass(frozen=True)
class Domain:
    """How one kind of camera sees."""

    magnification: tuple[float, float]      # radius of a usual lesion in half picture widths
    shift:         float                    # how far off the middle a lesion may be, in half picture widths
    structure:     float                    # how well structures under the surface show (1: polarised contact dermoscopy)
    relief:        float                    # how well gloss, scale and relief show
    shading:       float                    # unevenness of the light
    balance:       float                    # spread of white balance (log of channel gain)
    exposure:      float                    # spread of exposure (log of gain)
    hair:          float                    # chance of hairs
    gel:           float                    # chance of gel bubbles
    vignette:      float                    # chance of a dark rim
    ruler:         float                    # chance of a ruler, whatever the diagnosis
    blur:          tuple[float, float]      # standard deviation as a share of the picture width
    noise:         float                    # of the sensor, in gamma-encoded units
    jpeg:          tuple[int, int]          # quality


DOMAINS: dict[str, Domain] = {
    "dermoscopic": Domain((0.46, 0.66), 0.12, 1.00, 0.25, 0.05, 0.03, 0.06, 0.40, 0.35, 0.45, 0.10, (0.000, 0.004), 0.008, (85, 96)),
    "clinical":    Domain((0.32, 0.50), 0.15, 0.60, 1.00, 0.16, 0.04, 0.08, 0.25, 0.00, 0.10, 0.12, (0.001, 0.005), 0.010, (80, 95)),
    "smartphone":  Domain((0.26, 0.42), 0.22, 0.50, 0.90, 0.28, 0.09, 0.14, 0.25, 0.00, 0.15, 0.08, (0.002, 0.009), 0.018, (60, 90)),
}


@dataclass(frozen=True)
class View:
    """Where the camera stands and how it is set, for one picture."""

    x:       float                  # of the lesion's middle
    y:       float
    scale:   float                  # half picture widths per usual lesion radius
    angle:   float                  # radians
    light:   float                  # direction that the light comes from, radians


def draw_view(
    domain: Domain,
    rng:    np.random.Generator,
) -> View:
    """A place, distance, turn and light at random."""
    u = rng.random(5)
    low, high = domain.magnification
    return View(
        x=float((2 * u[0] - 1) * domain.shift), y=float((2 * u[1] - 1) * domain.shift), scale=float(low + (high - low) * u[2]),
        angle=float(2 * np.pi * u[3]), light=float(2 * np.pi * u[4]))


def photograph(
    light:     np.ndarray,          # [3, S, S] float32, linear sRGB reflectance; changed in place
    canvas:    Canvas,
    domain:    Domain,
    view:      View,
    rng:       np.random.Generator,
    *,
    artefacts:    bool,             # hair, gel, vignette, blur, noise, JPEG
    ruler:        bool,
    hair_melanin: float,            # melanosome fraction of the skin: fair hair is rare on dark skin
) -> np.ndarray:
    """The picture as uint8 [S, S, 3]."""
    u = rng.random(16)
    hairs = rng.random((9, 8))
    bubbles = rng.random((14, 4))
    gain = EXPOSURE * np.exp(domain.exposure * (2 * u[0] - 1)) * np.exp(domain.balance * np.array([u[1] - 0.5, 0.0, u[2] - 0.5]) * 2)
    slope = domain.shading * (0.3 + 0.7 * u[3])
    slant = canvas.x * np.float32(slope * np.cos(view.light)) + canvas.y * np.float32(slope * np.sin(view.light))
    slant += 1
    shade = slant - np.float32(0.35 * slope) * (canvas.x**2 + canvas.y**2)
    if artefacts and u[4] < domain.vignette:
        shade = shade * _rim(canvas, strength=0.35 + 0.6 * u[5], radius=1.0 + 0.3 * u[6])
    light *= shade * gain.astype(np.float32)[:, None, None]
    if artefacts:
        if u[7] < domain.hair:
            fair = u[9] ** 3 * np.exp(-8 * hair_melanin)
            _hair(light, canvas, hairs[: 1 + int(u[8] * 8)], fair=fair, slant=u[9], width=0.5 + view.scale)
        if u[10] < domain.gel:
            _gel(light, canvas, bubbles[: 1 + int(u[11] * 13)])
    if ruler:
        _ruler(light, canvas, u[12:15], step=0.11 + 0.12 * view.scale)
    if artefacts:
        low, high = domain.blur
        sigma = (low + (high - low) * u[15]) * canvas.size
        if sigma > 0.25:
            for axis in (1, 2):
                light = gaussian_filter1d(light, sigma, axis=axis, mode="nearest", truncate=2.5)
    picture = encode_srgb(light)
    if artefacts:
        step = np.float32(0.45)                                     # tiles per half picture width
        grain = texture("grain", canvas.x * step + np.float32(u[3]), canvas.y * step + np.float32(u[5]), canvas.pixel * 0.45)
        picture += np.float32(domain.noise) * grain
    picture.clip(0, 1, out=picture)
    picture *= 255
    picture += 0.5
    picture = _interleaved(picture)
    quality = int(domain.jpeg[0] + (domain.jpeg[1] - domain.jpeg[0]) * u[6])
    return _through_jpeg(picture, quality) if artefacts else picture


def _interleaved(picture: np.ndarray) -> np.ndarray:
    """Whole numbers uint8 [S, S, 3] from planes [3, S, S]; channel by channel, since a transposing copy is slow."""
    out = np.empty((*picture.shape[1:], 3), dtype=np.uint8)
    for channel, plane in enumerate(picture.astype(np.uint8)):
        out[..., channel] = plane
    return out


def _rim(canvas: Canvas, strength: float, radius: float) -> np.ndarray:
    distance = np.sqrt(canvas.x**2 + canvas.y**2)
    return 1 - np.float32(strength) * np.clip((distance - np.float32(radius - 0.22)) / np.float32(0.35), 0, 1) ** 2


def _hair(light: np.ndarray, canvas: Canvas, hairs: np.ndarray, fair: float, slant: float, width: float) -> None:
    """Bowed hairs, all of one colour, from black to fair, and roughly one direction."""
    cover = canvas.zeros()
    x, y, turn, length, bow, thick, _, opaque = hairs.T
    reach, angle = 0.35 + 0.9 * length, (0.5 + 0.9 * (turn - 0.5) + slant) * np.pi
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    middle_x, middle_y = 2.4 * x - 1.2, 2.4 * y - 1.2
    canvas.strokes(
        cover, middle_x - dx, middle_y - dy, middle_x + dx, middle_y + dy, (0.010 + 0.016 * thick) * width, 0.6 + 0.35 * opaque,
        0.5 * (bow - 0.5))
    colour = np.array([0.02, 0.014, 0.01]) + fair * np.array([0.22, 0.15, 0.08])
    light += (colour.astype(np.float32)[:, None, None] - light) * cover


def _gel(light: np.ndarray, canvas: Canvas, bubbles: np.ndarray) -> None:
    """Air bubbles in the contact gel: bright rims with a highlight."""
    rims, glints = canvas.zeros(), canvas.zeros()
    x, y, size, height = bubbles.T
    radius = 0.02 + 0.07 * size**2
    canvas.blobs(rims, 2 * x - 1, 2 * y - 1, radius, 0.10 + 0.15 * height, soft=0.25, ring=True)
    canvas.blobs(glints, 2 * x - 1 - 0.4 * radius, 2 * y - 1 - 0.4 * radius, 0.25 * radius, np.full_like(x, 0.5), soft=0.8)
    light += np.maximum(rims, glints)


def _ruler(light: np.ndarray, canvas: Canvas, u: np.ndarray, step: float) -> None:
    """A scale along one edge: millimetre ticks, every fifth longer, on skin or on a pale strip."""
    side, strip = int(u[0] * 4), u[1] < 0.5
    along, off = (canvas.x, canvas.y) if side % 2 == 0 else (canvas.y, canvas.x)
    off = 1 + off if side < 2 else 1 - off                          # distance from the edge
    if strip:
        cover = np.clip((0.20 - off) / canvas.pixel + 0.5, 0, 1) * np.float32(0.85)
        light += (np.array([0.75, 0.74, 0.70], dtype=np.float32)[:, None, None] - light) * cover
    position = (along + np.float32(u[2])) / np.float32(step)
    number = np.rint(position)
    width = max(0.022, canvas.pixel)
    line = np.clip((width / 2 - np.abs(position - number) * step) / canvas.pixel + 0.5, 0, 1) * (0.022 / width)
    length = np.where(number % 5 == 0, np.float32(0.17), np.float32(0.10))
    ticks = line * np.clip((length - off) / canvas.pixel + 0.5, 0, 1)
    light += (np.float32(0.02) - light) * ticks


def _through_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    side = len(picture)
    read = Image.frombytes("RGB", (side, side), buffer.getvalue(), "jpeg", "RGB", "")      # spares looking for the file's kind
    return np.array(read)
