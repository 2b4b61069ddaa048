"""Notebook 11: figures and sentences of the judge's tables."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lib.diffusion.base.agreement import DRAWN
from lib.report.generator_truth import (
    agreement_table,
    check_targets,
    describe_agreement,
    describe_diversity,
    describe_skin,
    describe_targets,
    diversity_table,
    plot_agreement,
    plot_skin,
    side_by_side,
)

pytestmark = pytest.mark.filterwarnings("error")
STARTS = ("plain", "anchored")


def agreed(parts, **shares):
    """A row per variant, start and part; `shares` gives label and tone agreement of (variant, start)."""
    rows = [(variant, start, part, 56, *shares[f"{variant}_{start}"]) for variant, start, part in
            itertools.product(("base", "LoRA"), STARTS, parts)]
    table = pd.DataFrame(rows, columns=["variant", "start", "part", "images", "label_agrees", "tone_agrees"])
    table = table.assign(label_ceiling=0.96, tone_ceiling=0.8)
    return table.assign(label_ratio=table["label_agrees"] / 0.96, tone_ratio=table["tone_agrees"] / 0.8)


SHARES = {"base_plain": (0.9, 0.2), "base_anchored": (0.91, 0.6), "LoRA_plain": (0.88, 0.5), "LoRA_anchored": (0.9, 0.72)}
BANDS = agreed(["I–IV", "V–VI"], **SHARES)
ERRORS = pd.DataFrame({"variant": ["base", "base", "LoRA"], "start": ["plain", "anchored", "anchored"], "error": [30.0, 9.0, 4.0]})
VARIED = pd.DataFrame({
    "variant": ["base", "LoRA"], "start": ["anchored", "anchored"], "part": ["V–VI", "V–VI"], "images": [112, 112],
    "coverage": [0.3, 0.9], "coverage_drawn": [0.97, 0.97], "coverage_ratio": [0.31, 0.93],
    "distance": [0.5, 0.6], "distance_drawn": [0.62, 0.62], "distance_ratio": [0.81, 0.97],
})


def test_targets_are_measured_and_missed_ones_named():
    targets = check_targets(BANDS, ERRORS, VARIED)
    assert targets["measured"].round(3).tolist() == [0.938, 0.938, 0.9, 0.93, 0.97, 0.3]
    assert targets["met"].all() and describe_targets(targets) == ["All 6 targets are met."]
    missed = check_targets(BANDS, ERRORS.assign(error=[30.0, 15.0, 4.0]), VARIED.assign(coverage_ratio=0.5))
    assert describe_targets(missed) == [
        "4 of 6 targets are met. Missed: LoRA, anchored start, types V–VI: coverage over that of drawn phantoms (0.50, at least 0.80) and "
        "base: error of skin tone, anchored start over plain start (0.50, at most 0.33)."]


def test_a_study_that_draws_less_has_fewer_targets():
    only_base = BANDS[BANDS["variant"] == "base"]
    targets = check_targets(only_base, ERRORS.head(1), VARIED.head(1))
    assert targets["target"].str.startswith("base, plain start").tolist() == [True]
    none = check_targets(only_base[only_base["start"] == "anchored"], ERRORS.head(1), VARIED.head(1))
    assert describe_targets(none) == ["The study draws none of the variants that a target speaks of."]


def test_in_words():
    assert describe_agreement(BANDS)[0] == (
        "Types V–VI, which the base model never saw: pictures with the class and with the type that was asked for. base, plain start: 90% "
        "and 20%; base, anchored start: 91% and 60%; LoRA, plain start: 88% and 50%; LoRA, anchored start: 90% and 72%; the ceilings: 96% "
        "and 80%.")
    assert describe_skin(ERRORS) == [
        "Base: the skin's median ITA is off by 30.0° (plain start) and 9.0° (anchored start), on average over the six types; the anchored "
        "start leaves 30% of the error.",
        "LoRA: the skin's median ITA is off by 4.0° (anchored start), on average over the six types."]
    assert describe_diversity(VARIED) == ["Base, anchored start, types V–VI: coverage 0.31 and distance within a cell 0.81 of those of "
                                          "drawn phantoms."]
    assert len(describe_diversity(VARIED.tail(1))) == 1
    assert agreement_table(BANDS)["class as asked"].iloc[0] == "90% (0.94 of the ceiling 96%)"
    assert "distance within a cell, phantom-siglip features" in diversity_table(VARIED, "phantom-siglip")


def test_are_drawn(draw, texts, fits):
    figure = plot_agreement(agreed(range(1, 7), **SHARES))
    draw(figure)
    assert fits(figure)
    assert {"LoRA, anchored start", "base, plain start", "VI"} <= set(texts(figure))

    tones = pd.DataFrame([(variant, start, tone, 60.0 - 18 * tone, 55.0 - 15 * tone) for variant, start, tone in
                          itertools.product(("base", "tokens", "tokens + LoRA"), STARTS, range(1, 7))],
                         columns=["variant", "start", "tone", "asked", "obtained"])
    figure = plot_skin(tones)
    draw(figure)
    assert fits(figure)


def test_pictures_of_one_type_begin_with_drawn_ones(draw, texts, fits):
    rows = [(variant, start, label, tone) for (variant, start), label, tone, _ in itertools.product(
        [("base", "plain"), ("base", "anchored"), (DRAWN, DRAWN)], ["melanoma", "nevus"], [2, 6], range(3))]
    asked = pd.DataFrame(rows, columns=["variant", "start", "label", "tone"])
    pixels = np.random.default_rng(0).integers(0, 255, (len(asked), 16, 16, 3), dtype=np.uint8)
    figure = side_by_side(pixels, asked, 6, labels=["melanoma", "nevus"], per_cell=2)
    draw(figure)
    assert fits(figure)
    columns = [text for text in texts(figure) if text.endswith(("phantoms", "start"))]
    assert columns == ["drawn phantoms", "base, plain start", "base, anchored start"]
    assert texts(figure, "n") == ["n = 2"] * 6
