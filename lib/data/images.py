"""Opening one image or mask, or saying why it cannot be used."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from lib.data.colour import to_grey, to_srgb
from lib.data.formats import READ, ImageRefused, describe

MAXIMUM_PIXELS = 100_000_000        # a small file can unpack to more than the memory holds; ours replaces PIL's own warning
MAXIMUM_BYTES  = 2**29              # 512 MiB of file; 100 megapixels in full colour fit
MINIMUM_SIDE   = 8                  # pixels; less shows no lesion

_TURNS = {                          # EXIF orientation → what turns the picture upright (Exif 2.32, tag 274)
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}
_Result = TypeVar("_Result")

# What PIL warns of (odd EXIF, sizes near its own limit) names no file, so nobody could act on it; what matters is a reason here.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"PIL\.")


def read_bytes(path: str | Path) -> bytes:
    """The file's content. Raises ImageRefused when it is empty, huge, no ordinary file or cannot be read."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):             # reading a pipe would wait for ever
            raise ImageRefused(f"cannot be read ({'a folder' if stat.S_ISDIR(found.st_mode) else 'a pipe, socket or device'}, not a file)")
        if found.st_size > MAXIMUM_BYTES:
            raise ImageRefused(f"is a file of {found.st_size / 2**20:,.0f} MiB, more than {MAXIMUM_BYTES // 2**20}")
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
    """The whole picture as mode RGB in sRGB, upright (EXIF applied), the first frame or page where there are several.

    The content decides what it is, not the file's name. Colours as in lib.data.colour. Raises ImageRefused.
    """
    return _unpack(content, lambda image: to_srgb(_upright(image)))


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
    try:
        grey = _unpack(read_bytes(path), to_grey)
    except ImageRefused as error:
        raise ImageRefused(f"mask cannot be decoded ({error})") from None
    if size is not None and grey.size != size:
        if abs(grey.size[0] * size[1] / (grey.size[1] * size[0]) - 1) > 0.02:
            raise ImageRefused(f"mask is {grey.size[0]} × {grey.size[1]} and does not fit the image of {size[0]} × {size[1]}")
        grey = grey.resize(size, Image.Resampling.NEAREST)
    values = np.asarray(grey)
    return values > (127 if values.max(initial=0) > 1 else 0)       # some tools write 0 and 1


def _unpack(content: bytes, finish: Callable[[Image.Image], _Result]) -> _Result:
    """Decode and hand on; whatever goes wrong becomes a reason, the same one each time."""
    try:
        with Image.open(io.BytesIO(content), formats=READ) as image:
            _check_size(image)
            image.load()
            return finish(image)
    except ImageRefused:
        raise
    except UnidentifiedImageError:
        raise ImageRefused(describe(content)) from None
    except Image.DecompressionBombError:
        raise ImageRefused(f"unpacks to more than {MAXIMUM_PIXELS // 10**6} megapixels") from None
    except MemoryError:
        raise ImageRefused("needs more memory than is free; close other programs or use fewer threads, and run again") from None
    except Exception as error:      # decoders raise OSError, SyntaxError, struct.error, ValueError and more on broken files
        raise ImageRefused(_damage(error)) from None


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAXIMUM_PIXELS:
        raise ImageRefused(f"is {width} × {height}, more than {MAXIMUM_PIXELS // 10**6} megapixels")
    if min(width, height) < MINIMUM_SIDE:
        raise ImageRefused(f"is {width} × {height}, smaller than {MINIMUM_SIDE} pixels")


def _upright(image: Image.Image) -> Image.Image:
    """Turned as EXIF says. EXIF that cannot be read costs a picture its turn, not its place."""
    try:
        turn = _TURNS.get(image.getexif().get(0x0112))
    except Exception:               # whatever a damaged block leads PIL to
        turn = None
    return image if turn is None else image.transpose(turn)


def _damage(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    text = re.sub(r" at 0x[0-9a-f]+", "", lines[0])[:120] if lines else type(error).__name__      # no address: reasons must repeat
    if "too large" in text and "MAX_TEXT" in text:
        return "has a text block that unpacks to too much; save the picture again without it"
    if "truncated" in text.lower() or "unexpected end" in text.lower():
        return "is cut short; fetch it again"
    return f"cannot be decoded ({text}); fetch it again"
