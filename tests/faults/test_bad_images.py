"""Every kind of odd or broken image file in one folder: each is used with the right pixels or refused with its own reason."""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from lib.data.errors import DataError
from lib.data.images import ImageRefused, read_bytes, read_image
from lib.data.intake import take_in
from lib.study import Groups, Labels, Source

RED, GREEN, BLUE, GREY = (200, 40, 30), (40, 190, 60), (30, 60, 200), (140, 140, 140)
QUARTERS = np.zeros((32, 48, 3), np.uint8)                              # red | green above blue | grey
QUARTERS[:16, :24], QUARTERS[:16, 24:], QUARTERS[16:, :24], QUARTERS[16:, 24:] = RED, GREEN, BLUE, GREY
RAMP = np.linspace(0, 255, 48 * 32).reshape(32, 48)                     # dark above, light below
BYTE_RAMP = RAMP.round().astype(np.uint8)
SIDES = {                               # Exif 2.32, tag 274: on which side of the scene the file's first row and first column lie
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}


D50 = np.array([0.9642, 1.0, 0.8249])

pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning:PIL"), pytest.mark.filterwarnings("ignore::RuntimeWarning:PIL")]
#            (the module's own filters; pytest puts its own over them)


@dataclass
class Case:
    make:   Callable[[Path], object]        # writes the file
    file:   str                             # its name in class folder a
    pixels: np.ndarray | None = None        # what is seen, where it is used
    within: float             = 2           # of 255, mean absolute difference
    reason: str | None        = None        # what the quarantine says, where it is refused


def saved(image: Image.Image | np.ndarray, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, form, **options)
    return buffer.getvalue()


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def exif(orientation: object) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, kind: int = 2, data: bytes | None = None) -> bytes:
    """A PNG written by hand: what PIL would not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    rows = zlib.compress(data) if data is not None else zlib.compress(b"\0" * 1_000)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts)


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile written by hand (ICC.1:2010), because the usual ones may not be shipped."""
    text = b"test profile"
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67),
            b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": b"XYZ " + bytes(4) + fixed(D50), **tags}
    table, body, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table, body, place = table + name + struct.pack(">II", place, len(data)), body + data, place + len(data)
    day = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head = struct.pack(">I4sI4s4s4s12s4s", place, b"none", 0x02100000, b"mntr", space, b"XYZ ", day, b"acsp")
    return head.ljust(68, b"\0") + fixed(D50) + bytes(128 - 80) + struct.pack(">I", len(tags)) + table + body


