"""Hair against the drawing's own truth: a phantom with its hairs, and the same phantom without."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from lib.data.errors import DataError
from lib.data.hair import hair_mask, hair_share, measure_hair, remove_hair
from lib.phantom import camera
from lib.phantom.camera import DOMAINS, draw_view
from lib.phantom.render import draw
from lib.phantom.world import sample_world
from lib.study import PhantomOptions

DRAWN = 15                          # of 255: a drawn hair changes a pixel by more; JPEG around it by less


@pytest.fixture(scope="module")
def twins() -> pd.DataFrame:
    """Phantoms: picture, bald (the same without hairs), drawn (where hairs are), tone, found (mask)."""
    options = PhantomOptions(patients=90, lesions_per_patient=(1, 1), images_per_lesion=(1, 1), seed=1_950_000)
    rows = []
    with pytest.MonkeyPatch.context() as patch:
        for scene in sample_world(options, "hair").to_dict("records"):
            rng = np.random.default_rng(int(scene["view_seed"]))
            draw_view(DOMAINS[scene["domain"]], rng)
            picture = bald = draw(scene, 256)[0]
            if rng.random(16)[7] < DOMAINS[scene["domain"]].hair:          # as lib.phantom.camera.photograph decides
                patch.setattr(camera, "_hair", lambda *_, **__: None)
                bald = draw(scene, 256)[0]
                patch.undo()
            drawn = np.abs(picture.astype(int) - bald).max(axis=2) > DRAWN
            rows.append({"picture": picture, "bald": bald, "drawn": drawn, "tone": scene["tone"], "found": hair_mask(picture)})
    return pd.DataFrame(rows)


def shares(column: pd.Series) -> np.ndarray:
    return np.array([mask.mean() for mask in column])


def test_the_share_follows_what_was_drawn(twins):
    drawn, found = shares(twins["drawn"]), shares(twins["found"])
    assert 20 < (drawn > 0).sum() < 70
    assert roc_auc_score(drawn > 0, found) >= 0.9
    assert np.corrcoef(drawn, found)[0, 1] >= 0.9
    assert 0.7 < found.sum() / drawn.sum() < 1.3


def test_the_mask_lies_on_the_hairs(twins):
    both = sum((row.found & row.drawn).sum() for row in twins.itertuples())
    assert both / sum(mask.sum() for mask in twins["drawn"]) > 0.7         # of the hairs
    assert both / sum(mask.sum() for mask in twins["found"]) > 0.8         # of the mask


def test_pictures_without_hair_show_hardly_any(twins):
    """Pigment network, scales, vessels, furrows, gel and rulers included."""
    assert np.mean([hair_share(picture) >= 0.005 for picture in twins["bald"]]) < 0.06


def test_hair_is_found_on_light_and_dark_skin(twins):
    """At 256 pixels; contrast, and with it what is found, falls with the tone and with size (see lib.data.hair)."""
    for tones in ((1, 2), (3, 4), (5, 6)):
        mine = twins[twins["tone"].isin(tones)]
        assert roc_auc_score(shares(mine["drawn"]) > 0, shares(mine["found"])) >= 0.85


def test_painting_over_brings_the_picture_nearer_to_its_bald_twin(twins):
    before = after = 0.0
    for row in twins[shares(twins["drawn"]) > 0].itertuples():
        painted = remove_hair(row.picture)
        assert painted.dtype == np.uint8 and painted.shape == row.picture.shape
        before += np.abs(row.picture.astype(int) - row.bald).mean()
        after += np.abs(painted.astype(int) - row.bald).mean()
    assert after < 0.5 * before


def lined(colour=(60, 45, 40), skin=(215, 170, 145), width=3, size=(200, 260)) -> np.ndarray:
    pixels = np.full((*size, 3), skin, np.uint8)
    for row in range(size[0]):
        middle = 60 + row // 2
        pixels[row, middle:middle + width] = colour
    return pixels


def test_a_drawn_line_and_its_removal():
    pixels = lined()
    mask = hair_mask(pixels)
    assert mask.shape == (200, 260) and mask.dtype == bool
    dark = (pixels == (60, 45, 40)).all(axis=2)
    inside = np.s_[12:-12]
    assert (mask & dark)[inside].sum() / dark[inside].sum() > 0.9 and (mask & ~dark).sum() < 0.3 * dark.sum()
    assert hair_share(pixels) == pytest.approx(dark.mean(), rel=0.3)
    painted = remove_hair(pixels)
    assert np.abs(painted.astype(int) - (215, 170, 145)).max() <= 2
    assert pixels.min() == 40, "the picture handed in stays as it is"


@pytest.mark.parametrize("pixels", [
    np.full((80, 80, 3), 128, np.uint8), np.zeros((8, 8, 3), np.uint8), np.full((8, 500, 3), 255, np.uint8),
    np.zeros((300, 9, 3), np.uint8),
    lined(colour=(250, 240, 230)),                                          # fair hair is not dark hair
    lined(width=40),                                                        # a band is no hair
], ids=["even", "tiny", "wide", "tall", "fair", "band"])
def test_where_there_is_no_dark_hair_nothing_changes(pixels):
    assert not hair_mask(pixels).any() and hair_share(pixels) == 0
    assert remove_hair(pixels) is pixels


def test_turning_and_mirroring_change_little():
    pixels = lined()
    share = hair_share(pixels)
    for turned in (pixels[:, ::-1], pixels[::-1], np.rot90(pixels)):
        assert hair_share(np.ascontiguousarray(turned)) == pytest.approx(share, rel=0.1)


def test_size_changes_little():
    large = np.asarray(Image.fromarray(lined()).resize((1040, 800), Image.Resampling.BICUBIC))
    assert hair_mask(large).shape == (800, 1040)
    assert hair_share(large) == pytest.approx(hair_share(lined()), rel=0.35)


# ── a data set ───────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.fixture
def samples(tmp_path):
    """Forty pictures, every second with a line; groups of 30, 6 and 4 (no group)."""
    groups = ["light"] * 30 + ["dark"] * 6 + [None] * 4
    rows = []
    for n, group in enumerate(groups):
        pixels = lined(size=(64, 96)) if n % 2 else np.full((64, 96, 3), 200, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        rows.append({"image_id": f"i{n:02d}", "dataset": "d", "path": f"{n}.png", "label": "ab"[n % 2], "group": group, "tone": 3})
    return pd.DataFrame(rows)


def test_measure_hair_takes_the_groups_in_turn(samples, tmp_path):
    roots, seen = {"d": tmp_path}, []
    table = measure_hair(samples, roots, images=15, threads=3, progress=lambda *done: seen.append(done))
    assert table.columns.tolist() == ["image_id", "label", "group", "tone", "hair"] and table["image_id"].is_monotonic_increasing
    counts = table["group"].fillna("none").value_counts()
    assert counts["none"] == 4 and sorted([counts["light"], counts["dark"]]) == [5, 6]
    assert ((table["hair"] > 0) == (table["label"] == "b")).all() and seen[-1] == (15, 15)
    again = measure_hair(samples.sample(frac=1, random_state=1), roots, images=15)
    pd.testing.assert_frame_equal(again, table)
    more = measure_hair(samples, roots, images=25)
    assert set(table["image_id"]) <= set(more["image_id"]) and len(more) == 25
    assert len(measure_hair(samples, roots, images=99)) == 40


def test_nothing_to_measure(samples, tmp_path):
    for table in (measure_hair(samples, {"d": tmp_path}, images=0), measure_hair(samples[:0], {"d": tmp_path}, images=5)):
        assert table.empty and table.columns.tolist() == ["image_id", "label", "group", "tone", "hair"]


def test_an_image_that_went_away_is_named(samples, tmp_path):
    (tmp_path / "7.png").unlink()
    with pytest.raises(DataError, match=r"d: 7\.png cannot be read .*; run 01_eda again"):
        measure_hair(samples, {"d": tmp_path}, images=40)
