"""Which image files are read, and what a file is that cannot be: told by its first bytes, because names lie."""

from __future__ import annotations

READ = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")     # for PIL; some of its others start programs (EPS) or differ between builds
IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"})
UNREAD_EXTENSIONS = {               # pictures all the same: they are listed and refused, so that none goes missing silently
    ".heic": "HEIC", ".heif": "HEIC", ".avif": "AVIF", ".jp2": "JPEG 2000", ".j2k": "JPEG 2000", ".jxl": "JPEG XL", ".dcm": "DICOM",
    ".dicom": "DICOM", ".svg": "SVG", ".psd": "Photoshop", ".dng": "camera raw", ".cr2": "camera raw", ".cr3": "camera raw",
    ".nef": "camera raw", ".arw": "camera raw",
}

_CONVERT, _AGAIN = "save it as JPEG or PNG", "fetch it again"
_DAMAGED = "its beginning is damaged, so fetch it again"
_ODD = "it is damaged or of a kind that is not read (such as colour in floating point); save it as 8-bit PNG"
_STARTS = (                         # offset, bytes, what it is, what to do
    (0,   b"version https://git-lfs", "a Git LFS pointer in place of the image", "fetch the file itself (git lfs pull)"),
    (0,   b"%PDF",                    "a PDF document",         _CONVERT),
    (0,   b"%!PS",                    "a PostScript document",  _CONVERT),
    (0,   b"PK\x03\x04",              "a zip archive or an Office document", "unpack it"),
    (0,   b"\x1f\x8b",                "a gzip archive",         "unpack it"),
    (0,   b"PAR1",                    "a Parquet table",        "save it as CSV"),
    (0,   b"\xd0\xcf\x11\xe0",        "an old Office document", "save it in a plain format"),
    (0,   b"8BPS",                    "a Photoshop picture",    _CONVERT),
    (128, b"DICM",                    "a DICOM picture",        _CONVERT),
    (0,   b"\x00\x00\x00\x0cjP  ",    "a JPEG 2000 picture",    _CONVERT),
    (0,   b"\xff\x4f\xff\x51",        "a JPEG 2000 picture",    _CONVERT),
    (0,   b"\x00\x00\x00\x0cJXL ",    "a JPEG XL picture",      _CONVERT),
    (0,   b"\xff\x0a",                "a JPEG XL picture",      _CONVERT),
    (4,   b"ftypavi",                 "an AVIF picture",        _CONVERT),
    (4,   b"ftyphe",                  "a HEIC picture",         _CONVERT),
    (4,   b"ftypmif1",                "a HEIC picture",         _CONVERT),
    (4,   b"ftypmsf1",                "a HEIC picture",         _CONVERT),
    (4,   b"ftyp",                    "a video",                _CONVERT),
    (0,   b"\x89PNG\r\n",             "a PNG picture",          _DAMAGED),
    (0,   b"\xff\xd8\xff",            "a JPEG picture",         _DAMAGED),
    (0,   b"GIF8",                    "a GIF picture",          _DAMAGED),
    (8,   b"WEBP",                    "a WebP picture",         _DAMAGED),
    (0,   b"II*\x00",                 "a TIFF picture",         _ODD),
    (0,   b"MM\x00*",                 "a TIFF picture",         _ODD),
)


class ImageRefused(ValueError):
    """The file is no usable image; the message is the reason."""


def signature(content: bytes) -> tuple[str, str] | None:
    """What a file's beginning says that it is, and what makes an image of it; None where it says nothing."""
    if content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML)", _AGAIN
    return next(((what, advice) for offset, start, what, advice in _STARTS if content.startswith(start, offset)), None)


def describe(content: bytes) -> str:
    """What a file is that no image reader knows, and what to do: "is a PDF document; save it as JPEG or PNG"."""
    known = signature(content)
    if known:
        return "is {}; {}".format(*known)
    if not content[:4096].strip(b"\0"):
        return f"holds nothing but zeros; {_AGAIN}"
    head = _text(content[:4096])
    if head is None:
        return f"is no image of a kind that is read; {_CONVERT}"
    if "<svg" in head.lower():
        return f"is a drawing (SVG); {_CONVERT}"
    return f"is text, not an image; {_AGAIN}"


def _text(head: bytes) -> str | None:
    """The bytes as text, or None where they are none; a last character may be cut."""
    try:
        text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "strict")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4 or not error.start:
            return None
        text = head[:error.start].decode("utf-8", "ignore")
    return text if all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text) else None
