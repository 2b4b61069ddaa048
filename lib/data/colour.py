"""From any image mode and colour profile to 8-bit sRGB."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from lib.data.formats import ImageRefused

_UNTOLD = 2         # levels of 255: a profile that moves no colour by more is sRGB under another name


def to_srgb(image: Image.Image) -> Image.Image:
    """A loaded picture as mode RGB in sRGB.

    Transparent parts are put on white; higher bit depths are scaled to 8 (see `to_grey`). An embedded ICC profile (Adobe RGB,
    Display P3, a printer's CMYK) is applied by relative colorimetry with black-point compensation, because measured skin colour
    depends on it; a damaged one is ignored, as viewers do. Raises ImageRefused for values that cannot be scaled.
    """
    profile = image.info.get("icc_profile")
    flat = _flat(image)
    if flat.mode == "LAB":
        return ImageCms.applyTransform(flat, _from_lab())
    if isinstance(profile, bytes) and profile:
        for mode in (("L", "RGB") if flat.mode == "L" else ("CMYK",) if flat.mode == "CMYK" else ("RGB", "L")):
            transform = _from_profile(profile, mode)
            if transform is not None:
                return ImageCms.applyTransform(flat.convert(mode), transform)
    return flat.convert("RGB")


def to_grey(image: Image.Image) -> Image.Image:
    """A loaded picture as mode L, transparency ignored.

    Whole numbers above 255 are read as 16-bit, floating-point numbers up to 1 as shares of white. Raises ImageRefused for NaN,
    infinite or negative values and for values above 65,535, whose black and white nobody knows.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _scaled(np.asarray(image))
    return (_flat(image) if image.mode == "LAB" else image.convert("RGBA") if _is_transparent(image) else image).convert("RGB").convert("L")


def _flat(image: Image.Image) -> Image.Image:
    """Without transparency, palette and bit depth: L, RGB, CMYK or LAB."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _scaled(np.asarray(image))
    if _is_transparent(image):
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        white.alpha_composite(layered)
        return white.convert("RGB")
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image if image.mode in ("RGB", "CMYK", "LAB") else image.convert("RGB")


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _scaled(values: np.ndarray) -> Image.Image:
    low, high = values.min(initial=0), values.max(initial=0)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ImageRefused("has pixels that are no numbers (NaN or infinite); save it as 8-bit PNG")
    if low < 0 or high > 65_535:
        raise ImageRefused(f"has values from {low:g} to {high:g}, and nothing says which is black and which white; save it as 8-bit PNG")
    top = 1 if values.dtype.kind == "f" and high <= 1 else 255 if high <= 255 else 65_535
    return Image.fromarray((values * np.float32(255 / top)).round().astype(np.uint8))


@functools.lru_cache(maxsize=64)
def _from_profile(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """To sRGB from a profile; None where it is for another mode, damaged, or sRGB already (its pixels stay as they are)."""
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION)
        probe = _probe(mode)
        moved = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int) - np.asarray(probe.convert("RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform if np.abs(moved).max() > _UNTOLD else None


def _probe(mode: str) -> Image.Image:
    """A picture with colours from all over the mode's cube."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    levels = np.linspace(0, 255, 256 if bands == 1 else 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(-1, 1, bands)
    return Image.fromarray(colours[..., 0] if bands == 1 else colours, mode)


@functools.cache
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
