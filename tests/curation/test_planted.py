"""Defects planted in phantoms at known rates: what each check finds, and how often real images are taken for bad.

Limits are fitted on one set of held-out phantoms, false alarms counted on another, defects planted in a third. Phantoms are textbook
ones (difficulty 0): where classes overlap nobody can tell a wrong class, and what a classifier learns from a few hundred images is less
than what the oracle learnt from 60,000 (at difficulty 0.15 about 0.7 of what it detects, at 0.45 about half). The table is printed
and kept beside the tests' temporary files. Of three seeds of the world one missed two figures: with 360 images behind a limit the share
of false alarms varies (brightness 0.025), and wrong tones were found 0.86, 0.96 and 1.0 times as often as by the oracle. Another world:
PLANTED_SEED=1930000 pytest tests/curation/test_planted.py -s (phantoms of the tests have seeds from 1900000 on).
"""

from __future__ import annotations

import io
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

from lib.curation.candidates import Candidates, Encoders, Material
from lib.curation.checks.registry import module_of
from lib.curation.curate import curate
from lib.diffusion.base.captions import DIAGNOSIS_WORDS
from lib.diffusion.base.oracle import Oracle
from lib.diffusion.base.pool import draw_pool
from lib.phantom.lesions import USUAL
from lib.study import Curation
from lib.training.seeds import numpy_generator

SEED = int(os.environ.get("PLANTED_SEED", 1_920_000))
SETS = {"train": 400, "held_out": 360, "clean": 360, "fresh": 120}          # images; no lesion is in two
LABELS = [DIAGNOSIS_WORDS[name] for name in USUAL]                          # in the oracle's order
NOTHING_WANTED = pd.DataFrame({"label": [], "tone": [], "images": []})


class World:
    """Four sets of one pool, curated once: `clean` as if it had been generated."""

    def __init__(self, candidates):
        pool = draw_pool("curation", sum(SETS.values()), seed=SEED, workers=1, cache=None, difficulty=0.0)
        ends, encoders = np.cumsum([0, *SETS.values()]), Encoders(fallback=None)
        self.sets = {name: candidates(pool, np.arange(start, end), encoders, generated=name in ("clean", "fresh"))
                     for name, start, end in zip(SETS, ends[:-1], ends[1:], strict=True)}
        self.options = Curation()
        self.result = curate(Material(self.sets["clean"], self.sets["train"], self.sets["held_out"]), self.options, NOTHING_WANTED)
        self.oracle, self.rows = Oracle.load(), []

    def planted(self, pixels: np.ndarray | None = None, **columns: object) -> Candidates:
        """The fresh images with other pixels, or asked for something else."""
        fresh = self.sets["fresh"]
        return Candidates(fresh.table.assign(**columns), fresh.pixels if pixels is None else pixels, fresh.encoders, prompts=fresh.prompts,
                          labels=LABELS)

    def rejected(self, images: Candidates, *checks: str) -> np.ndarray:
        """[N] by any of these checks, under the limits of the fit."""
        out = np.zeros(len(images), dtype=bool)
        for check in self.options.checks:
            if check.title in checks:
                scores = module_of(check.check).score(images, self.result.reference, check)
                out |= ~self.result.limits[check.title].passes(scores, images.cells)
        return out

    def alarms(self, *checks: str) -> float:
        """Share of the clean images that any of these checks rejects."""
        return float((~self.result.table[[f"pass_{check}" for check in checks]].astype(bool)).any(axis=1).mean())

    def note(self, defect: str, checks: str, found: float, wanted: float, alarms: float, oracle: float = np.nan) -> None:
        self.rows.append({"defect": defect, "checks": checks, "found": found, "wanted": wanted, "false alarms": alarms, "oracle": oracle})


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_candidates):
    made = World(make_candidates)
    yield made
    table = pd.DataFrame(made.rows).to_string(index=False, float_format=lambda value: f"{value:.3f}")
    (tmp_path_factory.getbasetemp() / "planted.txt").write_text(table, encoding="utf-8")
    print(f"\nPlanted defects, {SETS['fresh']} phantoms each; false alarms of {SETS['clean']} clean ones\n{table}")


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def moved(picture: np.ndarray, right: int, down: int) -> np.ndarray:
    return shift(picture, (down, right, 0), order=0, mode="nearest")


COPIES = {
    "as it is":                      lambda picture: picture,
    "moved by 3 and −2 pixels":      lambda picture: moved(picture, 3, -2),
    "quarter turn":                  lambda picture: np.rot90(picture),
    "JPEG 60":                       lambda picture: jpeg(picture, 60),
    "mirrored, moved, JPEG 75":      lambda picture: jpeg(moved(picture[::-1], 2, 1), 75),
}


