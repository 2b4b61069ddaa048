"""Copies of pictures as they turn up in data sets: re-encoded, resized, cropped, mirrored."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

_TURN = Image.Transpose


def reencode(image: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def resize(image: Image.Image, share: float) -> Image.Image:
    """Each side times `share`."""
    return image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BICUBIC)


def crop(image: Image.Image, left: float = 0, upper: float = 0, right: float = 0, lower: float = 0) -> Image.Image:
    """Without these shares of width and height."""
    width, height = image.size
    return image.crop((round(width * left), round(height * upper), round(width * (1 - right)), round(height * (1 - lower))))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 95":                        lambda image: reencode(image, 95),
    "JPEG 60":                        lambda image: reencode(image, 60),
    "JPEG 30":                        lambda image: reencode(image, 30),
    "half the size":                  lambda image: resize(image, 0.5),
    "1.5 times the size":             lambda image: resize(image, 1.5),
    "5 % cropped at two sides":       lambda image: crop(image, left=0.05, lower=0.05),
    "5 % cropped all round":          lambda image: crop(image, 0.025, 0.025, 0.025, 0.025),
    "5 % cropped at each side":       lambda image: crop(image, 0.05, 0.05, 0.05, 0.05),
    "left-right":                     lambda image: image.transpose(_TURN.FLIP_LEFT_RIGHT),
    "upside down":                    lambda image: image.transpose(_TURN.FLIP_TOP_BOTTOM),
    "quarter turn":                   lambda image: image.transpose(_TURN.ROTATE_90),
    "left-right, JPEG 50":            lambda image: reencode(image.transpose(_TURN.FLIP_LEFT_RIGHT), 50),
    "half the size, JPEG 70":         lambda image: reencode(resize(image, 0.5), 70),
    "cropped, left-right, JPEG 60":   lambda image: reencode(crop(image, right=0.05, upper=0.05).transpose(_TURN.FLIP_LEFT_RIGHT), 60),
}
