"""Notebook 11: figures and sentences of the judge's tables."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lib.diffusion.base.agreement import DRAWN
from lib.files import write_json
from lib.report.generator_truth import Findings, plot_agreement, plot_skin, side_by_side, together
from lib.report.generator_truth_words import (
    accuracy_table,
    agreement_table,
    check_targets,
    describe_agreement,
    describe_diversity,
    describe_skin,
    describe_targets,
    diversity_table,
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


class Plain:
    """An encoder whose features are the pixels."""

    name = "plain-pixels"

    def embed(self, pixels):
        return pixels.reshape(len(pixels), -1).astype(np.float32)

    def feature_maps(self, pixels):
        return [pixels.reshape(len(pixels), -1, 3).astype(np.float32)]


def test_what_is_found_follows_from_the_judged_pictures(tmp_path):
    """16 drawn pictures that the oracle reads without fault; of as many generated ones half the classes and a quarter of the types."""
    cells = pd.DataFrame([(label, tone) for label, tone, _ in itertools.product(["a", "b"], [2, 6], range(4))], columns=["label", "tone"])
    drawn = cells.assign(variant=DRAWN, start=DRAWN, said_label=cells["label"], said_tone=cells["tone"], ita=60 - 10.0 * cells["tone"])
    learnt = cells.assign(variant="LoRA", start="anchored", said_label="a", said_tone=cells["tone"].where(cells.index % 4 == 0, 4),
                          ita=drawn["ita"] + 3)
    pictures = np.random.default_rng(0).integers(0, 255, (16, 4, 4, 3), dtype=np.uint8)
    pixels, judged = together((pictures, drawn), (pictures, learnt))
    found = Findings(judged, pixels, Plain(), neighbours=1)
    assert pixels.shape == (32, 4, 4, 3) and judged.index.tolist() == list(range(32))
    assert found.bands[["part", "images", "label_agrees", "tone_agrees"]].to_numpy().tolist() == [["I–IV", 8, 0.5, 0.25],
                                                                                                    ["V–VI", 8, 0.5, 0.25]]
    assert found.by_tone["part"].tolist() == [2, 6] and found.errors["error"].tolist() == [3.0] and found.per_variant.tolist() == [16]
    assert found.varied["distance_ratio"].tolist() == [1.0, 1.0] and found.varied is found.varied       # the same pictures; measured once
    varied = found.varied.iloc[-1]
    assert found.targets["measured"].tolist() == [0.5, 0.25, varied["coverage_ratio"], varied["distance_ratio"]]

    ceilings = {what: {"all": 0.9, "by_tone": {"1": 0.9, "2": share}}
                for what, share in (("diagnosis", 0.8), ("tone", 0.7), ("tone_within_one", 1.0))}
    metrics = found.metrics(ceilings, images=4)
    write_json(tmp_path / "metrics.json", metrics)
    assert metrics["oracle"] == dict.fromkeys(("diagnosis", "tone", "tone_within_one"), 0.9)
    assert [row["part"] for row in metrics["by_label"]] == ["a", "b"] and metrics["diversity"]["encoder"] == "plain-pixels"
    assert metrics["findings"][0] == describe_targets(found.targets)[0] and "4 pictures of each" in metrics["headline"]["caption"]
    assert accuracy_table(ceilings).loc["2"].tolist() == [0.8, 0.7, 1.0]


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
