"""Opening one image or mask, or saying why it cannot be used."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAXIMUM_PIXELS = 100_000_000        # a small file can unpack to more than the memory holds; ours replaces PIL's own warning
MINIMUM_SIDE   = 8                  # pixels; less shows no lesion

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageRefused(ValueError):
    """The file is no usable image; the message is the reason."""


def read_bytes(path: str | Path) -> bytes:
    """The file's content. Raises ImageRefused when it is empty or cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageRefused(f"cannot be read ({error.strerror or error})") from None
    if not content:
        raise ImageRefused("the file is empty")
    return content


def content_hash(content: bytes) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def decode(content: bytes) -> Image.Image:
    """The whole picture as mode RGB, upright (EXIF applied), the first frame where there are several.

    Transparent parts are put on white; 16-bit grey is scaled to 8 bit. Raises ImageRefused.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            _check_size(image)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:      # decoders raise OSError, SyntaxError, struct.error, ValueError and more on broken files
        raise ImageRefused(f"cannot be decoded ({_first_line(error)})") from None


def read_image(path: str | Path) -> np.ndarray:
    """A picture as uint8 [H, W, 3] in sRGB, upright. Raises ImageRefused with the reason."""
    return np.asarray(decode(read_bytes(path)))


def read_mask(
    path: str | Path,
    size: tuple[int, int] | None = None,    # (width, height) of the upright image; the mask is brought to it
) -> np.ndarray:
    """A lesion mask as bool [H, W], True inside the lesion.

    Read through the palette: 402 masks of HAM10000 are palette images whose index 0 is white, so their raw values are the mask
    upside down. Raises ImageRefused when it is no image or its shape does not fit the picture's (sides' ratio off by over 2 %).
    """
    content = read_bytes(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            _check_size(image)
            image.load()
            grey = _to_grey(image)
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:
        raise ImageRefused(f"mask cannot be decoded ({_first_line(error)})") from None
    if size is not None and grey.size != size:
        if abs(grey.size[0] * size[1] / (grey.size[1] * size[0]) - 1) > 0.02:
            raise ImageRefused(f"mask is {grey.size[0]} × {grey.size[1]} and does not fit the image of {size[0]} × {size[1]}")
        grey = grey.resize(size, Image.Resampling.NEAREST)
    values = np.asarray(grey)
    return values > (127 if values.max(initial=0) > 1 else 0)       # some tools write 0 and 1


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAXIMUM_PIXELS:
        raise ImageRefused(f"is {width} × {height}, more than {MAXIMUM_PIXELS // 10**6} megapixels")
    if min(width, height) < MINIMUM_SIDE:
        raise ImageRefused(f"is {width} × {height}, smaller than {MINIMUM_SIDE} pixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return _to_grey(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        flat = Image.new("RGBA", layered.size, "white")
        flat.alpha_composite(layered)
        return flat.convert("RGB")
    return image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        top = 65_535 if values.max(initial=0) > 255 else 255
        return Image.fromarray(np.clip(values * (255 / top), 0, 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return image.convert("RGBA").convert("RGB").convert("L")
    return image.convert("L")


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__