def test_clean_phantoms_are_rarely_taken_for_bad(world, record_property):
    titles = [check.title for check in world.options.checks]
    alarms = {title: world.alarms(title) for title in titles}
    together = float(world.result.table["verdict"].ne("passed").mean())
    record_property("false_alarms", {**alarms, "any": together})
    for title, share in alarms.items():
        world.note("none", title, np.nan, np.nan, share)
    world.note("none", "all together", np.nan, np.nan, together)
    assert world.result.table.filter(like="score_").notna().all(axis=None)
    assert max(alarms.values()) <= 0.02, alarms
    assert together <= 0.10
    cross_fitted = world.result.false_alarms.set_index("check")["rate"].dropna().astype(float)
    for title, share in cross_fitted.items():
        world.note("none, cross-fitted", title, np.nan, np.nan, share)
    assert cross_fitted.drop("any").max() <= 0.02 and cross_fitted["any"] <= 0.10, cross_fitted


@pytest.mark.parametrize(("defect", "checks"), [("blur", ("blur", "texture")), ("noise", ("blur",))])
def test_blur_and_noise_are_found(world, defect, checks, record_property):
    rng, pixels = numpy_generator(0, defect), np.asarray(world.sets["fresh"].pixels)
    if defect == "blur":                                    # 2.3 to 4.7 % of the width; phantoms' own cameras have up to 0.9 %
        spoilt = [gaussian_filter(picture.astype(float), (sigma, sigma, 0)) for picture, sigma in
                  zip(pixels, rng.uniform(1.5, 3, len(pixels)), strict=True)]
    else:                                                   # 8 to 12 % of the range
        spoilt = [picture + rng.normal(0, rng.uniform(20, 30), picture.shape) for picture in pixels]
    found = float(world.rejected(world.planted(np.stack(spoilt).round().clip(0, 255).astype(np.uint8)), *checks).mean())
    record_property("found", found)
    world.note(defect, " or ".join(checks), found, 0.9, world.alarms(*checks))
    assert found >= 0.9


@pytest.mark.parametrize("way", COPIES)
def test_copies_of_training_images_are_found(world, way, record_property):
    train = np.asarray(world.sets["train"].pixels[:SETS["fresh"]])
    copies = np.stack([np.ascontiguousarray(COPIES[way](picture)) for picture in train])
    found = float(world.rejected(world.planted(copies), "memorisation").mean())
    record_property("found", found)
    world.note(f"copy, {way}", "memorisation", found, 0.95, world.alarms("memorisation"))
    assert found >= 0.95


def test_a_collapsed_generator_is_found(world, record_property):
    rng, kept = numpy_generator(0, "collapse"), 6
    fresh = world.sets["fresh"]
    source = rng.integers(0, kept, len(fresh))
    table = fresh.table.assign(label=fresh.table["label"].to_numpy()[source], tone_key=fresh.table["tone_key"].to_numpy()[source])
    pixels = np.stack([jpeg(fresh.pixels[place], int(rng.integers(92, 98))) for place in source])
    images = Candidates(table, pixels, fresh.encoders, labels=LABELS)
    again = len(images) - len(set(source))
    found = float(world.rejected(images, "duplicate").sum() / again)
    record_property("found", found)
    world.note("collapse to 6 pictures", "duplicate", found, 0.9, world.alarms("duplicate"))
    assert found >= 0.9


@pytest.mark.parametrize(("asked", "checks"), [("label", ("confidence", "agreement", "match")), ("tone_key", ("tone", "tone_confidence"))])
def test_wrong_class_and_wrong_tone_are_found_nearly_as_often_as_by_the_oracle(world, asked, checks, record_property):
    """Any other class or type, the neighbouring type too. The oracle is given the limit at which it has the same false alarms."""
    known = LABELS if asked == "label" else [*"123456"]
    true = world.sets["fresh"].table[asked].map(known.index).to_numpy()
    wrong = (true + numpy_generator(0, asked).integers(1, len(known), len(true))) % len(known)
    found = float(world.rejected(world.planted(**{asked: np.array(known, dtype=object)[wrong]}), *checks).mean())
    alarms = world.alarms(*checks)
    clean, fresh = (world.oracle.judge(np.asarray(world.sets[name].pixels)) for name in ("clean", "fresh"))
    chances = [said.diagnosis_probability if asked == "label" else said.tone_probability for said in (clean, fresh)]
    right = chances[0][np.arange(SETS["clean"]), world.sets["clean"].table[asked].map(known.index)]
    limit = np.quantile(right, alarms, method="higher")
    possible = float((chances[1][np.arange(len(true)), wrong] < limit).mean())
    record_property("found", found)
    record_property("oracle", possible)
    world.note(f"wrong {'class' if asked == 'label' else 'tone'}", " or ".join(checks), found, 0.9 * possible, alarms, possible)
    assert found >= 0.9 * possible
