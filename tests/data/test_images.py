"""Opening images and masks of every kind, and refusing what is none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from lib.data.colour import to_srgb
from lib.data.images import ImageRefused, read_image, read_mask


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize(("mode", "expected"), [
    ("RGB", (200, 100, 50)), ("L", (120, 120, 120)), ("1", (255, 255, 255)), ("P", (200, 100, 50)), ("CMYK", (200, 100, 50)),
    ("RGBA", (200, 100, 50)), ("LA", (120, 120, 120)),
])
def test_every_mode_becomes_rgb(tmp_path, mode, expected):
    source = Image.new("RGB", (20, 10), (200, 100, 50)) if mode in ("RGB", "P", "CMYK", "RGBA") else Image.new("L", (20, 10), 120)
    if mode == "1":
        source = Image.new("L", (20, 10), 255)
    path = save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), source.convert(mode))
    pixels = read_image(path)
    assert pixels.shape == (10, 20, 3) and pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[0, 0], expected, atol=30 if mode == "P" else 1)      # the web palette is coarse


def test_sixteen_bit_grey_is_scaled(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.full((10, 10), 32_896, dtype=np.uint16)))
    assert (read_image(path) == 128).all()


def test_transparent_parts_are_white(tmp_path):
    assert (read_image(save(tmp_path / "a.png", Image.new("RGBA", (9, 9), (0, 0, 0, 0)))) == 255).all()


def test_exif_turns_the_picture_upright(tmp_path):
    image = Image.new("RGB", (20, 10), "white")
    image.paste("black", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6                                                    # taken with the camera on its side
    pixels = read_image(save(tmp_path / "a.jpg", image, exif=exif))
    assert pixels.shape == (20, 10, 3) and pixels[0].mean() < 10 and pixels[-1].mean() > 245


def test_a_palette_with_alpha_and_floating_masks(tmp_path):
    layered = Image.new("P", (12, 12), 1)
    layered.putpalette([0, 0, 0, 200, 100, 50])
    layered = layered.convert("PA")
    layered.putalpha(Image.new("L", (12, 12), 0))
    assert np.asarray(to_srgb(layered)).min() == 255
    values = np.zeros((12, 12), np.float32)
    values[:3] = 1
    assert read_mask(save(tmp_path / "m.tif", Image.fromarray(values)))[:3].all()
    values[0, 0] = np.nan
    with pytest.raises(ImageRefused, match=r"mask cannot be decoded \(has pixels that are no numbers"):
        read_mask(save(tmp_path / "n.tif", Image.fromarray(values)))


def test_a_picture_that_says_it_is_srgb_is_not_converted(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = save(tmp_path / "a.png", Image.fromarray(pixels), icc_profile=profile)
    read_image(path)                                                        # the profile is looked at once
    monkeypatch.setattr(ImageCms, "applyTransform", lambda *_: pytest.fail("converted"))
    np.testing.assert_array_equal(read_image(path), pixels)


def _jpeg(size=(64, 64)):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "empty"), (b"no image", "is text"), (_jpeg()[:600], "cut short"), (_jpeg()[:3], "is a JPEG picture; its beginning is damaged"),
    (_jpeg((4, 30)), "30 × 4, smaller than 8"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "is a PNG picture; its beginning is damaged"),
])
def test_broken_files_are_refused_with_a_reason(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageRefused, match=reason):
        read_image(tmp_path / "a.jpg")


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(ImageRefused, match="cannot be read"):
            read_image(path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")     # pytest puts its own filters over the module's
def test_a_picture_that_unpacks_to_too_much_is_refused_unopened(tmp_path):
    path = save(tmp_path / "a.png", Image.new("1", (11_000, 10_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(ImageRefused, match="more than 100 megapixels"):
        read_image(path)


def test_palette_masks_are_not_upside_down(tmp_path, builders):
    builders["draw_mask"](tmp_path / "grey.png")
    builders["draw_mask"](tmp_path / "palette.png", palette=True)
    with Image.open(tmp_path / "palette.png") as image:
        assert image.mode == "P" and np.asarray(image)[0, 0] == 255      # raw values would call the skin lesion
    grey, palette = read_mask(tmp_path / "grey.png"), read_mask(tmp_path / "palette.png")
    assert grey.dtype == bool and grey[12, 16] and not grey[0, 0]
    np.testing.assert_array_equal(grey, palette)


def test_masks_of_zeros_and_ones_and_of_soft_edges(tmp_path):
    values = np.zeros((10, 10), dtype=np.uint8)
    values[2:5, 2:5] = 1
    assert read_mask(save(tmp_path / "a.png", Image.fromarray(values))).sum() == 9
    values[2:5, 2:5], values[5] = 200, 100
    assert read_mask(save(tmp_path / "b.png", Image.fromarray(values))).sum() == 9
    assert not read_mask(save(tmp_path / "c.png", Image.new("L", (10, 10)))).any()


def test_a_larger_mask_is_brought_to_the_image_and_another_shape_is_refused(tmp_path, builders):
    builders["draw_mask"](tmp_path / "large.png", size=(64, 48))
    builders["draw_mask"](tmp_path / "same.png", size=(32, 24))
    large, same = read_mask(tmp_path / "large.png", (32, 24)), read_mask(tmp_path / "same.png", (32, 24))
    assert large.shape == (24, 32) and (large != same).mean() < 0.05
    with pytest.raises(ImageRefused, match="mask is 64 × 48 and does not fit the image of 48 × 64"):
        read_mask(tmp_path / "large.png", (48, 64))
