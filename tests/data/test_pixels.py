"""Squares at one size: the right part of the picture, decoded once, safe to share."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lib.data.pixels as module
from lib.data.errors import DataError
from lib.data.pixels import load_pixels, load_pixels_and_account, square_of, square_pixels


@pytest.fixture
def samples(tmp_path, builders):
    rows = []
    for i in range(5):
        path = tmp_path / "images" / f"{i}.jpg"
        builders["draw_jpeg"](path, i, size=(48, 32))
        if i:
            builders["draw_mask"](tmp_path / "images" / f"{i}_mask.png", size=(48, 32))
        rows.append((f"id{i}", "mine", f"{i}.jpg", hashlib.sha256(path.read_bytes()).hexdigest(), f"{i}_mask.png" if i else None))
    return pd.DataFrame(rows, columns=["image_id", "dataset", "path", "sha256", "mask_path"]).astype("str")


def load(samples, tmp_path, size=16, crop="whole", **options):
    return load_pixels_and_account(samples, {"mine": tmp_path / "images"}, size, crop, tmp_path / "cache", **options)


def test_shape_order_and_account(samples, tmp_path):
    pixels, account = load(samples, tmp_path)
    assert isinstance(pixels, np.memmap) and pixels.shape == (5, 16, 16, 3) and pixels.dtype == np.uint8 and not pixels.flags.writeable
    assert account == {"lesion": 0, "whole": 5}
    for i in range(5):
        with Image.open(tmp_path / "images" / f"{i}.jpg") as image:
            wanted = image.crop((8, 0, 40, 32)).resize((16, 16), Image.Resampling.LANCZOS)
        assert np.abs(pixels[i].astype(int) - np.asarray(wanted)).max() <= 2
    np.testing.assert_array_equal(load(samples[::-1], tmp_path)[0], pixels[::-1])


def test_lesion_crop_and_its_fallback_are_counted(samples, tmp_path):
    whole, _ = load(samples, tmp_path)
    lesion, account = load(samples, tmp_path, crop="lesion", threads=3)
    assert account == {"lesion": 4, "whole": 1}
    np.testing.assert_array_equal(lesion[0], whole[0])
    assert lesion[1].mean() < whole[1].mean() - 10                       # the dark disc fills more of the square


def test_decoded_once(samples, tmp_path, monkeypatch):
    first, _ = load(samples, tmp_path)
    monkeypatch.setattr(module, "decode", lambda _: pytest.fail("decoded again"))
    seen = []
    again, account = load(samples, tmp_path, progress=lambda *numbers: seen.append(numbers))
    np.testing.assert_array_equal(first, again)
    assert account == {"lesion": 0, "whole": 5} and not seen


def test_another_mask_size_or_crop_is_another_file(samples, tmp_path, builders):
    load(samples, tmp_path)
    load(samples, tmp_path, size=24)
    load(samples, tmp_path, crop="lesion")
    builders["draw_mask"](tmp_path / "images" / "1_mask.png", size=(24, 16))
    load(samples, tmp_path, crop="lesion")
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 4
    Image.new("L", (48, 32)).save(tmp_path / "images" / "1_mask.png")
    assert load(samples, tmp_path, crop="lesion")[1] == {"lesion": 3, "whole": 2}


def test_hair_is_painted_over_where_the_study_says_so(tmp_path):
    pixels = np.full((128, 160, 3), (215, 170, 145), np.uint8)
    pixels[:, 78:80] = (50, 40, 35)
    folder, rows = tmp_path / "images", []
    folder.mkdir()
    for name, picture in (("hairy", pixels), ("bald", pixels[:, :64])):
        Image.fromarray(picture).save(folder / f"{name}.png")
        rows.append((name, "mine", f"{name}.png", hashlib.sha256((folder / f"{name}.png").read_bytes()).hexdigest(), None))
    samples = pd.DataFrame(rows, columns=["image_id", "dataset", "path", "sha256", "mask_path"])
    kept, account = load(samples, tmp_path, size=64)
    shaved, counts = load(samples, tmp_path, size=64, remove_hair=True)
    assert account == {"lesion": 0, "whole": 2} and counts == {"lesion": 0, "whole": 2, "hair": 1}
    assert kept[0].min() < 90 and np.abs(shaved[0].astype(int) - (215, 170, 145)).max() <= 12      # what rings beside a sharp line
    np.testing.assert_array_equal(shaved[1], kept[1])
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    np.testing.assert_array_equal(load(samples, tmp_path, size=64)[0], kept)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:500]), lambda path: path.write_bytes(b""),
                                    lambda path: path.with_suffix(".json").unlink()])
def test_a_damaged_cache_is_made_again(samples, tmp_path, damage):
    first = np.array(load(samples, tmp_path)[0])
    damage(next((tmp_path / "cache").glob("*.npy")))
    np.testing.assert_array_equal(load(samples, tmp_path)[0], first)


def test_an_interrupted_run_leaves_no_file_that_counts(samples, tmp_path):
    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(samples, tmp_path, progress=stop)
    assert not list((tmp_path / "cache").glob("*.npy"))
    (tmp_path / "cache").joinpath("unrelated").write_text("")
    assert load(samples, tmp_path)[0].shape == (5, 16, 16, 3)


def test_a_disk_without_room_is_an_error_before_an_image_is_opened(samples, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="the disk has no room for 0 MB of pixels"):
        load(samples, tmp_path)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_changed_or_vanished_image_is_an_error(samples, tmp_path, builders):
    builders["draw_jpeg"](tmp_path / "images" / "2.jpg", 99)
    with pytest.raises(DataError, match=r"2\.jpg has changed since the samples were taken in; run 01_eda again"):
        load(samples, tmp_path)
    (tmp_path / "images" / "2.jpg").unlink()
    with pytest.raises(DataError, match=r"2\.jpg cannot be read"):
        load(samples, tmp_path)
    with pytest.raises(DataError, match="no image to load"):
        load(samples[:0], tmp_path)
    with pytest.raises(ValueError, match="expected whole or lesion"):
        load(samples, tmp_path, crop="mask")


def _load_in_a_process(samples, folder):
    return hashlib.sha256(load_pixels(samples, {"mine": folder / "images"}, 16, "whole", folder / "cache").tobytes()).hexdigest()


def test_processes_that_ask_at_once_get_the_same(samples, tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        hashes = {job.result() for job in [pool.submit(_load_in_a_process, samples, tmp_path) for _ in range(4)]}
    assert hashes == {_load_in_a_process(samples, tmp_path)}
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_the_square_lies_in_the_picture_and_holds_the_lesion(data):
    width, height = data.draw(st.integers(8, 60)), data.draw(st.integers(8, 60))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    mask = np.zeros((height, width), dtype=bool)
    mask[top:bottom, left:right] = True
    (x0, y0, x1, y1), follows = square_of(width, height, mask)
    assert follows and x0 >= -1e-9 and y0 >= -1e-9 and x1 <= width + 1e-9 and y1 <= height + 1e-9
    assert x1 - x0 == pytest.approx(y1 - y0) and x1 - x0 > 0
    longer = max(right - left, bottom - top)
    if longer <= min(width, height):
        assert x0 <= left + 1e-9 and x1 >= right - 1e-9 and y0 <= top + 1e-9 and y1 >= bottom - 1e-9
    assert x1 - x0 == pytest.approx(min(longer * 1.3, min(width, height)))


def test_an_even_picture_stays_even():
    square, follows = square_pixels(Image.new("RGB", (500, 333), (10, 200, 90)), 64)
    assert (square == (10, 200, 90)).all() and not follows