def fixed(values) -> bytes:
    return struct.pack(f">{len(values)}i", *[round(value * 65_536) for value in values])


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def adobe_rgb() -> bytes:
    """Adobe RGB (1998): primaries, white and gamma as published, Bradford-adapted to D50."""
    def xyz(x, y):
        return np.array([x / y, 1, (1 - x - y) / y])

    primaries, white = np.array([xyz(0.64, 0.33), xyz(0.21, 0.71), xyz(0.15, 0.06)]).T, xyz(0.3127, 0.3290)
    matrix = primaries * np.linalg.solve(primaries, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    matrix = np.linalg.solve(bradford, np.diag((bradford @ D50) / (bradford @ white)) @ bradford @ matrix)
    tags = {name: b"XYZ " + bytes(4) + fixed(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    return profile(b"RGB ", tags | {name: gamma_curve(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")})


def adobe_to_srgb(pixels: np.ndarray) -> np.ndarray:
    """Adobe RGB to sRGB by the two standards' own matrices; no profile involved."""
    adobe = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    light = np.clip((pixels / 255) ** 2.19921875 @ adobe.T @ srgb.T, 0, 1)
    return encoded(light)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear 0–1 to sRGB 0–255 (IEC 61966-2-1)."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def animated(form: str, **options) -> bytes:
    frames = [Image.fromarray(QUARTERS), Image.new("RGB", (48, 32), "black")]
    return saved(frames[0], form, save_all=True, append_images=frames[1:], **options)


def transparent(mode: str) -> Image.Image:
    """Quarters, the grey one see-through (white behind it)."""
    image = Image.fromarray(QUARTERS if mode == "RGBA" else BYTE_RAMP)
    alpha = np.full((32, 48), 255, np.uint8)
    alpha[16:, 24:] = 0
    image = image.convert(mode)
    image.putalpha(Image.fromarray(alpha))
    return image


def on_white(pixels: np.ndarray) -> np.ndarray:
    seen = pixels.copy()
    seen[16:, 24:] = 255
    return seen


def palette(see_through: bool) -> Image.Image:
    image = Image.fromarray(QUARTERS).quantize(8)
    if see_through:
        image.info["transparency"] = int(np.asarray(image)[31, 47])
    return image


def lab_tiff() -> bytes:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return saved(ImageCms.applyTransform(Image.fromarray(QUARTERS), to_lab), "TIFF")


def cmyk_jpeg() -> bytes:
    """As Photoshop writes it: inverted inks and an Adobe marker (PIL writes both)."""
    data = saved(Image.fromarray(QUARTERS).convert("CMYK"), "JPEG", quality=95, subsampling=0)
    assert b"Adobe" in data
    return data


def with_text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "a" * 70_000_000, zip=True)
    return saved(QUARTERS, "PNG", pnginfo=info)


def huge_jpeg() -> bytes:
    data = bytearray(saved(QUARTERS, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at:at + 4] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 * 2**30)


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)                                            # the whole path may be too long for a socket
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def turned(form: str, **options) -> dict[str, Case]:
    """The same scene with the camera held in each of the eight ways."""
    cases = {}
    for n, (first_row, first_column) in SIDES.items():
        stored = QUARTERS if first_row in ("top", "bottom") else QUARTERS.transpose(1, 0, 2)
        stored = stored[::-1] if first_row in ("bottom", "right") else stored
        stored = stored[:, ::-1] if first_column in ("bottom", "right") else stored
        data = saved(np.ascontiguousarray(stored), form, exif=exif(n), **options)
        cases[f"{form}, orientation {n}"] = Case(content(data), f"{form}{n}.{form.lower()}", QUARTERS, 6)
    return cases


JPEG = saved(QUARTERS, "JPEG", quality=95, subsampling=0)
NOISE = saved(np.random.default_rng(5).integers(0, 255, (64, 64, 3), np.uint8), "PNG")
TEXT = "This is a letter, not a picture.\n" * 20
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FLOAT = (RAMP / 255).astype(np.float32)
SPOILT = FLOAT.copy()
SPOILT[3, 4] = np.nan
ENDLESS = FLOAT.copy()
ENDLESS[3, 4] = np.inf
INFORMATION = PngImagePlugin.PngInfo()
INFORMATION.add(b"tEXt", b"comment\0" + b"<script>alert(1)</script>")

CASES = {
    # what is used, and what is seen then
    **turned("JPEG", quality=95, subsampling=0), **turned("PNG"), **turned("WEBP", lossless=True), **turned("TIFF"),
    "no such turn":         Case(content(saved(QUARTERS, "JPEG", quality=95, subsampling=0, exif=exif(9))), "turn9.jpg", QUARTERS, 6),
    "damaged EXIF":         Case(content(saved(QUARTERS, "JPEG", quality=95, exif=b"Exif\0\0" + b"II*\0\xff\xff\xff\x7f" + b"junk" * 9)),
                                 "exif.jpg", QUARTERS, 6),
    "EXIF of text":         Case(content(saved(QUARTERS, "PNG", exif=b"no EXIF at all")), "exif2.png", QUARTERS),
    "huge EXIF":            Case(content(saved(QUARTERS, "PNG", exif=exif(1) + bytes(20_000_000))), "exif3.png", QUARTERS),
    "palette":              Case(content(saved(palette(False), "PNG")), "p.png", QUARTERS),
    "palette, see-through": Case(content(saved(palette(True), "PNG")), "pa.png", on_white(QUARTERS)),
    "one bit":              Case(content(saved(Image.fromarray(BYTE_RAMP > 127), "PNG")), "1.png", grey((BYTE_RAMP > 127) * 255)),
    "grey":                 Case(content(saved(BYTE_RAMP, "PNG")), "l.png", grey(BYTE_RAMP)),
    "grey and alpha":       Case(content(saved(transparent("L"), "PNG")), "la.png", on_white(grey(BYTE_RAMP))),
    "colour and alpha":     Case(content(saved(transparent("RGBA"), "PNG")), "rgba.png", on_white(QUARTERS)),
    "alpha in WebP":        Case(content(saved(transparent("RGBA"), "WEBP", lossless=True)), "rgba.webp", on_white(QUARTERS)),
    "one colour invisible": Case(content(saved(QUARTERS, "PNG", transparency=GREY)), "trns.png", on_white(QUARTERS)),
    "CMYK":                 Case(content(saved(Image.fromarray(QUARTERS).convert("CMYK"), "TIFF")), "cmyk.tif", QUARTERS),
    "CMYK of Adobe":        Case(content(cmyk_jpeg()), "cmyk.jpg", QUARTERS, 6),
    "YCbCr":                Case(content(saved(Image.fromarray(QUARTERS).convert("YCbCr"), "TIFF")), "ycc.tif", QUARTERS),
    "Lab":                  Case(content(lab_tiff()), "lab.tif", QUARTERS, 3),
    "16-bit grey PNG":      Case(content(saved((RAMP * 257).round().astype(np.uint16), "PNG")), "g16.png", grey(RAMP)),
    "16-bit grey TIFF":     Case(content(saved((RAMP * 257).round().astype(np.uint16), "TIFF")), "g16.tif", grey(RAMP)),
    "16-bit big-endian":    Case(content(saved(Image.fromarray((RAMP * 257).round().astype(">u2")), "TIFF")), "g16b.tif", grey(RAMP)),
    "16-bit colour PNG":    Case(content(png(48, 32, depth=16, data=b"".join(
                                b"\0" + (row.astype(">u2") * 257).astype(">u2").tobytes() for row in QUARTERS))), "c16.png", QUARTERS),
    "32-bit whole numbers": Case(content(saved((RAMP * 257).round().astype(np.int32), "TIFF")), "i32.tif", grey(RAMP)),
    "8 bit in 16":          Case(content(saved(RAMP.round().astype(np.uint16), "TIFF")), "g8in16.tif", grey(RAMP)),
    "floating, 0 to 1":     Case(content(saved(FLOAT, "TIFF")), "f1.tif", grey(RAMP)),
    "floating, 0 to 255":   Case(content(saved(RAMP.astype(np.float32), "TIFF")), "f255.tif", grey(RAMP)),
    "animated GIF":         Case(content(animated("GIF")), "moving.gif", QUARTERS),
    "animated WebP":        Case(content(animated("WEBP", lossless=True)), "moving.webp", QUARTERS),
    "animated PNG":         Case(content(animated("PNG")), "moving.png", QUARTERS),
    "pages in a TIFF":      Case(content(animated("TIFF")), "pages.tif", QUARTERS),
    "pictures in a JPEG":   Case(content(animated("MPO", quality=95, subsampling=0)), "several.jpg", QUARTERS, 6),
    "PNG called JPEG":      Case(content(saved(QUARTERS, "PNG")), "png.jpg", QUARTERS),
    "JPEG called PNG":      Case(content(JPEG), "jpeg.png", QUARTERS, 6),
    "GIF called BMP":       Case(content(saved(QUARTERS, "GIF")), "gif.bmp", QUARTERS),
    "capitals":             Case(content(JPEG), "LOUD.JPG", QUARTERS, 6),
    "bytes at the end":     Case(content(JPEG + b"<?php system($_GET[0]); ?>"), "more.jpg", QUARTERS, 6),
    "markup in a comment":  Case(content(saved(QUARTERS, "PNG", pnginfo=INFORMATION)), "comment.png", QUARTERS),
    "markup in the name":   Case(content(JPEG), "<img src=x onerror=alert(1)>.jpg", QUARTERS, 6),
    "letters of all kinds": Case(content(JPEG), "größe 日本 🩺 'x' \"y\" #1 100%.jpg", QUARTERS, 6),
    "a very long name":     Case(content(JPEG), "x" * 251 + ".jpg", QUARTERS, 6),
    "a link inside":        Case(link("png.jpg"), "own.png", QUARTERS),
    "all black":            Case(content(saved(np.zeros_like(QUARTERS), "PNG")), "black.png", np.zeros_like(QUARTERS)),
    "all white":            Case(content(saved(np.full_like(QUARTERS, 255), "PNG")), "white.png", np.full_like(QUARTERS, 255)),
    "narrow":               Case(content(saved(np.zeros((8, 5_000, 3), np.uint8), "PNG")), "narrow.png", np.zeros((8, 5_000, 3))),
    "Adobe RGB":            Case(content(saved(QUARTERS, "PNG", icc_profile=adobe_rgb())), "adobe.png", adobe_to_srgb(QUARTERS)),
    "sRGB said aloud":      Case(content(saved(QUARTERS, "PNG", icc_profile=SRGB)), "srgb.png", QUARTERS, 0),
    "a grey profile":       Case(content(saved(BYTE_RAMP, "PNG", icc_profile=profile(b"GRAY", {b"kTRC": gamma_curve(1)}))), "linear.png",
                                 grey(encoded(BYTE_RAMP / 255))),
    "damaged profile":      Case(content(saved(QUARTERS, "PNG", icc_profile=adobe_rgb()[:200])), "icc1.png", QUARTERS, 0),
    "profile of nonsense":  Case(content(saved(QUARTERS, "PNG", icc_profile=b"nonsense")), "icc2.png", QUARTERS, 0),
    "colour profile, grey picture": Case(content(saved(BYTE_RAMP, "PNG", icc_profile=adobe_rgb())), "icc3.png", grey(BYTE_RAMP), 3),

    # what is refused, and why
    "zero bytes":           Case(content(b""), "empty.jpg", reason="^the file is empty$"),
    "only zeros":           Case(content(bytes(5_000)), "zeros.jpg", reason="^holds nothing but zeros"),
    "text":                 Case(content(TEXT.encode()), "letter.jpg", reason="^is text, not an image"),
    "UTF-16 text":          Case(content(TEXT.encode("utf-16")), "letter.png", reason="^is text, not an image"),
    "web page":             Case(content(b"\n<!DOCTYPE html><html><body>Not found</body></html>"), "404.jpg",
                                 reason=r"^is a web page \(HTML\)"),
    "SVG":                  Case(content(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
                                 "drawing.png", reason=r"^is a drawing \(SVG\)"),
    "SVG by name":          Case(content(b"<svg/>"), "drawing.svg", reason="^SVG pictures are not read; save it as JPEG or PNG"),
    "HEIC":                 Case(content(b"\0\0\0\x18ftypheic" + bytes(200)), "phone.jpg", reason="^is a HEIC picture; save it as"),
    "HEIC by name":         Case(content(b"\0\0\0\x18ftypheic" + bytes(200)), "phone.heic", reason="^HEIC pictures are not read"),
    "AVIF":                 Case(content(saved(QUARTERS, "AVIF")), "new.png", reason="^is an AVIF picture; save it as"),
    "DICOM":                Case(content(bytes(128) + b"DICM" + bytes(99)), "scan.jpg", reason="^is a DICOM picture"),
    "DICOM by name":        Case(content(bytes(128) + b"DICM"), "scan.dcm", reason="^DICOM pictures are not read"),
    "video":                Case(content(b"\0\0\0\x18ftypisom" + bytes(99)), "film.jpg", reason="^is a video"),
    "PDF":                  Case(content(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), "paper.jpg", reason="^is a PDF document"),
    "PostScript":           Case(content(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\nshowpage\n"), "eps.jpg",
                                 reason="^is a PostScript document"),
    "archive":              Case(content(b"PK\3\4" + bytes(60)), "all.png", reason="^is a zip archive"),
    "gzip":                 Case(content(b"\x1f\x8b\x08" + bytes(60)), "packed.png", reason="^is a gzip archive; unpack it"),
    "Git LFS":              Case(content(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"), "lfs.png",
                                 reason="^is a Git LFS pointer .*git lfs pull"),
    "unknown bytes":        Case(content(bytes(range(7, 256)) * 9), "what.bmp", reason="^is no image of a kind that is read"),
    "truncated JPEG":       Case(content(saved(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8), "JPEG")[:2_500]),
                                 "cut.jpg",
                                 reason="^is cut short"),
    "truncated PNG":        Case(content(NOISE[:len(NOISE) // 2]), "cut.png", reason="^is cut short"),
    "JPEG's first bytes":   Case(content(JPEG[:20]), "start.jpg", reason="^is a JPEG picture; its beginning is damaged"),
    "PNG's first bytes":    Case(content(b"\x89PNG\r\n\x1a\n" + bytes(40)), "start.png",
                                 reason="^is a PNG picture; its beginning is damaged"),
    "flipped bits":         Case(content(NOISE[:2_000] + bytes(b ^ 255 for b in NOISE[2_000:2_100]) + NOISE[2_100:]), "bits.png",
                                 reason="^cannot be decoded"),
    "NaN":                  Case(content(saved(SPOILT, "TIFF")), "nan.tif", reason=r"^has pixels that are no numbers \(NaN or infinite\)"),
    "infinite":             Case(content(saved(ENDLESS, "TIFF")), "inf.tif", reason=r"^has pixels that are no numbers \(NaN or infinite\)"),
    "negative":             Case(content(saved(2 * FLOAT - 1, "TIFF")), "minus.tif", reason="^has values from -1 to 1, and nothing says"),
    "beyond 16 bit":        Case(content(saved((RAMP * 9_999).astype(np.int32), "TIFF")), "deep.tif",
                                 reason="^has values from 0 to 2.*, and nothing"),
    "one pixel":            Case(content(saved(QUARTERS[:1, :1], "PNG")), "dot.png", reason="^is 1 × 1, smaller than 8 pixels"),
    "a line":               Case(content(saved(np.zeros((5_000, 1, 3), np.uint8), "PNG")), "line.png",
                                 reason="^is 1 × 5000, smaller than 8 pixels"),
    "bomb in a PNG":        Case(content(png(30_000, 30_000)), "bomb.png", reason="^unpacks to more than 100 megapixels"),
    "bomb in a JPEG":       Case(content(huge_jpeg()), "bomb.jpg", reason="^unpacks to more than 100 megapixels"),
    "just too large":       Case(content(png(11_000, 10_000)), "large.png", reason="^is 11000 × 10000, more than 100 megapixels"),
    "bomb in a text block": Case(content(with_text_bomb()), "text.png", reason="^has a text block that unpacks to too much"),
    "huge file":            Case(sparse, "sparse.png", reason="^is a file of 3,072 MiB, more than 512"),
    "no such target":       Case(link("../../gone.jpg"), "broken.jpg", reason="^a/broken.jpg is a link that leaves the data folder"),
    "no such target inside": Case(link("gone.jpg"), "dangling.jpg", reason=r"^cannot be read \(No such file or directory\)"),
    "link out":             Case(link("../../outside.png"), "stolen.png", reason="^a/stolen.png is a link that leaves the data folder"),
    "link to a device":     Case(link("/dev/zero"), "zero.jpg", reason="^a/zero.jpg is a link that leaves the data folder"),
    "link to itself":       Case(link("knot.jpg"), "knot.jpg", reason=r"^cannot be read \(Too many levels of symbolic links\)"),
    "pipe":                 Case(os.mkfifo, "pipe.jpg", reason=r"^cannot be read \(a pipe, socket or device, not a file\)"),
    "socket":               Case(listen, "socket.jpg", reason=r"^cannot be read \(a pipe, socket or device, not a file\)"),
    "line break in the name": Case(content(JPEG), "two\nlines.jpg", reason="the name has a line break or another control character"),
    "backslash in the name": Case(content(JPEG), "back\\slash.jpg", reason="the name has a backslash"),
    "name not in UTF-8":    Case(content(JPEG), os.fsdecode(b"bad\xff.jpg"), reason="the name is not UTF-8 text"),
}


LABELS, GROUPS = Labels(classes={"a": ["a"], "b": ["b"]}), Groups(column="domain", values={"clinical": ["clinical"]})


def bring(folder: Path, **options):
    source = Source(dataset="image_folder", name="mine", domain="clinical", **{"max_quarantined": 1, **options})
    return take_in([source], LABELS, GROUPS, {"mine": folder})


def shown(name: str) -> str:
    """A file's name as tables have it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\n", "\\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Every case in class a, six good images in class b."""
    folder = tmp_path_factory.mktemp("bad_images") / "pictures"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 48, 3), np.uint8)).save(folder / "b" / f"{n}.png")
    Image.fromarray(QUARTERS).save(folder.parent / "outside.png")
    for case in CASES.values():
        case.make(folder / "a" / case.file)
    return folder


@pytest.fixture(scope="module")
def intake(folder):
    return bring(folder)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_is_used_with_the_right_pixels_or_refused_with_its_reason(name, folder, intake):
    case = CASES[name]
    file = f"a/{shown(case.file)}"
    used, refused = intake.samples[intake.samples["path"] == file], intake.quarantine[intake.quarantine["file"] == file]
    assert len(used) + len(refused) == 1
    if case.reason is None:
        assert len(used) == 1, refused["reason"].iloc[0]
        pixels = read_image(folder / file)
        assert pixels.dtype == np.uint8 and pixels.shape == (*used[["height", "width"]].iloc[0], 3)
        if case.pixels is not None:
            assert pixels.shape == case.pixels.shape and np.abs(pixels - case.pixels.astype(float)).mean() <= case.within
    else:
        reason = refused["reason"].iloc[0]
        assert re.search(case.reason, reason) and refused["kind"].iloc[0] == "refused"
        assert reason.isprintable() and len(reason) < 250 and "0x" not in reason and str(folder) not in reason and "BytesIO" not in reason


def test_all_add_up_and_the_answer_repeats(folder, intake):
    account, = intake.account.to_dict("records")
    refused = sum(case.reason is not None for case in CASES.values())
    assert account == {"dataset": "mine", "listed": len(CASES) + 6, "missing": 0, "excluded": 0, "refused": refused,
                       "used": len(CASES) - refused + 6}
    again = bring(folder)
    for table in ("samples", "quarantine", "account"):
        assert getattr(again, table).equals(getattr(intake, table))
    assert again.notes == intake.notes


def test_different_faults_have_different_reasons(intake):
    kinds = {re.sub(r"\(.*\)|a/\S+|\d[\d,.]*", "", reason) for reason in intake.quarantine["reason"]}
    assert len(kinds) >= 30


def test_a_picture_of_one_colour_has_no_measured_skin(intake):
    ita = intake.samples.set_index("path")["ita"]
    assert ita[["a/black.png", "a/white.png", "a/narrow.png"]].isna().all() and ita.notna().sum() > 10


def test_the_limit_counts_every_kind_and_names_the_first(folder):
    message = r"mine: \d+ of the \d+ images present are refused \(first: a/.*limit is max_quarantined=0\.1"
    with pytest.raises(DataError, match=message) as caught:
        bring(folder, max_quarantined=0.1)
    assert len(caught.value.quarantine) == sum(case.reason is not None for case in CASES.values())


@pytest.mark.parametrize(("number", "reason"), [(errno.EACCES, "Permission denied"), (errno.EIO, "Input/output error"),
                                                (errno.ESTALE, "Stale file handle")])
def test_a_file_that_the_system_will_not_read(folder, monkeypatch, number, reason):
    def refuse(path):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)         # whoever runs the tests may be allowed to read everything
    with pytest.raises(ImageRefused, match=rf"^cannot be read \({reason}\)$"):
        read_bytes(folder / "b" / "0.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"a": 3, "b": 2})
    (tmp_path / "a" / "000.jpg").chmod(0)
    assert bring(tmp_path).quarantine["reason"].tolist() == ["cannot be read (Permission denied)"]


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, builders, monkeypatch):
    builders["build_class_folders"](tmp_path, {"a": 3, "b": 2})
    list_folder = os.scandir

    def refuse(path):
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"/b: the folder cannot be read \(Permission denied\); give leave"):
        bring(tmp_path)


def test_too_little_memory_is_a_reason(folder, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("lib.data.images.to_srgb", fail)
    with pytest.raises(ImageRefused, match="needs more memory than is free"):
        read_image(folder / "b" / "0.png")


def test_a_folder_called_like_an_image_is_a_folder(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"a/x.jpg": 2, "a/empty.jpg": 0, "b": 2})
    (tmp_path / "a" / "nothing.png").mkdir()
    assert bring(tmp_path).samples["path"].tolist() == ["a/x.jpg/000.jpg", "a/x.jpg/001.jpg", "b/000.jpg", "b/001.jpg"]


def test_a_picture_that_is_not_read_gives_way_to_its_readable_twin(tmp_path, builders):
    builders["build_class_folders"](tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "000.dng").write_bytes(b"raw")
    (tmp_path / "b" / "002.heic").write_bytes(b"phone")
    (tmp_path / "list.csv").write_text("file,label\na/000,a\na/001.jpg,a\nb/000.jpg,b\nb/001,b\nb/002.jpg,b\n")
    intake = bring(tmp_path, table="list.csv")
    assert intake.samples["path"].tolist() == ["a/000.jpg", "a/001.jpg", "b/000.jpg", "b/001.jpg"]
    assert intake.quarantine[["file", "reason"]].values.tolist() == [["b/002.heic", "HEIC pictures are not read; save it as JPEG or PNG"]]
