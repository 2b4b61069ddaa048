"""Crops around the lesion against a crop made by hand; classes in one piece; missing masks, mixed sizes and bad requests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.gan.crops import lesion_crops
from lib.study import Gan

LABELS = ["melanoma", "nevus"]


@pytest.fixture
def world(tmp_path, builders):
    """20 images of two sizes, nevus and melanoma in turn, four of them without a mask; samples and roots."""
    rows = []
    for i in range(20):
        size, path = ((48, 36), (80, 60))[i % 3 == 0], f"{i}.png"
        builders["draw_jpeg"](tmp_path / "toy" / path, i, size)
        masked = i % 5 != 4
        if masked:
            builders["draw_mask"](tmp_path / "toy" / f"{i}_mask.png", size)
        rows.append({
            "image_id": f"i{i:02d}", "path": path, "dataset": "toy" if i % 4 else "other", "domain": "clinical", "label": LABELS[i % 2],
            "split": ("train", "train", "train", "validation", "test")[i // 4], "mask_path": f"{i}_mask.png" if masked else None,
            "sha256": hashlib.sha256((tmp_path / "toy" / path).read_bytes()).hexdigest(),
        })
    return pd.DataFrame(rows), {"toy": tmp_path / "toy", "other": tmp_path / "toy"}


@pytest.fixture
def crops(world, tmp_path):
    def made(split="train", samples=None, names=LABELS, **options):
        table, roots = world
        table = table if samples is None else samples
        return lesion_crops(table, roots, Gan(image_size=32, **options), names, split=split, cache=tmp_path / "cache")
    return made


def by_hand(row, root: Path, size: int, margin: float) -> np.ndarray:
    """The square around the mask's box, pushed inside the picture, resized by PIL."""
    image = Image.open(root / row.path).convert("RGB")
    mask = np.asarray(Image.open(root / row.mask_path).convert("L")) > 127
    left, upper, right, lower = Image.fromarray(mask).getbbox()
    side = min(max(right - left, lower - upper) * (1 + 2 * margin), *image.size)
    x = min(max((left + right - side) / 2, 0), image.width - side)
    y = min(max((upper + lower - side) / 2, 0), image.height - side)
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=(x, y, x + side, y + side), reducing_gap=3.0))


@pytest.mark.parametrize("margin", [0.0, 0.25, 2.0])
def test_a_crop_is_the_lesion_with_its_margin(crops, world, margin):
    made = crops(margin=margin)
    masked = [place for place, row in enumerate(made.rows.itertuples()) if isinstance(row.mask_path, str)]
    assert masked and made.pixels.shape == (12, 32, 32, 3)
    for place in masked:
        np.testing.assert_array_equal(made.pixels[place], by_hand(made.rows.iloc[place], world[1]["toy"], 32, margin))


def test_missing_masks_are_counted_and_show_the_whole_picture(crops):
    made = crops()
    assert (made.followed, made.whole) == (10, 2) == (made.rows["mask_path"].notna().sum(), made.rows["mask_path"].isna().sum())
    whole = crops(crop="whole")
    assert (whole.followed, whole.whole) == (0, 12)
    place = made.rows.index[made.rows["mask_path"].isna()][0]
    np.testing.assert_array_equal(made.pixels[place], whole.pixels[place])


def test_a_class_lies_in_one_piece_in_the_order_of_the_study(crops):
    made = crops()
    assert made.rows["label"].tolist() == ["melanoma"] * 6 + ["nevus"] * 6
    np.testing.assert_array_equal(made.of("nevus"), made.pixels[6:])
    assert np.shares_memory(made.of("nevus"), made.pixels)
    one = crops(classes=["nevus"])
    np.testing.assert_array_equal(one.pixels, made.of("nevus"))
    assert len(one.of("melanoma")) == 0


def test_test_rows_are_never_given_out(crops):
    assert set(crops().rows["split"]) == {"train"} and set(crops("validation").rows["split"]) == {"validation"}
    with pytest.raises(ValueError, match="split is 'test'"):
        crops("test")


def test_sources(crops):
    assert set(crops(sources=["toy"]).rows["dataset"]) == {"toy"}
    with pytest.raises(ValueError, match=r"gan\.sources names nobody, .* some of other, toy"):
        crops(sources=["nobody"])


def test_too_few_images_name_the_class_and_nothing_held_out_is_no_error(crops, world):
    samples, _ = world
    lonely = samples[(samples["label"] == "nevus") | (samples["image_id"] == "i01") | (samples["split"] != "train")]
    lonely = lonely[~((lonely["label"] == "melanoma") & (lonely["image_id"] != "i00") & (lonely["split"] == "train"))]
    with pytest.raises(ValueError, match=r"too few training images: melanoma \(\d\); a GAN needs two"):
        crops(samples=lonely)
    none = crops("validation", samples=samples[samples["split"] == "train"])
    assert none.pixels.shape == (0, 32, 32, 3) and (none.followed, none.whole) == (0, 0)
